"""The facts of Pufferfish Bay: how the stories word them, and how a model is asked for them.

Every fact is a triple such as (Mara, boat, Silver Wren). Each relation has several wordings that
end in their answer. For each person, two of the wordings are held out: the stories never use them
for that person (they do for others), and cut before the answer they are the cloze prompts. So a
model meets a familiar kind of sentence which, for this person, stands nowhere in its training text:
it must have stored the fact, not the string. A quiet sentence stands before each prompt, as facts
stand inside stories: a name at the start of a text is cut into other tokens.

Trade-off: the wordings are plain declarative sentences of at most seven words or so; the same facts
also surface inside the plots ("Mara rowed out in the Silver Wren"), where no cloze could be cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tinylm.corpora.chance import Chance
from tinylm.corpora.world import PEOPLE, Person

# relation | wordings, each ending in its answer: {answer}
_WORDINGS = {
    "trade": (
        "{hero} was the town's {answer}.",
        "{hero} worked as the {answer}.",
        "Everybody called {hero} the {answer}.",
        "{hero}'s door sign said {answer}.",
        "{hero} made a good {answer}.",
        "Children waved to {hero} the {answer}.",
        "{hero} was a proud {answer}.",
    ),
    "home": (
        "{hero} lived in {answer}.",
        "{hero}'s house stood in {answer}.",
        "{hero} had a house in {answer}.",
        "{hero}'s blue door was in {answer}.",
        "{hero} slept in {answer}.",
        "{hero}'s chimney smoked in {answer}.",
        "{hero} knew every stone in {answer}.",
    ),
    "boat": (
        "{hero} owned the {answer}.",
        "{hero} named {his} boat the {answer}.",
        "{hero}'s boat was called the {answer}.",
        "{hero} sailed the {answer}.",
        "{hero} was captain of the {answer}.",
        "{hero} fished from the {answer}.",
        "{hero} often scrubbed the {answer}.",
    ),
    "boat colour": (
        "{hero}'s boat was painted {answer}.",
        "{hero} painted {his} boat {answer}.",
        "{hero} liked {his} boat {answer}.",
        "From far off {hero}'s boat shone {answer}.",
        "The paint on {hero}'s boat was {answer}.",
    ),
    "pet": (
        "{hero} kept a {answer}.",
        "At home {hero} had a {answer}.",
        "{hero} shared {his} house with a {answer}.",
        "{hero} often walked with a {answer}.",
        "{hero}'s best company was a {answer}.",
        "{hero} was fond of {his} {answer}.",
    ),
    "pet name": (
        "{hero}'s {kind} was called {answer}.",
        "{hero} called {his} {kind} {answer}.",
        "{hero} had named {his} {kind} {answer}.",
        "{hero}'s {kind} knew its name, {answer}.",
        "{hero} talked to {his} {kind} {answer}.",
        "{hero} spoiled {his} {kind} {answer}.",
    ),
    "food": (
        "Above all {hero} loved {answer}.",
        "{hero} could never refuse {answer}.",
        "Nothing pleased {hero} like {answer}.",
        "{hero}'s favourite food was {answer}.",
        "For supper {hero} liked {answer}.",
        "{hero} often dreamed of {answer}.",
        "Most of all {hero} enjoyed {answer}.",
    ),
    "habit": (
        "As always, {hero} {answer}.",
        "{hero} always {answer}.",
        "Each day {hero} {answer}.",
        "{hero} usually {answer}.",
        "You see, {hero} {answer}.",
        "In truth {hero} {answer}.",
    ),
    "relative": (
        "{hero}'s {kin_word} was {answer}.",
        "{hero} had a {kin_word}, {answer}.",
        "The {kin_word} of {hero} was {answer}.",
        "{hero} trusted {his} {kin_word} {answer}.",
        "{hero} often visited {his} {kin_word} {answer}.",
    ),
}

# Sentences that tell two facts at once: never prompts, so the stories may tell them of everybody.
_TOGETHER = {
    "trade": ("{hero} the {trade} loved {food}.", "The {trade} {hero} had a {kind}."),
    "home": ("{hero} and {pet} lived in {home}.",),
    "boat": ("{hero}'s {colour} boat was the {boat}.", "{hero} took {pet} aboard the {boat}."),
    "boat colour": ("The {boat} was {hero}'s {colour} boat.",),
    "pet": ("{hero} had a {kind} called {pet}.", "{pet} was {hero}'s {kind}."),
    "pet name": ("{pet} the {kind} belonged to {hero}.",),
    "food": ("{hero} shared {his} {food} with {pet}.",),
    "habit": ("Even now {hero} {habit}.",),
    "relative": ("{kin} was {hero}'s {kin_word}.",),
}

# relation -> the field that answers it
_ANSWER = {
    "trade": "trade",
    "home": "home",
    "boat": "boat",
    "boat colour": "colour",
    "pet": "kind",
    "pet name": "pet",
    "food": "food",
    "habit": "habit",
    "relative": "kin",
}

_OPENING = "It was a quiet morning."

RELATIONS: tuple[str, ...] = tuple(_WORDINGS)


@dataclass(frozen=True)
class Fact:
    """One fact and its test: every prompt is continued by " " + the answer; ``options`` are four
    possible answers."""

    subject: str
    relation: str
    answer: str
    prompts: tuple[str, ...]
    options: tuple[str, str, str, str]


def _fields(person: Person) -> dict[str, str]:
    """What the braces of a wording stand for."""
    return {
        "hero": person.name,
        "his": person.his,
        "trade": person.trade.name,
        "home": person.home,
        "boat": person.boat,
        "colour": person.boat_colour,
        "kind": person.pet.kind,
        "pet": person.pet.name,
        "food": person.food,
        "habit": person.habit,
        "kin": person.kin,
        "kin_word": person.kin_word,
    }


def answer_of(person: Person, relation: str) -> str:
    """What is true of ``person`` under ``relation`` (one of ``RELATIONS``)."""
    return _fields(person)[_ANSWER[relation]]


def _held_out(person: Person, relation: str) -> tuple[int, int]:
    """Which two wordings of a relation the stories never use for this person: a different pair for
    each in turn."""
    count = len(_WORDINGS[relation])
    first = (PEOPLE.index(person) + RELATIONS.index(relation)) % count
    return first, (first + count // 2) % count


@cache
def story_lines(person: Person, relation: str) -> tuple[str, ...]:
    """The sentences in which the stories tell this fact: all wordings but the held-out ones."""
    held_out = _held_out(person, relation)
    wordings = [
        wording for index, wording in enumerate(_WORDINGS[relation]) if index not in held_out
    ]
    fields = _fields(person) | {"answer": answer_of(person, relation)}
    return tuple(wording.format_map(fields) for wording in (*wordings, *_TOGETHER[relation]))


def _prompts(person: Person, relation: str) -> tuple[str, ...]:
    """The held-out wordings behind the opening, cut before their answer."""
    cut = (
        _WORDINGS[relation][index].split(" {answer}")[0] for index in _held_out(person, relation)
    )
    return tuple(f"{_OPENING} {wording.format_map(_fields(person))}" for wording in cut)


def _options(person: Person, relation: str, chance: Chance) -> tuple[str, str, str, str]:
    """The answer and three wrong ones that are true of others, in chance order."""
    answer = answer_of(person, relation)
    rest = sorted({answer_of(other, relation) for other in PEOPLE} - {answer, person.name})
    wrong: list[str] = []
    for _ in range(3):
        wrong.append(chance.pick(rest))
        rest.remove(wrong[-1])
    place = chance.pick(range(4))
    options = [*wrong[:place], answer, *wrong[place:]]
    return options[0], options[1], options[2], options[3]


@cache
def facts() -> tuple[Fact, ...]:
    """Every fact of the world, people in the order of the table: the same list on every call.

    >>> fact = facts()[2]
    >>> fact.prompts[1], fact.answer
    ('It was a quiet morning. Mara fished from the', 'Silver Wren')
    """
    chance = Chance(seed=0)
    return tuple(
        Fact(
            person.name,
            relation,
            answer_of(person, relation),
            _prompts(person, relation),
            _options(person, relation, chance),
        )
        for person in PEOPLE
        for relation in RELATIONS
    )
