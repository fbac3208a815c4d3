"""What the stories' bars are measured with: sentences, frames, duplicates, and the consistency of a
told story.

All of it works on plain text, so that a model's stories can be judged as well as the generator's.
Trade-off: names and things are found by looking them up in the tables of ``world``; a name a model
invents is not seen as a name, and a sentence ends where a full stop, question or exclamation mark
is followed by a capital.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tinylm.corpora import world

_SENTENCE_END = re.compile(r"""(?<=[.!?])\s+(?=["A-Z])|(?<=[.!?]")\s+(?=["A-Z])|\n""")
_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")


def _any_of(phrases: Iterable[str]) -> str:
    """A pattern for any of the phrases, the longest first so that none hides behind a shorter
    one."""
    return (
        r"\b(?:"
        + "|".join(sorted((re.escape(p) for p in set(phrases)), key=len, reverse=True))
        + r")\b"
    )


_PERSON = re.compile(_any_of(p.name for p in world.PEOPLE))
_PET = re.compile(_any_of(p.pet.name for p in world.PEOPLE) + r"(?: the (\w+))?")
# "the lighthouse keeper" is no place
_PLACE = re.compile(_any_of(p.name for p in world.PLACES) + "(?! keeper)")
# What a frame leaves blank: names, objects, and the words that follow from who or what is named,
# and numbers.
_BLANKS = re.compile(
    "|".join(
        (
            _any_of(name for p in world.PEOPLE for name in (p.name, p.pet.name, p.boat, p.home)),
            _any_of(t.name for t in world.THINGS) + "|" + _any_of(t.noun for t in world.THINGS),
            _any_of(p.where for p in world.PLACES) + "|" + _any_of(p.name for p in world.PLACES),
            _any_of(
                word
                for p in world.PEOPLE
                for word in (p.trade.name, p.pet.kind, p.food, p.boat_colour)
            ),
            r"\b(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|hundred)\b",
        )
    )
)


def words_of(text: str) -> set[str]:
    """The distinct words of a text in lower case, without a possessive 's; "net-mender" is one
    word.

    >>> sorted(words_of("The net-mender's net."))
    ['net', 'net-mender', 'the']
    """
    return {word.lower().removesuffix("'s") for word in _WORD.findall(text)}


def sentences(text: str) -> list[str]:
    """Cut a story into sentences; a quotation goes with the words that introduce it.

    >>> sentences('"Is it late?" asked Tom. It was.')
    ['"Is it late?" asked Tom.', 'It was.']
    """
    return [part for part in _SENTENCE_END.split(text) if part]


def frame(sentence: str) -> str:
    """The sentence with names, objects and numbers blanked.

    >>> frame("Mara kept a cat on the old pier.")
    '_ kept a _ _.'
    """
    return _BLANKS.sub("_", sentence)


def measure(texts: Sequence[str]) -> dict[str, Any]:
    """Variety of some stories: distinct words, share of the commonest frame, duplicate sentences,
    words a story.

    ``duplicate_share`` is the share, among sentences of eight words or more, of those that stood
    there before.
    """
    all_sentences = [sentence for text in texts for sentence in sentences(text)]
    long = [sentence for sentence in all_sentences if len(_WORD.findall(sentence)) >= 8]
    frames = Counter(map(frame, all_sentences))
    lengths = sorted(len(_WORD.findall(text)) for text in texts)
    commonest, count = frames.most_common(1)[0]
    return {
        "distinct_words": len(words_of("\n".join(texts))),
        "sentences": len(all_sentences),
        "frames": len(frames),
        "largest_frame_share": count / len(all_sentences),
        "largest_frame": commonest,
        "duplicate_share": 1 - len(set(long)) / len(long),
        "words_per_story": sum(lengths) / len(lengths),
        "shortest": lengths[0],
        "longest": lengths[-1],
    }


@dataclass(frozen=True)
class Consistency:
    """Whether a story keeps to the people, pets and place it began with; None where it names none
    to keep to."""

    person: bool | None
    pet: bool | None
    place: bool | None

    @property
    def score(self) -> float:
        """Share of the judged properties that hold; 0 for a story that names nobody at all."""
        judged = [held for held in (self.person, self.pet, self.place) if held is not None]
        return sum(judged) / len(judged) if judged else 0.0


_OWNER = {person.pet.name: person for person in world.PEOPLE}
_OWNED = re.compile(f"({_PERSON.pattern})'s ({_any_of(p.pet.kind for p in world.PEOPLE)})")


def _people_keep(text: str) -> bool | None:
    """Whether the first person named is named again later, and at most one new name turns up in the
    last third."""
    named = [(match.start(), match.group()) for match in _PERSON.finditer(text)]
    if not named:
        return None
    comes_back = any(name == named[0][1] for start, name in named if start >= len(text) / 3)
    early = {name for start, name in named if start < len(text) * 2 / 3}
    late = {name for start, name in named if start >= len(text) * 2 / 3}
    return comes_back and len(late - early) <= 1


def _pets_keep(text: str) -> bool | None:
    """Whether every pet named is the pet of somebody in the story, and always of its own kind."""
    people = set(_PERSON.findall(text))
    named = [(_OWNER[match.group().split()[0]], match.group(1)) for match in _PET.finditer(text)]
    owned = [(world.PERSON[name], kind) for name, kind in _OWNED.findall(text)]
    if not named and not owned:
        return None
    return all(
        owner.name in people and kind in (None, owner.pet.kind) for owner, kind in named
    ) and all(owner.pet.kind == kind for owner, kind in owned)


def consistency(text: str) -> Consistency:
    """Judge one story: are the person, pets and place of its start those named later?

    >>> start = "Tobin sat on the old pier with Pepper the goat."
    >>> consistency(f"{start} Tobin slept on the old pier.").score
    1.0
    >>> start = "Tobin sat on the old pier with Thimble the goat."
    >>> consistency(f"{start} Mara slept on Gull Rock.").score
    0.0
    """
    places = _PLACE.findall(text)
    place = len(set(places)) == 1 if len(places) > 1 else None
    return Consistency(_people_keep(text), _pets_keep(text), place)
