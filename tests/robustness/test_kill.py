"""An interrupted run loses at most the steps since its last save and comes to the same bits.

`pytest -m long tests/robustness/test_kill.py` kills 200 times; the default suite six times.
"""

import json
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.robustness import victims
from tests.training.test_trainer import contents
from tinylm.runs import open_run

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no fork and no SIGKILL"
)


@pytest.fixture
def recipe(tmp_path: Path, text_file: Path) -> Path:
    """A recipe of 12 steps with a save after every second one, so that most of its time is spent in
    saving."""
    path = tmp_path / "tiny.toml"
    path.write_text(
        f'[corpus]\ntext = "{text_file.as_posix()}"\n[tokenizer]\nkind = "char"\n'
        "[model]\ncontext = 16\ndepth = 2\nwidth = 16\nheads = 2\n"
        '[train]\nsteps = 12\nbatch_size = 4\nevaluate_every = 2\nprecision = "fp32"\ndevice = '
        '"cpu"\n'
        '[sample]\nevery = 4\nprompts = ["the "]\ntokens = 8\n',
        encoding="utf-8",
    )
    return path


def next_words(recipe: Path, run: Path) -> list[object] | None:
    """What a person would type next: train, resume, or nothing where the run is finished."""
    if not (run / "manifest.json").exists():
        return ["train", recipe, "--out", run]
    return None if open_run(run).manifest["status"] == "finished" else ["resume", run]


def interrupt(
    recipe: Path, folder: Path, strikes: list[int], chance: random.Random
) -> dict[str, int]:
    """Train runs under signals at random moments until all are spent; every run ends as the one
    left in peace.

    Returns how many strikes hit a running process, and how many of those fell before the first
    save.
    """
    log, whole = folder / "log.txt", folder / "whole"
    victims.ended(["train", recipe, "--out", folder / "warm-up"], log)  # loads what loads once
    seconds = victims.ended(["train", recipe, "--out", whole], log)
    wanted, told, number = contents(whole), {"hit": 0, "before the first save": 0, "runs": 0}, 0
    while strikes:
        run = folder / f"run-{number}"
        number += 1
        while (words := next_words(recipe, run)) is not None:
            if not strikes:
                victims.ended(words, log)
                continue
            code = victims.struck(words, log, chance.uniform(0, 1.1 * seconds), strikes[-1])
            assert code != 2, log.read_text(encoding="utf-8")[-2000:]  # refused to go on
            if code == 0 and strikes[-1] != signal.SIGKILL and (run / "manifest.json").exists():
                # Saved after the present step, not only resumable from an older one.
                steps = [record["step"] for record in open_run(run).records("train")]
                assert open_run(run).manifest["step"] == max(steps, default=0)
            if code != 0 or next_words(recipe, run) is not None:
                told["hit"] += 1
                told["before the first save"] += not (run / "manifest.json").exists()
                strikes.pop()
        assert contents(run) == wanted
        told["runs"] += 1
    return told


def comparison(out: Path) -> dict[str, Any]:
    """What a comparison found, without what a clock measured."""
    found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    found["scoreboard"] = [row for row in found["scoreboard"] if "second" not in json.dumps(row)]
    return {**found, "runs": [{**run, "folder": ""} for run in found["runs"]]}


def test_killed_at_six_random_moments_a_run_ends_as_if_it_had_not_been(tmp_path, recipe):
    told = interrupt(recipe, tmp_path, [signal.SIGKILL] * 6, random.Random(6))
    assert told["hit"] == 6


@pytest.mark.long
def test_killed_at_140_random_moments_of_training_and_saving_every_run_ends_the_same(
    tmp_path, recipe
):
    told = interrupt(recipe, tmp_path, [signal.SIGKILL] * 140, random.Random(140))
    print(told)
    assert told["hit"] == 140


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_at_15_random_moments_saves_and_every_run_ends_the_same(
    tmp_path, recipe, number
):
    told = interrupt(recipe, tmp_path, [number] * 15, random.Random(15))
    print(told)
    assert told["hit"] == 15


@pytest.mark.long
def test_a_comparison_killed_at_60_random_moments_can_always_be_made_again(tmp_path, recipe):
    chance, log = random.Random(60), tmp_path / "log.txt"
    for name in ("a", "b"):
        victims.ended(["train", recipe, "--out", tmp_path / name, "--train.seed", len(name)], log)
    before = contents(tmp_path / "a"), contents(tmp_path / "b")
    words = ["compare", tmp_path / "a", tmp_path / "b", "--scale", "smoke", "--out"]
    victims.ended([*words, tmp_path / "warm-up"], log)
    seconds = victims.ended([*words, tmp_path / "whole"], log)
    hits = 0
    # the same folder again and again: what a kill leaves there must not stand in the way
    while hits < 60:
        hits += (
            victims.struck(
                [*words, tmp_path / "out"], log, chance.uniform(0, seconds), signal.SIGKILL
            )
            != 0
        )
    victims.ended([*words, tmp_path / "out"], log)
    assert comparison(tmp_path / "out") == comparison(tmp_path / "whole")
    assert (contents(tmp_path / "a"), contents(tmp_path / "b")) == before
