"""What a shape costs: parameters, and operations per token. Nothing is trained or stored for it."""

from typing import NamedTuple

import torch

from tinylm.config import ModelConfig
from tinylm.model.gpt import GPT


class Size(NamedTuple):
    """How many parameters a shape has, and where."""

    total: int
    embedding: int  # the token table, and the head where it is a matrix of its own
    matrices: int  # those of the blocks: what every token is multiplied by


def size_of(config: ModelConfig) -> Size:
    """Parameters of a shape, counted on a model without memory."""
    # On the meta device a tensor has a shape and no numbers: a model of any size fits.
    with torch.device("meta"):
        weights = dict(GPT(config).named_parameters())  # a tied head is listed once
    counts = {name: weight.numel() for name, weight in weights.items()}
    embedding = sum(n for name, n in counts.items() if name.startswith(("tokens", "head")))
    hidden = [name for name in counts if name.startswith("blocks") and weights[name].ndim == 2]
    return Size(sum(counts.values()), embedding, sum(counts[name] for name in hidden))


def flops_per_token(config: ModelConfig, training: bool = True) -> int:
    """Floating-point operations per token at full context (Kaplan et al. 2020, section 2.1).

    A weight costs 2 forward (multiply, add) and 4 backward (gradients of its input and of itself).
    Attention adds two products of (1, D) by (D, T/2 on average) a head.
    """
    # The head counts as V x D whether it is tied or not; looking a token up multiplies nothing.
    weights = size_of(config).matrices + config.vocab_size * config.width
    attention = 2 * config.depth * config.heads * config.head_dim * config.context // 2
    return (6 if training else 2) * (weights + attention)
