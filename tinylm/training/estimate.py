"""What a run will take, measured on a few steps before it starts, and the steps that fit a time.

A run is more than its steps. It is judged and saved before the first one, then judged, saved and
sampled from every so many steps:

    seconds(n) = spent + n step + passes(n) (pass + save) + rounds(n) round

with `spent` the seconds that starting has taken so far, and a pass, a save and a round of samples
measured once, like a step. For a large model a pass over the validation text costs as much as a
dozen steps, so a budget that counted steps alone would be overrun by half.
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from safetensors.torch import save as to_safetensors

from tinylm.config import ModelConfig
from tinylm.evaluation.likelihood import measure
from tinylm.generation import Request, generate
from tinylm.model.size import size_of
from tinylm.runs import temporary
from tinylm.training.checkpoint import STATE, trained
from tinylm.training.environment import peak_memory
from tinylm.training.optim import Optimizers
from tinylm.training.trainer import Trainer

TIMED_SECONDS = 0.4  # for which a part is timed, at least once
TIMED_TOKENS = 12  # that are sampled to know the seconds of one


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a run, on this machine."""

    step: float
    validation: float  # a whole pass over the validation text, and the parent's where there is one
    save: float
    samples: float  # one round: all prompts of the recipe

    def seconds(self, trainer: Trainer, steps: int) -> float:
        """Of the rest of a run of `steps` steps, from where the trainer stands."""
        recipe = trainer.recipe
        # Validations (each with a save) and rounds of samples come at intervals of their own.
        judged = due(recipe.train.evaluate_every, trainer.step, steps)
        # Without a manifest the run has not begun: it is judged and saved before its first step.
        if not trainer.manifest:
            judged += 1  # the starting point
        sampled = due(recipe.sample.every, trainer.step, steps)
        # A run that ends between two validations is judged and saved at its end: `due` counts it.
        total = (steps - trainer.step) * self.step + judged * (self.validation + self.save)
        return total + sampled * self.samples


def due(every: int, first: int, last: int) -> int:
    """How often something happens after step `first`, at every multiple of `every` and at `last`.

    >>> due(every=100, first=0, last=250), due(100, 0, 200), due(100, 150, 200)
    (3, 2, 1)
    """
    return 0 if first >= last else math.ceil(last / every) - first // every


@dataclass(frozen=True)
class Estimate:
    """What a run will take, told before it starts."""

    parameters: int
    tokens: int
    seconds_per_step: float
    minutes: float  # from now to its end, what starting has taken included
    peak_bytes: int


def estimate(trainer: Trainer) -> Estimate:
    """What the rest of the run will take, with what starting it has taken so far."""
    train, config = trainer.recipe.train, trainer.model.config
    costs = measured_costs(trainer)
    place, bf16 = trainer.compute.device, trainer.compute.dtype == torch.bfloat16
    # A LoRA run has gradients and moments for its adapters alone, which is most of what it saves.
    learned = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
    return Estimate(
        parameters=size_of(config).total,
        tokens=train.steps * trainer.tokens_per_step,
        seconds_per_step=costs.step,
        minutes=(spent(trainer) + costs.seconds(trainer, train.steps)) / 60,
        # On a GPU the steps above have shown it.
        peak_bytes=peak_memory(place)
        + (place.type != "cuda") * training_bytes(config, train.micro_batch_size, bf16, learned),
    )


def spent(trainer: Trainer) -> float:
    """Seconds since the run's start began: reading the text, loading a parent, measuring."""
    return time.perf_counter() - trainer.started


def measured_costs(trainer: Trainer) -> Costs:
    """Time each part of the run; weights and optimiser are put back, so this leaves no trace.

    The result is kept with the trainer: announcing a run asks for what fitting it has measured.
    """
    if not isinstance(trainer.costs, Costs):
        # Processes that train together take each step together: all have to take as many.
        seconds = TIMED_SECONDS if trainer.team.count == 1 else 0.0
        trainer.costs = Costs(
            step_seconds(trainer, seconds),
            validation_seconds(trainer, seconds),
            save_seconds(trainer),
            sample_seconds(trainer),
        )
    return trainer.costs


def timed(work: Callable[[], object], seconds: float = TIMED_SECONDS) -> float:
    """Median seconds of `work`, over one call or as many as fill `seconds`."""
    work()  # the first call allocates, and compiles where that is asked for
    times: list[float] = []
    while not times or (sum(times) < seconds and len(times) < 50):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def step_seconds(trainer: Trainer, seconds: float = TIMED_SECONDS) -> float:
    """Seconds of one step: gradients, clipping and update."""
    # A shallow copy: model and corpus are shared, what is set on it is not set on the trainer.
    probe = copy.copy(trainer)
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    kept = [weight.detach().clone() for weight in weights]
    # An optimiser of its own: the moments of the real one stay as they are.
    probe.optimizers = Optimizers(probe.model, trainer.recipe.train)

    def step() -> None:
        probe.compute_gradients(trainer.step)
        torch.nn.utils.clip_grad_norm_(probe.model.parameters(), trainer.recipe.train.clip)
        probe.optimizers.step(trainer.step)

    # The median: one busy moment of the machine does not count.
    median_step = timed(step, seconds)
    # Bit for bit as before: timing must leave no trace in the run.
    with torch.no_grad():
        for weight, value in zip(weights, kept):
            weight.copy_(value)
    return median_step


