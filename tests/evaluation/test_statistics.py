"""Intervals hold the truth as often as they claim, and verdicts stay silent where nothing was
measured."""

import numpy as np
import pytest

from tinylm.evaluation.statistics import (
    Interval,
    auc,
    difference,
    interval,
    paired_difference,
    ratio,
    verdict,
)

QUIET = "no measurable difference"


def coverage(truth: float, intervals: list[Interval]) -> float:
    return sum(found.low <= truth <= found.high for found in intervals) / len(intervals)


def test_a_bootstrap_interval_holds_the_true_share_about_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    found = [interval(rng.random(100) < 0.7, resamples=300) for _ in range(300)]
    assert 0.90 <= coverage(0.7, found) <= 0.98


def test_an_interval_agrees_with_the_normal_approximation_on_many_values() -> None:
    values = np.random.default_rng(0).normal(3, 2, 4000)
    found = interval(values)
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + error, abs=0.1 * error)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_over_seeds_the_interval_holds_the_truth_although_lines_of_one_run_hang_together(
    runs: int,
) -> None:
    rng = np.random.default_rng(runs)
    seeds = np.repeat(np.arange(runs), 200).tolist()
    naive, clustered = [], []
    for _ in range(120):
        shares = 0.6 + 0.08 * rng.normal(size=runs)  # each run has a share of its own
        lines = rng.random(len(seeds)) < np.repeat(shares, 200)
        naive.append(interval(lines, resamples=100))
        clustered.append(interval(lines, groups=seeds, resamples=100))
    assert coverage(0.6, naive) < 0.75
    assert coverage(0.6, clustered) > 0.90


def test_one_seed_alone_is_as_if_no_seeds_were_given() -> None:
    values = [0, 1, 1, 0, 1, 1]
    assert interval(values, groups=["a"] * 6) == interval(values)


def test_intervals_are_the_same_every_time_and_move_with_the_seed() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert interval(values) == interval(values)
    assert interval(values, seed=1) != interval(values, seed=2)


@pytest.mark.parametrize(("value", "low", "high"), [(1, 0.8389, 1), (0, 0, 0.1611)])
def test_twenty_equal_lines_do_not_make_a_share_certain(
    value: int, low: float, high: float
) -> None:
    found = interval([value] * 20)  # the ends are Wilson's, as printed in tables
    assert (found.mean, found.low, found.high) == pytest.approx((value, low, high), abs=1e-4)


def test_one_number_that_is_no_share_says_nothing_about_its_spread() -> None:
    assert interval([1.37]) == Interval(1.37, -np.inf, np.inf)
    assert verdict(interval([1.37])) == QUIET


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")], [[1.0], [2.0]]])
def test_values_that_have_no_mean_are_refused(values: list) -> None:
    with pytest.raises(ValueError, match="at least one number"):
        interval(values)


def test_pairing_finds_a_difference_that_separate_samples_hide() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 5, 60)  # prompts differ much more than the models do
    a, b = difficulty + 0.5 + rng.normal(0, 0.3, 60), difficulty + rng.normal(0, 0.3, 60)
    assert verdict(paired_difference(a, b)) == "higher"
    assert verdict(paired_difference(b, a)) == "lower"
    assert verdict(difference(interval(a), interval(b))) == QUIET


def test_equal_models_are_rarely_called_different() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.random(80) < 0.5, rng.random(80) < 0.5) for _ in range(200)]
    verdicts = [verdict(paired_difference(a, b, resamples=200)) for a, b in pairs]
    assert verdicts.count(QUIET) >= 180


def test_the_same_answers_twice_are_no_measurable_difference() -> None:
    answers = [1, 0, 1, 1]
    found = paired_difference(answers, answers)
    assert found.mean == 0
    assert found.low < 0 < found.high
    assert verdict(found) == QUIET


def test_paired_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="one label for each value"):
        interval([1, 2, 4], groups=["a"])


def test_a_difference_of_shares_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    found = [
        difference(
            interval(rng.random(150) < 0.6, resamples=200),
            interval(rng.random(150) < 0.45, resamples=200),
        )
        for _ in range(200)
    ]
    assert 0.90 <= coverage(0.15, found) <= 0.99


def test_a_ratio_is_one_division_of_sums_and_its_interval_counts_samples_not_pieces() -> None:
    # Ten samples of 100 pieces: five all copied, five all new. Pieces alone would pretend to a
    # thousand observations.
    bundled = ratio([100] * 5 + [0] * 5, [100] * 10)
    assert bundled.mean == 0.5
    assert bundled.high - bundled.low > 0.4
    assert ratio([1, 30], [10, 90]).mean == pytest.approx(0.31)
    assert 0 < ratio([0] * 20, [5] * 20).high < 0.2
    with pytest.raises(ValueError, match="hits <= total"):
        ratio([2], [1])


def test_auc_counts_the_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    high, low = rng.integers(2, 9, 40), rng.integers(0, 7, 30)
    pairs = np.sign(high[:, None] - low[None, :])  # (40, 30)
    found = auc(high, low)
    assert found.mean == pytest.approx(((pairs + 1) / 2).mean())
    assert found.low < found.mean < found.high


def test_auc_knows_that_perfect_separation_of_few_scores_is_not_certain() -> None:
    assert auc([3, 4, 5], [0, 1, 2]).low < 0.6
    assert auc(np.arange(500) + 500, np.arange(500)).low > 0.99
    assert auc([1, 1, 1], [1, 1, 1]).mean == 0.5
