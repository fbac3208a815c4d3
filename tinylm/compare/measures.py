"""The numbers of a comparison: what several runs are worth on the same texts, prompts, seeds and
questions.

All bits per byte are measured on the same bytes, all lines come from the same prompts and seeds
(see `contest`). A difference to the first run is resampled over what both have in common (samples,
pieces of text, questions), and one whose interval holds 0 is called "no measurable difference".

Trade-offs: lines of one sample hang together, so samples, not lines, are resampled. One setting is
one point of view: the grid of settings in `comparison` shows the others. Copies are looked for in a
run's own training text, not in that of the run it started from.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np

from tinylm.compare.samples import Contestant, Effort, Sample, sample_run
from tinylm.config import Sampling
from tinylm.corpora.facts import facts
from tinylm.corpora.stories import consistency
from tinylm.evaluation import meter
from tinylm.evaluation.knowledge import Question, probe
from tinylm.evaluation.novelty import cut_like, novelty
from tinylm.evaluation.statistics import (
    Interval,
    difference,
    interval,
    paired_difference,
    ratio,
    verdict,
)
from tinylm.evaluation.surprisal import continuation_nats, document_bits
from tinylm.generation import Request, generate
from tinylm.text.tokenizers import DOCUMENT

PIECE = 500  # bytes of one piece of text, the unit that bits per byte are resampled by
PROMPT_LINES = 4
RESAMPLES = 2000


@lru_cache(maxsize=1 << 16)
def scans(line: str) -> bool:
    """Whether a line is iambic pentameter; kept, since several measures ask about the same
    lines."""
    return meter.scan(line).ok


def flagged(samples: Sequence[Sample], test: Callable[[str], bool]) -> np.ndarray:
    """(samples, 2): lines of each sample that pass the test, and all of its lines."""
    # Counts, not shares: a sample of one line then weighs less than one of ten. The shape (0, 2)
    # of no samples needs the reshape.
    return np.array(
        [(sum(map(test, s.lines)), len(s.lines)) for s in samples], dtype=np.int64
    ).reshape(-1, 2)


def rhyming(samples: Sequence[Sample], within: int = 2) -> np.ndarray:
    """(samples, 2): lines that rhyme with a line at most `within` lines away, and all lines."""
    counts = []
    for sample in samples:
        # Couplets rhyme with the next line, alternate rhymes with the one after it.
        pairs = [
            (i, j)
            for i in range(len(sample.lines))
            for j in range(i + 1, min(len(sample.lines), i + 1 + within))
        ]
        # A set: a line with two partners counts once.
        rhymed = {
            place
            for i, j in pairs
            if meter.rhymes(sample.lines[i], sample.lines[j])
            for place in (i, j)
        }
        counts.append((len(rhymed), len(sample.lines)))
    return np.array(counts, dtype=np.int64).reshape(-1, 2)


def first_times(samples: Sequence[Sample]) -> np.ndarray:
    """(samples, 2): lines that stand in no earlier place of all the samples, and all lines."""
    seen: set[str] = set()
    counts = []
    for sample in samples:
        fresh = set(sample.lines) - seen  # a line twice in one sample is new once
        seen |= fresh
        counts.append((len(fresh), len(sample.lines)))
    return np.array(counts, dtype=np.int64).reshape(-1, 2)


def cut_shares(samples: Sequence[Sample]) -> np.ndarray:
    """(samples, 2): stretches of exactly ten syllables that scan, line breaks taken out first, and
    all stretches."""
    # the last word may be unfinished
    cuts = [meter.cut_at_ten(" ".join(s.text.split()[:-1])) for s in samples]
    return np.array(
        [(sum(map(scans, lines)), len(lines)) for lines in cuts], dtype=np.int64
    ).reshape(-1, 2)


# -- rows -----------------------------------------------------------------------------------------

Unit = Literal["share", "points", "bits/byte", "characters", "per second"]


def as_json(value: Interval | None, count: int) -> dict[str, Any] | None:
    """An interval as JSON values; None where there was nothing to measure. An unknown end is None
    too."""
    if value is None:
        return None
    # JSON has no infinity: an interval of one value has no ends to show.
    ends = {key: float(getattr(value, key)) for key in ("low", "high")}
    return {
        "mean": float(value.mean),
        **{k: v if np.isfinite(v) else None for k, v in ends.items()},
        "count": count,
    }


def row(
    name: str,
    unit: Unit,
    meaning: str,
    values: list[dict[str, Any] | None],
    gaps: list[Interval | None],
) -> dict[str, Any]:
    """One line of the scoreboard: a value per run, and each run's difference to the first one with
    its verdict."""
    # The first run has no difference to itself.
    differences = [
        gap and {**(as_json(gap, 0) or {}), "verdict": verdict(gap)} for gap in [None, *gaps]
    ]
    return {
        "name": name,
        "unit": unit,
        "meaning": meaning,
        "values": values,
        "differences": differences,
    }


def share_row(name: str, meaning: str, counts: Sequence[np.ndarray]) -> dict[str, Any]:
    """A share of lines, from (samples, 2) counts of each run for the same samples."""
    shares = [share(c) for c in counts]
    values = [as_json(f, int(c[:, 1].sum())) for f, c in zip(shares, counts)]
    # Only where both sides have lines: a run that writes prose is compared in other rows.
    gaps = [
        share_difference(c, counts[0]) if f and shares[0] else None
        for f, c in zip(shares[1:], counts[1:])
    ]
    return row(name, "share", meaning, values, gaps)


def share(counts: np.ndarray) -> Interval | None:
    """The share with its interval, from (samples, 2) counts of hits and of all lines; None without
    lines."""
    return ratio(counts[:, 0], counts[:, 1]) if counts[:, 1].sum() else None


def share_difference(a: np.ndarray, b: np.ndarray) -> Interval:
    """The interval of one share minus another, both resampled over the same samples (prompt and
    seed).

    Where one of them is 0 or 1 throughout, resampling shows no spread: then as for two separate
    samples.
    """
    one, other = ratio(a[:, 0], a[:, 1]), ratio(b[:, 0], b[:, 1])
    # Equal counts, sample by sample: one model under two names, or a change without any effect.
    if np.array_equal(a, b) or len(a) != len(b) or {one.mean, other.mean} & {0.0, 1.0}:
        return Interval(0.0, 0.0, 0.0) if np.array_equal(a, b) else difference(one, other)
    # (resamples, samples): the same draw for both runs, so that hard prompts are hard for both.
    chosen = np.random.default_rng(0).integers(0, len(a), (RESAMPLES, len(a)))
    # (resamples,) each
    (a_hits, a_all), (b_hits, b_all) = (part[chosen].sum(axis=1).T for part in (a, b))
    # A draw may hold no lines at all; 1 in the place of 0 makes its share 0.
    low, high = np.percentile(
        a_hits / np.maximum(a_all, 1) - b_hits / np.maximum(b_all, 1), [2.5, 97.5]
    )
    return Interval(one.mean - other.mean, float(low), float(high))


def mean_row(
    name: str, unit: Unit, meaning: str, values: Sequence[np.ndarray | None]
) -> dict[str, Any]:
    """A mean over the same pieces or questions for every run, compared piece by piece; None for a
    run that it says nothing about."""
    means = [None if v is None else as_json(interval(v), len(v)) for v in values]
    # Paired: a passage that is hard for every model drops out of the difference.
    first = values[0]
    gaps = [None if v is None or first is None else paired_difference(v, first) for v in values[1:]]
    return row(name, unit, meaning, means, gaps)


def likelihood_rows(contestants: Sequence[Contestant], effort: Effort) -> list[dict[str, Any]]:
    """Bits per byte of every run on every run's validation text; equal texts are listed once."""
    texts: dict[tuple[str, ...], list[str]] = {}
    # A fine-tune on the same corpus has its parent's text: one row then names both.
    for c in contestants:
        texts.setdefault(c.valid, []).append(c.label)
    rows = []
    for documents, owners in texts.items():
        part = first_bytes(documents, effort.score_bytes)
        pieces = [in_pieces(bits_of(c, part)) for c in contestants]
        meaning = (
            f"Lower is better. On about {len(pieces[0]) * PIECE:,} bytes that "
            f"{' and '.join(owners)} kept aside."
        )
        new_row = mean_row(
            f"Bits per byte, text of {' and '.join(owners)}", "bits/byte", meaning, pieces
        )
        # What one run keeps aside, another may have read: that share stands beside the value.
        for contestant, value in zip(contestants, new_row["values"]):
            value["seen"] = seen_share(part, contestant.training)
        rows.append(new_row)
    return rows