def validation_seconds(trainer: Trainer, seconds: float = TIMED_SECONDS) -> float:
    """Seconds of judging the weights once, from a piece of the text."""
    corpus, context = trainer.corpus, trainer.model.config.context
    # Eight windows, and one token more: the last target.
    piece = corpus.valid[: 8 * context + 1]
    # A fine-tune is judged on its parent's validation text as well.
    base = corpus.base_valid
    scored = len(corpus.valid) + (0 if base is None else len(base))
    scoring = partial(measure, trainer.model, piece, corpus.tokenizer, trainer.compute)
    return timed(scoring, seconds) * scored / len(piece)


def save_seconds(trainer: Trainer) -> float:
    """Seconds of one save: the state and, where it is the best so far, the model's weights.

    The state holds the weights and up to two moments of each, which an optimiser has only after
    its first step; model/ holds the weights once more. So four times the weights are written.
    """
    # By the name that a save gives it: a start that is killed here is still known for one.
    path = temporary(trainer.folder / STATE)
    start = time.perf_counter()
    weights = to_safetensors(trained(trainer.model))
    try:
        path.write_bytes(weights)
    finally:
        path.unlink(missing_ok=True)
    hashlib.sha256(weights)
    return 4 * (time.perf_counter() - start)


def sample_seconds(trainer: Trainer) -> float:
    """Seconds of one round of samples along the way, from a few tokens of one."""
    config = trainer.recipe.sample
    if not config.prompts:
        return 0.0
    prompt = next(filter(None, config.prompts), "The")

    def seconds(tokens: int) -> float:
        request = Request(prompt, tokens, config.sampling, seed=1)
        start = time.perf_counter()
        generate(trainer.model, trainer.corpus.tokenizer, request)
        return time.perf_counter() - start

    # A beginning costs more than a token: adapters are merged, the prompt is read.
    beginning = seconds(1)
    per_token = max(0.0, seconds(1 + TIMED_TOKENS) - beginning) / TIMED_TOKENS
    return len(config.prompts) * (beginning + config.tokens * per_token)


def training_bytes(
    config: ModelConfig, micro_batch_size: int, bf16: bool, trained: int | None = None
) -> int:
    """Estimate of the peak memory of a training step, in bytes, beside Python and torch themselves
    (about 300 MB).

    Weights in fp32, with a gradient and two optimiser moments for each that is `trained` (all where
    it is None), plus activations kept for the backward
    pass: per position and block about 12 widths, 4 MLP widths and 6 times the heads' numbers, and
    the logits with their gradients.
    """
    # Numbers of one position's query, key and value.
    heads = (config.heads + 2 * config.kv_heads) * config.head_dim
    position = (
        config.depth * (12 * config.width + 4 * config.mlp_width + 3 * heads) * (2 if bf16 else 4)
    )
    # Of one position: log probabilities, their gradient, and the product that they come from.
    logits = config.vocab_size * (4 + 4 + (2 if bf16 else 4))
    total = size_of(config).total
    # 4 bytes a weight; 12 for its gradient and two moments.
    weights = 4 * total + 12 * (total if trained is None else trained)
    return weights + micro_batch_size * config.context * (position + logits)


def fit_into(minutes: float, trainer: Trainer) -> Trainer:
    """The same trainer with as many of its steps as fit into the time, and the schedule stretched
    over those."""
    steps = trainer.recipe.train.steps
    costs = measured_costs(trainer)
    left = 60 * minutes - spent(trainer)
    # The largest number of steps that fits: seconds(n) grows with n, so halving finds it.
    fitting, too_many = 0, steps + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if costs.seconds(trainer, middle) <= left:
            fitting = middle
        else:
            too_many = middle
    train = trainer.recipe.train.model_copy(update={"steps": max(1, fitting)})
    recipe = trainer.recipe.model_copy(update={"train": train})
    # The schedule follows from `steps`, so a new optimiser is made for the new number.
    shorter = copy.copy(trainer)
    shorter.recipe, shorter.optimizers = recipe, Optimizers(trainer.model, train)
    shorter.notices.append(f"{train.steps:,} of {steps:,} steps fit into {minutes:g} minutes")
    if not fitting:
        least = (spent(trainer) + costs.seconds(trainer, 1)) / 60
        shorter.notices.append(
            f"one step takes {least:.1f} minutes with its start, validation and save: "
            f"{minutes:g} are too few; a smaller corpus.valid_share makes validation shorter"
        )
    return shorter
