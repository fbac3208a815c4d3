"""From a base and from nothing."""

from pathlib import Path

import pytest

from tests.lessons.test_experiment import finish
from tinylm.lessons.experiment import Experiment
from tinylm.lessons.foundation import BASE, FAR, MIDDLING, NEAR, SCRATCH, Skill, conclude
from tinylm.lessons.graduate import MISSING, with_verse
from tinylm.lessons.prices import NEVER, documents_share, steps_share
from tinylm.runs import open_run

SLOW = [(0.0, 8.0), (10.0, 6.0), (20.0, 4.0)]
FAST = [(0.0, 6.0), (10.0, 2.0), (20.0, 1.0)]
# Lowest bits per byte from an eighth of the documents and from all of them.
STRANGER, RICH, POOR = (
    [(1 / 8, 5.0), (1.0, 4.0)],
    [(1 / 8, 3.0), (1.0, 1.0)],
    [(1 / 8, 9.0), (1.0, 8.0)],
)


def skill(quick):
    """A skill that every seed learns faster from the base, or never as well."""
    curves = {SCRATCH: [SLOW] * 3, BASE: [FAST if quick else [(0.0, 9.0), (20.0, 8.0)]] * 3}
    lowest = {SCRATCH: [STRANGER] * 3, BASE: [RICH if quick else POOR] * 3}
    return Skill(curves, lowest, [0.2] * 3)


def concluded(near, middling, far, **more):
    return conclude({NEAR: skill(near), MIDDLING: skill(middling), FAR: skill(far)}, **more)


def test_the_share_compares_when_both_reach_the_strangers_best():
    assert steps_share(SLOW, FAST) == pytest.approx(5 / 20)
    assert steps_share(FAST, SLOW) == NEVER


def test_a_share_of_the_documents_is_taken_of_what_scratch_needs():
    assert documents_share(STRANGER, RICH) == pytest.approx(1 / 8)
    assert documents_share(STRANGER, POOR) == NEVER
    # Scratch gets there with an eighth as well: the base has brought nothing.
    assert documents_share([(1 / 8, 3.9), (1.0, 4.0)], RICH) == 1
    assert documents_share(STRANGER, [(1 / 8, 5.0), (1.0, 3.0)]) == pytest.approx(8**-0.5)


def test_cheaper_near_and_in_the_middle_and_not_far_away_supports_the_claim():
    result = concluded(True, True, False)
    assert result.verdict == "supported" and all(result.targets.values())
    assert "25 % of the steps (1.0 instead of 4.0 seconds) and 12 % of the doc" in result.sentence


def test_a_base_that_is_as_quick_far_away_does_not_support_it():
    result = concluded(True, True, True)
    assert result.verdict != "supported"
    assert not result.targets["far away no gain, in steps and in documents"]


def test_a_base_that_is_dearer_near_or_in_the_middle_refutes_it():
    for near, middling in ((False, True), (True, False)):
        assert concluded(near, middling, False).verdict == "not supported"


def test_a_lesson_without_the_real_model_says_so_and_one_with_it_tells_what_it_did():
    assert MISSING in concluded(True, True, False, missing=True).sentence
    models = {
        name: {"bits_per_byte": bits, "scan": [0.3, 0.2, 0.4]}
        for name, bits in (("toy from scratch", 2.0), ("SmolLM2, tuned", 1.4))
    }
    account = {"minutes": 1.3, "models": models}
    result = concluded(True, True, False, account=account)
    assert "SmolLM2, tuned 1.40 and 30 %" in result.sentence and MISSING not in result.sentence
    assert "graduate.png" in result.figures


def test_the_smoke_lesson_learns_three_skills_from_both_starts(smoke_lesson):
    results = smoke_lesson("foundation")
    assert len(results["arms"]) == 6
    for own in results["details"]["skills"].values():
        assert all(curve[0][0] == 0 for curves in own["curves"].values() for curve in curves)
        for lowest in own["lowest"].values():
            assert all([part for part, _ in low] == [1 / 64, 1] for low in lowest)
    assert results["details"]["graduate"] is None and MISSING in results["sentence"]


def test_a_real_model_and_two_toys_learn_the_same_verse(lessons_folder):
    experiment = Experiment("smoke", lessons_folder / "graduate")
    base = finish(experiment.base(1))[1]
    account = finish(with_verse(experiment, base))[1]
    assert len(account["models"]) == 4
    assert account["steps"] == {"toys": 6, "SmolLM2": 2}
    for own in account["models"].values():
        assert own["bits_per_byte"] > 1 and own["scan"][1] <= own["scan"][0] <= own["scan"][2]
    runs = [open_run(folder) for folder in (lessons_folder / "graduate" / "runs").iterdir()]
    tuned, scratch = sorted(runs, key=lambda run: run.recipe.start_from is None)
    assert tuned.recipe.lora and Path(tuned.recipe.start_from) == base.folder
    # The toys differ in their start alone.
    toy = finish(experiment.verse(base, 1))[1]
    assert scratch.recipe.train == toy.recipe.train and scratch.recipe.model == toy.recipe.model