def seen_share(documents: Sequence[str], training: str, shortest: int = 20) -> float:
    """Share of the documents' longer lines that stand in a training text: what one run keeps aside,
    another may learn.

    >>> seen_share(["The tide comes in and lays its silver down\\nYes"],
    ...     "The tide comes in and lays its silver down")
    1.0
    """
    # Short lines ("Yes.") occur everywhere and would count as read.
    known = {line.strip() for line in training.splitlines()}
    lines = [
        line
        for text in documents
        for line in map(str.strip, text.splitlines())
        if len(line) >= shortest
    ]
    return sum(line in known for line in lines) / max(1, len(lines))


def bits_of(contestant: Contestant, documents: Sequence[str]) -> np.ndarray:
    """Bits of every byte of the documents, (bytes,)."""
    model, tokenizer, _ = contestant.loaded
    return document_bits(model, tokenizer, documents, contestant.document_token)[0]


def first_bytes(documents: Sequence[str], size: int) -> list[str]:
    """Documents up to `size` bytes, the last one cut off there."""
    kept: list[str] = []
    for text in documents:
        # In bytes, as they are scored; half a character at the cut is dropped.
        kept.append(text.encode()[:size].decode(errors="ignore"))
        size -= len(text.encode())
        if size <= 0:
            break
    return kept


