"""The row `search`: which search finds the sentence that answers, for questions in the words of the
text and for questions in other words.

Asked are the handbook's 297 plain questions and its 100 paraphrases, of which none shares a content
word with the sentence that answers it. A hit is that sentence among the first, three or ten
passages. The searches alone and fused are judged from the same scores (assistant/fused.py).

Trade-off: one handbook, one foundation model; with 100 questions a share has an interval of about
ten points on either side.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from tinylm.assistant.fused import FusedIndex, fuse, ranks
from tinylm.assistant.meaning import Array, Encoder
from tinylm.assistant.retrieval import Index
from tinylm.bench.measure import Bar, Reading, Setup, Skip
from tinylm.corpora.handbook import Question, handbook, paraphrases, questions
from tinylm.runs import open_run
from tinylm.training.load import load_model

FOUNDATION = Path("runs/smollm2")
PLACES = (1, 3, 10)
NAMES = {"words": "BM25", "meaning": "vectors", "likelihood": "query likelihood", "fused": "fused"}
Table = dict[str, list[float]]  # search -> the rank of the right passage for each question


def search(setup: Setup) -> Iterator[Reading]:
    """Search by words, by meaning, by likelihood, and all three fused (needs runs/smollm2)."""
    if not (FOUNDATION / "manifest.json").is_file():
        raise Skip(f"needs {FOUNDATION}: tinylm import smollm2 --out {FOUNDATION}")
    run = open_run(FOUNDATION)
    model, tokenizer, _ = load_model(run)
    began = time.perf_counter()
    index = FusedIndex(Index(handbook(1)), Encoder(model, tokenizer, run.fingerprint))
    made = time.perf_counter() - began
    others, _, times = ranked(index, paraphrases())
    plain, alone, quick = ranked(index, questions())
    yield share("paraphrases, right sentence among three, fused", others["fused"], 3, 65, 85)
    yield share("plain questions, right sentence first, fused", plain["fused"], 1, alone[0], None)
    yield share("plain questions, among three, fused", plain["fused"], 3, alone[1], None)
    for what, table in (("paraphrases", others), ("plain questions", plain)):
        for name, places in table.items():
            yield share(f"{what}, among three, {NAMES[name]}", places, 3, None, None)
    yield Reading(
        "search",
        "seconds a query",
        "seconds",
        tuple(times),
        Bar("<=", 1),
        f"median of {len(times)} paraphrases, {1000 * median(quick):.0f} ms for plain questions; "
        f"the index was made in {made:.0f} s",
    )


def share(
    what: str, places: Sequence[float], among: int, bar: float | None, beyond: float | None
) -> Reading:
    """The percentage of questions whose right passage is among the first; all of PLACES in the
    detail."""
    ranks_found = np.array(places)
    percent = {n: 100 * float((ranks_found <= n).mean()) for n in PLACES}
    return Reading(
        "search",
        what,
        "%",
        (percent[among],),
        None if bar is None else Bar(">=", bar, beyond),
        f"first, among three, among ten: {', '.join(f'{value:.1f}' for value in percent.values())}"
        f" % of {len(places)}",
    )


def ranked(
    index: FusedIndex, asked: Sequence[Question]
) -> tuple[Table, tuple[float, float], list[float]]:
    """The rank of the right passage in each search, BM25's percentages first and among three, and
    the seconds of each search.

    Where the likelihood was not asked, the fused ranking stands for it: it is what a user gets.
    """
    table: Table = {name: [] for name in NAMES}
    times = []
    for question in asked:
        right = [n for n, p in enumerate(index.passages) if question.evidence in p.text]
        start = time.perf_counter()
        scores, shares = index.scores(question.question)
        total = fuse(scores, shares)
        times.append(time.perf_counter() - start)
        rows: dict[str, Array] = {"likelihood": total} | scores | {"fused": total}
        for name, row in rows.items():
            # A passage that a search did not score at all is not found by it.
            places = [float(ranks(row)[n]) if row[n] > missing(name) else np.inf for n in right]
            table[name].append(min(places))
    words = np.array(table["words"])
    return table, (100 * float((words <= 1).mean()), 100 * float((words <= 3).mean())), times


def missing(name: str) -> float:
    """The score of a passage that a search did not find: BM25's is 0, others have none."""
    return 0.0 if name == "words" else -np.inf
