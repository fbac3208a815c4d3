"""Step by step: is a hard problem easier for a model that writes down what comes between?

Design. The problems are chains of one to eight operations on whole numbers, with each result
between 1 and 99:

    ((((3+5)*4)-7)*2)=          direct answer  50.
                                worked steps   3+5=8 8*4=32 32-7=25 25*2=50 50.

    manipulated     what follows the "=": the answer, or the steps and then the answer
    constant        network, problems, steps, tokens in each step (so the same time, to a few per
                    cent), a search over the same learning rates for each arm
    effect          share of unseen problems solved, worked steps minus direct answers. A problem is
                    solved when everything that the model writes is right, taking the likeliest
                    character each time: with worked steps every step, too
    null            0
    control         problems of one operation: there is nothing between question and answer, so the
                    arms should be alike, and the gap should grow with the length
    price           more characters to write for each answer: the steps are paid for in tokens
    seeds           three; problems are resampled within them
    control run     in the place of the worked steps stand as many of another chain, drawn at
                    random: as many tokens, none of them about the problem. They are given and not
                    predicted (no loss, no mark), since nobody could; the answer behind them is
                    judged as a direct one. Expected: no more is solved than directly, or less, as
                    the same tokens hold fewer problems

Loss falls on what follows the "=" alone. The idea is that of Nye et al. 2021 (scratchpads) and Wei
et al. 2022 (chain of thought): a network does a fixed amount of work for each token, so that a
chain that is longer than it is deep has to be spread over several.

Trade-offs. At the same number of tokens the direct arm sees about twice as many problems, which
favours it, and its loss rests on fewer characters: that is what step-by-step data is. Chains are
easy to check and have no words; real reasoning has many.
"""

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from tinylm.config import Recipe
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, band
from tinylm.lessons.shared import best_rates, interval_json
from tinylm.pages.figures import canvas, percent
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer
from tinylm.training.load import load_model

# Twice the depth of the demo's network: more operations than it has blocks to do them in.
LONGEST = 8  # operations in a chain
KINDS = ("direct answer", "worked steps")
# By characters, so that a number is read digit by digit and no merge hides one.
TOKENIZER = CharTokenizer("".join(sorted("0123456789+-*()=. ")), [DOCUMENT])


@dataclass(frozen=True)
class Sizes:
    """How many problems are learned from and tested on, at one scale."""

    problems: int  # for training
    tested: int  # of each length
    steps: int


SIZES = {"smoke": Sizes(300, 4, 4), "full": Sizes(60_000, 100, 800)}


