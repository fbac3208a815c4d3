"""Learned or memorised: how much of a model's samples stands word for word in its training text.

People repeat each other too, so a share of copied text means little by itself: put held-out human
text beside the samples, cut to the same lengths (`cut_like`), and compare. Measured are

    longest copies   the longest span of each sample that stands in the training text, in characters
    spans            the share of all windows of 16, 32 and 64 characters that stand in it
    word grams       the same for runs of 4 and 8 words, without case and punctuation
    copied lines     the share of whole lines that are lines of the training text; and how many
      lines differ at all

How the longest spans are found: the training text and the samples are sorted together, every
position by the text that follows it. A sample's best match is then one of its two neighbours from
the training text. The sort is the prefix doubling of Manber & Myers 1990: from the order by 8
characters follows that by 16, by 32 ... until every sample fits. It is exact: no hashes, no limit
on the span.

Trade-offs: the first sort takes a second or two for 5 MB, so give all the groups to compare in one
call. Spans are compared character by character: a copy with one changed letter counts as two
shorter ones.

Source of the questions asked: McCoy et al. 2023, "How much do language models copy from their
training data?"
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinylm.evaluation.statistics import Interval, interval, ratio

SPANS = (16, 32, 64)  # characters: about three, six and twelve words of English
WORDS = (4, 8)
WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True)
class Novelty:
    """How much of one group of samples was copied; the intervals are over samples, or over
    lines."""

    longest: tuple[int, ...]
    """Characters of the longest copied span of each sample."""
    longest_mean: Interval
    """Their mean, in characters."""
    spans: dict[int, Interval]
    """Share of windows of so many characters that are copied; only of lengths that some sample
    has."""
    word_grams: dict[int, Interval]
    """Share of runs of so many words that are copied; only of lengths that some sample has."""
    copied_lines: Interval
    """Share of lines that are lines of the training text."""
    distinct_lines: float
    """Distinct lines / lines. No interval: drawing lines again would make repetitions of its
    own."""


def novelty(training: str, groups: Mapping[str, Sequence[str]]) -> dict[str, Novelty]:
    """Measure each named group of texts against the training text, in one pass.

    groups: for example {"tuned": samples, "held-out": cut_like(validation_text, samples)}.
    ValueError for a group without a line of text and for an empty training text.

    >>> found = novelty("the cat sat\\non the mat\\n",
    ...     {"model": ["the cat ran\\non the mat\\n"]})["model"]
    >>> found.longest, found.copied_lines.mean
    ((12,), 0.5)
    """
    for name, samples in groups.items():
        if not any(sample.strip() for sample in samples):
            raise ValueError(
                f"group '{name}' holds no text: there is nothing to compare with the training text"
            )
    texts = [text for samples in groups.values() for text in samples]
    # One pass over the training text for all groups: sorting it is the expensive part.
    lengths = copied_lengths(texts, training)
    # Words without case and punctuation: "The sea." copies "the sea".
    words = [WORD.findall(text.casefold()) for text in texts]
    training_words = WORD.findall(training.casefold())
    # n -> (texts, 2): copied, all
    grams = {n: _copied_grams(words, training_words, n) for n in WORDS}
    known_lines = set(_lines(training))
    results, first = {}, 0
    for name, samples in groups.items():
        # this group's rows in what was measured for all texts
        here = slice(first, first + len(samples))
        first += len(samples)
        longest = tuple(int(length.max(initial=0)) for length in lengths[here])
        lines = [line for sample in samples for line in _lines(sample)]
        results[name] = Novelty(
            longest=longest,
            longest_mean=interval(longest),
            spans=_shares({n: _copied_windows(lengths[here], n) for n in SPANS}),
            word_grams=_shares({n: counts[here] for n, counts in grams.items()}),
            copied_lines=interval([line in known_lines for line in lines]),
            distinct_lines=len(set(lines)) / len(lines),
        )
    return results


def cut_like(text: str, samples: Sequence[str]) -> list[str]:
    """Pieces of a text as long as the samples, one after the other, each from the beginning of a
    line.

    A longer piece has longer copies, so only equal lengths compare. Fewer pieces where the text
    ends early.

    >>> cut_like("one two\\nthree four\\nfive\\n", ["12345", "1234567"])
    ['one t', 'three f']
    """
    pieces, start = [], 0
    for sample in samples:
        # Cut in the middle of a word if need be, as samples end there too.
        end = start + len(sample)
        if end > len(text):
            break
        pieces.append(text[start:end])
        start = text.find("\n", end) + 1 or len(text)  # no further line: 0, and nothing is left
    return pieces


def copied_lengths(texts: Sequence[str], training: str) -> list[np.ndarray]:
    """For each position of each text: how many characters from there on stand together somewhere in
    the training text.

    Returns one (len(text),) array for each text. Memory: about 100 bytes a character of everything
    together.

    >>> [length.tolist() for length in copied_lengths(["banjo", "nab"], "bananas")]
    [[3, 2, 1, 0, 0], [2, 1, 1]]
    """
    if not training or not texts:
        raise ValueError(
            "needs a training text that is not empty, and at least one text to compare with it"
        )
    # Sort all positions by the text that follows them. What shares the longest beginning with a
    # position then stands beside it: the idea of a suffix array (Manber & Myers 1990).
    codes = _row([training, *texts])
    packed, block = _packed(codes)
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    # of each text in the row, where its separator stands
    ends = len(training) + np.cumsum(sizes + 1)
    # characters up to the end of the own text
    left = np.concatenate([np.arange(size, 0, -1) for size in sizes])
    positions = np.repeat(ends, sizes) - left  # of every character of every text
    ranks = _ranks(packed, block, int(sizes.max()), len(training))
    length = np.zeros(len(positions), np.int64)
    # The nearest training position may lie on either side: both are tried, the longer counts.
    for neighbours in _training_neighbours(ranks, len(training), positions):
        length = np.maximum(
            length, _common_lengths((codes, packed), block, (positions, neighbours), left)
        )
    return np.split(length, np.cumsum(sizes)[:-1])


def _row(texts: Sequence[str]) -> np.ndarray:
    """All texts in one row, characters numbered in the order of the alphabet from 1 on, and a 0
    behind each text."""
    encoded = [
        np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32) for text in texts
    ]
    row = np.concatenate(
        [part for points in encoded for part in (points.astype(np.int64) + 1, [0])]
    )
    # Renumbered without gaps: few different characters need few bits each (`_packed`).
    return np.cumsum(np.bincount(row) > 0)[row] - 1


def _packed(codes: np.ndarray) -> tuple[np.ndarray, int]:
    """As many characters as fit into 62 bits, from each position on, in one number that sorts as
    they do.

    Returns the numbers (n,) and how many characters each holds: 8 for an alphabet of up to 127.
    """
    bits = int(codes.max()).bit_length()
    block = 62 // bits
    padded = np.concatenate([codes, np.zeros(block, np.int64)])
    packed = np.zeros(len(codes), np.int64)
    for offset in range(block):
        # The first character in the highest bits, so that numbers compare as texts do.
        packed = (packed << bits) | padded[offset : offset + len(codes)]
    return packed, block


def _ranks(packed: np.ndarray, block: int, longest: int, training: int) -> np.ndarray:
    """(n,) how many positions sort before each one, by at least the `longest` characters that
    follow; ties are equal.

    After the first sort only ties with a sample position among them are sorted further: every
    comparison that is asked for has a sample on one side, and what follows a sample is a sample.
    Few positions of a training text are in these.
    """
    _, group, counts = np.unique(packed, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts)[group]  # (n,) how many positions are smaller
    span = block  # characters by which the order is right so far: doubled in each round
    while span < longest:
        sampled = np.zeros(len(ranks), bool)
        sampled[ranks[training:]] = True
        tied = np.flatnonzero(sampled[ranks])
        # The order by twice the span: first by the rank here, then by the rank one span further on.
        base = ranks[tied] * len(ranks)
        keys = base + ranks[np.minimum(tied + span, len(ranks) - 1)]
        ordered = np.sort(keys)
        ranks[tied] += np.searchsorted(ordered, keys) - np.searchsorted(ordered, base)
        span *= 2
    return ranks


def _training_neighbours(
    ranks: np.ndarray, training: int, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each position the nearest of the first `training` ones in sorted order, from below and
    from above; or -1."""
    holder = np.full(len(ranks), -1)  # rank -> a training position that has it, or -1
    holder[ranks[:training]] = np.arange(training)
    order = np.arange(len(holder))
    below = np.maximum.accumulate(np.where(holder >= 0, order, 0))
    above = np.minimum.accumulate(np.where(holder >= 0, order, len(order) - 1)[::-1])[::-1]
    return holder[below[ranks[positions]]], holder[above[ranks[positions]]]


