"""A packed demo: what is packed comes out again, and a file from anybody can do no harm."""

import zipfile

import pytest

from tests.conftest import train_run
from tinylm import cli
from tinylm.formats import archive
from tinylm.formats.archive import pack, unpack
from tinylm.runs import open_run
from tinylm.training.load import load_model


@pytest.fixture(scope="module")
def packed(base_run, text_file, tmp_path_factory):
    """A file with the runs base and verse in it."""
    folder = tmp_path_factory.mktemp("packed")
    verse = train_run(
        folder / "verse", text_file, start_from=str(base_run.folder), model={"context": 16}
    )
    pack([base_run, verse], folder / "demo.zip")
    return folder / "demo.zip"


def tampered(packed, target, **changes):
    """The packed file with some entries replaced (name with / as __), added, or left out (None)."""
    changes = {name.replace("__", "/"): body for name, body in changes.items()}
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(target, "w") as new:
        kept = {name: old.read(name) for name in old.namelist()}
        for name, body in {**kept, **changes}.items():
            if body is not None:
                new.writestr(name, body)
    return target


def test_runs_come_out_as_they_went_in_without_what_only_a_resume_needs(packed, base_run, tmp_path):
    unpack(packed, tmp_path / "demo", ("base", "verse"))
    again = open_run(tmp_path / "demo" / "base")
    assert again.fingerprint == base_run.fingerprint and again.log("samples.jsonl") == base_run.log(
        "samples.jsonl"
    )
    assert not list((tmp_path / "demo" / "base" / "state").iterdir())
    load_model(open_run(tmp_path / "demo" / "verse"))


def test_unpacking_replaces_an_earlier_run_but_nothing_else(packed, tmp_path):
    unpack(packed, tmp_path, ("base",))
    unpack(packed, tmp_path, ("base",))
    (tmp_path / "verse").mkdir()
    (tmp_path / "verse" / "poem.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="exists"):
        unpack(packed, tmp_path, ("verse",))
    assert (tmp_path / "verse" / "poem.txt").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "../base/recipe.json",
        "/etc/passwd.txt",
        "base/../../x.json",
        "base/model/../../x.json",
        "C:/base/x.json",
        "base\\recipe.json",
        "base/state/state.safetensors",
        "base/deep/er/x.json",
        "recipe.json",
        "base/",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(packed, tmp_path, name):
    bad = tampered(packed, tmp_path / "bad.zip")
    with zipfile.ZipFile(bad, "a") as packed_file:
        packed_file.writestr(name, b"{}")
    with pytest.raises(ValueError, match="does not belong"):
        unpack(bad, tmp_path / "out", ("base",))
    assert not (tmp_path / "out").exists()


def test_changed_missing_and_added_files_are_refused(packed, tmp_path):
    for changes, told in (
        ({"base__model/config.json": b"{}"}, "damaged"),
        ({"base__model/config.json": None}, "missing"),
        ({"base__model/extra.json": b"{}"}, "not in the manifest"),
        ({"base__manifest.json": b"[" * 9999}, "manifest"),
        ({"base__manifest.json": None}, "manifest"),
        ({"base__manifest.json": b'{"format": 1}'}, "manifest"),
    ):
        with pytest.raises(ValueError, match=told):
            unpack(tampered(packed, tmp_path / "bad.zip", **changes), tmp_path / "out", ("base",))
    assert not (tmp_path / "out").exists()


def test_a_file_that_would_unpack_to_more_than_a_demo_is_refused_unread(
    packed, tmp_path, monkeypatch
):
    monkeypatch.setattr(archive, "LARGEST", 1_000_000)
    bomb = tampered(packed, tmp_path / "bomb.zip")
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as packed_file:
        packed_file.writestr("base/data/zeros.uint16", b"0" * 2_000_000)
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match="MB unpacked"):
        unpack(bomb, tmp_path / "out", ("base",))


def test_a_file_that_is_no_packed_demo_is_told_in_one_line(packed, tmp_path):
    (tmp_path / "cut.zip").write_bytes(packed.read_bytes()[:-400])
    (tmp_path / "text.zip").write_text("hello", encoding="utf-8")
    for name, told in (
        ("cut.zip", "damaged"),
        ("text.zip", "damaged"),
        ("nowhere.zip", "there is no file"),
    ):
        with pytest.raises(ValueError, match=told) as error:
            unpack(tmp_path / name, tmp_path / "out", ("base",))
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="lacks the run third"):
        unpack(packed, tmp_path / "out", ("base", "third"))


def test_an_unfinished_run_is_not_packed(text_file, tmp_path):
    half = train_run(tmp_path / "half", text_file, train={"stop_after": 3})
    with pytest.raises(ValueError, match="tinylm resume"):
        pack([half], tmp_path / "demo.zip")


def test_the_demo_goes_straight_to_the_comparison_from_a_packed_file(packed, tmp_path, capsys):
    cli.main(
        ["demo", "--scale", "smoke", "--out", str(tmp_path / "demo"), "--resume-from", str(packed)]
    )
    told = capsys.readouterr()
    assert "trained before" in told.err and "Continuing" in told.out and "done in" not in told.err
    assert (tmp_path / "demo" / "compare" / "index.html").is_file()


def test_a_look_at_smoke_scale_never_replaces_a_demo_that_took_minutes(tmp_path, text_file, capsys):
    train = {"steps": 7, "batch_size": 4, "evaluate_every": 7, "precision": "fp32", "device": "cpu"}
    run = train_run(tmp_path / "demo" / "base", text_file, train=train)
    before = (run.folder / "manifest.json").read_bytes()
    with pytest.raises(SystemExit):
        cli.main(["demo", "--scale", "smoke", "--out", str(tmp_path / "demo")])
    assert (
        "choose another --out" in capsys.readouterr().err
        and (run.folder / "manifest.json").read_bytes() == before
    )