def in_pieces(bits: np.ndarray) -> np.ndarray:
    """Mean bits per byte of stretches of PIECE bytes (pieces,); a rest shorter than half a piece
    joins the last."""
    # Neighbouring bytes share their words: resampled one by one they would seem more certain.
    return np.array(
        [part.mean() for part in np.array_split(bits, max(1, round(len(bits) / PIECE)))]
    )


def shuffled_scans(line: str) -> bool:
    """Whether the words of a line scan in another order: the control for its metre."""
    # The line is the seed: one line always gets the same order, whichever run wrote it.
    return scans(meter.shuffled(line, random.Random(line)))


VERSE_LINE = 80  # characters; a text whose lines are longer on average is prose
BLOCK = 50  # lines in which different words are counted


def writes_verse(contestant: Contestant) -> bool:
    """Whether a run learned from short lines. What is counted on lines says nothing about prose."""
    lines = [line for line in contestant.training[:100_000].splitlines() if line.strip()]
    # By the text that it read, not by its name: any corpus of verse will do.
    return sum(map(len, lines)) < VERSE_LINE * len(lines)


def different(samples: Sequence[Sample], size: int) -> np.ndarray:
    """(blocks, 2): different runs of `size` words in each block of lines, and all such runs.

    Blocks of one size, since the share of different words falls with the length of a text.
    """
    lines = [line.lower().split() for sample in samples for line in sample.lines]
    counts = []
    # A rest of fewer than BLOCK lines is left out: it would have more different words.
    for start in range(0, len(lines) - BLOCK + 1, BLOCK):
        block = lines[start : start + BLOCK]
        # Within lines: words on both sides of a line break form no run.
        runs = [tuple(ws[i : i + size]) for ws in block for i in range(len(ws) - size + 1)]
        counts.append((len(set(runs)), len(runs)))
    return np.array(counts, dtype=np.int64).reshape(-1, 2)


