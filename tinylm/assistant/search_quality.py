"""How well each search finds the sentence that answers, alone and fused, and what it costs.

A hit is a passage that holds the sentence, among the first, three or ten. All searches are judged
from the same scores, so the table compares them on the same questions.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from tinylm.assistant.fused import FusedIndex, fuse, ranks
from tinylm.assistant.meaning import Array
from tinylm.corpora.handbook import Question

AMONG = (1, 3, 10)
SEARCHES = {
    "words": "BM25",
    "meaning": "vectors",
    "likelihood": "query likelihood",
    "fused": "all three fused",
}


@dataclass(frozen=True)
class Quality:
    """Of each search (names of SEARCHES): the rank of the right passage for each question, counted
    from 1, inf where it was not found; and median seconds a question."""

    ranks: dict[str, list[float]]
    seconds: dict[str, float]

    def percent(self, search: str, among: int) -> float:
        """Percentage of the questions whose right passage is among so many."""
        return 100 * float((np.array(self.ranks[search]) <= among).mean())

    def row(self, search: str) -> list[float]:
        """The percentages for AMONG: first, among three, among ten."""
        return [self.percent(search, among) for among in AMONG]


def search_quality(index: FusedIndex, asked: Sequence[Question]) -> Quality:
    """Ask every search all of these questions about the documents of `index`."""
    found: dict[str, list[float]] = {name: [] for name in SEARCHES}
    times: dict[str, list[float]] = {name: [] for name in SEARCHES}
    for question in asked:
        right = [n for n, p in enumerate(index.passages) if question.evidence in p.text]
        start = time.perf_counter()
        index.by_words(question.question)
        times["words"].append(time.perf_counter() - start)
        start = time.perf_counter()
        index.by_meaning(question.question)
        times["meaning"].append(time.perf_counter() - start)
        start = time.perf_counter()
        scores, shares = index.scores(question.question)
        fused = fuse(scores, shares)
        times["fused"].append(time.perf_counter() - start)
        # What is left of the whole search is the likelihood's.
        spent = times["fused"][-1] - times["words"][-1] - times["meaning"][-1]
        times["likelihood"].append(max(0.0, spent))
        # Where words were enough, the likelihood was not asked: it found nothing of its own.
        nothing = np.full(len(fused), -np.inf)
        for name, row in ({"likelihood": nothing} | scores | {"fused": fused}).items():
            found[name].append(min(place_of(row, n, name) for n in right))
    return Quality(found, {name: median(values) for name, values in times.items()})


def place_of(scores: Array, passage: int, search: str) -> float:
    """The rank of a passage in a search, from 1; inf where the search did not score it."""
    nothing = 0.0 if search == "words" else -np.inf
    return float(ranks(scores)[passage]) if scores[passage] > nothing else np.inf
