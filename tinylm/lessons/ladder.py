"""The ladder of lesson next-token: what its rungs are worth, and its pictures.

    rung_interval, step_down    a rung's bits per byte, and how much better the next one is
    curve_of, chase             a GPT on its way down, and when it passes counting
    ladder_picture              every rung in both alphabets: the lesson's main figure
    curve_picture               bits per byte against minutes, beside the line of the best n-gram

Design. No claim is tested here: see next_token.py.

    constant        stories are paired: a hard one is hard for every rung, and that drops out
    seeds           those of the GPTs; counting has none
    price           none: everything is computed from what the lesson has measured

Trade-off: a curve's points were validated while the learning rate was still falling. A run that
ended there would have been better, so the curve is an upper bound on the way.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.lesson import Arm
from tinylm.pages.figures import INK, MARKERS, canvas, colour
from tinylm.runs import Run

# The name of each kind in the results.
KINDS = {"bpe": "byte-pair tokens", "char": "characters"}
# Rung -> one array (stories,) of bits for each seed, or a single one where no seed plays a part.
# Each is divided by the mean bytes of a story, so that its mean is bits per byte.
Bits = dict[str, list[np.ndarray]]
Curve = list[tuple[float, float]]  # (minutes, bits per byte) along a GPT's training


def rung_interval(bits: Sequence[np.ndarray]) -> Interval:
    """Bits per byte over the stories and, where a rung has several seeds, over those."""
    return interval(np.concatenate(bits), groups=seed_of_each(len(bits), len(bits[0])))


def step_down(higher: Sequence[np.ndarray], lower: Sequence[np.ndarray]) -> Interval:
    """How much better the lower rung is, story by story and seed by seed."""
    seeds = max(len(higher), len(lower))
    # A rung of counting has one array: it stands beside each seed of the GPT.
    before = np.concatenate([higher[seed % len(higher)] for seed in range(seeds)])
    after = np.concatenate([lower[seed % len(lower)] for seed in range(seeds)])
    # Paired: a hard story is hard for both rungs, and that drops out of the difference.
    return paired_difference(before, after, groups=seed_of_each(seeds, len(higher[0])))


def seed_of_each(seeds: int, stories: int) -> list[int]:
    """Which seed each value belongs to, seed after seed."""
    # The order of np.concatenate above: all stories of the first seed, then those of the second.
    return [seed for seed in range(seeds) for _ in range(stories)]


def curve_of(run: Run, final: float) -> Curve:
    """A GPT's validations along its training, the last one replaced by its score on the ladder.

    On the way a story longer than the context is scored in pieces, of which each begins with
    nothing before it; on the ladder in windows that overlap. Random weights are left out.
    """
    minutes = run.manifest["seconds"] / 60 / run.manifest["step"]  # a step, validation included
    records = [record for record in run.records("valid") if record["step"]]
    curve = [(minutes * record["step"], record["bits_per_byte"]) for record in records]
    return [*curve[:-1], (curve[-1][0], final)]


def chase(curves: Sequence[Curve], goal: float, name: str) -> str:
    """When the GPT passes counting, or what it lacks and how fast the gap closes; over the means of
    the seeds.

    >>> chase([[(1.0, 0.9), (2.0, 0.5)]], 0.6, "6-gram")
    'the GPT passes the 6-gram (0.60) within 2.0 of its 2.0 minutes.'
    >>> chase([[(1.0, 0.9), (2.0, 0.7)]], 0.6, "6-gram")
    'the GPT lacks 0.10 to the 6-gram (0.60) after 2.0 minutes; the last doubling brought 0.20.'
    """
    minutes, bits = np.mean(np.array(curves), axis=0).T  # (points,) each
    if (bits <= goal).any():
        reached = minutes[np.argmax(bits <= goal)]
        return f"the GPT passes the {name} ({goal:.2f}) within {reached:.1f} of its " + (
            f"{minutes[-1]:.1f} minutes."
        )
    # On straight lines between the validations.
    gained = np.interp(minutes[-1] / 2, minutes, bits) - bits[-1]
    return (
        f"the GPT lacks {bits[-1] - goal:.2f} to the {name} ({goal:.2f}) after "
        f"{minutes[-1]:.1f} minutes; the last doubling brought {gained:.2f}."
    )


# -- pictures -------------------------------------------------------------------------------------


def ladder_picture(arms: dict[str, list[Arm]]) -> Figure:
    """Every rung in both alphabets, its seeds as faint dots."""
    means = {kind: [arm.interval.mean for arm in own] for kind, own in arms.items()}
    # The title speaks of the first kind of token: byte-pair tokens, which the demo's models have.
    who = {arm.name.split(",")[0]: arm.interval.mean for arm in next(iter(arms.values()))}
    counted = next(name for name in who if name.endswith("-gram"))
    title = (
        f"Reading what stands before, a GPT needs {who['GPT']:.2f} bits per byte of unseen text; "
        f"counting ({counted}) {who[counted]:.2f}, never looking back {who['unigram']:.2f}"
    )
    with canvas(title, (9.2, 4.2)) as figure:
        panels = figure.subplots(1, len(arms), squeeze=False)[0]
        for axes, (kind, own) in zip(panels, arms.items()):
            for row, arm in enumerate(own):
                axes.barh(row, means[kind][row], 0.62, color=colour(row), alpha=0.75)
                axes.plot(arm.values, [row] * len(arm.values), "o", color=INK, ms=4, alpha=0.6)
                axes.annotate(
                    f"{means[kind][row]:.2f}",
                    (means[kind][row], row),
                    (7, 0),
                    textcoords="offset points",
                    va="center",
                )
            axes.set_yticks(range(len(own)), [arm.name.split(",")[0] for arm in own])
            axes.set_title(KINDS[kind], loc="left", fontsize=12.5)
            axes.set(xlabel="bits per byte", ylim=(len(own) - 0.4, -0.6))
            axes.margins(x=0.16)
            axes.grid(axis="y", visible=False)
    return figure


def curve_picture(
    ladders: dict[str, Bits], orders: dict[str, int], curves: dict[str, list[Curve]]
) -> Figure:
    """Each seed of each GPT on its way down, against minutes, with the best n-gram's line."""
    last = {kind: np.mean([curve[-1][1] for curve in own]) for kind, own in curves.items()}
    counted = {kind: rung_interval(ladder["n-gram"]).mean for kind, ladder in ladders.items()}
    told = [
        f"By {KINDS[kind]} the GPT ends at {last[kind]:.2f}, the n-gram at {counted[kind]:.2f}"
        for kind in curves
    ]
    with canvas(". ".join(told), (8.4, 4.4)) as figure:
        axes = figure.subplots()
        for place, (kind, own) in enumerate(curves.items()):
            for seed, curve in enumerate(own):
                label = f"GPT, {KINDS[kind]}" if seed == 0 else None
                mark = MARKERS[place]
                axes.plot(*zip(*curve), marker=mark, color=colour(place), alpha=0.7, label=label)
            axes.axhline(
                counted[kind],
                color=colour(place),
                linestyle="--",
                label=f"{orders[kind]}-gram, {KINDS[kind]}",
            )
        axes.set(xlabel="minutes of training", ylabel="bits per byte, unseen stories")
        axes.set(xlim=(0, None), ylim=(0, None))
        figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure
