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
    seeds           three

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

ARMS = ("v1", "child of v1", "v2", "child of v2")
# that a fine-tune of a large model reads: 25 million of one's own, four times over
TUNING_TOKENS = 100e6
# dollars: AWS, t3.large (2 virtual cores as here), on demand, us-east-1, 2024
MACHINE_PER_HOUR = 0.0832
STEPS = {"smoke": 4, "full": 160}
EVERY = {"smoke": 30, "full": 1}  # every so many of the questions is asked


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Make both bases and both children of every seed, and ask all of them what the second edition
    says."""
    poems, unseen = verse_poems(experiment)
    right: dict[str, list[list[int]]] = {arm: [] for arm in ARMS}
    redone = []
    for seed in experiment.seeds:
        bases = {"v1": (yield from base_with_facts(experiment, seed))}
        bases["v2"] = yield from base_with_facts(experiment, seed, edition=2, parent=bases["v1"])
        runs: dict[str, Run] = {}
        for name, base in bases.items():
            mixed = poems + register_and_stories(int(name[1:]), 2 * len(poems), seed)
            corpus = document_corpus(load_model(base).tokenizer, mixed, unseen)
            recipe = continued_recipe(
                experiment, base, seed, STEPS[experiment.scale], **{"model.dropout": "0.1"}
            )
            child = yield from experiment.train(f"child of {name}, seed {seed}", recipe, corpus)
            runs |= {name: base, f"child of {name}": child}
        questions = fact_questions(2, CHANGED_RELATIONS)[:: EVERY[experiment.scale]]
        for arm in ARMS:
            asked = partial(score_answers, runs[arm], questions)
            right[arm].append(
                experiment.measure(f"{arm}, seed {seed}", runs[arm].fingerprint, asked)
            )
        redone.append(work_of(runs["child of v2"]))
    return conclude(right, redone, Prices())


# -- costs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What one training run took."""

    seconds: float
    flops: float
    tokens: int


def work_of(run: Run) -> Work:
    return Work(*(run.manifest[key] for key in ("seconds", "flops", "tokens")))


# -- what follows ---------------------------------------------------------------------------------


def conclude(right: dict[str, list[list[int]]], redone: Sequence[Work], prices: Prices) -> Result:
    """Whether the child of v1 lacks what v2 knows, and the redone child has it."""
    groups = [seed for seed, own in enumerate(right["v1"]) for _ in own]
    flat = {arm: np.concatenate(own) for arm, own in right.items()}
    arms = [
        Arm(
            arm,
            "share",
            [float(np.mean(own)) for own in right[arm]],
            interval(flat[arm], groups=groups),
        )
        for arm in ARMS
    ]
    lacks = paired_difference(flat["v2"], flat["child of v1"], groups=groups)
    regained = paired_difference(flat["child of v2"], flat["child of v1"], groups=groups)
    shares = {arm.name: percent(arm.interval.mean) for arm in arms}
    bills, even = bills_of(redone, prices), break_even(prices)
    sentence = (
        f"Of the new facts v2 knows {shares['v2']}, the child of v1 {shares['child of v1']} (v1: "
        f"{shares['v1']}); redone on v2 it knows {shares['child of v2']}. That took "
        f"{bills['minutes']:.1f} minutes and {bills['flops']:.1e} FLOPs here. A host of one's own "
        "pays "
        + (
            f"from {even:,.0f} requests a day."
            if even
            else "at no number of requests, at these prices."
        )
    )
    title = (
        f"The child of v1 knows {shares['child of v1']} of the new facts, its base's next version "
        f"{shares['v2']}"
    )
    return Result(
        together(above(lacks), above(regained)),
        sentence,
        arms,
        {
            "facts.png": dots(title, arms, "share of the new answers found (guessing: 0.25)"),
            "hosting.png": hosting(prices),
        },
        targets={
            "minutes, FLOPs and money of redoing it are told": all(
                value > 0 for value in bills.values()
            )
        },
        details={
            "lacks": interval_json(lacks),
            "regained": interval_json(regained),
            "redoing": bills,
            "prices": asdict(prices),
            "break_even_requests_per_day": even,
        },
    )


def bills_of(redone: Sequence[Work], prices: Prices) -> dict[str, float]:
    """What redoing the child took here, and by arithmetic what it takes with a model of 8 billion
    parameters."""
    seconds, flops, tokens = (
        float(np.mean([getattr(work, key) for work in redone]))
        for key in ("seconds", "flops", "tokens")
    )
    large = bill(8e9, TUNING_TOKENS, GPUS["h100"], prices.host_per_hour)
    return {
        "minutes": seconds / 60,
        "flops": flops,
        "tokens": tokens,
        "dollars": seconds / 3600 * MACHINE_PER_HOUR,
        "8B: flops": large.flops,
        "8B: GPU-hours": large.gpu_hours,
        "8B: dollars": large.dollars,
    }


def hosting(prices: Prices) -> Figure:
    """Dollars a day against requests a day, for both ways of paying."""
    even = break_even(prices)
    requests = np.geomspace(100, 3e6, 400)
    title = (
        f"An own host at ${prices.host_per_hour:g} an hour is cheaper from {even:,.0f} requests a "
        "day"
        if even
        else f"At ${prices.host_per_hour:g} an hour an own host is never cheaper than paying per "
        "request"
    )
    with canvas(title) as figure:
        axes = figure.subplots()
        axes.plot(
            requests,
            [per_day(prices, r) for r in requests],
            color=colour(0),
            label="hosts of one's own",
        )
        axes.plot(
            requests,
            requests * per_request(prices),
            color=colour(1),
            linestyle="--",
            label="paid per request",
        )
        if even:
            axes.plot([even], [per_day(prices, even)], "o", color=colour(2), markersize=9)
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
    minutes=5,
    base_minutes=13,
    run=run,
)
