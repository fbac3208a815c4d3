"""The row `search`: which search finds the sentence that answers, for questions in the words of the
text and for questions in other words.

Asked are the handbook's 297 plain questions and its 100 paraphrases, none of which shares a content
word with the sentence that answers it.

Trade-off: one handbook, one foundation model; with 100 questions a share has an interval of about
ten points on either side.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from tinylm.assistant.fused import FusedIndex
from tinylm.assistant.meaning import Encoder
from tinylm.assistant.retrieval import Index
from tinylm.assistant.search_quality import SEARCHES, Quality, search_quality
from tinylm.bench.measure import Bar, Reading, Setup, Skip
from tinylm.corpora.handbook import handbook, paraphrases, questions
from tinylm.runs import open_run

FOUNDATION = Path("runs/smollm2")


def search(setup: Setup) -> Iterator[Reading]:
    """Search by words, by meaning, by likelihood, and all three fused (needs runs/smollm2)."""
    if not (FOUNDATION / "manifest.json").is_file():
        raise Skip(f"needs {FOUNDATION}: tinylm import smollm2")
    encoder = Encoder.of(open_run(FOUNDATION))
    began = time.perf_counter()
    index = FusedIndex(Index(handbook(1)), encoder)
    made = time.perf_counter() - began
    yield from paraphrase_readings(search_quality(index, paraphrases()), made)
    yield from plain_readings(search_quality(index, questions()))


def paraphrase_readings(quality: Quality, made: float) -> Iterator[Reading]:
    """Each search on questions in other words; `made` are the seconds that the index took."""
    for name in SEARCHES:
        bar = Bar(">=", 65, beyond=85) if name == "fused" else None
        yield shares(f"in other words, among three: {SEARCHES[name]}", quality, name, 3, bar)
    yield Reading(
        "search",
        "seconds a question in other words",
        "seconds",
        (quality.seconds["fused"],),
        Bar("<=", 1),
        f"of it the likelihood {quality.seconds['likelihood']:.2f}; index made in {made:.0f} s",
    )


def plain_readings(quality: Quality) -> Iterator[Reading]:
    """BM25, vectors and all fused on plain questions, which must not be found worse than by BM25
    alone."""
    for name in ("words", "meaning"):
        yield shares(f"plain, first: {SEARCHES[name]}", quality, name, 1, None)
    for among, what in ((1, "first"), (3, "among three")):
        bar = Bar(">=", quality.percent("words", among))
        yield shares(f"plain, {what}: {SEARCHES['fused']}", quality, "fused", among, bar)
    yield Reading(
        "search", "seconds a plain question", "seconds", (quality.seconds["fused"],), Bar("<=", 1)
    )


def shares(what: str, quality: Quality, search: str, among: int, bar: Bar | None) -> Reading:
    """The percentage among so many; first, among three and among ten in the detail."""
    told = ", ".join(f"{value:.1f}" for value in quality.row(search))
    detail = f"first, among three, among ten: {told} % of {len(quality.ranks[search])}"
    return Reading("search", what, "%", (quality.percent(search, among),), bar, detail)
