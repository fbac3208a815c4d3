"""How sure a measured number is: intervals, differences, verdicts.

Every share and every mean that TinyLM reports carries a 95 % interval, and two numbers are called
different only when the interval of their difference leaves out 0. What is resampled is what was
sampled independently:

    interval(values)                 lines, prompts or questions of one run: the bootstrap
    interval(values, groups=seeds)   several training runs: lines of one run hang together, so the
      runs are the repeats
    ratio(hits, totals)              a share whose pieces come bundled, e.g. the n-grams of one
      sample
    paired_difference(a, b)          two models on the same prompts: what the prompts have in common
      cancels out
    difference(a, b)                 two intervals from separate samples

Trade-offs: the percentile bootstrap is a little narrow below about 20 values. Over seeds a Student
t interval is used, because resampling three runs can never reach beyond the three: such an interval
holds the truth three times in four instead of 19 in 20. It is wide for two or three seeds, and that
is the honest width.

Sources: bootstrap: Efron 1979; Efron & Tibshirani 1993. Equal values: the score interval of Wilson
1927. Differences of intervals: Newcombe 1998; Zou & Donner 2008. AUC as a rank statistic: Hanley &
McNeil 1982.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Values = Sequence[float] | Sequence[bool] | np.ndarray
Verdict = Literal["higher", "lower", "no measurable difference"]

Z = 1.959964  # half of a 95 % interval, in standard deviations of the normal distribution


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval, all in the unit of the values."""

    mean: float
    low: float
    high: float


def interval(
    values: Values, groups: Sequence[object] | None = None, seed: int = 0, resamples: int = 2000
) -> Interval:
    """The mean of (n,) numbers or booleans with its 95 % interval.

    groups: (n,) labels, one training seed each; with two or more labels the spread between the
    groups counts, and the interval is never narrower than without them. A single group shows
    nothing of that spread: then it is as if None. Values that are all 0 or all 1 are taken for
    shares and get Wilson's bound, not a width of zero. One value of another kind says nothing about
    its spread: its interval is infinite.

    >>> everything = interval([True] * 20)
    >>> everything.mean, round(everything.low, 3), everything.high
    (1.0, 0.839, 1.0)
    >>> interval([0.25, 0.75], groups=["seed 1", "seed 2"]).low < 0
    True
    """
    # Shares lie between 0 and 1, so values that are all equal still have a bound (Wilson).
    array = _numbers(values)
    return _mean_interval(array, groups, (0.0, 1.0) if _is_share(array) else None, seed, resamples)


