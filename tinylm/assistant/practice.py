"""What an imported model practises to become an assistant: short dialogues and readings, made new.

    search     a question in a user's words: the model calls the search, without repeating it
    follow-up  a message that only the exchange before it explains: the model searches for the
               question it stands for
    switch     a question that stands alone after another one: it must not be mixed with that
    tools      sums, orders, berths (dialogues.py), in more wordings than the toy gets
    lookup     rows of a database whose tables stand before the conversation (practice_tables.py)
    nothing    a search that found nothing: "I don't know."
    reading    one to three passages, then several questions about them, some without an answer

Learned are the model's own words alone: calls, answers, and the tokens that end them. Everything
is drawn from practice_texts.py and dialogues.py; no document and no question of the handbook is
among it, so all of them can be asked of one model.

Trade-off: the reader answers several questions behind one row of passages, as it never has to
later. That makes three times as many questions of the same tokens; what it is worth was not
measured apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinylm.assistant.conversation import (
    ASSISTANT,
    CALL,
    DONT_KNOW,
    RESULT,
    STEP,
    USER,
    Dialogue,
    Part,
)
from tinylm.assistant.dialogues import FOREIGN, NOTHING, booking, calculation, order, steps, talk
from tinylm.assistant.practice_tables import look_up, schema, some_tables
from tinylm.assistant.practice_texts import GAP, Asked, Fact, fact, follow_up, templates
from tinylm.assistant.protocol import ChatTokens, Excerpt
from tinylm.assistant.tools import calculate
from tinylm.assistant.vocabulary import new_word
from tinylm.corpora.chance import Chance
from tinylm.text.tokenizers import Tokenizer

SHARES = (  # of a hundred pieces of practice
    ("reading", 48), ("search", 9), ("follow-up", 15), ("switch", 4), ("calculator", 6),
    ("order", 4), ("book", 3), ("lookup", 5), ("step", 3), ("talk", 2), ("nothing", 1),
)  # fmt: skip
UNANSWERED = 0.2  # of the questions behind passages
# How users begin and end a question; "{}" is the question, "{1}" begins it with a small letter.
MANNERS = ("{}",) * 8 + (
    "Hi! {}", "Hello, {1}", "Please tell me: {1}", "{} Thanks!", "I have a question. {}", "{} :)",
    "Quick question: {1}", "Sorry to bother you, but {1}", "Can you look this up? {}", "{} Please.",
    "I am new here. {}", "My boss wants to know: {1}", "hey {1}", "So, {1}", "{} I forgot.",
)  # fmt: skip
EACH = (
    "{who} orders {amount} {thing} at {price} each. What is the total?",
    "What is the price of {amount} {thing} if one costs {price}?",
    "One of the {thing} is {price}. How much are {amount}?",
    "I need {amount} {thing}, {price} apiece. What do I pay?",
    "how much would {amount} {thing} at {price} be",
)


@dataclass(frozen=True)
class Drill:
    """A dialogue of which the model learns its own words from part number `first` on."""

    dialogue: Dialogue
    first: int = 0
    schema: str = ""  # the tables that stand before it


@dataclass(frozen=True)
class Reading:
    """Passages, and questions with answers that are read behind them."""

    excerpts: tuple[Excerpt, ...]
    asked: tuple[Asked, ...]


Piece = Drill | Reading


# -- dialogues ------------------------------------------------------------------------------------


def in_a_users_manner(question: str, chance: Chance) -> str:
    """The question as somebody types it.

    >>> in_a_users_manner("Who cooks?", Chance(5))
    'Quick question: who cooks?'
    """
    said = chance.pick(MANNERS).format(question, question[0].lower() + question[1:])
    if chance.happens(0.12):
        said = said.lower()
    return said.rstrip("?") if chance.happens(0.12) else said


def searching(chance: Chance) -> Drill:
    """A question about something that must be looked up."""
    question = fact(chance).asked(chance).question
    if chance.happens(0.12):  # about the world: the documents may hold it, the model does not
        question = chance.pick(FOREIGN).format(new_word(chance))
    # A database beside the documents does not mean that the answer stands in it.
    known = schema(some_tables(chance)) if chance.happens(0.25) else ""
    asked = user(in_a_users_manner(question, chance))
    return Drill((*asked, Part(CALL, "search")), schema=known)


def looking_up(chance: Chance) -> Drill:
    """A question about rows of a database."""
    made = look_up(chance)
    asked = in_a_users_manner(made.question, chance)
    dialogue = (*user(asked), Part(CALL, made.call), Part(RESULT, made.result))
    return Drill((*dialogue, Part(ASSISTANT, made.answer)), schema=made.schema)


def following(chance: Chance) -> Drill:
    """A follow-up, now and then with another exchange before the one that explains it."""
    made = follow_up(chance)
    before: Dialogue = ()
    if chance.happens(0.25):
        earlier = fact(chance).asked(chance)
        before = exchange(earlier.question, shown(earlier.answer, chance))
    known = shown(made.first.answer, chance)
    if chance.happens(0.12):
        known = DONT_KNOW  # what was not found is still what was talked about
    before += exchange(in_a_users_manner(made.first.question, chance), known)
    message = made.message.lower() if chance.happens(0.1) else made.message
    return Drill((*before, *user(message), Part(CALL, f"search {made.meaning}")), len(before))


def switching(chance: Chance) -> Drill:
    """A message that stands alone behind an exchange: a question, thanks, a sum, an order."""
    earlier = fact(chance).asked(chance)
    before = exchange(earlier.question, shown(earlier.answer, chance))
    kind = chance.pick(("search", "search", "search", "talk", "calculator", "order"))
    later = MAKERS[kind](chance)
    return Drill((*before, *later.dialogue), len(before))


def user(message: str) -> Dialogue:
    """A message, and the beginning of the model's turn."""
    return (Part(USER, message), Part(ASSISTANT))


