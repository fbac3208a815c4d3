"""The lesson on tools: fresh cases, broken tools, and what counts as right."""

import pytest

from tinylm.assistant.dialogues import SORRY
from tinylm.assistant.tools import Orders, calculate
from tinylm.lessons.tools import broken, conclude, direct, fresh_cases


def test_the_cases_are_answered_by_the_tools_themselves():
    orders = Orders(7)
    made = fresh_cases(1, 10, orders)
    assert len(made) == 20 and SORRY not in {case.answer for case in made}
    for case in made:
        call = next(part.text for part in case.dialogue if part.role == "<|call|>")
        name, _, argument = call.partition(" ")
        answer = calculate(argument) if name == "calculator" else orders.look_up(int(argument))
        assert case.answer[:-1].lower() in answer.lower()


def test_the_baseline_learns_the_same_message_and_answer_without_the_call():
    case = fresh_cases(1, 1, Orders(7))[0]
    assert [part.text for part in direct(case)] == [case.message, case.answer]


def test_a_broken_tool_says_so():
    with pytest.raises(OSError, match="the order is being repaired"):
        broken("order")(4821)


@pytest.mark.parametrize("armed, bare, verdict", [(30, 1, "supported"), (10, 10, "not supported")])
def test_the_verdict_follows_from_the_difference(armed, bare, verdict):
    def rows(right: int) -> list[list[dict]]:
        return [
            [{"right": number < right, "kind": "order"} for number in range(30)] for _ in range(3)
        ]

    result = conclude({"with "
                     "tools": rows(armed), "without tools": rows(bare), "berths booked": rows(30),
                     "broken tools": rows(30)})  # fmt: skip
    assert result.verdict == verdict
    assert result.targets["with tools >= 95 %"] == (armed == 30)


def test_at_smoke_scale_everything_is_tried(smoke_lesson):
    results = smoke_lesson("tools")
    assert set(results["arms"]) == {"with tools", "without tools", "berths booked", "broken tools"}
