"""Figures about the shipped corpora, measured when asked for: what `tinylm corpus NAME --stats`
prints."""

import csv
import re
import time
from itertools import pairwise

from tinylm.corpora import handbook, stories
from tinylm.corpora.build import verse_poems, whole
from tinylm.evaluation.meter import accepted_share, rhymes
from tinylm.recipes import shipped


def corpus_figures(name: str, size: int) -> dict[str, float]:
    """Label -> number for a shipped corpus; the endless ones are judged by their first `size`
    bytes."""
    start = time.perf_counter()
    texts = list(whole(name, size))
    seconds = time.perf_counter() - start
    own = {"stories": story_figures, "verse": verse_figures, "handbook": handbook_figures}.get(name)
    return {
        **general_figures(texts),
        "megabytes per second (one core)": sum(map(len, texts)) / 1e6 / seconds,
        **(own(size) if own else {}),
    }


def general_figures(texts: list[str]) -> dict[str, float]:
    """Sizes, variety and repetition of any list of documents."""
    words = [word for text in texts for word in words_of(text)]
    sentences = [
        s for text in texts for s in re.split(r"(?<=[.!?])\s+", text) if len(s.split()) >= 8
    ]
    return {
        "documents": len(texts),
        "bytes": sum(len(text.encode()) for text in texts),
        "words": len(words),
        "distinct words": len(set(words)),
        "share of words in the stories' vocabulary": sum(w in stories.vocabulary() for w in words)
        / len(words),
        "share of repeated sentences (8 words or more)": (len(sentences) - len(set(sentences)))
        / max(1, len(sentences)),
    }


def words_of(text: str) -> list[str]:
    """Words in lower case, without a possessive ending; words joined by hyphens stay one."""
    return re.findall(r"[a-z]+(?:-[a-z]+)*", re.sub(r"'s\b", "", text.lower()))


def story_figures(size: int) -> dict[str, float]:
    """What the generator knows of its own text, the code length of the source among it."""
    figures = stories.stats(size)
    return {
        key.replace("_", " "): value for key, value in figures.items() if not isinstance(value, str)
    }


def verse_figures(_size: int) -> dict[str, float]:
    """Metre of every line, and rhyme of the neighbours that the table's schemes call rhymes."""
    with (shipped("data") / "verse.csv").open(encoding="utf-8", newline="") as file:
        schemes = [row["rhyme"].replace(" ", "") for row in csv.DictReader(file)]
    pairs = []
    for scheme, poem in zip(schemes, verse_poems()):
        lines = [line for line in poem.split("\n") if line]
        for letter in sorted(set(scheme) - {"-"}):
            same = [line for line, own in zip(lines, scheme) if own == letter]
            pairs += list(pairwise(same))
    lines = [line for poem in verse_poems() for line in poem.split("\n") if line]
    return {
        "lines": len(lines),
        "repeated lines": len(lines) - len(set(lines)),
        "share of lines that scan": accepted_share(lines),
        "rhyming pairs by the table": len(pairs),
        "share of them that rhyme": sum(bool(rhymes(a, b)) for a, b in pairs) / len(pairs),
    }


def handbook_figures(_size: int) -> dict[str, float]:
    """Questions, and how many answers the second edition changed."""
    questions = handbook.questions()
    changed = sum(question.answer_in(1) != question.answer_in(2) for question in questions)
    return {"questions": len(questions), "answers changed in the second edition": changed}