def verse_rows(
    contestants: Sequence[Contestant], samples: Sequence[list[Sample]]
) -> list[dict[str, Any]]:
    """Everything that is counted on sampled lines; runs that write prose are left out."""
    # No samples in the place of a run's prose: its rows then stay empty.
    lines = [own if writes_verse(c) else [] for c, own in zip(contestants, samples)]
    return [*metre_rows(lines, samples), *variety_rows(contestants, lines)]


def metre_rows(
    lines: Sequence[list[Sample]], samples: Sequence[list[Sample]]
) -> list[dict[str, Any]]:
    """Whether the lines scan, beside two controls: their words shuffled, and any text cut at ten
    syllables. `lines` holds the samples of the runs that write verse, `samples` those of all."""
    # The two controls: easy words would scan in any order, prose scans by chance.
    scanned = [flagged(own, scans) for own in lines]
    mixed = [flagged(own, shuffled_scans) for own in lines]
    cut = [cut_shares(own) for own in samples]
    prose = "The control for prose: line breaks taken out, cut at exactly ten syllables, accepted "
    accepted = "Accepted as iambic pentameter, lines as the model broke them."
    control = "The control: what these words do without their order."
    spoken = "As plainly spoken, no licence taken."
    return [
        share_row("Lines that scan", accepted, scanned),
        share_row("Same lines, words shuffled", control, mixed),
        order_row(scanned, mixed),
        share_row("Text cut at ten syllables", prose + "as iambic pentameter.", cut),
        against_prose_row(scanned, cut[0]),
        share_row("Lines of ten syllables", spoken, [flagged(s, ten_syllables) for s in lines]),
    ]


def ten_syllables(line: str) -> bool:
    """Whether a line has ten syllables as plainly spoken."""
    return meter.syllables(line) == 10


def variety_rows(
    contestants: Sequence[Contestant], lines: Sequence[list[Sample]]
) -> list[dict[str, Any]]:
    """Rhyme, and whether the lines repeat each other, themselves or the training text."""
    # Each run against its own training text; its parent's is not searched (see the header).
    known_lines = [frozenset(map(str.strip, c.training.splitlines())) for c in contestants]
    copied = [flagged(s, known.__contains__) for s, known in zip(lines, known_lines)]
    degenerate = [flagged(s, meter.is_degenerate) for s in lines]
    distinct = [first_times(s) for s in lines]
    words = f"Of the words of {BLOCK} lines, those that differ from each other."
    triples = f"The same of three words in a row, in {BLOCK} lines."
    return [
        share_row("Rhyming lines", "With a line at most two away.", [rhyming(s) for s in lines]),
        share_row("Distinct lines", "Lines that stand in no earlier sample.", distinct),
        share_row("Different words", words, [different(s, 1) for s in lines]),
        share_row("Different word triples", triples, [different(s, 3) for s in lines]),
        share_row("Degenerate lines", "The same words over and over.", degenerate),
        share_row("Copied lines", "Lines of the run's own training text, word for word.", copied),
    ]


def order_row(scanned: Sequence[np.ndarray], mixed: Sequence[np.ndarray]) -> dict[str, Any]:
    """Lines that scan minus the same lines shuffled: what is owed to the order of the words."""
    # Within one run lines and shuffled lines are paired; between two runs their gains are not.
    gains = [share_difference(a, b) if a[:, 1].sum() else None for a, b in zip(scanned, mixed)]
    gaps = [difference(gain, gains[0]) if gain and gains[0] else None for gain in gains[1:]]
    values = [as_json(gain, int(counts[:, 1].sum())) for gain, counts in zip(gains, scanned)]
    return row(
        "Owed to word order",
        "points",
        "Lines that scan minus the same lines shuffled.",
        values,
        gaps,
    )