@dataclass(frozen=True)
class Problem:
    """A chain: its steps as (left, sign, right, result), each left the result before it."""

    steps: tuple[tuple[int, str, int, int], ...]
    # In the control, steps of another chain as long as this one, written in the place of its own.
    strange: tuple[tuple[int, str, int, int], ...] = ()

    @property
    def question(self) -> str:
        """The chain as one expression, e.g. `((3+5)*4)=`."""
        # The result of each step is left out and its operation wrapped around what came before.
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
        words = []
        if kind == "worked steps":
            # Each step repeats the result before it: whatever is needed stands close by.
            steps = self.strange or self.steps
            words = [f"{left}{sign}{right}={result}" for left, sign, right, result in steps]
        # The full stop says that the answer is complete: "5" does not pass for "50".
        words.append(f"{self.steps[-1][3]}.")
        return " ".join(words)


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Search the learning rates of both arms alike, train each with every seed, and let it solve
    unseen problems."""
    sizes = SIZES[experiment.scale]
    train, tested = problems(sizes)
    if experiment.control:
        train, tested = with_strange_steps(train, 1), with_strange_steps(tested, 2)
    solved: dict[str, list[list[int]]] = {}
    for kind in KINDS:
        # The same problems in the same order for both arms.
        corpus = corpus_of(kind, train, tested)
        # Searched for each arm: the rate that suits one must not decide against the other.
        rates = yield from best_rates(
            experiment, kind, recipe_of(experiment, 1, sizes.steps), corpus
        )
        solved[kind] = []
        for seed in experiment.seeds:
            recipe = recipe_of(experiment, seed, sizes.steps, **rates)
            trained = yield from experiment.train(f"{kind}, seed {seed}", recipe, corpus)
            # The weights that validated best; both arms keep them by the same rule.
            solved[kind].append(
                experiment.measure(kind, trained.fingerprint, partial(solve, trained, kind, tested))
            )
    return conclude(solved, [len(problem.steps) for problem in tested])


# -- the data -------------------------------------------------------------------------------------


def chain(rng: random.Random, length: int) -> Problem:
    """A chain of one-digit operations; every result stays between 1 and 99, multiplying by 1 is
    left out."""
    # The running result: each step works on it.
    value = rng.randint(1, 9)
    steps: list[tuple[int, str, int, int]] = []
    while len(steps) < length:
        sign, right = rng.choice("+-*"), rng.randint(1, 9)
        result = {"+": value + right, "-": value - right, "*": value * right}[sign]
        # Multiplying by 1 is no step: the arms would differ in nothing but its spelling.
        if 1 <= result <= 99 and (sign, right) != ("*", 1):
            steps.append((value, sign, right, result))
            value = result
    return Problem(tuple(steps))


def problems(sizes: Sizes) -> tuple[list[Problem], list[Problem]]:
    """Problems to learn from, of all lengths alike, and others to be tested on, equally many of
    each length."""
    # One set of problems for all seeds and both arms.
    rng = random.Random(0)
    # Equally many of each length: otherwise easy problems would decide the share.
    tested = [chain(rng, length) for length in range(1, LONGEST + 1) for _ in range(sizes.tested)]
    # Short chains are few, so many of them would be met in training as well.
    kept_aside = set(tested)
    train: list[Problem] = []
    while len(train) < sizes.problems:
        problem = chain(rng, rng.randint(1, LONGEST))
        # Also keeps what both arms learn from identical: they differ in the answers' form.
        if problem not in kept_aside:
            train.append(problem)
    return train, tested


def with_strange_steps(chains: Sequence[Problem], seed: int) -> list[Problem]:
    """The same problems, each with the steps of a random chain that is as long."""
    rng = random.Random(seed)
    return [replace(problem, strange=chain(rng, len(problem.steps)).steps) for problem in chains]


def encoded(problem: Problem, kind: str) -> tuple[list[int], list[int]]:
    """The ids of a problem with its answer, and a mask that is 1 where the answer stands."""
    # The document token first: otherwise a problem would be continued from the one before it.
    question = [TOKENIZER.special_id(DOCUMENT), *TOKENIZER.encode(problem.question)]
    # The mask is on the answer: a question is given, and learning to write one is no help.
    answer = TOKENIZER.encode(problem.answer(kind))
    # Strange steps cannot be foreseen, so they are given too: the result alone is learned.
    learned = TOKENIZER.encode(problem.answer(KINDS[0])) if problem.strange else answer
    ids = question + answer
    return ids, [0] * (len(ids) - len(learned)) + [1] * len(learned)


def corpus_of(kind: str, train: Sequence[Problem], tested: Sequence[Problem]) -> Corpus:
    """Problems one behind the other with their masks; every fourth tested one serves for
    validation."""
    train_ids, train_mask = joined(kind, train)
    # Validation chooses among learning rates only. The test asks for all tested problems.
    valid_ids, valid_mask = joined(kind, tested[::4])
    return Corpus(
        TOKENIZER,
        train_ids,
        valid_ids,
        f"{kind} of chains",
        train_mask=train_mask,
        valid_mask=valid_mask,
    )


def joined(kind: str, chains: Sequence[Problem]) -> tuple[np.ndarray, np.ndarray]:
    """The ids (n,) of all problems and their mask (n,)."""
    ids: list[int] = []
    mask: list[int] = []
    for problem in chains:
        # Windows are cut anywhere: one may begin inside a problem, for both arms alike.
        own_ids, own_mask = encoded(problem, kind)
        ids += own_ids
        mask += own_mask
    return np.array(ids, dtype=np.uint16), np.array(mask)


def recipe_of(experiment: Experiment, seed: int, steps: int, **fields: str) -> Recipe:
    """The demo's network with a context that holds the longest problem; characters; as many tokens
    a step."""
    values = {
        "tokenizer.kind": "char",
        # The longest problem with its steps has fewer than 128 characters.
        "model.context": "128",
        "sample.prompts": "[]",
        "train.steps": str(steps),
        "train.evaluate_every": str(steps),
        **fields,
    }
    if experiment.scale == "full":
        # 16 windows of 128: 2,048 tokens in each step, for both arms.
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
    solved: list[int] = []
    # In batches of `rows`, to bound memory.
    for first in range(0, len(tested), rows):
        pairs = [encoded(problem, kind) for problem in tested[first : first + rows]]
        # Shorter rows are filled up with 0 on the right. Attention looks to the left only, so the
        # filling changes nothing, and its mask is 0.
        width = max(len(ids) for ids, _ in pairs)
        ids = torch.tensor([own + [0] * (width - len(own)) for own, _ in pairs])  # (rows, width)
        mask = torch.tensor([own + [0] * (width - len(own)) for _, own in pairs])
        likeliest = model(ids[:, :-1]).argmax(-1)  # (rows, width - 1)
        # What belongs to the question is given and need not be predicted.
        right = (likeliest == ids[:, 1:]) | (mask[:, 1:] == 0)
        # One wrong character loses the problem, in a step as in the answer.
        solved += right.all(dim=1).int().tolist()
    return solved


# -- what follows ---------------------------------------------------------------------------------


def conclude(solved: dict[str, list[list[int]]], lengths: Sequence[int]) -> Result:
    """Whether worked steps solve more problems than direct answers; `lengths` are those of the
    tested problems."""
    seeds = [seed for seed, own in enumerate(solved[KINDS[0]]) for _ in own]
    flat = {kind: np.concatenate(own) for kind, own in solved.items()}  # (seeds x problems,)
    arms = []
    for kind in KINDS:
        means = [float(np.mean(own)) for own in solved[kind]]
        # A dot a seed; the interval is over the seeds and never narrower than over the problems.
        arms.append(Arm(kind, "share", means, interval(flat[kind], groups=seeds)))
    direct, worked = (arm.interval for arm in arms)
    # Paired: both arms of a seed were asked the same problems.
    gap = paired_difference(flat["worked steps"], flat["direct answer"], groups=seeds)
    curves = {kind: by_length(own, lengths, seeds) for kind, own in flat.items()}
    # Over all lengths, and of the longest alone: there the arms should differ most.
    sentence = (
        f"Worked steps solve {percent(worked.mean)} of unseen problems, direct answers "
        f"{percent(direct.mean)}; of the longest, {percent(curves['worked steps'][-1].mean)} and "
        f"{percent(curves['direct answer'][-1].mean)}."
    )
    # The lengths that occur, shortest first.
    operations = sorted(set(lengths))
    return Result(
        above(gap),
        sentence,
        arms,
        {"accuracy.png": picture(sentence, operations, curves)},
        targets={
            "worked steps solve >= 95 %": worked.mean >= 0.95,
            "direct answers solve <= 50 %": direct.mean <= 0.5,
        },
        details={
            "operations": operations,
            "gap": interval_json(gap),
            "solved": {kind: [point.mean for point in curve] for kind, curve in curves.items()},
        },
    )


def by_length(solved: np.ndarray, lengths: Sequence[int], seeds: Sequence[int]) -> list[Interval]:
    """Share solved of the problems of each length, shortest first; `solved` is (seeds x
    problems,)."""
    seed_of = np.array(seeds)
    length_of = np.tile(lengths, len(solved) // len(lengths))  # seed after seed, as `solved` is
    curve = []
    for length in sorted(set(lengths)):
        # (seeds x problems,) booleans.
        chosen = length_of == length
        curve.append(interval(solved[chosen], groups=seed_of[chosen].tolist()))
    return curve


def picture(title: str, operations: Sequence[int], curves: dict[str, list[Interval]]) -> Figure:
    """Share solved against the length of the problem."""
    with canvas(title) as figure:
        axes = figure.subplots()
        for place, kind in enumerate(KINDS):
            band(axes, operations, curves[kind], place, kind)
        # Shares on their whole range: the height of a gap is its size.
        axes.set(
            xlabel="operations in the problem",
            ylabel="share of problems solved",
            ylim=(-0.02, 1.02),
        )
        axes.legend(frameon=False)
    return figure


LESSON = Lesson(
    name="reasoning",
    claim="Step-by-step reasoning is predicting the right intermediate steps first.",
    question="Does the same model solve more problems when it writes the steps before the answer?",
    control="In the place of the worked steps stand as many of another chain, drawn at random.",
    minutes=11,
    base_minutes=0,
    run=run,
)
