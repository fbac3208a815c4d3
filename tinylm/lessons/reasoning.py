"""Step by step: is a hard problem easier for a model that writes down what comes between?

The problems are chains of one to eight operations on whole numbers, each result between 1 and 99:

    ((((3+5)*4)-7)*2)=          direct answer  50.
                                worked steps   3+5=8 8*4=32 32-7=25 25*2=50 50.

Both arms have the same network, learning-rate search, number of steps and of tokens in each step
(so the same time, to a few per cent), and the same problems. Loss only falls on what follows the
"=". A problem is solved when all that the model writes, taking the likeliest character each time,
is right: with worked steps every step, too.

Trade-offs: at the same number of tokens the direct arm sees about twice as many problems, and its
loss rests on fewer characters: that is what step-by-step data is. Chains are easy to check and have
no words; real reasoning has many.
"""

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from tinylm.config import Recipe
from tinylm.evaluation.statistics import interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, band
from tinylm.lessons.shared import best_rates, interval_json
from tinylm.pages.figures import canvas, percent
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer
from tinylm.training.load import load_model

LONGEST = 8  # operations in a chain
KINDS = ("direct answer", "worked steps")
TOKENIZER = CharTokenizer("".join(sorted("0123456789+-*()=. ")), [DOCUMENT])


@dataclass(frozen=True)
class Sizes:
    problems: int  # for training
    tested: int  # of each length
    steps: int


SIZES = {"smoke": Sizes(300, 4, 4), "full": Sizes(60_000, 100, 800)}


