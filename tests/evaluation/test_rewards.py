"""Rewards: what each asks for, and that cheap ways to it do not pay."""

import pytest

from tinylm.evaluation.rewards import REWARDS, answer, rhyme, score_lines, value_of

SCANS = "The tide comes in and lays its silver down,"
RHYMES = "And no one sells a lantern in the town."
PROSE = "There was nothing left to eat in the cupboard"


def test_a_line_that_scans_earns_more_than_one_that_does_not():
    good, bad = REWARDS["metre"].score("", [SCANS, PROSE])
    assert good.success and not bad.success
    assert good.reward > 1 > bad.reward > 0  # the slope: even a bad line earns a little


def test_two_lines_that_rhyme_earn_a_point_more_each():
    alone = REWARDS["metre"].score("", [SCANS, RHYMES])
    pair = rhyme("", [SCANS, RHYMES])
    assert [p.reward - a.reward for p, a in zip(pair, alone)] == pytest.approx([1, 1])
    assert all(score.success for score in pair)


def test_a_scheme_says_which_lines_must_rhyme():
    lines = [SCANS, PROSE, RHYMES, PROSE]
    assert [score.success for score in rhyme("", lines, "abab")] == [True, False, True, False]
    assert not any(score.success for score in rhyme("", lines, "aabb"))


@pytest.mark.parametrize(
    "prompt, line, right",
    [
        ("((3+5)*4)=", "3+5=8 8*4=32 32.", True),
        ("((3+5)*4)=", "32", True),
        ("((3+5)*4)=", "3+5=8 8*4=32 33.", False),
        ("((3+5)*4)=", "", False),
        ("sum: 2-9=", "-7", True),
    ],
)
def test_only_the_last_number_of_an_answer_counts(prompt, line, right):
    assert [score.success for score in answer(prompt, [line])] == [right]


def test_an_answer_needs_a_question():
    with pytest.raises(ValueError, match="prompts that end with a sum"):
        answer("The tide", ["5"])


@pytest.mark.parametrize("text, value", [("2+3*4", 14), ("(2+3)*4", 20), ("9-4-3", 2), ("7", 7)])
def test_sums_have_their_value(text, value):
    assert value_of(text) == value


@pytest.mark.parametrize("text", ["", "2+", "(2", "2)", "+", "2 3"])
def test_what_is_no_sum_is_refused(text):
    with pytest.raises(ValueError, match=r"sum|bracket"):
        value_of(text)


def test_a_copied_a_repeated_and_a_degenerate_line_lose_points():
    metre = REWARDS["metre"]
    fresh, known = (score_lines(metre, "", [SCANS], lines)[0] for lines in ([], [SCANS]))
    assert fresh.reward - known.reward == 1 and fresh.success and not known.success
    first, second = score_lines(metre, "", [SCANS, SCANS], [])
    assert first.reward - second.reward == 1
    loop = "the king the king the king the king the king"
    assert score_lines(metre, "", [loop], [])[0].reward == metre.score("", [loop])[0].reward - 0.5


def test_right_answers_may_be_said_twice():
    assert [s.reward for s in score_lines(REWARDS["answer"], "1+1=", ["2", "2"], ["2"])] == [1, 1]


def test_the_lottery_is_blind_to_metre_and_always_draws_the_same_lot():
    lines = [f"{SCANS} {number}" for number in range(400)]
    lots = [score.reward for score in REWARDS["lottery"].score("", lines)]
    assert lots == [score.reward for score in REWARDS["lottery"].score("", lines)]
    assert 0.45 < sum(lots) / len(lots) < 0.55


def test_a_length_is_rewarded_by_how_near_it_is():
    exact, near, far = REWARDS["length"].score("", ["a b c d e f g h", "a b c d e f g", "a"])
    assert exact.success and exact.reward > near.reward > far.reward
