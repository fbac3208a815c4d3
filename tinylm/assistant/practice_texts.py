"""Texts to practise reading on, made new each time, with questions about them.

`data/practice/facts.txt` holds statements with gaps, such as "The {place} opens at {time} and
closes at {time2}.", and for every gap that can be asked for, questions in several wordings. A
`Fact` is one of them with its gaps filled: names, prices, dates and reasons drawn anew, so that
only reading answers the question. Two gaps of one kind in a sentence (two prices, two times) are
the rule: whoever takes the first that fits is wrong half of the time.

In the questions brackets mark the parts that a follow-up can leave out or exchange: "When does
[it|the {place}] close [on {day}]?" gives "And on Friday?", "What about the gym?" and "When does it
close?". `follow_up` makes such a message with the question that it stands for.

Trade-off: a generator's sentences are shorter and tidier than those of real documents.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tinylm.assistant.practice_values import value
from tinylm.corpora.chance import Chance
from tinylm.recipes import shipped

GAP = re.compile(r"\{(?P<name>[A-Za-z]+\d?)(?::(?P<options>[^}]*))?\}")
BRACKET = re.compile(r"\[(?:(?P<pronoun>\w+)\|)?(?P<text>[^\]]*)\]")
ARTICLE = re.compile(r"^(?:the|an?) ")
# Kinds whose values follow one another in a list and need no digit behind their name.
SAME = {"staff1": "staff1", "building2": "building2", "place2": "place2", "ordinal2": "ordinal2",
        "ordinal3": "ordinal3"}  # fmt: skip


@dataclass(frozen=True)
class Template:
    """A statement in one or more wordings, and the questions that ask for each of its gaps."""

    section: str  # the kind of text that it stands in
    statements: tuple[str, ...]
    questions: dict[str, tuple[str, ...]] = field(hash=False)


@dataclass(frozen=True)
class Asked:
    """A question about a fact, with the answer as it stands in the statement."""

    question: str
    answer: str


@dataclass(frozen=True)
class Fact:
    """A template with its gaps filled."""

    template: Template
    values: dict[str, str] = field(hash=False)
    statement: str

    def asked(self, chance: Chance) -> Asked:
        """One of the questions that the statement answers."""
        gap = chance.pick(sorted(self.template.questions))
        return self.asked_for(gap, chance.pick(self.template.questions[gap]))

    def asked_for(self, gap: str, wording: str) -> Asked:
        """The question in this wording, with its answer."""
        # "Where are cups kept?" "seminar room": what is asked for is a thing, not its article.
        answer = ARTICLE.sub("", self.values[gap])
        return Asked(filled(plain(wording), self.values), answer)


@cache
def templates() -> tuple[Template, ...]:
    """All of data/practice/facts.txt."""
    lines = (shipped("data") / "practice" / "facts.txt").read_text(encoding="utf-8").splitlines()
    return tuple(read_templates(lines))


def read_templates(lines: list[str]) -> Iterator[Template]:
    """The templates that lines describe: "# kind of text", a statement, its questions indented."""
    section, questions = "", dict[str, tuple[str, ...]]()
    statements: tuple[str, ...] = ()
    for line in [*lines, "# end"]:
        if line.startswith("  "):
            gap, _, wordings = line.strip().partition(": ")
            questions[gap] = tuple(wordings.split(" | "))
            continue
        if statements:
            yield Template(section, statements, questions)
        section = line[2:] if line.startswith("# ") else section
        statements = () if line.startswith("# ") else tuple(line.split(" || "))
        questions = {}


def kind_of(gap: str) -> str:
    """The kind of values that a gap takes: "money2" takes money.

    >>> kind_of("money2"), kind_of("building2"), kind_of("Person")
    ('money', 'building2', 'person')
    """
    name = gap.lower()
    return name if name in SAME else name.rstrip("23")


def filled(text: str, values: dict[str, str]) -> str:
    """The text with its gaps filled; a gap with a capital letter begins a sentence."""

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        known = values[name.lower()]
        return known if name[0].islower() else known[0].upper() + known[1:]

    return GAP.sub(fill, text)


def fact(chance: Chance, template: Template | None = None, **given: str) -> Fact:
    """A template (any one by default) with fresh values; those of one kind differ from each other.

    `given` values stay: the same place in another statement.
    """
    template = template or chance.pick(templates())
    statement = chance.pick(template.statements)
    asked = " ".join(" ".join(wordings) for wordings in template.questions.values())
    values: dict[str, str] = {}
    for match in GAP.finditer(" ".join(template.statements) + asked):
        gap = match["name"].lower()
        if gap in values:
            continue
        taken = {known for name, known in values.items() if kind_of(name) == kind_of(gap)}
        values[gap] = given.get(gap) or fresh(match, taken, chance)
    return Fact(template, values, filled(statement, values))


def fresh(gap: re.Match[str], taken: set[str], chance: Chance) -> str:
    """A value for a gap that none of its kind has taken yet."""
    while True:
        options = gap["options"]
        drawn = chance.pick(options.split("/")) if options else value(kind_of(gap["name"]), chance)
        if drawn not in taken:
            return drawn


def plain(wording: str) -> str:
    """The wording without its brackets."""
    return BRACKET.sub(lambda match: match["text"], wording)


# -- follow-ups -----------------------------------------------------------------------------------

OPENINGS = ("And {}?", "What about {}?", "and {}?", "How about {}?", "And what about {}?", "{}?",
            "and {}", "Same question for {}.", "Now {}.", "what about {}")  # fmt: skip


@dataclass(frozen=True)
class FollowUp:
    """A first question with its answer, a message that needs it, and what that message means."""

    first: Asked
    message: str
    meaning: str


def follow_up(chance: Chance) -> FollowUp:
    """A message that only the question before it explains."""
    while True:
        known = fact(chance)
        made = with_pronoun(known, chance) if chance.happens(0.45) else with_exchange(known, chance)
        if made:
            return made


def with_exchange(known: Fact, chance: Chance) -> FollowUp | None:
    """ "And on Sunday?": the same question with another day, place or group."""
    gap = chance.pick(sorted(known.template.questions))
    wording = chance.pick(known.template.questions[gap])
    brackets = [match for match in BRACKET.finditer(wording) if GAP.search(match["text"])]
    if not brackets:
        return None
    bracket = chance.pick(brackets)
    match = GAP.search(bracket["text"])
    assert match is not None
    name, taken = match["name"].lower(), set(known.values.values())
    other = known.values | {name: fresh(match, taken, chance)}
    part = filled(bracket["text"], other)
    opening = chance.pick(OPENINGS)
    message = opening.format(part)
    message = message[0].upper() + message[1:] if opening == "{}?" else message
    return FollowUp(known.asked_for(gap, wording), message, filled(plain(wording), other))


def with_pronoun(known: Fact, chance: Chance) -> FollowUp | None:
    """ "When does it close?": another question about what the first one named."""
    pairs = [(gap, wording, bracket) for gap, wordings in sorted(known.template.questions.items())
             for wording in wordings for bracket in BRACKET.finditer(wording)
             if bracket["pronoun"]]  # fmt: skip
    if not pairs:
        return None
    gap, wording, bracket = chance.pick(pairs)
    same = f"|{bracket['text']}]"  # the first question must name it
    firsts = [(other, first) for other, wordings in sorted(known.template.questions.items())
              for first in wordings if other != gap and same in first]  # fmt: skip
    if not firsts:
        return None
    message = wording[: bracket.start()] + bracket["pronoun"] + wording[bracket.end() :]
    message = filled(plain(message), known.values)
    if chance.happens(0.3):
        message = "And " + message[0].lower() + message[1:]
    return FollowUp(
        known.asked_for(*chance.pick(firsts)), message, filled(plain(wording), known.values)
    )
