"""From a base and from nothing."""

import pytest

from tinylm.lessons.foundation import SIDES, conclude, misread, ratios

SLOW = [(0, 8.0), (10, 6.0), (20, 4.0)]
FAST = [(0, 6.0), (10, 2.0), (20, 1.0)]


def test_the_ratio_compares_when_both_reach_the_strangers_best():
    assert ratios({SIDES[0]: [SLOW], SIDES[1]: [FAST]}) == [pytest.approx(5 / 20)]


def test_a_base_that_never_gets_there_fails_the_target():
    assert ratios({SIDES[0]: [FAST], SIDES[1]: [SLOW]}) == [2.0]


def test_three_quick_skills_are_enough_and_two_are_not():
    quick = {SIDES[0]: [SLOW] * 3, SIDES[1]: [FAST] * 3}
    slow = {SIDES[0]: [FAST] * 3, SIDES[1]: [SLOW] * 3}
    assert conclude({"a": quick, "b": quick, "c": quick, "d": slow}, None).verdict == "supported"
    result = conclude({"a": quick, "b": quick, "c": slow, "d": slow}, None)
    assert result.verdict == "not supported" and not any(result.targets.values())


def test_misread_sentences_stand_beside_the_right_ones():
    pairs = misread("train", 20)
    assert len(pairs) == 20
    assert sum(wrong != right for wrong, right in pairs) > 15


def test_the_smoke_lesson_learns_four_skills_from_both_starts(smoke_lesson):
    results = smoke_lesson("foundation")
    assert len(results["arms"]) == 4
    for own in results["details"]["curves"].values():
        assert all(curve[0][0] == 0 for side in SIDES for curve in own[side])
    assert results["details"]["imported"] is None
