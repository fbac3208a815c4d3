import json
import shutil

import pytest

from tinylm.runs import append_line, open_run, read_lines, save_files, write_json
from tinylm.training.start import create_folder


@pytest.fixture
def copy_of_run(base_run, tmp_path):
    shutil.copytree(base_run.folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_every_saved_file_is_in_the_manifest_and_verifies(base_run):
    names = {path.relative_to(base_run.folder).as_posix() for path in base_run.folder.rglob("*") if path.is_file()}
    assert names - {"manifest.json"} == set(base_run.manifest["files"])
    for name in base_run.manifest["files"]:
        assert base_run.path(name).is_file()


def test_there_is_no_pickle_in_a_run(base_run):
    assert {path.suffix for path in base_run.folder.rglob("*") if path.is_file()} <= {
        ".json", ".jsonl", ".safetensors", ".uint16", ".uint32"
    }


@pytest.mark.parametrize(
    "name", ["model/model.safetensors", "model/tokenizer.json", "state/state.safetensors", "recipe.json"]
)
def test_one_flipped_bit_is_noticed(copy_of_run, name):
    body = bytearray((copy_of_run / name).read_bytes())
    body[len(body) // 2] ^= 1
    (copy_of_run / name).write_bytes(body)
    with pytest.raises(ValueError, match="damaged or changed"):
        open_run(copy_of_run).path(name)


def test_a_log_may_grow_but_its_past_may_not_change(copy_of_run):
    append_line(copy_of_run / "metrics.jsonl", {"kind": "train", "step": 7})
    assert open_run(copy_of_run).path("metrics.jsonl")
    text = (copy_of_run / "metrics.jsonl").read_text(encoding="utf-8")
    (copy_of_run / "metrics.jsonl").write_text(text.replace("1", "2", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="damaged or changed"):
        open_run(copy_of_run).path("metrics.jsonl")


def test_a_crash_between_the_files_and_the_manifest_loses_nothing(tmp_path):
    manifest = save_files(
        tmp_path, {"a.bin": b"one"}, {"format": 1, "step": 1, "steps": 2, "status": "running", "best": {}}
    )
    # The crash: new content is announced and in place, the final manifest was never written.
    pending = {"a.bin": {"bytes": 3, "sha256": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"}}
    write_json(tmp_path / "manifest.json", {**manifest, "pending": pending})
    (tmp_path / "a.bin").write_bytes(b"two")
    assert open_run(tmp_path).path("a.bin")
    (tmp_path / "a.bin").write_bytes(b"one")
    assert open_run(tmp_path).path("a.bin")


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
        ("{", "damaged JSON"), ("[]", "damaged"), ("{}", "lacks"),
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
