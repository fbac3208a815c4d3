"""What a run will take, measured on a few steps before it starts, and the steps that fit a time."""

import copy
import math
import time
from dataclasses import dataclass
from statistics import median

import torch

from tinylm.config import ModelConfig
from tinylm.evaluation.likelihood import measure
from tinylm.model.size import size_of
from tinylm.training.environment import peak_memory
from tinylm.training.optim import Optimizers
from tinylm.training.trainer import Trainer


@dataclass(frozen=True)
class Estimate:
    """What a run will take, told before it starts."""

    parameters: int
    tokens: int
    seconds_per_step: float
    minutes: float
    peak_bytes: int


def estimate(trainer: Trainer, trials: int = 3) -> Estimate:
    """Time a few steps and a piece of a validation pass; the weights are put back, so this leaves
    no trace."""
    train, config, kept = (
        trainer.recipe.train,
        trainer.model.config,
        copy.deepcopy(trainer.model.state_dict()),
    )
    probe = copy.copy(trainer)
    probe.optimizers = Optimizers(probe.model, train)
    times = []
    for trial in range(trials + 1):  # the first one warms up
        start = time.perf_counter()
        probe.compute_gradients(trial)
        probe.optimizers.step(trainer.step)
        times.append(time.perf_counter() - start)
    trainer.model.load_state_dict(kept)
    piece, start = trainer.corpus.valid[: 8 * config.context + 1], time.perf_counter()
    measure(probe.model, piece, trainer.corpus.tokenizer, trainer.compute)
    per_token = (time.perf_counter() - start) / len(piece)
    base = trainer.corpus.base_valid
    scored = len(trainer.corpus.valid) + (0 if base is None else len(base))
    passes = 1 + math.ceil(train.steps / train.evaluate_every)
    step = median(times[1:])
    place, bf16 = trainer.compute.device, trainer.compute.dtype == torch.bfloat16
    trained = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
    return Estimate(
        parameters=size_of(config).total,
        tokens=train.steps * trainer.tokens_per_step,
        seconds_per_step=step,
        minutes=((train.steps - trainer.step) * step + passes * scored * per_token) / 60,
        # On a GPU the steps above have shown it.
        peak_bytes=peak_memory(place)
        + (place.type != "cuda") * training_bytes(config, train.micro_batch_size, bf16, trained),
    )


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
    heads = (config.heads + 2 * config.kv_heads) * config.head_dim
    position = (
        config.depth * (12 * config.width + 4 * config.mlp_width + 3 * heads) * (2 if bf16 else 4)
    )
    logits = config.vocab_size * (4 + 4 + (2 if bf16 else 4))
    total = size_of(config).total
    weights = 4 * total + 12 * (total if trained is None else trained)
    return weights + micro_batch_size * config.context * (position + logits)


def fit_into(minutes: float, trainer: Trainer) -> Trainer:
    """The same trainer with as many of its steps as fit into the time, and the schedule stretched
    over those."""
    steps = trainer.recipe.train.steps
    fitting = max(1, min(steps, int(steps * minutes / estimate(trainer).minutes)))
    train = trainer.recipe.train.model_copy(update={"steps": fitting})
    recipe = trainer.recipe.model_copy(update={"train": train})
    shorter = copy.copy(trainer)
    shorter.recipe, shorter.optimizers = recipe, Optimizers(trainer.model, train)
    shorter.notices.append(f"{fitting:,} of {steps:,} steps fit into {minutes:g} minutes")
    return shorter
