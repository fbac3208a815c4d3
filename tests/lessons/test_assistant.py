"""The lesson on the assistant: a mix of messages, none of them trained on."""

from tinylm.assistant.conversation import DONT_KNOW
from tinylm.assistant.dialogues import SORRY
from tinylm.assistant.tools import Orders
from tinylm.assistant.training import assistant_cases, held_out
from tinylm.lessons.assistant import MIX, conclude, messages


def test_a_hundred_messages_of_all_kinds_are_asked():
    made = messages(1, 1.0, Orders(5))
    assert len(made) == sum(MIX.values()) == 100
    assert {message.kind for message in made} == MIX.keys()
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


def test_the_numbers_are_told_as_they_are():
    def rows(decided: int, right: int) -> list[list[dict]]:
        of = [
            {"kind": kind, "decision right": n < decided, "right": n < right}
            for n in range(10)
            for kind in MIX
        ]
        return [of] * 3

    good = conclude({"educated hire": rows(10, 9), "stranger": rows(7, 4)})
    assert good.verdict == "supported" and all(good.targets.values())
    bad = conclude({"educated hire": rows(4, 3), "stranger": rows(7, 6)})
    assert bad.verdict == "not supported" and not any(bad.targets.values())


def test_at_smoke_scale_both_answer_every_message(smoke_lesson):
    results = smoke_lesson("assistant")
    for rows in results["details"]["rows"].values():
        assert {row["kind"] for seed in rows for row in seed} == MIX.keys()
