import json
import shutil
from pathlib import Path

import pytest

from tinylm.runs import append_line, open_run, read_lines, read_manifest, save_files
from tinylm.training.folders import create_folder
from tinylm.training.resume import finish_save


@pytest.fixture
def copy_of_run(base_run, tmp_path):
    shutil.copytree(base_run.folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_every_saved_file_is_in_the_manifest_and_verifies(base_run):
    names = {
        path.relative_to(base_run.folder).as_posix()
        for path in base_run.folder.rglob("*")
        if path.is_file()
    }
    assert names - {"manifest.json"} == set(base_run.manifest["files"])
    for name in base_run.manifest["files"]:
        assert base_run.path(name).is_file()


def test_the_fingerprint_is_that_of_the_model_and_of_nothing_else(copy_of_run):
    run = open_run(copy_of_run)
    files = {"recipe.json": (copy_of_run / "recipe.json").read_bytes() + b" "}
    save_files(copy_of_run, files, run.manifest)
    assert open_run(copy_of_run).fingerprint == run.fingerprint
    name = "model/model.safetensors"
    save_files(copy_of_run, {name: (copy_of_run / name).read_bytes() + b" "}, run.manifest)
    assert open_run(copy_of_run).fingerprint != run.fingerprint


def test_there_is_no_pickle_in_a_run(base_run):
    assert {path.suffix for path in base_run.folder.rglob("*") if path.is_file()} <= {
        ".json",
        ".jsonl",
        ".safetensors",
        ".uint16",
        ".uint32",
    }


@pytest.mark.parametrize(
    "name",
    ["model/model.safetensors", "model/tokenizer.json", "state/state.safetensors", "recipe.json"],
)
def test_one_flipped_bit_is_noticed(copy_of_run, name):
    body = bytearray((copy_of_run / name).read_bytes())
    body[len(body) // 2] ^= 1
    (copy_of_run / name).write_bytes(body)
    with pytest.raises(ValueError, match="damaged or changed"):
        open_run(copy_of_run).path(name)


def test_a_file_with_something_behind_its_end_is_damaged(copy_of_run):
    with (copy_of_run / "model/tokenizer.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match="damaged or changed"):
        open_run(copy_of_run).path("model/tokenizer.json")


def test_a_log_may_grow_but_its_past_may_not_change(copy_of_run):
    append_line(copy_of_run / "metrics.jsonl", {"kind": "train", "step": 7})
    assert open_run(copy_of_run).path("metrics.jsonl")
    text = (copy_of_run / "metrics.jsonl").read_text(encoding="utf-8")
    (copy_of_run / "metrics.jsonl").write_text(text.replace("1", "2", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="damaged or changed"):
        open_run(copy_of_run).path("metrics.jsonl")


def test_a_save_counts_from_its_announcement_on_wherever_a_crash_comes(tmp_path, monkeypatch):
    manifest = {"format": 1, "step": 1, "steps": 2, "status": "running", "best": {}, "parent": None}
    manifest = save_files(tmp_path, {"a.bin": b"one", "b.bin": b"one"}, manifest)
    moves, real = [], Path.replace

    def dies(path, target):
        moves.append(Path(target).name)
        if len(moves) > allowed:
            raise KeyboardInterrupt
        return real(path, target)

    for allowed in (1, 2, 3):  # the announcement, then a, then b; the last manifest never comes
        moves.clear()
        new, before = f"step {allowed}".encode(), read_manifest(tmp_path)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "replace", dies)
            save_files(
                tmp_path, {"a.bin": new, "b.bin": new}, {**before, "step": 2, "status": "finished"}
            )
        run = open_run(tmp_path)
        assert run.manifest["status"] == "finished"
        assert [run.path(name).read_bytes() for name in ("a.bin", "b.bin")] == [new, new]
        finish_save(tmp_path)
        assert [(tmp_path / name).read_bytes() for name in ("a.bin", "b.bin")] == [new, new]
        assert (
            open_run(tmp_path).path("a.bin") == tmp_path / "a.bin"
            and not read_manifest(tmp_path)["pending"]
        )
        assert not list(tmp_path.glob("*.new"))


def test_a_crash_before_the_announcement_leaves_the_save_before(tmp_path):
    manifest = {"format": 1, "step": 1, "steps": 2, "status": "running", "best": {}, "parent": None}
    save_files(tmp_path, {"a.bin": b"one"}, manifest)
    (tmp_path / "a.bin.new").write_bytes(b"two")
    finish_save(tmp_path)
    assert open_run(tmp_path).path("a.bin").read_bytes() == b"one"


def test_a_cut_last_line_of_a_log_is_left_out(tmp_path):
    (tmp_path / "log").write_text('{"a": 1}\n{"a": "line\u2028break"}\n{"a": ', encoding="utf-8")
    assert list(read_lines(tmp_path / "log")) == [{"a": 1}, {"a": "line\u2028break"}]


def test_what_is_no_run_is_named_with_the_runs_beside_it(base_run):
    with pytest.raises(ValueError, match=r"is not a run folder.*runs beside it: base"):
        open_run(base_run.folder.parent / "bose")


def test_a_newer_format_and_a_damaged_manifest_are_one_line_each(copy_of_run):
    path = copy_of_run / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for body, words in (
        (json.dumps({**manifest, "format": 99}), "newer TinyLM"),
        (json.dumps({**manifest, "best": None}), "damaged, lacks best"),
        ("{", "damaged JSON"),
        ("[]", "damaged"),
        ("{}", "lacks"),
    ):
        path.write_text(body, encoding="utf-8")
        with pytest.raises(ValueError, match=words) as error:
            open_run(copy_of_run)
        assert "\n" not in str(error.value)


def test_an_existing_folder_is_refused_and_only_an_earlier_run_is_replaced(copy_of_run, tmp_path):
    with pytest.raises(ValueError, match=r"exists.*tinylm resume"):
        create_folder(copy_of_run)
    create_folder(copy_of_run, replace=True)
    assert not (copy_of_run / "manifest.json").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(ValueError, match="exists"):
        create_folder(tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()
