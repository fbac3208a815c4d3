"""Start from a pretrained base or from random weights: how many steps does a new skill take?

Design. Four skills, each a corpus of its own:

    verse           iambic pentameter about the same town
    register        who lives where, keeps what, likes what
    proofreading    a sentence misread by a scanner, then the right one (loss on the right one)
    log             the pilots' log, in a vocabulary that the base has never met

    manipulated     the start: the pretrained base, or random weights (scratch)
    constant        network, steps, tokens, corpus, the base's tokenizer (an advantage for scratch),
                    a search over the same learning rates for each side
    effect          steps that the base needs to reach the lowest loss that scratch reaches in all
                    its steps, as a share of the steps that scratch needs for it; read off between
                    validations along a straight line
    null            1: the base is no quicker
    seeds           three

A finished run at runs/foundation, such as an imported checkpoint, joins in: LoRA on the verse for
at most three minutes. It is reported in bits per byte before and after, since its tokenizer and
size are its own.

At first the verdict asked for at most half of the steps, which is a hope and not the claim. The
half is a target now. Known when the two were separated: 0.05, 0.07, 0.53 and 0.90 of the steps.

Trade-off: the base's own training is not counted. That is the point of the claim: somebody else has
paid for it.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.config import Recipe
from tinylm.corpora.domain import documents
from tinylm.corpora.noise import corrupt
from tinylm.corpora.stories import stories
from tinylm.evaluation.statistics import Interval, interval
from tinylm.lessons.experiment import Experiment, Progress, is_finished
from tinylm.lessons.lesson import Arm, Lesson, Result, below
from tinylm.lessons.shared import (
    best_rates,
    bits_per_byte,
    continued_recipe,
    document_corpus,
    register,
    verse_poems,
)
from tinylm.pages.figures import canvas, colour
from tinylm.runs import Run, open_run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model

SIDES = ("from scratch", "from the base")
NULL = 1.0  # share of the stranger's steps: the base is no quicker
TARGET = 0.5  # share of the stranger's steps that was hoped for
SKILLS_NEEDED = 3


@dataclass(frozen=True)
class Sizes:
    steps: int
    every: int  # steps between validations
    documents: int  # to learn from, at most; a tenth as many for validation, 40 at most


SIZES = {"smoke": Sizes(4, 2, 30), "full": Sizes(120, 10, 3_000)}

Curve = list[tuple[int, float]]  # (step, bits per byte of unseen text), from step 0 on


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Learn every skill from both starts with every seed, and note when each reaches the stranger's
    best."""
    curves: dict[str, dict[str, list[Curve]]] = {}
    rates: dict[str, dict[str, str]] = {}
    for seed in experiment.seeds:
        base = yield from experiment.base(seed)
        for skill, corpus in corpora(experiment, load_model(base).tokenizer).items():
            for side in SIDES:
                start = {"start_from": str(base.folder)} if side == "from the base" else {}
                name = f"{skill} {side}"
                if name not in rates:
                    rates[name] = yield from best_rates(
                        experiment, name, recipe_of(experiment, seed, start), corpus
                    )
                recipe = recipe_of(experiment, seed, {**start, **rates[name]})
                trained = yield from experiment.train(f"{name}, seed {seed}", recipe, corpus)
                curves.setdefault(skill, {name: [] for name in SIDES})[side].append(
                    curve_of(trained)
                )
    return conclude(curves, (yield from imported(experiment)))


def recipe_of(experiment: Experiment, seed: int, fields: dict[str, str]) -> Recipe:
    """The base's recipe, short, validated often, at rates between those of pretraining and
    fine-tuning."""
    sizes = SIZES[experiment.scale]
    values = {
        "train.steps": sizes.steps,
        "train.evaluate_every": sizes.every,
        "train.learning_rate": 0.003,
        "train.muon_learning_rate": 0.015,
        "sample.prompts": [],
    }
    return experiment.base_recipe(
        seed, **{**{name: str(value) for name, value in values.items()}, **fields}
    )


# -- the data -------------------------------------------------------------------------------------


