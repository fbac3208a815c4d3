"""The lesson on the assistant: a mix of messages, none of them trained on."""

from collections import Counter

from tinylm.assistant.conversation import DONT_KNOW
from tinylm.assistant.dialogues import SORRY
from tinylm.assistant.tools import Orders
from tinylm.assistant.training import assistant_cases, held_out
from tinylm.lessons.assistant import (
    HIRE,
    LACKING,
    ON_THE_WAY,
    PRACTICE,
    STRANGER,
    conclude,
    needed_for,
)
from tinylm.lessons.wordings import MIX, USERS, WORDINGS, messages


def test_a_hundred_messages_of_all_kinds_are_asked_in_each_wording():
    made = messages(1, 1.0, Orders(5))
    assert sum(MIX.values()) == 100
    for wording in WORDINGS:
        kinds = Counter(message.kind for message in made if message.wording == wording)
        assert kinds == MIX
    assert SORRY not in {message.case.answer for message in made}


def test_what_nobody_can_know_is_missing_from_the_index():
    made = messages(2, 1.0, Orders(5))
    for message in made:
        assert (message.kind == "unknown") == bool(message.without)
        if message.kind in ("unknown", "foreign"):
            assert message.case.answer == DONT_KNOW
    assert {message.without for message in made} - {""} <= held_out(2)


def test_no_question_about_the_documents_was_trained_on():
    asked = {
        message.case.message
        for message in messages(1, 1.0, Orders(5))
        if message.kind in ("known", "unknown")
    }
    assert not asked & {case.message for case in assistant_cases(1, 500)}


def rows(decided: int, right: int) -> list[list[dict]]:
    """Rows of three seeds, of which so many of ten are right."""
    own = [
        {"kind": kind, "wording": wording, "decision right": n < decided, "right": n < right}
        for n in range(10)
        for kind in ("known", "unknown")
        for wording in WORDINGS
    ]
    return [own] * 3


def by_amount(decided: int, *right: int) -> dict[str, list[list[dict]]]:
    return {amount: rows(decided, own) for amount, own in zip(PRACTICE.values(), right)}


WORSE = dict(zip(LACKING, (rows(10, 5), rows(10, 6))))


def test_documents_tools_and_education_that_each_add_answers_support_the_claim():
    stranger = by_amount(10, 1, 5)
    ahead = conclude({HIRE: by_amount(10, 4, 7, 9), STRANGER: stranger}, WORSE)
    assert ahead.verdict == "supported" and all(ahead.targets.values())
    assert set(ahead.details["verdicts"].values()) == {"supported"}


def test_each_part_that_adds_nothing_leaves_the_claim_without_support():
    stranger, hire = by_amount(10, 1, 5), by_amount(10, 4, 7, 9)
    same = conclude({HIRE: by_amount(10, 1, 5, 9), STRANGER: stranger}, WORSE)
    assert same.details["verdicts"]["education"] == same.verdict == "no measurable difference"
    for part, what in zip(("retrieval", "tools"), LACKING):
        result = conclude({HIRE: hire, STRANGER: stranger}, WORSE | {what: rows(10, 9)})
        assert result.details["verdicts"][part] == result.verdict == "no measurable difference"
    undecided = conclude({HIRE: by_amount(3, 4, 7, 8), STRANGER: stranger}, WORSE)
    assert undecided.verdict == "not supported" and not all(undecided.targets.values())


def test_the_practice_needed_for_what_a_stranger_reaches_is_read_off_the_curve():
    stranger = by_amount(10, 1, 5)
    for hire, needed in (
        ((3, 5, 9), "0.25"),
        ((3, 7, 9), "0.13"),
        ((5, 7, 9), "at most 0.06"),
        ((1, 2, 4), "more than all"),
    ):
        assert needed_for({HIRE: by_amount(10, *hire), STRANGER: stranger}, USERS) == needed


def test_at_smoke_scale_both_answer_every_message_after_every_amount_of_practice(smoke_lesson):
    results = smoke_lesson("assistant")
    amounts_of = results["details"]["rows"]
    assert list(amounts_of[HIRE]) == list(PRACTICE.values())
    assert list(amounts_of[STRANGER]) == list(ON_THE_WAY)
    assert set(LACKING) < set(amounts_of)
    for amounts in (amounts_of[HIRE], amounts_of[STRANGER]):
        for by_seed in amounts.values():
            assert {row["kind"] for seed in by_seed for row in seed} == MIX.keys()
            assert {row["wording"] for seed in by_seed for row in seed} == set(WORDINGS)
