"""Dialogues to learn from: what an assistant does with each kind of message, drawn anew each time.

    answer     small talk: the words come from the weights
    step       sums of small numbers: partial results first, then the answer
    call       large numbers (calculator), orders and berths (database); a call that fails gets an
      apology
    search     questions about the documents: a passage comes back, and the answer is copied out of
      it; or all of it,
               where a quote is asked for; or the answer is "I don't know."

A `Case` is one message with what a good assistant does about it, so that lessons can ask the same
cases of a model and count right decisions and right answers. Numbers, names and orders are drawn
from thousands, so that a test with another seed asks for what was never seen; passages come from
`practice`.

Trade-off: wordings are few (some sixty), because the lesson is what tools add, not how many ways a
question has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tinylm.assistant.conversation import (
    ASSISTANT,
    CALL,
    DONT_KNOW,
    PASSAGE,
    RESULT,
    STEP,
    USER,
    Dialogue,
    Part,
)
from tinylm.assistant.reading_practice import Practice, Reading
from tinylm.assistant.runtime import CONFIRM, NO, YES
from tinylm.assistant.tools import BERTHS, CUSTOMERS, DAYS, ERROR, GOODS, STATES, calculate
from tinylm.assistant.vocabulary import new_word
from tinylm.corpora.chance import Chance

Decision = Literal["answer", "step", "search", "calculator", "order", "book"]
NOTHING = f"{ERROR}nothing was found"  # of a search; no failure, but an answer
SORRY = "Sorry, that did not work."
NOTHING_DONE = "All right, nothing is booked."
ERRORS = (
    "division by "
    "zero", "no answer within 2 seconds", "the database is closed", "the numbers grow too large",
    "the line is busy", "disk is full", "this is not an expression of numbers", "timeout",
)  # fmt: skip
TALK = {
    "Hello!": ("Hello", "Hello!", "Hi", "Good "
                                        "morning", "Good evening.", "Hi there", "Good day", "Hey"),
    "You are "
    "welcome.": ("Thank you", "Thanks", "Thank you very much.", "Thanks a lot!", "Many thanks"),
    "Goodbye!": ("Goodbye", "Bye", "See you later", "Good night", "That is all."),
    "I am a small language model that looks things up.": (
        "Who are "
        "you?", "What are you?", "What is your name?", "Are you a person?", "Are you a machine?",
    ),
    "I search the handbook, work out sums, look up orders and book berths.": (
        "What can you "
        "do?", "Help", "How can you help me?", "What do you do?", "What can I ask you?",
    ),
    "I am well, thank "
    "you.": ("How are you?", "Are you well?", "How do you do?", "How is it going?"),
}  # fmt: skip
FOREIGN = (  # questions that no handbook answers; the last word varies
    "What is the capital of "
    "{}?", "Who wrote the book about {}?", "How far is it to {}?", "Who discovered {}?",
    "What is the meaning of {}?", "When was {} born?", "How tall is {}?", "Who painted the {}?",
    "How old is the king of "
    "{}?", "What does a {} eat?", "Why do {} sing?", "Which language is spoken in {}?",
)  # fmt: skip
OPERATIONS = (
    ("*", "times"),
    ("+", "plus"),
    ("-", "minus"),
    ("*", "multiplied by"),
    ("/", "divided by"),
)
THINGS = (
    "nets",
    "lamps",
    "tickets",
    "ropes",
    "oars",
    "plates",
    "barrels",
    "maps",
    "pies",
    "hooks",
    "bells",
    "coats",
)
SMALL = ("plums", "shells", "boats", "buns", "eggs", "keys", "fish", "cups", "pears", "coins")


@dataclass(frozen=True)
class Case:
    """One message, the decision that is right for it, the right answer, and the whole dialogue that
    shows both."""

    message: str
    decision: Decision
    answer: str
    dialogue: Dialogue


def direct(message: str, answer: str) -> Case:
    """A case that the assistant answers from its weights, without a tool."""
    return Case(message, "answer", answer, (Part(USER, message), Part(ASSISTANT, answer)))


def called(message: str, call: str, result: str, answer: str) -> Case:
    """A case that takes one call of the tool that `call` names."""
    answer = SORRY if result.startswith(ERROR) else answer
    dialogue = (
        Part(USER, message),
        Part(ASSISTANT),
        Part(CALL, call),
        Part(RESULT, result),
        Part(ASSISTANT, answer),
    )
    name: Decision = call.split()[0]  # type: ignore[assignment]
    return Case(message, name, answer, dialogue)


def talk(chance: Chance) -> Case:
    """Small talk."""
    answer = chance.pick(sorted(TALK))
    return direct(chance.pick(TALK[answer]), answer)


def failing(result: str, chance: Chance, share: float = 0.1) -> str:
    """The result, or now and then an error in its place."""
    return ERROR + chance.pick(ERRORS) if chance.happens(share) else result


def number(chance: Chance) -> str:
    """A number that is too large for the head: two or three digits, sometimes with a price's
    decimals."""
    if chance.happens(0.25):
        return f"{chance.pick(range(2, 100))}.{chance.pick(range(5, 100, 5)):02d}"
    return str(chance.pick(range(12, 1000)))


def calculation(chance: Chance) -> Case:
    """A question that the calculator answers."""
    sign, words = chance.pick(OPERATIONS)
    a, b = number(chance), number(chance)
    sentence = chance.pick(
        (f"What is {a} {words} "
         f"{b}?", f"Work out {a} {sign} {b}.", f"How much is {a} {words} {b}?", f"{a} {sign} {b}",
         f"Calculate {a} {words} {b}.")
    )  # fmt: skip
    if chance.happens(0.3):
        amount, price, thing = str(chance.pick(range(12, 100))), number(chance), chance.pick(THINGS)
        who, (sign, a, b) = chance.pick(CUSTOMERS), ("*", amount, price)
        sentence = chance.pick(
            (f"What do {amount} {thing} cost at {price} crowns each?",
             f"{who} buys {amount} {thing} for {price} crowns each. What does that cost?",
             f"{who} sells {amount} {thing} at {price} crowns each. How much is that?")
        )  # fmt: skip
    expression = f"{a} {sign} {b}"
    result = failing(calculate(expression), chance)
    return called(sentence, f"calculator {expression}", result, f"{result}.")


def steps(chance: Chance) -> Case:
    """Three or four small numbers, added and taken away one by one, never above 10 on the way."""
    total, who, thing = chance.pick(range(2, 7)), chance.pick(CUSTOMERS), chance.pick(SMALL)
    story, worked = [f"{who} has {total} {thing}"], []
    for _ in range(chance.pick((2, 3))):
        change = chance.pick(range(1, 5))
        gets = change > total or (total + change <= 10 and chance.happens(0.6))
        story.append(
            chance.pick(("gets", "finds", "buys") if gets else ("loses", "eats", "sells"))
            + f" {change}"
        )
        after = total + change if gets else total - change
        worked.append(f"{total} {'+' if gets else '-'} {change} = {after}")
        total = after
    message = f"{', '.join(story[:-1])} and {story[-1]}. How many {thing} are left?"
    answer = f"{total} {thing}."
    dialogue = (
        Part(USER, message),
        Part(ASSISTANT),
        Part(STEP, ", ".join(worked)),
        Part(ASSISTANT, answer),
    )
    return Case(message, "step", answer, dialogue)


def random_order(chance: Chance) -> str:
    """What the database says of an order."""
    amount, goods, customer = chance.pick(range(2, 40)), chance.pick(GOODS), chance.pick(CUSTOMERS)
    return f"{amount} {goods} for {customer}, {chance.pick(STATES)} on {chance.pick(DAYS)}"


def order(chance: Chance, place: int | None = None, result: str | None = None) -> Case:
    """A question about an order: where it is, what it holds, or for whom it is; a random one unless
    both are given."""
    place = place if place is not None else chance.pick(range(1000, 10_000))
    result = failing(random_order(chance), chance) if result is None else result
    held, _, rest = result.partition(" for ")
    customer, _, state = rest.partition(", ")
    message, answer = chance.pick(
        ((f"Where is order {place}?", state), (f"How is my order {place} doing?", state),
         (f"Is order {place} ready?", state), (f"Who is order {place} for?", customer),
         (f"What is in order {place}?", held), (f"What did I order in {place}?", held),
         (f"Order {place}, please.", result), (f"Tell me about order {place}.", result))
    )  # fmt: skip
    return called(message, f"order {place}", result, f"{answer[:1].upper()}{answer[1:]}.")


def booking(chance: Chance) -> Case:
    """A berth is proposed; the user says yes or no; only a yes is followed by the call once
    more."""
    berth, day = chance.pick(range(1, BERTHS + 1)), chance.pick(DAYS)
    message = chance.pick(
        (f"Book berth {berth} for "
         f"{day}.", f"I want berth {berth} on {day}.", f"Can I have berth {berth} on {day}?",
         f"Please book berth {berth} on {day}.", f"Reserve berth {berth} for {day}, please.")
    )  # fmt: skip
    call, question = f"book {berth} {day}", f"Book berth {berth} for {day}?"
    first = called(message, call, CONFIRM, question)
    if chance.happens(0.3):
        second = direct(chance.pick(sorted(NO)), NOTHING_DONE)
    else:
        taken = f"{ERROR}berth {berth} is taken on {day}"
        result = taken if chance.happens(0.2) else f"berth {berth} is booked for {day}"
        second = called(chance.pick(sorted(YES)), call, result, f"B{result[1:]}.")
    return Case(message, "book", question, (*first.dialogue, *second.dialogue))


def looked_up(reading: Reading) -> Case:
    """A question about the documents: search for it, read the passage, copy the answer out of
    it."""
    answer = reading.answer if reading.answer == DONT_KNOW else f"{reading.answer}."
    dialogue = (
        Part(USER, reading.question), Part(ASSISTANT), Part(CALL, "search"), Part(RESULT),
        Part(PASSAGE, reading.passage), Part(ASSISTANT, answer),
    )  # fmt: skip
    return Case(reading.question, "search", answer, dialogue)


def quoted(reading: Reading) -> Case:
    """The same question, to be answered by the whole passage: practice in copying, many tokens at a
    time."""
    return looked_up(
        Reading(reading.passage, f"Quote: {reading.question}", reading.passage.rstrip("."))
    )


def foreign(chance: Chance, practice: Practice) -> Case:
    """A question that is about something else altogether: a passage that does not help is found, or
    none."""
    question = chance.pick(FOREIGN).format(new_word(chance))
    return (
        looked_up(Reading(practice.passage(chance), question))
        if chance.happens(0.5)
        else not_found(question)
    )


def not_found(question: str) -> Case:
    """A question for which the search finds nothing."""
    empty = (Part(USER, question), Part(ASSISTANT), Part(CALL, "search"), Part(RESULT, NOTHING))
    return Case(question, "search", DONT_KNOW, (*empty, Part(ASSISTANT, DONT_KNOW)))


SHARES = (
    ("search", 0.48), ("not found", 0.03), ("quote", 0.11), ("foreign", 0.04), ("calculator", 0.1),
    ("order", 0.07), ("book", 0.04), ("step", 0.09), ("talk", 0.04),
)  # fmt: skip


def cases(
    practice: Practice, seed: int, shares: Sequence[tuple[str, float]] = SHARES
) -> Iterator[Case]:
    """Endless cases in the given shares, a pure function of the seed."""
    chance = Chance(seed)
    makers = {
        "search": lambda: looked_up(practice.reading(chance)),
        "quote": lambda: quoted(practice.reading(chance)),
        "not "
        "found": lambda: not_found(practice.reading(chance).question),
        "foreign": lambda: foreign(chance, practice),
        "calculator": lambda: calculation(chance), "order": lambda: order(chance),
        "book": lambda: booking(chance),
        "step": lambda: steps(chance), "talk": lambda: talk(chance),
    }  # fmt: skip
    hundred = [name for name, share in shares for _ in range(round(100 * share))]
    while True:
        yield makers[chance.pick(hundred)]()
