"""Reading practice: questions about short passages, made new each time, so that only reading
answers them.

A model of a million parameters cannot look an unknown fact up in its weights, but it can learn to
point: find the words of the question in the passage, then copy what stands there in the right
place. It learns that only if nothing else pays. So every question of the handbook's training
documents becomes a pattern: its numbers, names and days are drawn anew, and half of the words that
question and passage share are exchanged for others, in both alike. No true price or name of the
handbook is ever shown.

Trade-off: exchanged words make odd sentences ("A single walnut costs 8.15 crowns"). Odd is the
point: an ordinary one could be answered from habit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tinylm.assistant.conversation import DONT_KNOW
from tinylm.assistant.fact_patterns import fact
from tinylm.assistant.retrieval import split_passages
from tinylm.assistant.vocabulary import COMMON, KIND_OF, KINDS, new_word
from tinylm.corpora.chance import Chance
from tinylm.corpora.handbook import Question

TOKEN = re.compile(r"\d[\d.,:]*\d|\d|[^\W\d_]+|\W", re.UNICODE)  # a number, a word, or one sign


@dataclass(frozen=True)
class Reading:
    """A question about a passage, with the answer that stands in it, or DONT_KNOW."""

    passage: str
    question: str
    answer: str = DONT_KNOW


def new_number(text: str, chance: Chance) -> str:
    """Another number of the same shape: prices stay prices, times of the day stay such times.

    >>> new_number("3.40", Chance(1)), new_number("22:40", Chance(1))
    ('3.87', '3:50')
    """
    if ":" in text:
        return f"{chance.pick(range(24))}:{chance.pick(range(0, 60, 5)):02d}"
    digits = [chance.pick("0123456789") if sign.isdigit() else sign for sign in text]
    digits[0] = chance.pick("123456789")
    whole = "".join(digits)
    if whole.isdigit() and len(whole) < 4 and chance.happens(0.5):  # another length, too
        return str(chance.pick(range(2, 10 ** chance.pick((1, 2, 3)) + 1)))
    return whole


class Exchange:
    """Replaces words and numbers, each always by the same other one, in a question and its passage
    alike."""

    def __init__(self, chance: Chance, shared: set[str], share: float = 0.5) -> None:
        self.chance, self.shared, self.share = chance, shared, share
        self.known: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text with its words exchanged."""
        return "".join(self.tokens(text))

    def tokens(self, text: str) -> list[str]:
        """The exchanged numbers, words and signs of a text, one by one."""
        fresh, start = [], True  # the capital letter that begins a sentence says nothing
        for token in TOKEN.findall(text):
            fresh.append(self.token(token, start))
            if token.strip() and token not in "\"'":
                start = token in ".!?:;"
        return fresh

    def token(self, token: str, start: bool) -> str:
        """The replacement of one word, number or sign; made at its first meeting."""
        root = token[:-1] if token.endswith("s") and len(token) > 4 else token
        key = root.lower() if start or token[0].islower() else root
        if key not in self.known:
            self.known[key] = self.fresh(key)
        other = self.known[key]
        if other == key:
            return token
        return (other[0].upper() + other[1:] if token[0].isupper() else other) + token[len(root) :]

    def fresh(self, word: str) -> str:
        """Another word of the same kind for a number, day, unit or name; other words stay as they
        are or become unknown ones."""
        if word[0].isdigit():
            return new_number(word, self.chance)
        if word in KIND_OF:
            return self.chance.pick(KINDS[KIND_OF[word]].split())
        if not word[0].isalpha() or word.lower() in COMMON or len(word) < 3:
            return word
        if word[0].isupper():  # a name, inside a sentence
            return new_word(self.chance).capitalize()
        return (
            new_word(self.chance)
            if word in self.shared and self.chance.happens(self.share)
            else word
        )


def roots(text: str) -> set[str]:
    """The words of a text in lower case, without a plural s."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {word[:-1] if word.endswith("s") and len(word) > 4 else word for word in words}


def exchange(reading: Reading, chance: Chance) -> Reading:
    """The same question about the same kind of passage, with other numbers, names and things."""
    shared = roots(reading.question) & roots(reading.passage)
    known = reading.answer != DONT_KNOW
    other = Exchange(chance, shared | roots(reading.answer) if known else shared)
    # The passage comes first: its capital letters tell names from beginnings of sentences.
    fresh = other.tokens(reading.passage)
    answer = (
        "".join(fresh[span_of(TOKEN.findall(reading.passage), reading.answer)])
        if known
        else DONT_KNOW
    )
    return Reading("".join(fresh), other.text(reading.question), answer)


def span_of(tokens: Sequence[str], text: str) -> slice:
    """Where the tokens of `text` first stand among `tokens`."""
    words = TOKEN.findall(text)
    first = next(
        place for place in range(len(tokens)) if list(tokens[place : place + len(words)]) == words
    )
    return slice(first, first + len(words))


class Practice:
    """An endless supply of readings from a handbook's documents and the questions about them."""

    def __init__(self, documents: dict[str, str], questions: Sequence[Question]) -> None:
        self.questions = [question for question in questions if question.document in documents]
        self.passages = {name: split_passages(text, name) for name, text in documents.items()}
        self.all = [passage for passages in self.passages.values() for passage in passages]

    def reading(self, chance: Chance, unknown: float = 0.05) -> Reading:
        """One question; with probability `unknown` about a passage that does not answer it.

        Seldom: the search leaves out most passages that do not.
        """
        return (
            self.from_patterns(chance, unknown)
            if chance.happens(0.6)
            else self.from_documents(chance, unknown)
        )

    def from_patterns(self, chance: Chance, unknown: float) -> Reading:
        """A fact of the table of relations, or the question about one fact with the statement of
        another."""
        asked = fact(chance)
        if chance.happens(unknown):  # something else, half of the time of the same kind
            other = fact(chance, asked.relation if chance.happens(0.5) else None)
            return Reading(other.statement, asked.question)
        return Reading(asked.statement, asked.question, asked.answer)

    def from_documents(self, chance: Chance, unknown: float) -> Reading:
        """A question of the handbook's, or one of those with another passage, mostly of the same
        document."""
        question = chance.pick(self.questions)
        if chance.happens(unknown):
            near = self.passages[question.document]
            passage = chance.pick(near if chance.happens(0.6) else self.all).text
            if passage != question.evidence:
                return exchange(Reading(passage, question.question), chance)
        return exchange(Reading(question.evidence, question.question, question.answer), chance)

    def passage(self, chance: Chance) -> str:
        """Any passage, with other numbers and names."""
        return exchange(Reading(chance.pick(self.all).text, ""), chance).passage