@dataclass(frozen=True)
class Problem:
    """A chain: its steps as (left, sign, right, result), each left the result before it."""

    steps: tuple[tuple[int, str, int, int], ...]

    @property
    def question(self) -> str:
        """The chain as one expression, e.g. `((3+5)*4)=`."""
        first, *rest = self.steps
        text = f"({first[0]}{first[1]}{first[2]})"
        for _, sign, right, _ in rest:
            text = f"({text}{sign}{right})"
        return f"{text}="

    def answer(self, kind: str) -> str:
        """What the model is to write: the result, after the steps that lead to it where they are
        worked.

        >>> chain = Problem(((3, "+", 5, 8), (8, "*", 4, 32)))
        >>> chain.question, chain.answer("direct answer"), chain.answer("worked steps")
        ('((3+5)*4)=', '32.', '3+5=8 8*4=32 32.')
        """
        worked = [f"{left}{sign}{right}={result}" for left, sign, right, result in self.steps]
        return " ".join([*(worked if kind == "worked steps" else []), f"{self.steps[-1][3]}."])


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Search the learning rates of both arms alike, train each with every seed, and let it solve
    unseen problems."""
    sizes = SIZES[experiment.scale]
    train, tested = problems(sizes)
    solved: dict[str, list[list[int]]] = {}
    for kind in KINDS:
        corpus = corpus_of(kind, train, tested)
        rates = yield from best_rates(
            experiment, kind, recipe_of(experiment, 1, sizes.steps), corpus
        )
        solved[kind] = []
        for seed in experiment.seeds:
            recipe = recipe_of(experiment, seed, sizes.steps, **rates)
            trained = yield from experiment.train(f"{kind}, seed {seed}", recipe, corpus)
            solved[kind].append(
                experiment.measure(kind, trained.fingerprint, partial(solve, trained, kind, tested))
            )
    return conclude(solved, [len(problem.steps) for problem in tested])


# -- the data -------------------------------------------------------------------------------------


def chain(rng: random.Random, length: int) -> Problem:
    """A chain of one-digit operations; every result stays between 1 and 99, multiplying by 1 is
    left out."""
    value = rng.randint(1, 9)
    steps: list[tuple[int, str, int, int]] = []
    while len(steps) < length:
        sign, right = rng.choice("+-*"), rng.randint(1, 9)
        result = {"+": value + right, "-": value - right, "*": value * right}[sign]
        if 1 <= result <= 99 and (sign, right) != ("*", 1):
            steps.append((value, sign, right, result))
            value = result
    return Problem(tuple(steps))


def problems(sizes: Sizes) -> tuple[list[Problem], list[Problem]]:
    """Problems to learn from, of all lengths alike, and others to be tested on, equally many of
    each length."""
    rng = random.Random(0)
    tested = [chain(rng, length) for length in range(1, LONGEST + 1) for _ in range(sizes.tested)]
    kept_aside = set(tested)
    train: list[Problem] = []
    while len(train) < sizes.problems:
        problem = chain(rng, rng.randint(1, LONGEST))
        if problem not in kept_aside:
            train.append(problem)
    return train, tested


def encoded(problem: Problem, kind: str) -> tuple[list[int], list[int]]:
    """The ids of a problem with its answer, and a mask that is 1 where the answer stands."""
    question = [TOKENIZER.special_id(DOCUMENT), *TOKENIZER.encode(problem.question)]
    answer = TOKENIZER.encode(problem.answer(kind))
    return question + answer, [0] * len(question) + [1] * len(answer)


def corpus_of(kind: str, train: Sequence[Problem], tested: Sequence[Problem]) -> Corpus:
    """Problems one behind the other with their masks; every fourth tested one serves for
    validation."""
    sides = [
        [np.concatenate(part) for part in zip(*(encoded(problem, kind) for problem in side))]
        for side in (train, tested[::4])
    ]
    (ids, mask), (valid, valid_mask) = sides
    ids, valid = ids.astype(np.uint16), valid.astype(np.uint16)
    return Corpus(
        TOKENIZER, ids, valid, f"{kind} of chains", train_mask=mask, valid_mask=valid_mask
    )


def recipe_of(experiment: Experiment, seed: int, steps: int, **fields: str) -> Recipe:
    """The demo's network with a context that holds the longest problem; characters; as many tokens
    a step."""
    values = {
        "tokenizer.kind": "char",
        "model.context": "128",
        "sample.prompts": "[]",
        "train.steps": str(steps),
        "train.evaluate_every": str(steps),
        **fields,
    }
    if experiment.scale == "full":
        values["train.batch_size"] = "16"
    return experiment.base_recipe(seed, **values)


# -- measuring ------------------------------------------------------------------------------------


@torch.inference_mode()
def solve(run: Run, kind: str, tested: Sequence[Problem], rows: int = 200) -> list[int]:
    """1 for each problem that the run solves, else 0.

    Nothing is written out one character at a time: if the likeliest character is the right one
    everywhere behind right ones, that is what the model would write; once it is not, the problem is
    lost.
    """
    model = load_model(run).model
    solved = []
    for first in range(0, len(tested), rows):
        pairs = [encoded(problem, kind) for problem in tested[first : first + rows]]
        width = max(len(ids) for ids, _ in pairs)
        ids, mask = (
            torch.tensor([part + [0] * (width - len(part)) for part in side])
            for side in zip(*pairs)
        )
        likeliest = model(ids[:, :-1]).argmax(-1)  # (rows, width - 1)
        right = (likeliest == ids[:, 1:]) | (mask[:, 1:] == 0)
        solved += right.all(dim=1).int().tolist()
    return solved


# -- what follows ---------------------------------------------------------------------------------


def conclude(solved: dict[str, list[list[int]]], lengths: Sequence[int]) -> Result:
    """Whether worked steps solve more problems than direct answers; `lengths` are those of the
    tested problems."""
    seeds = [seed for seed, own in enumerate(solved[KINDS[0]]) for _ in own]
    flat = {kind: np.concatenate(own) for kind, own in solved.items()}
    arms = [
        Arm(
            kind,
            "share",
            [float(np.mean(own)) for own in solved[kind]],
            interval(flat[kind], groups=seeds),
        )
        for kind in KINDS
    ]
    direct, worked = (arm.interval for arm in arms)
    gap = paired_difference(flat["worked steps"], flat["direct answer"], groups=seeds)
    steps = sorted(set(lengths))
    # the length of each tested problem, seed after seed
    member = np.tile(lengths, len(solved[KINDS[0]]))
    curves = {
        kind: [
            interval(flat[kind][member == n], groups=np.array(seeds)[member == n].tolist())
            for n in steps
        ]
        for kind in KINDS
    }
    sentence = (
        f"Worked steps solve {percent(worked.mean)} of unseen problems, direct answers "
        f"{percent(direct.mean)}; of the longest, {percent(curves['worked steps'][-1].mean)} and "
        f"{percent(curves['direct answer'][-1].mean)}."
    )
    with canvas(sentence) as figure:
        axes = figure.subplots()
        for place, kind in enumerate(KINDS):
            band(axes, steps, curves[kind], place, kind)
        axes.set(
            xlabel="operations in the problem",
            ylabel="share of problems solved",
            ylim=(-0.02, 1.02),
        )
        axes.legend(frameon=False)
    return Result(
        above(gap),
        sentence,
        arms,
        {"accuracy.png": figure},
        targets={
            "worked steps solve >= 95 %": worked.mean >= 0.95,
            "direct answers solve <= 50 %": direct.mean <= 0.5,
        },
        details={
            "operations": steps,
            "gap": interval_json(gap),
            "solved": {kind: [point.mean for point in curve] for kind, curve in curves.items()},
        },
    )


LESSON = Lesson(
    name="reasoning",
    claim="Step-by-step reasoning is predicting the right intermediate steps first.",
    question="Does the same model solve more problems when it writes the steps before the answer?",
    minutes=11,
    base_minutes=0,
    run=run,
)
