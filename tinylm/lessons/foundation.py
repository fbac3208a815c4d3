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
    control         a skill that shares nothing with what the base has read (log): a base that were
                    as quick there would owe it to something else than its knowledge
    price           the base's own training; scratch gets the base's tokenizer for nothing
    seeds           three: each with a base and random weights of its own
    control run     the base has read noise: the same recipe, lengths and number of tokens, each
                    drawn at random (shared.noise_base). Its search over rates is its own. Shuffled
                    stories were not taken: they still tell how often each word occurs, which
                    random weights have to learn first. Expected: as many steps as from random
                    weights, or more

A finished run at runs/foundation, such as an imported checkpoint, joins in: LoRA on the verse for
at most three minutes. It is reported in bits per byte before and after, since its tokenizer and
size are its own.

Tried before. At first the verdict asked for at most half of the steps, which is a hope and not the
claim. The half is a target now. Known when the two were separated: 0.05, 0.07, 0.53 and 0.90 of the
steps.

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
from tinylm.lessons.lesson import Arm, Lesson, Result, Verdict, below
from tinylm.lessons.shared import (
    best_rates,
    bits_per_byte,
    continued_recipe,
    document_corpus,
    noise_base,
    register,
    verse_poems,
)
from tinylm.pages.figures import canvas, colour
from tinylm.runs import Run, open_run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model

SCRATCH, BASE = "from scratch", "from the base"
SIDES = (SCRATCH, BASE)  # called the stranger and the graduate below
NULL = 1.0  # share of the stranger's steps: the base is no quicker
TARGET = 0.5  # share of the stranger's steps that was hoped for
SKILLS_NEEDED = 3  # of the four: the claim is on skills in general, and one may be too alien


@dataclass(frozen=True)
class Sizes:
    """How long each skill is trained, and on how many documents, at one scale."""

    steps: int
    every: int  # steps between validations
    documents: int  # to learn from, at most; a tenth as many for validation, 40 at most


SIZES = {"smoke": Sizes(4, 2, 30), "full": Sizes(120, 10, 3_000)}

