"""The reward lesson: the effect, its control and its price."""

from tinylm.lessons.reward import ARMS, HACKED, LOTTERY, TUNED, conclude

HACKED_SCORES = {"metre": 1.0, "shuffled": 0.5, "words": 0.1, "verse": 3.0, "lines": 700}


def scores(rewarded, by_lot, seeds=3):
    """Scores in which only the metre differs between the arms."""
    metre = dict.fromkeys(ARMS, rewarded) | {TUNED: 0.3, LOTTERY: by_lot}
    own = {"shuffled": 0.2, "words": 0.4, "verse": 1.8, "lines": 700, "sample": "The tide"}
    return [
        {arm: {**own, "metre": metre[arm] + 0.01 * seed} for arm in ARMS} for seed in range(seeds)
    ]


def test_lines_that_scan_by_the_reward_alone_support_the_claim():
    result = conclude(scores(0.9, by_lot=0.3, seeds=9), HACKED_SCORES)
    assert result.verdict == "supported" and all(result.targets.values())


def test_a_reward_that_changes_nothing_shows_no_difference():
    assert (
        conclude(scores(0.3, by_lot=0.3, seeds=9), HACKED_SCORES).verdict
        == "no measurable difference"
    )


def test_a_lottery_that_works_as_well_refutes_the_claim():
    assert conclude(scores(0.9, by_lot=0.9, seeds=9), HACKED_SCORES).verdict == "not supported"


def test_the_smoke_lesson_judges_all_arms(smoke_lesson, lessons_folder):
    results = smoke_lesson("reward")
    assert len(results["arms"]) == 4 * len(ARMS)
    assert results["details"][HACKED]["sample"]  # what no KL term leads to can be read
    assert (lessons_folder / "reward" / "frontier.png").stat().st_size > 10_000
    assert results["verdict"] == "no measurable difference"  # smoke concludes nothing
