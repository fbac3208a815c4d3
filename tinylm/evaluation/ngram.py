"""The n-gram baseline: what can be predicted by counting alone, without any network.

Interpolated modified Kneser-Ney, the strongest of the classic counting methods. A context that was
seen often is trusted; from each count a discount is taken, and what was taken goes to the next
shorter context, down to 1 / V:

    p(token | context) = max(count - D(count), 0) / total(context) + held_back(context) * p(token |
    shorter context)

Below the highest order a gram's count is not how often it occurs but how many different tokens
stand before it: after "San" comes "Francisco", often, but only after "San", so alone it should be
expected seldom.

How it is fast: every distinct gram of n tokens gets a number, its rank in the sorted order of
grams, and is written as `number of its first n - 1 tokens * V + last token`. So a gram of any order
fits one int64, and counting is sorting. Low orders over characters have so few possible grams that
a table of counters does without sorting. Memory: 24 bytes for each distinct gram of every order;
while counting, up to about 100 bytes a token of the text.

Sources: Kneser & Ney 1995; Chen & Goodman 1998 (three discounts); fixed discounts for texts too
small to estimate them: Heafield et al. 2013 (KenLM, --discount_fallback).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FALLBACK = (0.5, 1.0, 1.5)  # discounts where the counts of counts cannot give sensible ones
# A table with an entry for every possible key is quicker than sorting and searching up to so many
# entries a token.
DENSE = 4


class _Counted(NamedTuple):
    """The grams of one order in a text; a gram is placed where its first token stands."""

    keys: np.ndarray  # (grams,) the distinct ones, sorted
    places: np.ndarray  # (grams,) one place of each
    numbers: np.ndarray  # (places,) number of the gram at each place of the text
    counts: np.ndarray  # (grams,) how often each occurs


@dataclass(frozen=True)
class _Level:
    """All distinct grams of one order n, sorted."""

    grams: np.ndarray  # (grams,) int64: number of the first n - 1 tokens * V + last token
    share: np.ndarray  # (grams,) discounted count / total of the context
    # (contexts,) what the discounts took from each context of n - 1 tokens, as a share
    held_back: np.ndarray


@dataclass(frozen=True)
class NgramModel:
    """A fitted model of the given order: it predicts a token from the `order - 1` tokens before
    it."""

    vocab_size: int
    levels: tuple[_Level, ...]

    @property
    def order(self) -> int:
        """Tokens of the longest n-gram that was counted: the predicted one and those before it."""
        return len(self.levels)

    @classmethod
    def fit(cls, ids: np.ndarray, order: int, vocab_size: int) -> "NgramModel":
        """Count (n,) token ids in [0, vocab_size) and turn the counts into probabilities.

        Cost: one sort of n keys at each order. ValueError where ids or order are out of range.
        """
        ids = _checked(ids, vocab_size)
        if not 1 <= order <= len(ids):
            raise ValueError(
                f"order must lie between 1 and the {len(ids)} tokens of the text, got {order}"
            )
        levels: list[_Level] = []
        contexts, counted = 1, _count(ids)  # order 1: every token follows the empty gram, number 0
        for n in range(2, order + 1):
            # A gram of n tokens is the gram of n - 1 tokens that starts where it does, and one
            # token more.
            longer = _count(counted.numbers[:-1] * vocab_size + ids[n - 1 :])
            levels.append(
                _smoothed(counted.keys, _left_neighbours(counted, longer), contexts, vocab_size)
            )
            contexts, counted = len(counted.keys), longer
        # the highest: plain counts
        levels.append(_smoothed(counted.keys, counted.counts, contexts, vocab_size))
        return cls(vocab_size, tuple(levels))

    def score(self, ids: np.ndarray) -> np.ndarray:
        """Nats, -ln p, of every token of (n,) ids after the first, given those before it: (n - 1,)
        float64."""
        ids = _checked(ids, self.vocab_size)
        probability = np.full(len(ids), 1 / self.vocab_size)
        # number of the n - 1 tokens before each token; -1: never seen
        context = np.zeros(len(ids), np.int64)
        for start, level in enumerate(self.levels):
            # Tokens before `start` = n - 1 have too short a past for order n: they keep what lower
            # orders gave.
            known = context >= 0  # (n_tokens - start,)
            place = _find(level.grams, np.where(known, context * self.vocab_size + ids[start:], -1))
            current = probability[start:]  # a view: what follows changes `probability` itself
            current *= np.where(known, level.held_back[context], 1.0)
            current += np.where(place >= 0, level.share[place], 0.0)
            context = place[:-1]  # the gram that ends at one token is the context of the next
        return -np.log(probability[1:])

    def distribution(self, context: Sequence[int] | np.ndarray) -> np.ndarray:
        """Probabilities of the next token after any context, also one never seen: (vocab_size,),
        sum 1.

        >>> NgramModel.fit(np.array([0, 1, 0, 1, 0]), order=2,
        ...     vocab_size=3).distribution([0]).round(2)
        array([0.25, 0.67, 0.08])
        """
        past = _checked(context, self.vocab_size)
        probability = np.full(self.vocab_size, 1 / self.vocab_size)
        for n, level in enumerate(self.levels, 1):
            if n - 1 > len(past) or (number := self._number(past[len(past) - n + 1 :])) < 0:
                break  # a context that was never seen has no longer one that was
            probability *= level.held_back[number]
            first, last = np.searchsorted(
                level.grams, [number * self.vocab_size, (number + 1) * self.vocab_size]
            )
            probability[level.grams[first:last] - number * self.vocab_size] += level.share[
                first:last
            ]
        return probability

    def sample(self, context: Sequence[int], tokens: int, rng: np.random.Generator) -> list[int]:
        """Continue a context by so many tokens drawn from the model: the new ids only."""
        ids = list(context)
        for _ in range(tokens):
            p = self.distribution(ids[max(0, len(ids) - self.order + 1) :])
            # p sums to 1 up to rounding
            ids.append(int(rng.choice(self.vocab_size, p=p / p.sum())))
        return ids[len(context) :]

    def _number(self, gram: np.ndarray) -> int:
        """The number of a gram, -1 where it was never seen; the empty gram is number 0."""
        number = np.zeros(1, np.int64)
        for level, token in zip(self.levels, gram):
            number = _find(level.grams, number * self.vocab_size + token)
            if number[0] < 0:
                return -1
        return int(number[0])


def ladder(
    train: np.ndarray, valid: np.ndarray, vocab_size: int, highest: int = 6
) -> dict[str, float]:
    """Mean nats per token of `valid` for each rung of counting, from knowing nothing to the highest
    order.

    >>> rungs = ladder(np.array([0, 1] * 50), np.array([0, 1] * 5), vocab_size=2, highest=2)
    >>> {name: round(nats, 2) for name, nats in rungs.items()}
    {'uniform': 0.69, 'unigram': 0.69, '2-gram': 0.02}
    """
    rungs = {"uniform": float(np.log(vocab_size))}
    for order in range(1, highest + 1):
        model = NgramModel.fit(train, order, vocab_size)
        rungs["unigram" if order == 1 else f"{order}-gram"] = float(model.score(valid).mean())
    return rungs


def discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """What to take from grams counted once, twice and more often (Chen & Goodman 1998).

    counts: (grams,) of one order. Where no gram has one of the counts 1 to 4, as with few
    characters, the formula has nothing to stand on, or leaves the range 0 < D(c) <= c: then the
    fixed discounts.

    >>> discounts(np.array([1] * 8 + [2] * 4 + [3] * 2 + [4]))
    (0.5, 1.25, 2.0)
    """
    once, twice, thrice, four = (int(np.count_nonzero(counts == c)) for c in (1, 2, 3, 4))
    if not (once and twice and thrice and four):
        return FALLBACK
    y = once / (once + 2 * twice)
    values = (1 - 2 * y * twice / once, 2 - 3 * y * thrice / twice, 3 - 4 * y * four / thrice)
    return values if all(0 < d <= c for d, c in zip(values, (1, 2, 3))) else FALLBACK


def _smoothed(grams: np.ndarray, counts: np.ndarray, contexts: int, vocab_size: int) -> _Level:
    """Turn the counts of one order into shares of their context, keeping back the discounts."""
    taken = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]  # (grams,)
    context = grams // vocab_size  # (grams,) number of the first n - 1 tokens
    total = np.bincount(context, weights=counts, minlength=contexts)
    held_back = np.bincount(context, weights=taken, minlength=contexts)
    # The last tokens of the text may be a context that nothing follows: it holds back everything.
    held_back = np.where(total > 0, held_back / np.maximum(total, 1), 1.0)
    return _Level(grams, (counts - taken) / total[context], held_back)


def _left_neighbours(counted: _Counted, longer: _Counted) -> np.ndarray:
    """(grams,) how many different tokens stand before each gram: one for each distinct gram that is
    one token longer.

    The first gram of the text has nothing before it; there the beginning itself counts as a
    neighbour.
    """
    neighbours = np.bincount(counted.numbers[longer.places + 1], minlength=len(counted.keys))
    neighbours[counted.numbers[0]] += 1
    return neighbours


def _count(keys: np.ndarray) -> _Counted:
    """Count the grams of one order, given the key of the one at each place."""
    if keys.max() > DENSE * len(keys):
        return _Counted(
            *np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        )
    counters = np.bincount(keys)
    distinct = np.flatnonzero(counters)
    numbers = (np.cumsum(counters > 0) - 1)[keys]
    places = np.empty(len(distinct), np.int64)
    places[numbers] = np.arange(len(keys))
    return _Counted(distinct, places, numbers, counters[distinct])


def _find(ordered: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The place of each key in a sorted array, -1 where it is not there (no sorted key is below
    0)."""
    if ordered[-1] <= DENSE * len(keys):
        # the last entry, also that of the key -1, is for whatever is not there
        table = np.full(ordered[-1] + 2, -1)
        table[ordered] = np.arange(len(ordered))
        return table[np.minimum(keys, len(table) - 1)]
    place = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return np.where(ordered[place] == keys, place, -1)


def _checked(ids: Sequence[int] | np.ndarray, vocab_size: int) -> np.ndarray:
    array = np.asarray(ids, dtype=np.int64)
    if array.ndim != 1 or (len(array) and not 0 <= array.min() <= array.max() < vocab_size):
        raise ValueError(f"expected one row of token ids from 0 to {vocab_size - 1}")
    return array