def paired_difference(
    a: Values,
    b: Values,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """The mean of a - b, for two (n,) lists whose i-th values belong to the same prompt, line or
    question.

    groups: as in `interval`, where several training seeds answered the same prompts.

    >>> verdict(paired_difference([0.9, 0.8, 0.7, 0.9], [0.5, 0.4, 0.4, 0.4]))
    'higher'
    """
    first, second = _numbers(a), _numbers(b)
    if len(first) != len(second):
        raise ValueError(
            f"paired values must be equally many: got {len(first)} and {len(second)}; use "
            "difference()"
        )
    # The difference of two shares lies between -1 and 1.
    span = (-1.0, 1.0) if _is_share(first) and _is_share(second) else None
    return _mean_interval(first - second, groups, span, seed, resamples)


def difference(a: Interval, b: Interval) -> Interval:
    """The interval of a - b, for two independent samples (each distance to an end adds as errors
    do, by its square).

    >>> difference(Interval(70, 66, 73), Interval(40, 36, 43))
    Interval(mean=30, low=25.0, high=35.0)
    """
    mean = a.mean - b.mean
    # a - b is lowest where a is low and b is high: those two distances belong together.
    down = float(np.hypot(a.mean - a.low, b.high - b.mean))
    up = float(np.hypot(a.high - a.mean, b.mean - b.low))
    return Interval(mean, mean - down, mean + up)


def ratio(hits: Values, totals: Values, seed: int = 0, resamples: int = 2000) -> Interval:
    """sum(hits) / sum(totals) over (n,) samples, resampled sample by sample: hits of one sample
    hang together.

    >>> ratio([1, 0, 2], [4, 4, 2]).mean
    0.3
    """
    part, whole = _numbers(hits), _numbers(totals)
    if len(part) != len(whole) or np.any(part > whole) or np.any(part < 0) or whole.sum() == 0:
        raise ValueError("each sample needs 0 <= hits <= total, and the totals must not all be 0")
    # Sums, then one division: a sample counts by its size.
    mean = float(part.sum() / whole.sum())
    # Every resample of nothing but misses is 0: the bootstrap would call that certain.
    if mean in (0.0, 1.0):
        return _equal_interval(mean, int(np.count_nonzero(whole)), (0.0, 1.0))

    def resampled(rng: np.random.Generator) -> float:
        chosen = rng.integers(0, len(part), len(part))  # with replacement: some twice, some never
        return float(part[chosen].sum() / max(whole[chosen].sum(), 1))

    return _percentiles(mean, resampled, seed, resamples)


def verdict(difference: Interval) -> Verdict:
    """What may be said about the sign of a difference: nothing, when 0 lies inside its interval.

    >>> verdict(Interval(0.02, -0.01, 0.05))
    'no measurable difference'
    """
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "no measurable difference"


def auc(positive: Values, negative: Values, seed: int = 0, resamples: int = 2000) -> Interval:
    """How often a positive scores above a negative (area under the ROC curve); a tie counts one
    half.

    positive: (n,) scores, negative: (m,) scores. Both sides are resampled, n + m steps for each
    resample.

    >>> auc([2, 3, 4], [1, 2, 1]).mean
    0.9444444444444444
    """
    high, low = _numbers(positive), _numbers(negative)
    # Only the order of scores counts: replace each by its rank among the distinct ones, so that no
    # resample sorts.
    distinct, ranks = np.unique(np.concatenate([high, low]), return_inverse=True)
    high, low = ranks[: len(high)], ranks[len(high) :]

    def area(above: np.ndarray, below: np.ndarray) -> float:
        wins = np.bincount(above, minlength=len(distinct))  # (distinct,) positives at each rank
        others = np.bincount(below, minlength=len(distinct))
        # negatives strictly below each rank, and half of those on it
        beaten = np.cumsum(others) - others / 2
        return float(wins @ beaten) / (len(above) * len(below))

    def resampled(rng: np.random.Generator) -> float:
        return area(
            high[rng.integers(0, len(high), len(high))], low[rng.integers(0, len(low), len(low))]
        )

    mean = area(high, low)
    if mean in (0.0, 1.0):  # perfectly apart: as sure as the smaller side is large
        return _equal_interval(mean, min(len(high), len(low)), (0.0, 1.0))
    return _percentiles(mean, resampled, seed, resamples)


def _mean_interval(
    values: np.ndarray,
    groups: Sequence[object] | None,
    span: tuple[float, float] | None,
    seed: int,
    resamples: int,
) -> Interval:
    """The interval of a mean; `span` is the range that values can have, where it is known."""
    mean = float(values.mean())
    if np.all(values == values[0]) and (span or len(values) == 1):
        return _equal_interval(mean, len(values), span)

    def resampled(rng: np.random.Generator) -> float:
        return float(values[rng.integers(0, len(values), len(values))].mean())

    within = _percentiles(mean, resampled, seed, resamples)
    if groups is None:
        return within
    # The wider of the two: three seeds that agree by luck do not make their lines more certain.
    half = _half_width_between(values, groups)
    return Interval(mean, min(within.low, mean - half), max(within.high, mean + half))


def _half_width_between(values: np.ndarray, groups: Sequence[object]) -> float:
    """Half of the Student t interval over the means of the groups; 0 for one group, whose spread
    cannot be seen."""
    if len(groups) != len(values):
        raise ValueError(
            f"groups needs one label for each value: got {len(groups)} for {len(values)} values"
        )
    labels = list(dict.fromkeys(groups))
    if len(labels) == 1:
        return 0.0
    # Each group is one repeat, whatever the number of its values; ddof=1 since the true mean of the
    # groups is not known.
    member = np.array([labels.index(group) for group in groups])
    means = np.bincount(member, weights=values) / np.bincount(member)  # (groups,)
    return float(_student(len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means)))


def _equal_interval(value: float, count: int, span: tuple[float, float] | None) -> Interval:
    """The interval when `count` values are all equal: how far the unseen ones could move the mean
    within `span`.

    After n values without an exception, Wilson's 95 % bound on the share of exceptions is z² / (n +
    z²).
    """
    if span is None:
        return Interval(value, -np.inf, np.inf)
    unseen = Z**2 / (count + Z**2)
    return Interval(value, value - unseen * (value - span[0]), value + unseen * (span[1] - value))


def _percentiles(
    mean: float, resampled: Callable[[np.random.Generator], float], seed: int, resamples: int
) -> Interval:
    """The middle 95 % of a statistic over bootstrap resamples."""
    # A generator of its own: the same values always have the same interval.
    rng = np.random.default_rng(seed)
    low, high = np.percentile([resampled(rng) for _ in range(resamples)], [2.5, 97.5])
    return Interval(mean, float(low), float(high))


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t; scipy is loaded when the first one is asked for."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _is_share(values: np.ndarray) -> bool:
    return bool(np.all((values == 0) | (values == 1)))


def _numbers(values: Values) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.all(np.isfinite(array)):
        raise ValueError(
            "an interval needs a list of at least one number, none of them NaN or infinite"
        )
    return array
