"""Good poems made bad, in five ways: what the data-quality lesson fine-tunes on beside the clean
ones.

Nothing of this is stored: the same poems, kind, share and seed give the same list on every
platform. A list keeps its length and its order, so runs on clean and on noisy data see equally many
poems. With the same seed a larger share spoils the same poems and some more, so a curve over shares
changes one thing at a time.

Trade-off: the noise is drawn evenly over a poem. Real scans and scraped pages go wrong in clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinylm.corpora.chance import Chance

OCR_SHARE = 0.08  # of the characters that have a look-alike: a poor scan, still readable
# what a scanner takes for what; a lost space glues two words together
LOOK_ALIKES = {
    "a": "o", "b": "h", "c": "e", "d": "cl", "e": "c", "f": "t", "g": "q", "h": "b", "i": "l",
    "l": "1", "m": "rn",
    "n": "ri", "o": "0", "r": "v", "s": "5", "t": "f", "u": "ii", "v": "y", "w": "vv", "y": "v",
    " ": "", ",": ".",
    "I": "l", "T": "7", "S": "5", "O": "0", "B": "8", "A": "4",
}  # fmt: skip
LINE_LENGTHS = range(3, 12)  # words in a line that was broken in the wrong place


def corrupt(
    poems: list[str], kind: str, share: float, seed: int, prose: list[str] | None = None
) -> list[str]:
    """Return as many texts as there are poems, `share` of them (0 to 1, rounded to whole poems)
    spoiled.

    `kind` is one of
    - "ocr": letters misread as by a scanner,
    - "shuffle": the words of each line in random order,
    - "breaks": the lines of each stanza broken in other places,
    - "duplicates": the poem replaced by a copy of another one, which then stands in the list twice
      or more,
    - "prose": the poem replaced by a passage of `prose` (texts, such as stories) with about as many
      words.

    Raises ValueError for another kind, a share outside 0 to 1, or "prose" without any prose.

    >>> corrupt(["The tide comes in and lays its silver down"], "ocr", share=1.0, seed=1)
    ['The tidc comesln and lays its silver d0wn']
    >>> corrupt(["one two three", "four five six"], "shuffle", share=0.5, seed=1)
    ['one two three', 'six four five']
    """
    _check(kind, share, prose or [])
    chance = Chance(seed)
    order = _shuffled(list(range(len(poems))), chance)
    spoiled = order[: round(share * len(poems))]
    # poems that stay as they are; copies are made of these only, so that a duplicate is a true
    # repeat
    clean = [poems[i] for i in sorted(order[len(spoiled) :])] or poems[:1]
    others = clean if kind == "duplicates" else prose or []
    out = list(poems)
    for i in spoiled:
        # chance of its own per poem: what happens to one does not depend on how many were spoiled
        # before it
        out[i] = KINDS[kind](poems[i], others, Chance(seed * 1_000_003 + i))
    return out


def _check(kind: str, share: float, prose: list[str]) -> None:
    if kind not in KINDS:
        raise ValueError(f"no kind of noise is called {kind!r}; there are: {', '.join(KINDS)}")
    if not 0 <= share <= 1:
        raise ValueError(f"share: {share} is not between 0 and 1")
    if kind == "prose" and not any(text.split() for text in prose):
        raise ValueError('prose: the kind "prose" needs texts to mix in, for example stories')


def _ocr(poem: str, others: list[str], chance: Chance) -> str:
    return "".join(
        LOOK_ALIKES[sign] if sign in LOOK_ALIKES and chance.happens(OCR_SHARE) else sign
        for sign in poem  # one draw per sign that can be misread
    )


def _shuffle_words(poem: str, others: list[str], chance: Chance) -> str:
    return "\n".join(" ".join(_shuffled(line.split(), chance)) for line in poem.split("\n"))


def _break_lines(poem: str, others: list[str], chance: Chance) -> str:
    return "\n\n".join(
        "\n".join(_rebroken(stanza.split(), chance)) for stanza in poem.split("\n\n")
    )


def _rebroken(words: list[str], chance: Chance) -> list[str]:
    lines = []
    while words:
        length = chance.pick(LINE_LENGTHS)
        lines.append(" ".join(words[:length]))
        words = words[length:]
    return lines


def _copy_another(poem: str, others: list[str], chance: Chance) -> str:
    return chance.pick(others)


def _prose_instead(poem: str, others: list[str], chance: Chance) -> str:
    """A passage that begins at a random text and runs on into the next ones until it is as long as
    the poem."""
    at = chance.pick(range(len(others)))
    words: list[str] = []
    while len(words) < len(poem.split()):
        words += others[at % len(others)].split()
        at += 1
    return " ".join(words[: len(poem.split())])


def _shuffled(items: list[Any], chance: Chance) -> list[Any]:
    """A copy in random order (Fisher and Yates, 1938)."""
    items = list(items)
    for last in range(len(items) - 1, 0, -1):
        other = chance.pick(range(last + 1))
        items[last], items[other] = items[other], items[last]
    return items


KINDS: dict[str, Callable[[str, list[str], Chance], str]] = {
    "ocr": _ocr,
    "shuffle": _shuffle_words,
    "breaks": _break_lines,
    "duplicates": _copy_another,
    "prose": _prose_instead,
}
