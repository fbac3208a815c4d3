"""A fine-tuned model is tied to the version of the base that it was made from.

Design. A base learns the town's register (version 1). Then it learns the second edition, in which
everybody has moved house, bought another boat and changed their favourite food (version 2).

    manipulated     which version the verse fine-tune starts from:
                      child of v1    v1, taught verse
                      child of v2    the same work, repeated on v2
    constant        everything that the children read, in one order: poems, and between them entries
                    of the register that both editions share (trades, pets and the like; nothing
                    that has changed); steps, recipe, seed
    effect          share of the new facts known: v2 minus the child of v1 (what is missed), and
                    the child of v2 minus the child of v1 (what redoing brings)
    null            0 for both. Guessing among four options gives 25 %; the old answer is one of
                    them, so whoever believes it scores 0
    control         v1 itself: if it knew the new facts, the child's lack would not be owed to its
                    version. v2 has to know them (target: 80 %), or there would be little to miss
    price           minutes, FLOPs and dollars of redoing the child
    seeds           three: each with both bases and both children
    control run     version 2 reads the first edition once more: as many steps, and nothing new to
                    miss. Its child reads what the other child reads; what the second edition says
                    is asked all the same. Expected: nobody knows the new facts, so nothing is
                    missed or regained

Costs are counted twice: what redoing the child took here, and by arithmetic what it takes for a
model of 8 billion parameters. The second figure compares a host of one's own with paying per
request, at list prices; `tinylm host` computes both at the reader's prices (lessons/hosting.py).

Tried before. (1) The stories between the entries of the second edition told the first one: v2 knew
45 % of the new facts (29 % of them in a run of seed 1), and the verdict was "no measurable
difference". Without stories it knew 91 %; with stories of its own edition, in the same 300 steps,
99 %: this is what is read now. (2) Each child re-read the register of its own version between the
poems, so that what the child of v1 lacked could be owed to its text. Now both read the same.

Trade-off: verse alone makes a model of this size forget (lesson style). Entries between the poems
prevent most of it, but do not tell what is asked: the child of v2 may lose some of the new facts.
"""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.hosting import Prices, break_even, per_day, per_request, redoing
from tinylm.lessons.lesson import Arm, Lesson, Result, above, dots, logarithmic, together
from tinylm.lessons.shared import (
    CHANGED_RELATIONS,
    base_with_facts,
    continued_recipe,
    document_corpus,
    fact_questions,
    interval_json,
    lasting_register,
    score_answers,
    verse_poems,
)
from tinylm.pages.figures import MUTED, canvas, colour, percent
from tinylm.runs import Run
from tinylm.training.load import load_model

# Each base before its child: the picture shows them in this order.
ARMS = ("v1", "child of v1", "v2", "child of v2")
# Dollars: AWS, t3.large (2 virtual cores as here), on demand, us-east-1, 2024.
MACHINE_PER_HOUR = 0.0832
STEPS = {"smoke": 4, "full": 160}  # of each child
EVERY = {"smoke": 30, "full": 1}  # every so many of the questions is asked
GUESSING = 0.25  # of four options


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Make both bases and both children of every seed, and ask all of them what the second edition
    says."""
    poems, unseen = verse_poems(experiment)
    right: dict[str, list[list[int]]] = {arm: [] for arm in ARMS}  # 0 or 1 a question, by seed
    redone = []  # the work of one child for each seed
    # Only what changed, asked for the new answer; the old one is among the four options.
    questions = fact_questions(2, CHANGED_RELATIONS)[:: EVERY[experiment.scale]]
    for seed in experiment.seeds:
        bases = {"v1": (yield from base_with_facts(experiment, seed))}
        # Version 2 goes on from version 1, as the next version of a model often does.
        next_edition = 1 if experiment.control else 2
        bases["v2"] = yield from base_with_facts(experiment, seed, next_edition, bases["v1"])
        # Verse alone would make the children forget. What stands between the poems tells nothing
        # that is asked: what a child knows of that, it has from its version.
        mixed = poems + lasting_register(2 * len(poems), seed)
        runs: dict[str, Run] = {}
        for name, base in bases.items():
            corpus = document_corpus(load_model(base).tokenizer, mixed, unseen)
            steps = STEPS[experiment.scale]
            recipe = continued_recipe(experiment, base, seed, steps, **{"model.dropout": "0.1"})
            # The same text, steps and seed for both: they differ in the version alone.
            child = yield from experiment.train(f"child of {name}, seed {seed}", recipe, corpus)
            runs |= {name: base, f"child of {name}": child}
        for arm in ARMS:
            asked = partial(score_answers, runs[arm], questions)
            right[arm].append(
                experiment.measure(f"{arm}, seed {seed}", runs[arm].fingerprint, asked)
            )
        # The second child is what has to be made again with every new version.
        redone.append(work_of(runs["child of v2"]))
    return conclude(right, redone, Prices())


# -- costs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What one training run took."""

    seconds: float
    flops: float  # of all forward and backward passes
    tokens: int  # read in training


