"""The metre scorer's table for a page: how verse may say each word that a model is likely to write.

A browser has no pronouncing dictionary. So the words of the runs' own training texts travel with
the page, each with its forms (`meter.forms`), words of equal forms together. metre.js lays them
into a line by the costs of meter.py, which travel too: they are written down once. A word that a
model makes up is not in the table and is not scored.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tinylm.evaluation import meter
from tinylm.evaluation.pronunciation import NO_SYLLABLE, is_readable, starts_with_vowel, words_of

MOST_WORDS = 8000  # in a table: about 90 kB
# a text is verse where this share of its lines scans; prose cut at ten syllables reaches about 0.25
VERSE = 0.5
JUDGED = 300  # lines that decide whether a text is verse

# before a consonant, a vowel, a pause: (kinds, price)s
Forms = tuple[tuple[tuple[tuple[int, ...], float], ...], ...]


def is_verse(text: str) -> bool:
    """Whether most lines of a text are iambic pentameter, as the scorer sees it."""
    return (
        meter.accepted_share([line for line in text.split("\n") if line.strip()][:JUDGED]) >= VERSE
    )


def table_of(texts: Iterable[str]) -> dict[str, Any]:
    """Costs and word forms as JSON values, for the words of `texts`, the most frequent first."""
    counts = Counter(
        word for text in texts for line in text.split("\n") for word, _ in words_of(line)
    )
    words = [word for word, _ in counts.most_common(MOST_WORDS) if is_readable(word)]
    alike: dict[tuple[Forms, bool], list[str]] = {}
    others = [*meter.KIND_OF_WORD, *sorted(NO_SYLLABLE), meter.ADVERB_IN]
    for word in dict.fromkeys([*words, *others]):
        alike.setdefault((forms_of(word), starts_with_vowel(word)), []).append(word)
    return {
        "kinds": [kind._asdict() for kind in meter.KINDS],
        "prices": meter.PRICES,
        "fall": meter.FALL,
        "length": meter.LENGTH,
        "repeated": meter.REPEATED,
        "limit": meter.LIMIT,
        "most_words": meter.MAX_WORDS,
        "adverb_in": meter.ADVERB_IN,
        "light": sorted(meter.LIGHT_KINDS),
        "conjunctions": sorted(meter.CONJUNCTIONS),
        "words": [[forms, vowel, " ".join(words)] for (forms, vowel), words in alike.items()],
    }


def forms_of(word: str) -> Forms:
    """The forms of a word before a consonant, a vowel and a pause: kinds of syllables and the price
    of their licences.

    >>> forms_of("glorious")[meter.CONSONANT]
    (((7, 5, 5), 0), ((7, 5), 0.1))
    """

    def priced(form: meter.Form) -> tuple[tuple[int, ...], float]:
        return form.kinds, sum(meter.PRICES[licence] for licence in form.licences)

    followers = (meter.CONSONANT, meter.VOWEL, meter.PAUSE)
    return tuple(tuple(map(priced, meter.forms(word, before))) for before in followers)
