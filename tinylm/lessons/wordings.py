"""The messages of lesson `assistant`: a mix of all kinds, in wordings that the practice uses and in
such as users might put it, which it never uses.

Design. No claim is tested here. Numbers, names, orders and berths are drawn alike for both
wordings; the practised ones come from assistant/dialogues.py, the others stand here.

    manipulated     the sentence around what is drawn
    constant        what is asked, the decision and the answer that are right, the mix of kinds
    seeds           those of the lesson: each has held-out documents and numbers of its own

Trade-off: the sentences were written by one author, before any model was asked one of them. They
say what users would say, in plain words; a list that real users wrote would be a better one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from tinylm.assistant import dialogues
from tinylm.assistant.dialogues import (
    OPERATIONS,
    SMALL,
    SORRY,
    THINGS,
    Case,
    called,
    cases,
    direct,
    looked_up,
    number,
)
from tinylm.assistant.reading_practice import Reading
from tinylm.assistant.runtime import CONFIRM
from tinylm.assistant.tools import BERTHS, CUSTOMERS, DAYS, Orders, calculate
from tinylm.assistant.training import handbook_practice, questions_held_out
from tinylm.assistant.vocabulary import new_word
from tinylm.corpora.chance import Chance

TEST_SEED = 20_000  # beyond all training seeds, and beyond those of the lesson tools
MIX = {  # how many of a hundred messages are of each kind
    "known": 35,  # about documents in the index, none of which was trained on
    "unknown": 15,  # about a document that was taken out of the index
    "foreign": 5,  # about what no handbook holds
    "calculator": 15,  # large numbers: a call
    "order": 10,  # a record: a call to the database
    "book": 5,  # a call that writes: the right answer is to propose it, and to wait
    "step": 10,  # small numbers: worked in steps, without a tool
    "talk": 5,  # the words come from the weights
}
PRACTISED, USERS = "practised wordings", "users' wordings"
WORDINGS = (PRACTISED, USERS)
# Before a question about the documents: nothing in it is worth searching for.
LEADS = (
    "Can you tell me: {}",
    "One more thing: {}",
    "I would like to know: {}",
    "Sorry to ask, but {}",
    "Please help me here. {}",
)
# a and b are the numbers; words and sign say what is done with them.
SUMS = (
    "Could you work out {a} {words} {b} for me?",
    "I need to know {a} {words} {b}.",
    "Please tell me what {a} {words} {b} comes to.",
    "Can you do {a} {sign} {b}?",
    "What does {a} {words} {b} make?",
)
PRICES = (
    "If one costs {price} crowns, what do I pay for {amount} {thing}?",
    "I want {amount} {thing} at {price} crowns a piece. How much do I pay?",
)
# None of them says "book", which practice often does.
BERTH_WISHES = (
    "I would like to have berth {berth} on {day}.",
    "Could you keep berth {berth} for me on {day}?",
    "My boat comes on {day}. Please give me berth {berth}.",
    "We need berth {berth} for {day}, please.",
)
# Nothing of the harbour; the blank is an invented word.
FOREIGN = (
    "Can you tell me who invented the {}?",
    "What is the weather like in {} today?",
    "Do you know how heavy a {} is?",
    "Which river runs through {}?",
    "When did the war of {} end?",
)
# The assistant's answer -> other ways to say what it answers.
SMALL_TALK = {
    "Hello!": ("Good afternoon", "Hello there!", "Hi, assistant"),
    "You are welcome.": ("Thank you so much!", "That was very kind, thanks", "Cheers"),
    "Goodbye!": ("Bye bye", "Until next time", "I am off, goodbye!"),
    "I am a small language model that looks things up.": (
        "Who am I talking to?",
        "Are you human?",
        "Tell me who you are.",
    ),
    "I search the handbook, work out sums, look up orders and book berths.": (
        "What are you able to do?",
        "Which things can you help with?",
        "What are you good for?",
    ),
    "I am well, thank you.": ("How are you today?", "How do you feel?", "Is all well with you?"),
}


@dataclass(frozen=True)
class Message:
    """A case, and the documents that can be searched when it is asked."""

    kind: str
    case: Case
    without: str = ""  # a document that is not in the index
    wording: str = PRACTISED


def messages(seed: int, share: float, orders: Orders) -> list[Message]:
    """The mix in both wordings, at least one of each kind, with orders that are in the database."""
    # One generator for all kinds: the same seed asks the same messages of every model.
    chance, practice = Chance(TEST_SEED + seed), handbook_practice(seed)
    drawn: list[Message] = []
    for kind, of_hundred in MIX.items():
        # At smoke scale the rounding would lose the rare kinds.
        count = max(1, round(share * of_hundred))
        if kind in ("known", "unknown"):
            drawn += about_documents(kind, seed, count)
            continue
        if kind == "order":
            # Drawn from the database: an order that does not exist would need no looking up.
            numbers = [chance.pick(orders.numbers()) for _ in range(count)]
            looked_for = [
                dialogues.order(chance, number, orders.look_up(number)) for number in numbers
            ]
            drawn += [Message(kind, case) for case in looked_for]
        else:
            # The training's own generator with a seed that training never had: other numbers.
            new_cases = cases(practice, TEST_SEED + seed, ((kind, 1.0),))
            answerable = (case for case in new_cases if not fails(case))
            drawn += [Message(kind, case) for case in islice(answerable, count)]
        # As many again, of the same kind, in users' words: other numbers and names.
        others = [reworded(kind, chance, orders) for _ in range(count)]
        drawn += [Message(kind, case, wording=USERS) for case in others]
    return drawn


def about_documents(kind: str, seed: int, count: int) -> list[Message]:
    """Questions about documents that the assistant of this seed has never seen, in both wordings.

    "known" takes every other held-out question from the first on, "unknown" every other one from
    the middle on; of the latter the document is taken out of the index.
    """
    # No question about these documents was practised, not even with other words in it.
    held = questions_held_out(seed)
    chosen = held[::2][:count] if kind == "known" else held[len(held) // 2 :: 2][:count]
    about: list[Message] = []
    for place, question in enumerate(chosen):
        # Without evidence the right answer of the case is "I don't know."
        evidence = (question.evidence, question.answer) if kind == "known" else ("",)
        # The question is the handbook's own in both wordings; a user adds a few words before it.
        for wording in WORDINGS:
            asked = question.question
            if wording == USERS:
                asked = about_documents_reworded(asked, place)
            case = looked_up(Reading(evidence[0], asked, *evidence[1:]))
            without = question.document if kind == "unknown" else ""
            about.append(Message(kind, case, without, wording))
    return about


def fails(case: Case) -> bool:
    """Whether a tool fails in this case, as it now and then does in training."""
    return case.answer == SORRY


# -- users' wordings -----------------------------------------------------------------------------


def reworded(kind: str, chance: Chance, orders: Orders) -> Case:
    """A case of a kind that needs no document, in words that practice never uses."""
    # All makers are called alike, though most need no orders.
    return MAKERS[kind](chance, orders)


def about_documents_reworded(question: str, number: int) -> str:
    """A question about the documents behind a few words of politeness, in turn."""
    # Behind the colon a question goes on in small letters.
    return LEADS[number % len(LEADS)].format(question[0].lower() + question[1:])


def calculation(chance: Chance, _: Orders) -> Case:
    """A sum of large numbers, or a price."""
    # The same five operations as in practice, and the same words for them: only the sentence is
    # new.
    sign, words = chance.pick(OPERATIONS)
    a, b = number(chance), number(chance)
    message = chance.pick(SUMS).format(a=a, b=b, sign=sign, words=words)
    if chance.happens(0.3):  # as often as in practice
        a, sign, b = str(chance.pick(range(12, 100))), "*", number(chance)
        message = chance.pick(PRICES).format(amount=a, price=b, thing=chance.pick(THINGS))
    # What the calculator will say is the right answer, whatever expression the model writes.
    result = calculate(f"{a} {sign} {b}")
    return called(message, f"calculator {a} {sign} {b}", result, f"{result}.")


def order(chance: Chance, orders: Orders) -> Case:
    """What has become of an order, what it holds, for whom it is, or all of it."""
    # One that is in the database of the assistant that will be asked.
    place = chance.pick(orders.numbers())
    result = orders.look_up(place)
    # "12 lamps for Mara, ready on Friday": what is asked for is a part of that.
    held, _, rest = result.partition(" for ")
    customer, _, state = rest.partition(", ")
    message, answer = chance.pick(
        (
            (f"Is there any news of order {place}?", state),
            (f"What has become of order {place}?", state),
            (f"Whose order is {place}?", customer),
            (f"Which goods are in order {place}?", held),
            (f"Please look up order {place} for me.", result),
        )
    )
    return called(message, f"order {place}", result, f"{answer[:1].upper()}{answer[1:]}.")


def booking(chance: Chance, _: Orders) -> Case:
    """A wish for a berth: the right answer is to propose it."""
    berth, day = chance.pick(range(1, BERTHS + 1)), chance.pick(DAYS)
    # A call that writes is asked about first; nothing is booked by one message.
    message = chance.pick(BERTH_WISHES).format(berth=berth, day=day)
    proposal = called(message, f"book {berth} {day}", CONFIRM, f"Book berth {berth} for {day}?")
    return proposal


def steps(chance: Chance, _: Orders) -> Case:
    """Small numbers, told as a story of two or three changes."""
    total, who, thing = chance.pick(range(3, 7)), chance.pick(CUSTOMERS), chance.pick(SMALL)
    story = [f"There are {total} {thing} in the basket of {who}."]
    for _change in range(chance.pick((2, 3))):
        change = chance.pick(range(1, 5))
        # Never below nothing and never above ten on the way, as in practice.
        gets = change > total or (total + change <= 10 and chance.happens(0.6))
        verb = chance.pick(("gets", "finds", "buys") if gets else ("loses", "eats", "sells"))
        story.append(f"{who} {verb} {change}.")
        total += change if gets else -change
    message = f"{' '.join(story)} How many {thing} are there now?"
    # Only message, decision and answer are asked for: no dialogue is trained on here.
    return Case(message, "step", f"{total} {thing}.", direct(message, "").dialogue)


def talk(chance: Chance, _: Orders) -> Case:
    """Small talk."""
    # Sorted, so that the draw does not hang on the order of the table.
    answer = chance.pick(sorted(SMALL_TALK))
    return direct(chance.pick(SMALL_TALK[answer]), answer)


def foreign(chance: Chance, _: Orders) -> Case:
    """What no handbook answers."""
    # An invented word in the place of a name: no document can hold it.
    return looked_up(Reading("", chance.pick(FOREIGN).format(new_word(chance))))


# Kind of message -> what draws one; those about documents are made above.
MAKERS: dict[str, Callable[[Chance, Orders], Case]] = {
    "calculator": calculation,
    "order": order,
    "book": booking,
    "step": steps,
    "talk": talk,
    "foreign": foreign,
}