def work_of(run: Run) -> Work:
    """What a run's manifest says that it took."""
    # Copied from the manifest, so that a kept run costs what it cost when it was made.
    return Work(*(run.manifest[key] for key in ("seconds", "flops", "tokens")))


# -- what follows ---------------------------------------------------------------------------------


def conclude(right: dict[str, list[list[int]]], redone: Sequence[Work], prices: Prices) -> Result:
    """Whether the child of v1 lacks what v2 knows, and the redone child has it."""
    # The seed of each answer: all arms of a seed were asked the same questions in one order.
    groups = [seed for seed, own in enumerate(right["v1"]) for _ in own]
    flat = {arm: np.concatenate(own) for arm, own in right.items()}
    arms = []
    for arm in ARMS:
        shares = [float(np.mean(own)) for own in right[arm]]
        arms.append(Arm(arm, "share", shares, interval(flat[arm], groups=groups)))
    # What is missed by staying with the old child ...
    lacks = paired_difference(flat["v2"], flat["child of v1"], groups=groups)
    # ... and what doing the same work again brings. If it brought nothing, the fine-tune and not
    # the version would be the cause.
    regained = paired_difference(flat["child of v2"], flat["child of v1"], groups=groups)
    known = {arm.name: arm.interval.mean for arm in arms}
    shares_known = {name: percent(share) for name, share in known.items()}
    bills = bills_of(redone, prices)
    # Both parts are needed: something is missed, and redoing the work brings it.
    return Result(
        together(above(lacks), above(regained)),
        sentence(shares_known, (lacks, regained), bills, break_even(prices)),
        arms,
        {"facts.png": facts_figure(arms, shares_known), "hosting.png": hosting(prices)},
        targets={
            # Otherwise there would be little to miss.
            "v2 knows >= 80 % of the new facts": known["v2"] >= 0.8,
            # No hoped-for size: the bill has to be complete, whatever it comes to.
            "minutes, FLOPs and money of redoing it are told": all(v > 0 for v in bills.values()),
        },
        details={
            "lacks": interval_json(lacks),
            "regained": interval_json(regained),
            "redoing": bills,
            "prices": asdict(prices),
            "break_even_requests_per_day": break_even(prices),
        },
    )


def facts_figure(arms: Sequence[Arm], known: dict[str, str]) -> Figure:
    """Who knows the new facts: each base above its child, and what guessing gives."""
    title = (
        f"The next version of the base knows {known['v2']} of the new facts, the old child "
        f"{known['child of v1']}, a new one {known['child of v2']}"
    )
    figure = dots(title, list(map(in_percent, arms)), "% of the new facts known")
    (axes,) = figure.axes
    # To the left of this line stands who believes the old facts.
    axes.axvline(100 * GUESSING, color=MUTED, linewidth=1, linestyle=":")
    axes.annotate(" guessing", (100 * GUESSING, 0), va="center", color=MUTED)
    axes.set_xlim(-4, 106)
    return figure