def against_prose_row(scanned: Sequence[np.ndarray], prose: np.ndarray) -> dict[str, Any]:
    """The later runs' lines beside the first run's text cut at ten syllables: prose has few lines
    to judge."""
    counts = [prose, *scanned[1:]]  # the first run by its cut text, the others by their lines
    shares = [share(c) for c in counts]
    gaps = [difference(f, shares[0]) if f and shares[0] else None for f in shares[1:]]
    values = [as_json(f, int(c[:, 1].sum())) for f, c in zip(shares, counts)]
    meaning = "Lines that scan of the later runs, beside the first run's text cut at ten syllables."
    return row("Verse lines against cut text", "share", meaning, values, gaps)


def prompted_rows(
    contestants: Sequence[Contestant], sampling: Sampling, effort: Effort
) -> list[dict[str, Any]]:
    """Lines that scan after a few lines of the last run's validation text: can the base do it when
    only shown how?

    None where that text has no lines, and where a prompt would fill half of a context.
    """
    lines = (line.strip() for text in contestants[-1].valid for line in text.splitlines())
    # In-context learning (Brown et al. 2020): the style is shown, and no weight changes.
    shown = list(itertools.islice(filter(None, lines), PROMPT_LINES))
    prompt = "\n".join(shown) + "\n"
    # The smallest context decides: all runs get the same prompt, or none does.
    room = min(
        c.loaded.model.config.context // 2 - len(c.loaded.tokenizer.encode(prompt))
        for c in contestants
    )
    if len(shown) < PROMPT_LINES or room < 0 or max(map(len, shown)) > 100:
        return []
    samples = [
        sample_run(c, [prompt], sampling, effort, min(effort.batch, effort.samples))
        for c in contestants
    ]
    meaning = (
        f"Accepted lines after {PROMPT_LINES} lines of {contestants[-1].label}'s validation text "
        "as the prompt."
    )
    return [
        share_row(
            "Lines that scan, prompted with verse", meaning, [flagged(s, scans) for s in samples]
        )
    ]


def novelty_rows(
    contestants: Sequence[Contestant], samples: Sequence[list[Sample]], effort: Effort
) -> list[dict[str, Any]]:
    """The longest span of each sample that its run's training text holds, beside held-out text of
    the same lengths."""
    searched = effort.novelty_characters
    longest: list[Interval | None] = []
    reference: list[Interval | None] = []
    # People repeat each other too: the held-out text shows how much of copying is the language's.
    for contestant, own in zip(contestants, samples):
        texts = [s.text for s in own if s.text.strip()]
        groups = {"samples": texts, "held out": cut_like("\n\n".join(contestant.valid), texts)}
        groups = {
            name: group for name, group in groups.items() if any(text.strip() for text in group)
        }
        # An imported run's training text is not here: nothing can be looked up in it.
        results = (
            novelty(contestant.training[:searched], groups)
            if contestant.training and groups
            else {}
        )
        for name, into in (("samples", longest), ("held out", reference)):
            into.append(results[name].longest_mean if name in results else None)

    def novelty_row(name: str, meaning: str, values: list[Interval | None]) -> dict[str, Any]:
        # Separate samples: the runs have different training texts to copy from.
        gaps = [difference(v, values[0]) if v and values[0] else None for v in values[1:]]
        return row(name, "characters", meaning, [as_json(v, 0) for v in values], gaps)

    return [
        novelty_row(
            "Longest copied span",
            f"Mean over samples, in characters, looked for in the first {searched:,} characters of "
            "the run's own training text.",
            longest,
        ),
        novelty_row(
            "The same for held-out text",
            "The run's validation text, cut to the same lengths.",
            reference,
        ),
    ]


def speed_row(samples: Sequence[list[Sample]]) -> dict[str, Any]:
    """Samples per second, one measurement per batch."""
    # All samples of a batch have its seconds: each batch counts once.
    rates = [
        interval(list(dict.fromkeys(1 / max(s.seconds, 1e-9) for s in own))) for own in samples
    ]
    values = [as_json(rate, len(own)) for rate, own in zip(rates, samples)]
    gaps: list[Interval | None] = [difference(rate, rates[0]) for rate in rates[1:]]
    return row(
        "Samples per second",
        "per second",
        "On this machine at this moment, batches counted.",
        values,
        gaps,
    )