def corpora(experiment: Experiment, tokenizer: Tokenizer) -> dict[str, Corpus]:
    """One corpus a skill, in the base's tokens; none of it stands in what the base has read."""
    count = SIZES[experiment.scale].documents
    few = min(40, count // 10 + 1)
    poems, unseen = verse_poems(experiment)
    return {
        "verse": document_corpus(tokenizer, poems, unseen),
        "register": document_corpus(
            tokenizer, register(1, count, seed=0), register(1, few, seed=1)
        ),
        "proofreading": proofs(tokenizer, misread("train", count), misread("valid", few)),
        "log": document_corpus(
            tokenizer,
            list(islice(documents(0), count // 4)),
            list(islice(documents(0, "valid"), few // 8 + 1)),
        ),
    }


def misread(split: str, count: int) -> list[tuple[str, str]]:
    """The first two sentences of stories that the base has not read: (as a scanner misread them, as
    they were)."""
    texts = islice(stories(1, split), count)  # type: ignore[arg-type]
    clean = [". ".join(story.text.replace("\n", " ").split(". ")[:2]) for story in texts]
    return list(zip(corrupt(clean, "ocr", 1.0, seed=1), clean))


def proofs(
    tokenizer: Tokenizer, train: Sequence[tuple[str, str]], valid: Sequence[tuple[str, str]]
) -> Corpus:
    """Pairs as documents, the misread line first; the masks are 1 on the right line only.

    >>> from tinylm.text.tokenizers import CharTokenizer
    >>> corpus = proofs(CharTokenizer("\\nabcd", [DOCUMENT]), [("ad", "ab")], [("cb", "ab")])
    >>> corpus.train.tolist(), corpus.train_mask.tolist()
    ([261, 1, 4, 0, 1, 2], [0, 0, 0, 0, 1, 1])
    """
    ids, masks = [], []
    for pairs in (train, valid):
        parts = [
            (
                [tokenizer.special_id(DOCUMENT), *tokenizer.encode(f"{wrong}\n")],
                tokenizer.encode(right),
            )
            for wrong, right in pairs
        ]
        ids.append(
            np.array(
                [id for question, answer in parts for id in (*question, *answer)], dtype=np.uint16
            )
        )
        masks.append(
            np.concatenate([[0] * len(q) + [1] * len(a) for q, a in parts]).astype(np.uint8)
        )
    return Corpus(
        tokenizer, ids[0], ids[1], "proofreading", train_mask=masks[0], valid_mask=masks[1]
    )


# -- an imported checkpoint -----------------------------------------------------------------------


def imported(experiment: Experiment) -> Generator[Progress, None, dict[str, Any] | None]:
    """Bits per byte of unseen verse of the run at runs/foundation, before and after; None where
    there is none."""
    folder = experiment.out.parent.parent / "foundation"
    if not is_finished(folder):
        return None
    parent = open_run(folder)
    tokens = experiment.base_recipe(1).model.context * experiment.base_recipe(1).train.batch_size
    batch = max(1, tokens // parent.model_config.context)
    recipe = continued_recipe(
        experiment,
        parent,
        1,
        SIZES[experiment.scale].steps,
        **{
            "lora.rank": "8",
            "train.optimizer": "adamw",
            "train.learning_rate": "0.001",
            "train.batch_size": str(batch),
            "train.micro_batch_size": "1",
            "train.max_minutes": "3",
        },
    )
    poems, unseen = verse_poems(experiment)
    corpus = document_corpus(load_model(parent).tokenizer, poems, unseen)
    tuned = yield from experiment.train("imported checkpoint on verse", recipe, corpus)
    before, after = (
        experiment.measure(f"imported {when}", own.fingerprint, partial(bits_per_byte, own, unseen))
        for when, own in (("before", parent), ("after", tuned))
    )
    return {
        "bits_per_byte_before": before,
        "bits_per_byte_after": after,
        "steps": tuned.manifest["step"],
        "seconds": tuned.manifest["seconds"],
    }


# -- what follows ---------------------------------------------------------------------------------


def curve_of(run: Run) -> Curve:
    return [(record["step"], record["bits_per_byte"]) for record in run.records("valid")]


def steps_to(curve: Curve, goal: float) -> float | None:
    """The step at which a curve first comes down to `goal`, on straight lines between its points;
    None: never.

    >>> (steps_to([(0, 5.0), (10, 3.0), (20, 2.0)], goal=2.5),
    ...  steps_to([(0, 5.0), (10, 3.0)], goal=2.5))
    (15.0, None)
    """
    if curve[0][1] <= goal:
        return float(curve[0][0])
    for (before, high), (after, low) in pairwise(curve):
        if low <= goal:
            return before + (after - before) * (high - goal) / (high - low)
    return None


def ratios(curves: dict[str, list[Curve]]) -> list[float]:
    """For each seed: the base's steps to the stranger's best over the stranger's own.

    A base that never gets there is given twice all its steps: a number beyond the null and the
    target.
    """
    shares = []
    for stranger, graduate in zip(*(curves[side] for side in SIDES)):
        goal = min(value for _, value in stranger)
        own, reached = steps_to(stranger, goal), steps_to(graduate, goal)
        shares.append((2 * graduate[-1][0] if reached is None else reached) / max(own or 0.0, 1.0))
    return shares


def conclude(
    curves: dict[str, dict[str, list[Curve]]], checkpoint: dict[str, Any] | None
) -> Result:
    """Whether the base reaches the stranger's best in fewer steps, for three skills at least."""
    ratios_of = {skill: ratios(own) for skill, own in curves.items()}
    shares = {skill: interval(own, groups=range(len(own))) for skill, own in ratios_of.items()}
    quick = [skill for skill, share in shares.items() if below(share, NULL) == "supported"]
    means = {skill: share.mean for skill, share in shares.items()}
    listing = ", ".join(f"{skill} {share:.2f}" for skill, share in means.items())
    sentence = (
        "The base reaches what random weights reach at best in this share of their steps: "
        f"{listing}. "
        f"It surely needs fewer for {len(quick)} of {len(curves)} skills."
    )
    if checkpoint:
        sentence += (
            f" The imported checkpoint goes from {checkpoint['bits_per_byte_before']:.2f} to "
            f"{checkpoint['bits_per_byte_after']:.2f} bits per byte of unseen verse."
        )
    hits = sum(share <= TARGET for share in means.values())
    enough = len(quick) >= SKILLS_NEEDED
    possible = (
        sum(below(share, NULL) != "not supported" for share in shares.values()) >= SKILLS_NEEDED
    )
    return Result(
        "supported" if enough else "no measurable difference" if possible else "not supported",
        sentence,
        [Arm(skill, "share of the steps", own) for skill, own in ratios_of.items()],
        {"curves.png": picture(curves, shares)},
        targets={"in at most half of the steps for at least 3 skills": hits >= SKILLS_NEEDED},
        details={"curves": curves, "imported": checkpoint},
    )


def picture(curves: dict[str, dict[str, list[Curve]]], shares: dict[str, Interval]) -> Figure:
    """One panel a skill: every seed of both sides."""
    quick = sum(share.mean <= TARGET for share in shares.values())
    title = (
        f"From the base, {quick} of {len(curves)} skills are reached in at most half of the steps"
    )
    with canvas(title, (9.2, 6.2)) as figure:
        for axes, (skill, own) in zip(figure.subplots(2, 2, squeeze=False).flat, curves.items()):
            for place, side in enumerate(SIDES):
                for number, curve in enumerate(own[side]):
                    axes.plot(
                        *zip(*curve), color=colour(place), alpha=0.7, label=None if number else side
                    )
            axes.set_title(
                f"{skill}: {shares[skill].mean:.2f} of the steps", loc="left", fontsize=12.5
            )
            axes.set(xlabel="steps", ylabel="bits per byte")
        figure.legend(
            *axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2
        )
    return figure


LESSON = Lesson(
    name="foundation",
    claim="It is wiser to start from a foundation model than from scratch.",
    question="How many steps does a new skill take from the pretrained base, and from random "
    "weights?",
    minutes=10,
    base_minutes=8,
    run=run,
)