def exchange(message: str, answer: str) -> Dialogue:
    """A turn that is over, as the model remembers it."""
    return (Part(USER, message), Part(ASSISTANT, answer))


def shown(answer: str, chance: Chance) -> str:
    """An answer as it was given: a quote, with or without a full stop."""
    return f"{answer}." if chance.happens(0.2) else answer


def calculating(chance: Chance) -> Drill:
    """A sum for the calculator; half of them in wordings that the toy does not know."""
    if chance.happens(0.5):
        return Drill(calculation(chance).dialogue)
    amount, price = str(chance.pick(range(3, 400))), f"{chance.pick(range(2, 90))}"
    if chance.happens(0.5):
        price += f".{chance.pick(range(5, 100, 5)):02d}"
    known = calculation(chance)
    while "each" not in known.message:
        known = calculation(chance)
    thing = fact(chance, next(t for t in templates() if "{items}" in t.statements[0]))
    given = {"who": "Ida", "amount": amount, "thing": thing.values["items"], "price": price}
    message = chance.pick(EACH).format(**given)
    call = f"calculator {amount} * {price}"
    result = calculate(f"{amount} * {price}")
    return Drill((*user(message), Part(CALL, call), Part(RESULT, result),
                  Part(ASSISTANT, f"{result}.")))  # fmt: skip


def nothing(chance: Chance) -> Drill:
    """A search that has found nothing."""
    drill = searching(chance)
    return Drill((*drill.dialogue, Part(RESULT, NOTHING), Part(ASSISTANT, DONT_KNOW)))


MAKERS: dict[str, Callable[[Chance], Drill]] = {
    "search": searching, "follow-up": following, "switch": switching, "calculator": calculating,
    "lookup": looking_up,
    "order": lambda chance: Drill(order(chance).dialogue),
    "book": lambda chance: booked(chance), "nothing": nothing,
    "step": lambda chance: Drill(steps(chance).dialogue),
    "talk": lambda chance: Drill(talk(chance).dialogue),
}  # fmt: skip