Curve = list[tuple[int, float]]  # (step, bits per byte of unseen text), from step 0 on


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Learn every skill from both starts with every seed, and note when each reaches the stranger's
    best."""
    curves: dict[str, dict[str, list[Curve]]] = {}  # skill -> side -> a curve for each seed
    rates: dict[str, dict[str, str]] = {}  # skill and side -> fields of the recipe
    for seed in experiment.seeds:
        educated = noise_base if experiment.control else Experiment.base
        base = yield from educated(experiment, seed)
        # Both sides read the base's tokens: bits per byte would allow two tokenizers, but steps
        # are compared here, and a step holds more text where tokens are longer.
        for skill, corpus in corpora(experiment, load_model(base).tokenizer).items():
            own = curves.setdefault(skill, {side: [] for side in SIDES})
            for side in SIDES:
                start = {"start_from": str(base.folder)} if side == BASE else {}
                name = f"{skill} {side}"
                # The first seed searches; the others use what it found. Each side has a search of
                # its own, since random weights bear larger rates than trained ones.
                if name not in rates:
                    first_guess = recipe_of(experiment, seed, start)
                    rates[name] = yield from best_rates(experiment, name, first_guess, corpus)
                recipe = recipe_of(experiment, seed, {**start, **rates[name]})
                trained = yield from experiment.train(f"{name}, seed {seed}", recipe, corpus)
                own[side].append(curve_of(trained))
    checkpoint = yield from imported(experiment)
    return conclude(curves, checkpoint)


def recipe_of(experiment: Experiment, seed: int, fields: dict[str, str]) -> Recipe:
    """The base's recipe, short, validated often, at rates between those of pretraining and
    fine-tuning."""
    sizes = SIZES[experiment.scale]
    values = {
        "train.steps": str(sizes.steps),
        # The steps to a loss are read off between validations: the closer they are, the finer.
        "train.evaluate_every": str(sizes.every),
        # Where the search begins; it tries a third and three times of these.
        "train.learning_rate": "0.003",
        "train.muon_learning_rate": "0.015",
        "sample.prompts": "[]",
    }
    # The caller's fields win: they hold the start and the rates that the search has found.
    return experiment.base_recipe(seed, **{**values, **fields})


# -- the data -------------------------------------------------------------------------------------


def corpora(experiment: Experiment, tokenizer: Tokenizer) -> dict[str, Corpus]:
    """One corpus a skill, in the base's tokens; none of it stands in what the base has read."""
    count = SIZES[experiment.scale].documents
    few = min(40, count // 10 + 1)  # validated often, so on little text
    poems, unseen = verse_poems(experiment)
    # The facts are the same in both parts of the register, in other words and another order.
    entries, unseen_entries = register(1, count, seed=0), register(1, few, seed=1)
    # A log is several times as long as an entry or a sentence, so fewer make as much text.
    logs = list(islice(documents(0), count // 4))
    unseen_logs = list(islice(documents(0, "valid"), few // 8 + 1))
    # From what is close to the base's stories to what is far from them.
    return {
        "verse": document_corpus(tokenizer, poems, unseen),
        "register": document_corpus(tokenizer, entries, unseen_entries),
        "proofreading": proofs(tokenizer, misread("train", count), misread("valid", few)),
        "log": document_corpus(tokenizer, logs, unseen_logs),
    }


def misread(split: str, count: int) -> list[tuple[str, str]]:
    """The first two sentences of stories that the base has not read: (as a scanner misread them, as
    they were)."""
    # The base's stories have seed 0: these are other ones, from the same program.
    texts = islice(stories(1, split), count)  # type: ignore[arg-type]
    clean = []
    for story in texts:
        sentences = story.text.replace("\n", " ").split(". ")
        clean.append(". ".join(sentences[:2]))  # short enough for a pair to fit into the context
    # 1.0: every one of them is misread, none is right already.
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
        side_ids: list[int] = []
        side_mask: list[int] = []  # 1 where a token is a target of the loss
        for wrong, right in pairs:
            question = [tokenizer.special_id(DOCUMENT), *tokenizer.encode(f"{wrong}\n")]
            answer = tokenizer.encode(right)
            side_ids += question + answer
            # Unmasked, half of the loss would be for predicting a scanner's errors, which are
            # random: there is nothing to learn about them.
            side_mask += [0] * len(question) + [1] * len(answer)
        ids.append(np.array(side_ids, dtype=np.uint16))
        masks.append(np.array(side_mask, dtype=np.uint8))
    return Corpus(
        tokenizer, ids[0], ids[1], "proofreading", train_mask=masks[0], valid_mask=masks[1]
    )


# -- an imported checkpoint -----------------------------------------------------------------------


def imported(experiment: Experiment) -> Generator[Progress, None, dict[str, Any] | None]:
    """Bits per byte of unseen verse of the run at runs/foundation, before and after; None where
    there is none."""
    # Beside the lessons' own folder: `tinylm import` and `demo --foundation` write there.
    folder = experiment.out.parent.parent / "foundation"
    if not is_finished(folder):
        return None
    parent = open_run(folder)
    usual = experiment.base_recipe(1)
    # As many tokens a step as the other runs have, whatever its context is.
    batch = max(1, usual.model.context * usual.train.batch_size // parent.model_config.context)
    fields = {
        # Adapters: full weights with their moments may not fit into a laptop's memory.
        "lora.rank": "8",
        "train.optimizer": "adamw",
        "train.learning_rate": "0.001",
        "train.batch_size": str(batch),
        "train.micro_batch_size": "1",  # one sequence at a time, gradients added up: less memory
        "train.max_minutes": "3",
    }
    recipe = continued_recipe(experiment, parent, 1, SIZES[experiment.scale].steps, **fields)
    poems, unseen = verse_poems(experiment)
    corpus = document_corpus(load_model(parent).tokenizer, poems, unseen)
    tuned = yield from experiment.train("imported checkpoint on verse", recipe, corpus)
    # Bits per byte and no steps: nobody trains such a model from scratch here to compare with.
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
    """A run's validations in order, as (step, bits per byte)."""
    # Step 0 is validated too: what the start is worth before it has learned anything.
    return [(record["step"], record["bits_per_byte"]) for record in run.records("valid")]


def steps_to(curve: Curve, goal: float) -> float | None:
    """The step at which a curve first comes down to `goal`, on straight lines between its points;
    None: never.

    >>> (steps_to([(0, 5.0), (10, 3.0), (20, 2.0)], goal=2.5),
    ...  steps_to([(0, 5.0), (10, 3.0)], goal=2.5))
    (15.0, None)
    """
    if curve[0][1] <= goal:  # there before the first step
        return float(curve[0][0])
    for (before, high), (after, low) in pairwise(curve):
        if low <= goal:
            # The first point at or below the goal: the curve crosses it on the line before.
            return before + (after - before) * (high - goal) / (high - low)
    return None


def ratios(curves: dict[str, list[Curve]]) -> list[float]:
    """For each seed: the base's steps to the stranger's best over the stranger's own.

    A base that never gets there is given twice all its steps: a number beyond the null and the
    target.
    """
    shares = []
    for stranger, graduate in zip(curves[SCRATCH], curves[BASE]):
        # The lowest and not the last loss: the stranger may have learned the corpus by heart since.
        goal = min(value for _, value in stranger)
        own, reached = steps_to(stranger, goal), steps_to(graduate, goal)
        if reached is None:
            reached = 2 * graduate[-1][0]
        shares.append(reached / max(own or 0.0, 1.0))  # at least one step: no division by zero
    return shares


def conclude(
    curves: dict[str, dict[str, list[Curve]]], checkpoint: dict[str, Any] | None
) -> Result:
    """Whether the base reaches the stranger's best in fewer steps, for three skills at least."""
    # One number a skill and seed: 0.25 means a quarter of the stranger's steps.
    ratios_of = {skill: ratios(own) for skill, own in curves.items()}
    shares = {skill: interval(own, groups=range(len(own))) for skill, own in ratios_of.items()}
    # Each skill against the null, by its whole interval over the seeds.
    verdicts = {skill: below(share, NULL) for skill, share in shares.items()}
    quick = [skill for skill, verdict in verdicts.items() if verdict == "supported"]
    # Skills that may still be quick: enough of them leave the claim open, too few refute it.
    possible = [skill for skill, verdict in verdicts.items() if verdict != "not supported"]
    verdict: Verdict = "not supported"
    if len(quick) >= SKILLS_NEEDED:
        verdict = "supported"
    elif len(possible) >= SKILLS_NEEDED:
        verdict = "no measurable difference"
    hits = sum(share.mean <= TARGET for share in shares.values())  # a target: by the means
    return Result(
        verdict,
        sentence(shares, quick, checkpoint),
        [Arm(skill, "share of the steps", own) for skill, own in ratios_of.items()],
        {"curves.png": picture(curves, shares)},
        targets={"in at most half of the steps for at least 3 skills": hits >= SKILLS_NEEDED},
        details={"curves": curves, "imported": checkpoint},
    )


def sentence(
    shares: dict[str, Interval], quick: Sequence[str], checkpoint: dict[str, Any] | None
) -> str:
    """The outcome with its numbers; `quick` are the skills that surely take fewer steps."""
    listing = ", ".join(f"{skill} {share.mean:.2f}" for skill, share in shares.items())
    text = (
        "The base reaches what random weights reach at best in this share of their steps: "
        f"{listing}. "
        f"It surely needs fewer for {len(quick)} of {len(shares)} skills."
    )
    # Told beside the verdict, not in it: a model of another size, without a stranger of its kind.
    if checkpoint:
        text += (
            f" The imported checkpoint goes from {checkpoint['bits_per_byte_before']:.2f} to "
            f"{checkpoint['bits_per_byte_after']:.2f} bits per byte of unseen verse."
        )
    return text


def picture(curves: dict[str, dict[str, list[Curve]]], shares: dict[str, Interval]) -> Figure:
    """One panel a skill: every seed of both sides."""
    quick = sum(share.mean <= TARGET for share in shares.values())
    title = (
        f"From the base, {quick} of {len(curves)} skills are reached in at most half of the steps"
    )
    with canvas(title, (9.2, 6.2)) as figure:
        panels = figure.subplots(2, 2, squeeze=False).flat
        for axes, (skill, own) in zip(panels, curves.items()):
            for place, side in enumerate(SIDES):
                for seed, curve in enumerate(own[side]):
                    # One entry of the legend a side, whatever the number of seeds.
                    label = side if seed == 0 else None
                    axes.plot(*zip(*curve), color=colour(place), alpha=0.7, label=label)
            # The number of the panel is that of the verdict: a mean over the seeds.
            axes.set_title(
                f"{skill}: {shares[skill].mean:.2f} of the steps", loc="left", fontsize=12.5
            )
            axes.set(xlabel="steps", ylabel="bits per byte")
        # All panels have the same two sides, so the last one speaks for all.
        figure.legend(
            *axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2
        )
    return figure


LESSON = Lesson(
    name="foundation",
    claim="It is wiser to start from a foundation model than from scratch.",
    question="How many steps does a new skill take from the pretrained base, and from random "
    "weights?",
    control="The base was trained as long on random tokens, so it has nothing to bring along.",
    minutes=10,
    base_minutes=8,
    run=run,
)