def in_percent(arm: Arm) -> Arm:
    """A share as a percentage, with whole numbers to read."""
    low, mean, high = (
        100 * end for end in (arm.interval.low, arm.interval.mean, arm.interval.high)
    )
    return Arm(arm.name, "%", [100 * value for value in arm.values], Interval(mean, low, high))


def sentence(
    known: dict[str, str],
    effects: tuple[Interval, Interval],
    bills: dict[str, float],
    even: float | None,
) -> str:
    """The outcome with its numbers; `even` are the requests a day from which a host pays."""
    missed, regained = map(points, effects)
    host = "at no number of requests, at these prices."
    # Requests a day; None where one host could not answer so many.
    if even:
        host = f"from {even:,.0f} requests a day."
    return (
        f"Of the new facts v2 knows {known['v2']}, the child of v1 {known['child of v1']} (v1: "
        f"{known['v1']}, guessing: 25 %): it misses {missed} points. Redone on v2 it knows "
        f"{known['child of v2']}, {regained} points more, for {bills['minutes']:.1f} minutes and "
        f"{bills['flops']:.1e} FLOPs here; with 8 billion parameters it takes "
        f"${bills['8B: dollars']:,.0f} each time. A host of one's own pays {host}"
    )


def points(effect: Interval) -> str:
    """A difference of shares in percentage points, with its interval.

    >>> points(Interval(0.5, 0.4, 0.6))
    '50 (40 to 60)'
    """
    mean, low, high = (100 * value for value in interval_json(effect))
    return f"{mean:.0f} ({low:.0f} to {high:.0f})"


def bills_of(redone: Sequence[Work], prices: Prices) -> dict[str, float]:
    """What redoing the child took here, and by arithmetic what it takes with a model of 8 billion
    parameters."""
    seconds = float(np.mean([work.seconds for work in redone]))
    flops = float(np.mean([work.flops for work in redone]))
    tokens = float(np.mean([work.tokens for work in redone]))
    large = redoing(prices)
    return {
        "minutes": seconds / 60,
        "flops": flops,
        "tokens": tokens,
        # Little here: the point is that all of it comes again with every version.
        "dollars": seconds / 3600 * MACHINE_PER_HOUR,
        # The same work on a model as people use it (8 billion parameters, unless told otherwise).
        "8B: flops": large.flops,
        "8B: GPU-hours": large.gpu_hours,
        "8B: dollars": large.dollars,
    }


def hosting(prices: Prices) -> Figure:
    """Dollars a day against requests a day, for both ways of paying."""
    even = break_even(prices)
    requests = np.geomspace(100, 3e6, 400)  # (400,) at equal ratios, for a logarithmic axis
    title = (
        f"At ${prices.host_per_hour:g} an hour an own host is never cheaper than paying per request"
    )
    if even:
        title = (
            f"An own host at ${prices.host_per_hour:g} an hour is cheaper from {even:,.0f} "
            "requests a day"
        )
    # A staircase: a second host is needed where one cannot answer more.
    hosts = [per_day(prices, count) for count in requests]
    paid = requests * per_request(prices)  # a straight line: nothing is paid while nobody asks
    with canvas(title) as figure:
        axes = figure.subplots()
        axes.plot(requests, hosts, color=colour(0), label="hosts of one's own")
        axes.plot(requests, paid, color=colour(1), linestyle="--", label="paid per request")
        if even:
            # The point from which the own host is the cheaper one.
            axes.plot([even], [per_day(prices, even)], "o", color=colour(2), markersize=9)
        # Both span several powers of ten.
        axes.set(xlabel="requests a day", ylabel="dollars a day")
        logarithmic(axes.xaxis)
        logarithmic(axes.yaxis)
        axes.legend(frameon=False)
    return figure


LESSON = Lesson(
    name="lock-in",
    claim="Fine-tuning locks you to a version of the model, and to hosting it.",
    question="When the base learns new facts, what does its fine-tuned child know of them, and "
    "what does it cost?",
    control="The next version of the base reads the first edition once more, and nothing new.",
    minutes=5,
    base_minutes=13,
    run=run,
)
