"""Fine-tuning changes how a model speaks: does it also change what the model knows?

One base that tells stories and knows the town's facts is taught iambic pentameter, and compared on
equal terms:

    base            its prose, cut at every tenth syllable, so that it has lines to judge at all
    prompted        the same weights, shown four lines of verse as the prompt
    full            every weight fine-tuned on verse           LoRA    thin adapters beside the
      frozen weights
    replay          as full, with as much of what the base has read mixed in: half of the verse in
      the same steps
    from scratch    no base at all: random weights, the same verse, the same steps

The four that train have the same steps, tokens and learning-rate search. Facts kept: of the
questions that the base answers rightly, the share that is still answered rightly (guessing would
keep 25 %).

Trade-off: the metre is that of a rule-based scorer; prose scans by chance in about one line of
five, which is why the cut prose is the yardstick and not 0.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.compare.measures import cut_shares, flagged, rhyming, scans
from tinylm.config import Recipe
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, Verdict, above, dots, together
from tinylm.lessons.shared import (
    arms_of_measure,
    base_with_facts,
    best_rates,
    bits_per_byte,
    document_corpus,
    fact_questions,
    hit_share,
    interval_json,
    register_and_stories,
    sample_continuations,
    score_answers,
    unseen_stories,
    verse_poems,
)
from tinylm.pages.figures import MARKERS, MUTED, canvas, colour, percent
from tinylm.runs import Run
from tinylm.training.load import load_model

PROMPTS = ("The tide", "Mara the net-mender")
TRAINED = {  # arm -> fields of its recipe; "start_from" is filled in where there is a base
    "full fine-tune": {},
    "full with replay": {},
    "LoRA": {"lora.rank": "8", "train.learning_rate": "0.004"},
    "from scratch on verse": {},
}
ARMS = ("base", "prompted base", *TRAINED)
MEASURES = {
    "metre": "share",
    "rhyme": "share",
    "verse": "bits/byte",
    "stories": "bits/byte",
    "facts": "share",
}


@dataclass(frozen=True)
class Sizes:
    steps: int
    samples: int
    stories: int  # unseen ones, for bits per byte
    questions: int  # every n-th of the questions is asked


SIZES = {"smoke": Sizes(4, 8, 2, 90), "full": Sizes(200, 128, 40, 1)}

Scores = dict[str, dict[str, Any]]  # arm -> measure -> value


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Teach verse to the base of each seed in three ways, and examine all arms on the same texts
    and questions."""
    poems, unseen = verse_poems(experiment)
    rates: dict[str, dict[str, str]] = {}
    scores: list[Scores] = []  # one a seed
    for seed in experiment.seeds:
        base: Run = yield from base_with_facts(experiment, seed)
        tokenizer = load_model(base).tokenizer
        plain = document_corpus(tokenizer, poems, unseen)
        replay = document_corpus(
            tokenizer, poems + register_and_stories(1, 2 * len(poems), seed), unseen
        )
        runs: dict[str, Run] = {}
        for arm, fields in TRAINED.items():
            corpus = replay if arm == "full with replay" else plain
            if arm not in rates:
                rates[arm] = yield from best_rates(
                    experiment, arm, recipe_of(experiment, base, arm, seed, fields), corpus
                )
            recipe = recipe_of(experiment, base, arm, seed, {**fields, **rates[arm]})
            runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe, corpus)
        scores.append({})
        for place, arm in enumerate(ARMS):
            yield Progress(f"examining, seed {seed}", place, len(ARMS))
            judged = runs.get(arm, base)
            examined = partial(examine, experiment, judged, arm, unseen)
            scores[-1][arm] = experiment.measure(
                f"{arm}, seed {seed}", judged.fingerprint, examined
            )
    return conclude(scores)


# -- training -------------------------------------------------------------------------------------