def booked(chance: Chance) -> Drill:
    """A berth, proposed and confirmed or not; the first turn is remembered as it was said."""
    whole = booking(chance).dialogue
    if chance.happens(0.4):
        return Drill(whole[:5])
    return Drill((*exchange(whole[0].text, whole[4].text), *whole[5:]), 2)


# -- readings -------------------------------------------------------------------------------------


def reading(chance: Chance, most: int = 3, questions: int = 5) -> Reading:
    """Up to `most` passages, the near misses of a search among them, and `questions` about them."""
    facts = [fact(chance)]
    for _ in range(chance.pick(range(1, most + 1)) - 1):
        facts.append(neighbour(facts[0], chance))
    facts.sort(key=lambda _: chance.pick(range(1000)))
    heading = title(facts[0], chance)
    excerpts = tuple(excerpt(known, heading, chance) for known in facts)
    asked: list[Asked] = []
    for _ in range(questions):
        known = chance.pick(facts)
        made = missing(known, facts, chance) if chance.happens(UNANSWERED) else clear(
            known, facts, chance)  # fmt: skip
        if made is not None and made.question not in [other.question for other in asked]:
            asked.append(made)
    if not asked:
        return reading(chance, most, questions)
    return Reading(excerpts, tuple(
        Asked(in_a_users_manner(made.question, chance) if chance.happens(0.3) else made.question,
              made.answer) for made in asked))  # fmt: skip


def neighbour(known: Fact, chance: Chance) -> Fact:
    """Another fact that a search might find as well: of the same template, or kind of text."""
    if chance.happens(0.45):
        return fact(chance, known.template)
    near = [other for other in templates() if other.section == known.template.section]
    return fact(chance, chance.pick(near if chance.happens(0.6) else templates()))


def title(known: Fact, chance: Chance) -> str:
    """What the headings above a passage say."""
    section = known.template.section
    firm = fact(chance, next(t for t in templates() if "{Company}" in t.statements[0]))
    names = (section, f"{firm.values['company']} {section}", section.split(",")[0], "", "")
    return chance.pick((*names, "Staff handbook", "Notice", "FAQ", "Information for everybody"))


def excerpt(known: Fact, heading: str, chance: Chance) -> Excerpt:
    """A statement as a passage: with its heading, the sentence before it, or its subject above."""
    text, background = known.statement.replace("..", "."), heading
    subject = known.values.get("place") or known.values.get("machine")
    if subject and text.startswith(f"The {subject}") and chance.happens(0.3):
        # "It opens at nine" below "The pool": what it is stands in the heading.
        text, background = "It" + text[len(f"The {subject}") :], f"{heading} The {subject}".strip()
    elif chance.happens(0.2):
        background = f"{heading} {fact(chance).statement}".strip()
    if chance.happens(0.12):
        text = f"{text} {fact(chance).statement}"
    elif chance.happens(0.08):
        text = text.rstrip(".")
    return Excerpt(text, background)


def clear(known: Fact, facts: Sequence[Fact], chance: Chance) -> Asked | None:
    """A question that one of the facts alone answers."""
    gap = chance.pick(sorted(known.template.questions))
    wording = chance.pick(known.template.questions[gap])
    made = known.asked_for(gap, wording)
    for other in facts:
        if other is not known and other.template == known.template and (
            not GAP.search(wording) or other.asked_for(gap, wording).question == made.question
            or set(other.values.values()) & set(named_in(wording, known))
        ):  # fmt: skip
            return None
    return made


def named_in(wording: str, known: Fact) -> list[str]:
    """The values that a question names."""
    return [known.values[match["name"].lower()] for match in GAP.finditer(wording)]


