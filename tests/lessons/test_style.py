"""Style against knowledge."""

from pathlib import Path

import pytest

from tinylm.lessons.experiment import slug
from tinylm.lessons.style import ARMS, FINE_TUNED, REWARDED, conclude, kept
from tinylm.runs import open_run


def scores(metre, lora_keeps=1.0, seeds=3):
    """Ten facts known by the base of each seed; the metre of every arm is given."""
    after = [1] * round(10 * lora_keeps) + [0] * (10 - round(10 * lora_keeps))
    arm = {
        "rhyme": 0.1,
        "verse": 2.0,
        "stories": 0.4,
        "facts": [1] * 10,
        "sample": "The tide",
        "lines": 50,
    }
    return [
        {
            name: {
                **arm,
                "metre": metre[name] + 0.01 * seed,
                "facts": after if name == "LoRA" else [1] * 10,
            }
            for name in ARMS
        }
        for seed in range(seeds)
    ]


def test_a_fine_tune_that_scans_and_a_lora_that_remembers_support_the_claim():
    scans = dict(zip(ARMS, (0.2, 0.1, 0.6, 0.5, 0.5, 0.8, 0.7)))
    result = conclude(scores(scans, seeds=9))
    assert result.verdict == "supported" and all(result.targets.values())
    forgetful = conclude(scores(scans, lora_keeps=0.3, seeds=9))
    assert forgetful.verdict == "supported"  # the claim is that style changes, not that facts stay
    assert not forgetful.targets["LoRA keeps >= 90 % of the facts"]
    assert conclude(scores(dict.fromkeys(ARMS, 0.2), seeds=9)).verdict == "no measurable difference"


def test_a_fine_tune_on_verse_that_teaches_facts_refutes_the_claim():
    scans = dict(zip(ARMS, (0.2, 0.1, 0.6, 0.5, 0.5, 0.8, 0.7)))
    taught = scores(scans, seeds=9)
    for own in taught:
        own["base"] = {**own["base"], "facts": [0] * 10}
    assert conclude(taught).verdict == "not supported"


def test_a_reward_that_costs_the_facts_misses_the_target_for_both_at_once():
    scans = dict(zip(ARMS, (0.2, 0.1, 0.3, 0.3, 0.3, 0.8, 0.7)))
    forgetful = scores(scans, seeds=9)
    both = "an arm has metre x >= 2.5 and keeps >= 90 % of the facts"
    assert conclude(forgetful).targets[both]
    for own in forgetful:
        for arm in REWARDED:
            own[arm] = {**own[arm], "facts": [1] * 5 + [0] * 5}
    result = conclude(forgetful)
    assert not result.targets[both] and result.targets["rewarded: metre x >= 3"]
    assert result.details["kept"]["rewarded with replay"][0] == pytest.approx(0.5)


def test_the_rewarded_arms_start_from_their_fine_tunes(smoke_lesson, lessons_folder):
    smoke_lesson("style")
    folder = lessons_folder / "style" / "runs"
    for arm, start in REWARDED.items():
        own = open_run(next(folder.glob(f"{slug(arm)}-seed-1-*")))
        assert Path(own.manifest["parent"]["path"]).name.startswith(f"{slug(start)}-seed-1-")
        assert own.recipe.reward.scorer == "metre"
        assert own.recipe.lora is None


def test_only_facts_that_the_base_knew_can_be_kept():
    own = [{"base": {"facts": [1, 1, 0, 0]}, "LoRA": {"facts": [1, 0, 1, 1]}}] * 2
    assert kept(own, "LoRA").mean == pytest.approx(0.5)


def test_the_smoke_lesson_judges_all_arms_by_all_measures(smoke_lesson):
    results = smoke_lesson("style")
    assert len(results["arms"]) == 5 * len(ARMS)
    assert list(results["details"]["kept"]) == [*FINE_TUNED, *REWARDED]
    assert results["details"]["samples"]["prompted base"].count("\n") >= 4
