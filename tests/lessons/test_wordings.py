"""Messages in words that practice never uses."""

import re

from tinylm.assistant.dialogues import FOREIGN, TALK
from tinylm.assistant.grading import same_answer
from tinylm.assistant.tools import Orders, calculate
from tinylm.assistant.training import assistant_cases
from tinylm.corpora.chance import Chance
from tinylm.lessons.wordings import MAKERS, SMALL_TALK, about_documents_reworded, reworded


def wording(message):
    """A message without what is drawn anew in each: numbers, signs, and words inside a sentence
    that may be names."""
    return re.sub(r"\d[\d.]*|(?<=[a-z] )[A-Z]\w*| [-+*/] ", "#", message)


def test_no_message_is_worded_as_in_practice():
    practised = {wording(case.message) for case in assistant_cases(1, 3000)}
    orders = Orders(3)
    for kind in MAKERS:
        for seed in range(40):
            message = reworded(kind, Chance(seed), orders).message
            assert wording(message) not in practised, message
    asked = {text.lower().strip(".!") for texts in TALK.values() for text in texts}
    told = {text.lower().strip(".!") for texts in SMALL_TALK.values() for text in texts}
    assert not asked & told and SMALL_TALK.keys() == TALK.keys()
    assert not {text.split("{")[0] for text in FOREIGN} & {"Can you tell me who invented the "}


def test_the_right_decision_and_answer_go_with_what_is_asked():
    orders = Orders(3)
    for seed in range(60):
        sum_ = reworded("calculator", Chance(seed), orders)
        numbers = re.findall(r"\d+(?:\.\d+)?", sum_.message)
        call = next(part.text for part in sum_.dialogue if part.text.startswith("calculator "))
        assert sum_.decision == "calculator" and set(numbers) <= set(call.split())
        assert sum_.answer == f"{calculate(call.removeprefix('calculator '))}."
        order = reworded("order", Chance(seed), orders)
        number = re.search(r"\d+", order.message)[0]
        assert order.answer[1:-1] in orders.look_up(int(number))
        berth = reworded("book", Chance(seed), orders)
        assert re.search(r"\d+", berth.message)[0] in berth.answer
        steps = reworded("step", Chance(seed), orders)
        assert int(steps.answer.split()[0]) == counted(steps.message)
        assert same_answer(steps.answer, steps.answer, steps.message)


def counted(message):
    first, *changes = re.findall(r"(are|gets|finds|buys|loses|eats|sells) (\d+)", message)
    lost = ("loses", "eats", "sells")
    return int(first[1]) + sum(int(n) * (-1 if verb in lost else 1) for verb, n in changes)


def test_a_question_about_the_documents_keeps_its_words():
    asked = about_documents_reworded("What does a ticket cost?", 0)
    assert asked.endswith("what does a ticket cost?") and not asked.startswith("what")
