"""Damage to a run's files is noticed or harmless: flipped bytes, cut files, missing files, numbers
that are none.

`pytest -m long tests/robustness/test_damage.py` flips 2,000 bytes and tries every length; the
default suite a few.
"""

import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import train_run
from tests.training.test_trainer import contents
from tinylm.runs import file_entry, open_run, write_manifest
from tinylm.training.load import load_model, read_tensors
from tinylm.training.resume import resume_run


@pytest.fixture
def folder(tmp_path: Path, text_file: Path) -> Path:
    """A run that was stopped halfway, so that each of its files is needed for something."""
    return train_run(tmp_path / "run", text_file, train={"stop_after": 4}).folder


def seen(folder: Path) -> object:
    """All that TinyLM reads out of a run: what it says of itself, its model, and the place from
    which it goes on."""
    run = open_run(folder)
    model, tokenizer, recipe = load_model(run)
    trainer = resume_run(folder)
    parts = (model.state_dict(), trainer.model.state_dict(), trainer.optimizers.state())
    weights = [[tensor.numpy().tobytes() for tensor in part.values()] for part in parts]
    ids = trainer.corpus.train.tobytes() + trainer.corpus.valid.tobytes()
    place = (trainer.step, trainer.tokens, trainer.first_loss, trainer.best)
    said = (
        run.manifest,
        recipe,
        tokenizer.fingerprint(),
        run.records("train"),
        run.records("valid"),
        run.log("samples.jsonl"),
    )
    return weights, ids, place, said


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(folder: Path, times: int) -> dict[str, int]:
    """Flip one byte at a time, half of the times in a file taken at random and half in a byte taken
    at random."""
    chance, whole, told = random.Random(times), seen(folder), {"noticed": 0, "harmless": 0}
    bodies = {path: path.read_bytes() for path in files_of(folder)}
    for time in range(times):
        weights = [len(body) for body in bodies.values()] if time % 2 else None
        path = chance.choices(list(bodies), weights)[0]
        damaged = bytearray(bodies[path])
        damaged[chance.randrange(len(damaged))] ^= chance.randrange(1, 256)
        path.write_bytes(damaged)
        try:
            assert seen(folder) == whole, f"undetected: {path}"
            told["harmless"] += 1
        except ValueError as error:
            assert "\n" not in str(error)
            told["noticed"] += 1
        for file, body in bodies.items():  # resuming may have shortened a log
            if file == path or file.suffix == ".jsonl":
                file.write_bytes(body)
    return told


def test_a_flipped_byte_is_noticed_or_harmless(folder):
    told = flip(folder, 60)
    assert told["noticed"] > 45


@pytest.mark.long
def test_2000_flipped_bytes_are_noticed_or_harmless(folder):
    told = flip(folder, 2000)
    print(told)
    assert told["noticed"] + told["harmless"] == 2000


def cut(folder: Path, path: Path, lengths: list[int]) -> None:
    """Cut a file to each of `lengths`, longest first; none may pass."""
    body = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    for length in sorted(lengths, reverse=True):
        os.truncate(path, length)
        if path.name == "manifest.json" and length == len(body) - 1:
            assert open_run(folder)  # without its last line break it still says all
            continue
        with pytest.raises(ValueError) as error:
            open_run(folder).path(name)
        assert "\n" not in str(error.value)
    path.write_bytes(body)


def test_a_file_cut_anywhere_is_noticed(folder):
    chance = random.Random(1)
    for path in files_of(folder):
        size = path.stat().st_size
        cut(folder, path, [0, size - 1, *(chance.randrange(size) for _ in range(5))])


@pytest.mark.long
def test_a_file_cut_to_every_length_is_noticed(folder):
    for path in files_of(folder):
        cut(folder, path, list(range(path.stat().st_size)))


def test_each_missing_file_is_one_line(folder):
    whole = seen(folder)
    for path in files_of(folder):
        body = path.read_bytes()
        path.unlink()
        if path.name == "timings.jsonl":  # only for people
            assert seen(folder) == whole
        else:
            with pytest.raises(
                ValueError, match=r"missing|no manifest\.json|before its first save"
            ) as error:
                seen(folder)
            assert "\n" not in str(error.value)
        path.write_bytes(body)


def test_a_run_without_its_manifest_is_one_line_and_stays_as_it_is(folder):
    (folder / "manifest.json").unlink()
    before = {path: path.read_bytes() for path in files_of(folder)}
    with pytest.raises(ValueError, match=r"is not a run folder: it has no manifest\.json"):
        load_model(open_run(folder))
    assert {path: path.read_bytes() for path in files_of(folder)} == before


def test_a_run_of_a_newer_version_is_one_line(folder):
    write_manifest(folder, {**open_run(folder).manifest, "format": 2})
    with pytest.raises(
        ValueError, match="written by a newer TinyLM: update with pip install --upgrade tinylm"
    ):
        open_run(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["model/model.safetensors", "state/state.safetensors"])
def test_weights_that_are_no_numbers_are_one_line_even_where_every_hash_is_right(
    folder, name, number
):
    tensors, header = read_tensors(folder / name)
    key = next(
        key for key in tensors if key.endswith("tokens.weight") and not key.startswith("optimizer")
    )
    tensors[key] = torch.full_like(tensors[key], number)
    save_file(tensors, folder / name, header)
    manifest = open_run(folder).manifest
    write_manifest(
        folder, {**manifest, "files": {**manifest["files"], name: file_entry(folder / name)}}
    )
    with pytest.raises(ValueError, match=r"tokens\.weight holds NaN or infinite numbers"):
        seen(folder)


def test_logs_that_grew_after_the_last_save_are_cut_back_and_a_clock_set_back_changes_nothing(
    tmp_path, text_file, folder, monkeypatch
):
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    for number, path in enumerate(files_of(folder)):
        os.utime(path, (0, 0) if number % 2 else (4e9, 4e9))  # 1970 and 2096
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "train", "step": 5, "lo')
    for _ in resume_run(folder).run():
        pass
    train_run(tmp_path / "whole", text_file)
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_run_copied_without_its_folders_times_and_rights_is_the_same_run(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert seen(tmp_path / "copy") == seen(folder)
