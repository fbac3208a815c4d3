"""A fine-tuned model is tied to the version of the base that it was made from.

Design. A base learns the town's register (version 1). Then it learns the second edition, in which
everybody has moved house, bought another boat and changed their favourite food (version 2).

    manipulated     which version the verse fine-tune starts from:
                      child of v1    v1, taught verse
                      child of v2    the same work, repeated on v2
    constant        poems, steps, recipe, seed; as much of what the child's own base has read mixed
                    between the poems
    effect          share of the new facts known: v2 minus the child of v1 (what is missed), and
                    the child of v2 minus the child of v1 (what redoing brings)
    null            0 for both. Guessing among four options gives 25 %
    control         v1 itself: if it knew the new facts, or if its child knew fewer than it, the
                    child's lack would not be owed to its version
    price           minutes, FLOPs and dollars of redoing the child
    seeds           three: each with both bases and both children
    control run     version 2 reads the first edition once more: as many steps, and nothing new to
                    miss. Its child reads it too; what the second edition says is asked all the
                    same. Expected: nobody knows the new facts, so nothing is missed or regained

Costs are counted twice: what redoing the child took here, and by arithmetic what it takes for a
model of 8 billion parameters. The second figure compares a host of one's own with paying per
request, at list prices; `tinylm host` computes it at the reader's prices.

Trade-off: verse alone makes a model of this size forget (lesson style). The texts of its base
between the poems prevent that, so that what the child of v1 lacks is owed to its version and not to
forgetting.
"""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from tinylm.evaluation.statistics import interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.hosting import Prices, break_even, per_day, per_request
from tinylm.lessons.lesson import Arm, Lesson, Result, above, dots, logarithmic, together
from tinylm.lessons.published import GPUS, bill
from tinylm.lessons.shared import (
    CHANGED_RELATIONS,
    base_with_facts,
    continued_recipe,
    document_corpus,
    fact_questions,
    interval_json,
    register_and_stories,
    score_answers,
    verse_poems,
)
from tinylm.pages.figures import canvas, colour, percent
from tinylm.runs import Run
from tinylm.training.load import load_model

# Each base before its child: the picture shows them in this order.
ARMS = ("v1", "child of v1", "v2", "child of v2")
# Tokens that a fine-tune of a large model reads: 25 million of one's own, four times over.
TUNING_TOKENS = 100e6
# Dollars: AWS, t3.large (2 virtual cores as here), on demand, us-east-1, 2024.
MACHINE_PER_HOUR = 0.0832
STEPS = {"smoke": 4, "full": 160}  # of each child
EVERY = {"smoke": 30, "full": 1}  # every so many of the questions is asked


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
        runs: dict[str, Run] = {}
        for edition, (name, base) in zip((1, next_edition), bases.items()):
            # Verse alone would make the child forget. Between the poems stands what its base has
            # read, so the child of v1 rehearses the old facts and the child of v2 the new ones.
            mixed = poems + register_and_stories(edition, 2 * len(poems), seed)
            corpus = document_corpus(load_model(base).tokenizer, mixed, unseen)
            steps = STEPS[experiment.scale]
            recipe = continued_recipe(experiment, base, seed, steps, **{"model.dropout": "0.1"})
            # The same poems, steps and seed for both: they differ in the version alone.
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
    shares_known = {arm.name: percent(arm.interval.mean) for arm in arms}
    bills = bills_of(redone, prices)
    title = (
        f"The child of v1 knows {shares_known['child of v1']} of the new facts, its base's next "
        f"version {shares_known['v2']}"
    )
    # No hoped-for size here: the bill has to be complete, whatever it comes to.
    complete = all(value > 0 for value in bills.values())
    # Both parts are needed: something is missed, and redoing the work brings it.
    return Result(
        together(above(lacks), above(regained)),
        sentence(shares_known, bills, break_even(prices)),
        arms,
        {
            "facts.png": dots(title, arms, "share of the new answers found (guessing: 0.25)"),
            "hosting.png": hosting(prices),
        },
        targets={"minutes, FLOPs and money of redoing it are told": complete},
        details={
            "lacks": interval_json(lacks),
            "regained": interval_json(regained),
            "redoing": bills,
            "prices": asdict(prices),
            "break_even_requests_per_day": break_even(prices),
        },
    )


def sentence(known: dict[str, str], bills: dict[str, float], even: float | None) -> str:
    """The outcome with its numbers; `even` are the requests a day from which a host pays."""
    host = "at no number of requests, at these prices."
    # Requests a day; None where one host could not answer so many.
    if even:
        host = f"from {even:,.0f} requests a day."
    return (
        f"Of the new facts v2 knows {known['v2']}, the child of v1 {known['child of v1']} (v1: "
        f"{known['v1']}); redone on v2 it knows {known['child of v2']}. That took "
        f"{bills['minutes']:.1f} minutes and {bills['flops']:.1e} FLOPs here. A host of one's own "
        f"pays {host}"
    )


def bills_of(redone: Sequence[Work], prices: Prices) -> dict[str, float]:
    """What redoing the child took here, and by arithmetic what it takes with a model of 8 billion
    parameters."""
    seconds = float(np.mean([work.seconds for work in redone]))
    flops = float(np.mean([work.flops for work in redone]))
    tokens = float(np.mean([work.tokens for work in redone]))
    # By arithmetic: 6 FLOPs for each parameter and token (Kaplan et al. 2020), on one H100.
    large = bill(8e9, TUNING_TOKENS, GPUS["h100"], prices.host_per_hour)
    return {
        "minutes": seconds / 60,
        "flops": flops,
        "tokens": tokens,
        # Little here: the point is that all of it comes again with every version.
        "dollars": seconds / 3600 * MACHINE_PER_HOUR,
        # The same work on a model as people use it.
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
