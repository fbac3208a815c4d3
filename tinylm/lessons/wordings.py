"""Messages as users word them: the same things asked in sentences that the assistant's practice
never uses. No torch here.

Design. No claim is tested here. Lesson `assistant` asks every kind of message twice: once as
practice words it (assistant/dialogues.py), and once as here. Numbers, names, orders and berths are
drawn alike for both.

    manipulated     the sentence around them
    constant        what is asked, the decision and the answer that are right, the mix of kinds
    effect          none by itself

Trade-off: the sentences were written by one author, before any model was asked one of them. They
say what users would say, in plain words; a list that real users wrote would be a better one.
"""

from collections.abc import Callable, Sequence

from tinylm.assistant.dialogues import (
    OPERATIONS,
    SMALL,
    TALK,
    THINGS,
    Case,
    called,
    direct,
    looked_up,
    number,
)
from tinylm.assistant.reading_practice import Reading
from tinylm.assistant.runtime import CONFIRM
from tinylm.assistant.tools import BERTHS, CUSTOMERS, DAYS, Orders, calculate
from tinylm.assistant.vocabulary import new_word
from tinylm.corpora.chance import Chance

# Before a question about the documents: nothing in it is worth searching for.
LEADS = (
    "Can you tell me: {}",
    "One more thing: {}",
    "I would like to know: {}",
    "Sorry to ask, but {}",
    "Please help me here. {}",
)
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
BERTH_WISHES = (
    "I would like to have berth {berth} on {day}.",
    "Could you keep berth {berth} for me on {day}?",
    "My boat comes on {day}. Please give me berth {berth}.",
    "We need berth {berth} for {day}, please.",
)
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
assert SMALL_TALK.keys() == TALK.keys()


def reworded(kind: str, chance: Chance, orders: Orders) -> Case:
    """A case of a kind that needs no document, in words that practice never uses."""
    return MAKERS[kind](chance, orders)


def about_documents_reworded(question: str, number: int) -> str:
    """A question about the documents behind a few words of politeness, in turn."""
    # Behind the colon a question goes on in small letters.
    return LEADS[number % len(LEADS)].format(question[0].lower() + question[1:])


def calculation(chance: Chance, _: Orders) -> Case:
    """A sum of large numbers, or a price."""
    sign, words = chance.pick(OPERATIONS)
    a, b = number(chance), number(chance)
    message = chance.pick(SUMS).format(a=a, b=b, sign=sign, words=words)
    if chance.happens(0.3):  # as often as in practice
        a, sign, b = str(chance.pick(range(12, 100))), "*", number(chance)
        message = chance.pick(PRICES).format(amount=a, price=b, thing=chance.pick(THINGS))
    result = calculate(f"{a} {sign} {b}")
    return called(message, f"calculator {a} {sign} {b}", result, f"{result}.")


def order(chance: Chance, orders: Orders) -> Case:
    """What has become of an order, what it holds, for whom it is, or all of it."""
    place = chance.pick(orders.numbers())
    result = orders.look_up(place)
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
    message = chance.pick(BERTH_WISHES).format(berth=berth, day=day)
    proposal = called(message, f"book {berth} {day}", CONFIRM, f"Book berth {berth} for {day}?")
    return proposal


def steps(chance: Chance, _: Orders) -> Case:
    """Small numbers, told as a story of two or three changes."""
    total, who, thing = chance.pick(range(3, 7)), chance.pick(CUSTOMERS), chance.pick(SMALL)
    story = [f"There are {total} {thing} in the basket of {who}."]
    for _change in range(chance.pick((2, 3))):
        change = chance.pick(range(1, 5))
        gets = change > total or (total + change <= 10 and chance.happens(0.6))
        verb = chance.pick(("gets", "finds", "buys") if gets else ("loses", "eats", "sells"))
        story.append(f"{who} {verb} {change}.")
        total += change if gets else -change
    message = f"{' '.join(story)} How many {thing} are there now?"
    # Only message, decision and answer are asked for: no dialogue is trained on here.
    return Case(message, "step", f"{total} {thing}.", direct(message, "").dialogue)


def talk(chance: Chance, _: Orders) -> Case:
    """Small talk."""
    answer = chance.pick(sorted(SMALL_TALK))
    return direct(chance.pick(SMALL_TALK[answer]), answer)


def foreign(chance: Chance, _: Orders) -> Case:
    """What no handbook answers."""
    return looked_up(Reading("", chance.pick(FOREIGN).format(new_word(chance))))


MAKERS: dict[str, Callable[[Chance, Orders], Case]] = {
    "calculator": calculation,
    "order": order,
    "book": booking,
    "step": steps,
    "talk": talk,
    "foreign": foreign,
}


def templates() -> Sequence[str]:
    """Every sentence of this file, before anything is drawn for it."""
    fixed = [*LEADS, *SUMS, *PRICES, *BERTH_WISHES, *FOREIGN]
    return [*fixed, *(message for own in SMALL_TALK.values() for message in own)]
