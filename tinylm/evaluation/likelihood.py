"""How well a model predicts a text: nats per token, bits per byte, perplexity.

Sums first, then one division, so the figures do not depend on the batch size. Bits per byte
compares tokenizers: the nats a model pays for a text, over ln 2 and over the bytes of that text,
however it was cut into tokens. Special tokens stand for no bytes of the text; what predicting them
costs is left out, as in Karpathy's nanochat.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinylm.model.device import Compute
from tinylm.model.gpt import GPT
from tinylm.text.batches import IGNORE, Batch, begin_of, validation_windows
from tinylm.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class Likelihood:
    """What a text cost a model. Each token was predicted from at most `context` tokens before
    it."""

    nats: float
    tokens: int
    bytes: int
    context: int

    @property
    def nats_per_token(self) -> float:
        return self.nats / max(1, self.tokens)

    @property
    def perplexity(self) -> float:
        """How many equally likely tokens would be as hard to guess."""
        return math.exp(min(700.0, self.nats_per_token))

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(1, self.bytes)


def batch_nats(model: Callable[[Tensor], Tensor], batch: Batch, compute: Compute) -> Tensor:
    """Minus log probability of each target in nats, (B, T) fp32; 0 where the target is IGNORE."""
    inputs, targets = (
        torch.from_numpy(array).to(compute.device) for array in (batch.inputs, batch.targets)
    )
    with compute.autocast():
        logits = model(inputs)  # (B, T, V)
    loss = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return loss.view(targets.shape)


@torch.no_grad()
def measure(
    model: GPT,
    ids: np.ndarray,
    tokenizer: Tokenizer,
    compute: Compute,
    mask: np.ndarray | None = None,
) -> Likelihood:
    """Score every token of `ids` (tokens,) after the first exactly once, in windows of the model's
    context.

    Windows begin where documents do, where the tokenizer has a token for that. Deterministic, and
    leaves the model in the mode (train or eval) in which it was. ValueError below two tokens.
    """
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens are too few to score: the first has nothing before it")
    context, bytes_per_token = model.config.context, tokenizer.bytes_per_token()
    nats, tokens, size = 0.0, 0, 0
    was_training = model.training
    model.eval()
    # About 8,192 tokens at a time: large enough to keep the processor busy, small enough for its
    # caches.
    for batch in validation_windows(
        ids, begin_of(tokenizer), context, rows=max(1, 8192 // context), mask=mask
    ):
        # (B, T) bytes
        lengths = np.where(batch.targets == IGNORE, 0, bytes_per_token[batch.targets])
        counted = torch.from_numpy(lengths > 0)
        nats += batch_nats(model, batch, compute).cpu()[counted].double().sum().item()
        tokens += int(counted.sum())
        size += int(lengths.sum())
    model.train(was_training)
    return Likelihood(nats, tokens, size, context)