def recipe_of(
    experiment: Experiment, base: Run, arm: str, seed: int, fields: dict[str, str]
) -> Recipe:
    """How an arm learns the verse: alike, but for where it starts and what may move."""
    steps = SIZES[experiment.scale].steps
    start = (
        {}
        if arm == "from scratch on verse"
        else {
            "start_from": str(base.folder),
            "train.learning_rate": "0.002",
            "train.muon_learning_rate": "0.01",
        }
    )
    common = {
        "train.steps": str(steps),
        "train.evaluate_every": str(max(1, steps // 4)),
        "model.dropout": "0.1",
        "sample.prompts": "[]",
    }
    return experiment.base_recipe(seed, **{**start, **common, **fields})


# -- measuring ------------------------------------------------------------------------------------


def examine(experiment: Experiment, judged: Run, arm: str, unseen: Sequence[str]) -> dict[str, Any]:
    """Everything that is measured on one arm. Prose has no lines, so the base's is cut at ten
    syllables."""
    sizes = SIZES[experiment.scale]
    prompts = (
        ["\n".join(unseen[0].splitlines()[:4]) + "\n"] if arm == "prompted base" else list(PROMPTS)
    )
    samples = sample_continuations(experiment, judged, prompts, sizes.samples)
    lines = cut_shares(samples) if arm == "base" else flagged(samples, scans)
    questions = fact_questions(1)[:: sizes.questions]
    return {
        "metre": hit_share(lines),
        "rhyme": hit_share(rhyming(samples)),
        "lines": int(lines[:, 1].sum()),
        "verse": bits_per_byte(judged, unseen),
        "stories": bits_per_byte(judged, unseen_stories(sizes.stories)),
        "facts": score_answers(judged, questions),
        "sample": samples[0].prompt + samples[0].text,
    }


# -- what follows ---------------------------------------------------------------------------------


def kept(scores: Sequence[Scores], arm: str) -> Interval:
    """Share of the base's right answers that an arm still gives, over questions and seeds."""
    still, groups = [], []
    for seed, own in enumerate(scores):
        known = [after for before, after in zip(own["base"]["facts"], own[arm]["facts"]) if before]
        still += known
        groups += [seed] * len(known)
    return interval(still or [0], groups=groups or [0])


def facts_gained(scores: Sequence[Scores], arm: str) -> Interval:
    """Share of all questions answered rightly, an arm's minus the base's, over questions and
    seeds."""
    after = [right for own in scores for right in own[arm]["facts"]]
    before = [right for own in scores for right in own["base"]["facts"]]
    groups = [seed for seed, own in enumerate(scores) for _ in own["base"]["facts"]]
    return paired_difference(after, before, groups=groups)


def arms_of(scores: Sequence[Scores]) -> list[Arm]:
    """Every arm under every measure, with its value for each seed."""
    return [
        Arm(f"{measure}: {arm}", unit, [float(np.mean(own[arm][measure])) for own in scores])
        for measure, unit in MEASURES.items()
        for arm in ARMS
    ]


def conclude(scores: Sequence[Scores]) -> Result:
    """Whether the fine-tune scans better than the base and the prompted base, and teaches no
    facts."""
    seeds = range(len(scores))
    metre = {arm: [own[arm]["metre"] for own in scores] for arm in ARMS}
    gains = {
        arm: paired_difference(metre["full fine-tune"], metre[arm], groups=seeds)
        for arm in ARMS[:2]
    }
    facts = {arm: kept(scores, arm) for arm in ("full fine-tune", "full with replay", "LoRA")}
    times = np.mean(metre["full fine-tune"]) / max(np.mean(metre["base"]), 1e-9)
    known = np.mean([np.mean(own["base"]["facts"]) for own in scores])
    arms = arms_of(scores)
    # The claim says that knowledge is not what a fine-tune brings: a rise in facts would refute it.
    taught = any(above(facts_gained(scores, arm)) == "supported" for arm in facts)
    verdict: Verdict = "not supported" if taught else together(*map(above, gains.values()))
    sentence = (
        f"Fine-tuning brings lines that scan from {percent(np.mean(metre['base']))} (prompted: "
        f"{percent(np.mean(metre['prompted base']))}) to "
        f"{percent(np.mean(metre['full fine-tune']))}, LoRA to {percent(np.mean(metre['LoRA']))}; "
        f"of the facts known before ({percent(known)} of all), "
        f"{percent(facts['full fine-tune'].mean)} and {percent(facts['LoRA'].mean)} are kept, with "
        f"replay {percent(facts['full with replay'].mean)} "
        f"({percent(np.mean(metre['full with replay']))} scan)."
    )
    return Result(
        verdict,
        sentence,
        arms,
        {
            "metre.png": dots(
                f"Lines scan {times:.1f} x as often after the full fine-tune",
                arms_of_measure("metre", arms),
                "share of lines that scan (the base's prose: cut at ten syllables)",
            ),
            "facts.png": trade(scores, facts),
        },
        targets={
            "metre x >= 2.5, against the base's prose cut at ten syllables": bool(times >= 2.5),
            "LoRA keeps >= 90 % of the facts": facts["LoRA"].mean >= 0.9,
        },
        details={
            "metre": metre,
            "kept": {arm: interval_json(kept_share) for arm, kept_share in facts.items()},
            "samples": {arm: scores[0][arm]["sample"] for arm in ARMS},
            "lines": {arm: [own[arm]["lines"] for own in scores] for arm in ARMS},
        },
    )


def trade(scores: Sequence[Scores], facts: dict[str, Interval]) -> Figure:
    """Style against knowledge: each arm of each seed as a point."""
    title = (
        f"LoRA keeps {percent(facts['LoRA'].mean)} of the base's facts, the full fine-tune "
        f"{percent(facts['full fine-tune'].mean)}, with replay "
        f"{percent(facts['full with replay'].mean)}"
    )
    with canvas(title) as figure:
        axes = figure.subplots()
        for place, arm in enumerate(ARMS):
            points = [(own[arm]["metre"], np.mean(own[arm]["facts"])) for own in scores]
            axes.plot(*zip(*points), MARKERS[place], color=colour(place), markersize=9, label=arm)
        axes.axhline(0.25, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate("guessing", (0.0, 0.25), textcoords="offset points", xytext=(2, 4))
        axes.set(
            xlabel="lines that scan, share",
            ylabel="facts known, share",
            xlim=(-0.01, None),
            ylim=(0, 1.02),
        )
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(0.03, 0.62))
    return figure


LESSON = Lesson(
    name="style",
    claim="Fine-tuning adjusts style, tone and behaviour; it is not there to teach knowledge.",
    question="Does a model that learns to speak in iambic pentameter still know what it knew?",
    minutes=11,
    base_minutes=12,
    run=run,
)