def missing(known: Fact, facts: Sequence[Fact], chance: Chance) -> Asked | None:
    """A question that none of the facts answers, though one of them may look as if it did."""
    if chance.happens(0.65):  # the same question about another place, day or group
        other = fact(chance, known.template)
        gap = chance.pick(sorted(other.template.questions))
        wording = chance.pick(other.template.questions[gap])
        names = named_in(wording, other)
        said = " ".join(fact.statement for fact in facts).lower()
        if not names or any(name.lower() in said for name in names):
            return None
        return Asked(other.asked_for(gap, wording).question, DONT_KNOW)
    other = neighbour(known, chance)
    if any(other.template == fact.template for fact in facts):
        return None
    return Asked(other.asked(chance).question, DONT_KNOW)


def pieces(seed: int, shares: Sequence[tuple[str, int]] = SHARES) -> Iterator[Piece]:
    """Endless practice in the given shares, a pure function of the seed."""
    chance = Chance(seed)
    hundred = [name for name, share in shares for _ in range(share)]
    while True:
        name = chance.pick(hundred)
        yield reading(chance) if name == "reading" else MAKERS[name](chance)


# -- as token ids ---------------------------------------------------------------------------------


def encode(piece: Piece, tokens: ChatTokens) -> tuple[list[int], list[int]]:
    """Ids of one piece of practice, and 1 for each that the model is to learn."""
    return encode_reading(piece, tokens) if isinstance(piece, Reading) else encode_drill(
        piece, tokens)  # fmt: skip


def encode_drill(drill: Drill, tokens: ChatTokens) -> tuple[list[int], list[int]]:
    """A dialogue in the chat format."""
    ids = [*tokens.begin, *tokens.tables(drill.schema, 10**6)]
    mask = [0] * len(ids)
    text, before = tokens.tokenizer.encode, USER
    for place, part in enumerate(drill.dialogue):
        own = int(place >= drill.first)
        new, learned = [], own
        if part.role == USER:
            new, learned = tokens.message(part.text, 10**6), 0
        elif part.role in (CALL, STEP):
            new = [tokens.ids[part.role], *text(f" {part.text}"), tokens.ids[USER]]
        elif part.role == RESULT:
            new, learned = tokens.result(part.text, 10**6), 0
        elif part.text:
            # Behind a result or a step a blank, as before a quote; the chat format has none.
            words = text(part.text if before == USER else f" {part.text}")
            new = [*words, tokens.ids[USER]]
        ids += new
        mask += [learned] * len(new)
        if part.role == STEP:
            ids += tokens.after_step()
            mask += [0] * len(tokens.after_step())
        if part.role == ASSISTANT and part.text and place + 1 < len(drill.dialogue):
            ids += tokens.line
            mask += [0] * len(tokens.line)
        before = part.role
    return ids, mask


def encode_reading(piece: Reading, tokens: ChatTokens) -> tuple[list[int], list[int]]:
    """Passages, then each question with its answer."""
    first, *rest = piece.asked
    ids = tokens.passages(piece.excerpts, first.question, 10**6).ids
    mask = [0] * len(ids)
    for asked in (first, *rest):
        if asked is not first:
            new = [*tokens.line, *tokens.user, *tokens.question(asked.question, 10**6)]
            ids, mask = ids + new, mask + [0] * len(new)
        answer = [*tokens.tokenizer.encode(f" {asked.answer}"), tokens.ids[USER]]
        ids, mask = ids + answer, mask + [1] * len(answer)
    return ids, mask


def encode_all(
    practice: Sequence[Piece], tokenizer: Tokenizer, tokens: ChatTokens
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask of many pieces behind one another, (tokens,) each."""
    pairs = [encode(piece, tokens) for piece in practice]
    kind = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
    ids = np.array([id for ids, _ in pairs for id in ids], dtype=kind)
    return ids, np.array([bit for _, mask in pairs for bit in mask], dtype=np.uint8)