def _common_lengths(
    rows: tuple[np.ndarray, np.ndarray],
    block: int,
    pairs: tuple[np.ndarray, np.ndarray],
    left: np.ndarray,
) -> np.ndarray:
    """How many characters from a and from b on are equal, for each of the (m,) pairs, `left` at
    most.

    rows: the single characters, and the packed blocks: whole blocks are compared first, then what
    remains.
    """
    codes, packed = rows
    a, b = pairs
    length = np.zeros(len(a), np.int64)
    for row, step in ((packed, block), (codes, 1)):
        active = np.flatnonzero(b >= 0)  # -1: no training text on this side
        while len(active := active[length[active] < left[active]]):
            at = length[active]
            active = active[row[a[active] + at] == row[b[active] + at]]
            length[active] += step
    return np.minimum(length, left)


def _copied_windows(lengths: Sequence[np.ndarray], span: int) -> np.ndarray:
    """(texts, 2): windows of `span` characters that are copied, and all of them."""
    # A window is copied as a whole where at least `span` characters from its start are.
    return np.array(
        [(np.count_nonzero(length >= span), max(0, len(length) - span + 1)) for length in lengths]
    )


def _copied_grams(texts: Sequence[list[str]], training: list[str], n: int) -> np.ndarray:
    """(texts, 2): runs of n words that stand in the training words, and all of them."""
    grams = [_grams(words, n) for words in texts]
    sought = {gram for text in grams for gram in text}
    # only what is asked for is kept in memory
    known = {gram for gram in _grams(training, n) if gram in sought}
    return np.array([(sum(gram in known for gram in text), len(text)) for text in grams])


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n))))


def _shares(counts: Mapping[int, np.ndarray]) -> dict[int, Interval]:
    """The share with its interval for each length of which there is any piece."""
    return {n: ratio(pairs[:, 0], pairs[:, 1]) for n, pairs in counts.items() if pairs[:, 1].any()}


def _lines(text: str) -> list[str]:
    """Lines without the blanks around them, empty ones left out."""
    return [line for line in map(str.strip, text.splitlines()) if line]
