"""Style against knowledge."""

import pytest

from tinylm.lessons.style import ARMS, TRAINED, conclude, kept


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
    scans = dict(zip(ARMS, (0.2, 0.1, 0.6, 0.5, 0.5, 0.4)))
    result = conclude(scores(scans, seeds=9))
    assert result.verdict == "supported" and all(result.targets.values())
    forgetful = conclude(scores(scans, lora_keeps=0.3, seeds=9))
    assert forgetful.verdict == "supported"  # the claim is that style changes, not that facts stay
    assert not forgetful.targets["LoRA keeps >= 90 % of the facts"]
    assert conclude(scores(dict.fromkeys(ARMS, 0.2), seeds=9)).verdict == "no measurable difference"


def test_a_fine_tune_on_verse_that_teaches_facts_refutes_the_claim():
    scans = dict(zip(ARMS, (0.2, 0.1, 0.6, 0.5, 0.5, 0.4)))
    taught = scores(scans, seeds=9)
    for own in taught:
        own["base"] = {**own["base"], "facts": [0] * 10}
    assert conclude(taught).verdict == "not supported"


def test_only_facts_that_the_base_knew_can_be_kept():
    own = [{"base": {"facts": [1, 1, 0, 0]}, "LoRA": {"facts": [1, 0, 1, 1]}}] * 2
    assert kept(own, "LoRA").mean == pytest.approx(0.5)


def test_the_smoke_lesson_judges_all_arms_by_all_measures(smoke_lesson):
    results = smoke_lesson("style")
    assert len(results["arms"]) == 5 * len(ARMS)
    assert set(results["learning_rate_search"]) == set(TRAINED)
    assert results["details"]["samples"]["prompted base"].count("\n") >= 4