def story_rows(
    contestants: Sequence[Contestant], sampling: Sampling, effort: Effort
) -> list[dict[str, Any]]:
    """Do the people, pets and place of a story's start stay to its end? Of runs that learned the
    stories.

    Told from nothing, so only runs with a token that begins a document can be asked.
    """
    told_stories = [tell_stories(c, sampling, effort) for c in contestants]
    if not any(told_stories):
        return []
    # A program judges the stories: it knows all people, pets and places of the town.
    kept = [np.array([consistency(text).score for text in texts]) for texts in told_stories]
    values = [as_json(interval(k), len(k)) if len(k) else None for k in kept]
    # Paired by seed: story i of every run is drawn with the same numbers.
    gaps = [
        paired_difference(k, kept[0]) if len(k) and len(k) == len(kept[0]) else None
        for k in kept[1:]
    ]
    meaning = (
        "Whole stories: share of what each names at its start (person, pet, place) that it still "
        "names later."
    )
    return [row("People, pets and places kept", "share", meaning, values, gaps)]


def tell_stories(contestant: Contestant, sampling: Sampling, effort: Effort) -> list[str]:
    """`effort.stories` stories, each as long as the context allows; none of a run that learned
    something else."""
    model, tokenizer, recipe = contestant.loaded
    if recipe.corpus.text != "stories" or not contestant.document_token:
        return []
    texts = []
    for first in range(0, effort.stories, effort.batch):
        count = min(effort.batch, effort.stories - first)
        # One place of the context is the document token; the rest is the story.
        request = Request("", model.config.context - 1, sampling, first, count, begin=DOCUMENT)
        texts += [row.text for row in generate(model, tokenizer, request)]
    return texts


def ask(contestant: Contestant, pairs: list[tuple[str, str]]) -> np.ndarray:
    """Nats of each answer for `knowledge.probe`."""
    model, tokenizer, _ = contestant.loaded
    return continuation_nats(model, tokenizer, pairs, contestant.document_token)


def fact_rows(contestants: Sequence[Contestant], effort: Effort) -> list[dict[str, Any]]:
    """Four-way questions on the facts of the stories, for the runs that learned them.

    A fine-tune keeps its parent's tokenizer: runs with that of a run on the stories descend from
    it. A foundation model from elsewhere never heard of the town, and is not asked.
    """
    # Equal tokenizers show that runs come from one base.
    tokenizers = [c.loaded.tokenizer.fingerprint() for c in contestants]
    pairs = zip(contestants, tokenizers)
    taught = {mark for c, mark in pairs if c.loaded.recipe.corpus.text == "stories"}
    if not taught:
        return []
    questions = [
        Question(
            prompt,
            tuple(f" {option}" for option in fact.options),
            fact.options.index(fact.answer),
            prompt.replace(fact.subject, "Somebody"),  # the neutral prompt, for calibration
            fact.relation,
        )
        for fact in facts()
        for prompt in fact.prompts
    ]
    # Evenly spread over the list, so that all relations take part.
    questions = questions[:: max(1, len(questions) // effort.facts)][: effort.facts]
    results = [
        probe(questions, partial(ask, contestant)) if mark in taught else None
        for contestant, mark in zip(contestants, tokenizers)
    ]
    meaning = (
        f"The right answer likeliest of four, {len(questions)} questions; guessing gives 25 %."
    )
    fair = f"{meaning} What each answer costs without the question is taken off."
    # (questions,) of 0 and 1, paired question by question.
    known = [None if f is None else np.array(f.correct, float) for f in results]
    calibrated = [None if f is None else np.array(f.calibrated_correct, float) for f in results]
    return [
        mean_row("Facts known", "share", meaning, known),
        mean_row("Facts known, calibrated", "share", fair, calibrated),
    ]
