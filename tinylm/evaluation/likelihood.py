"""How well a model predicts a text: nats per token and bits per byte.

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
from tinylm.text.batches import IGNORE, Batch, Mask, begin_of, validation_windows
from tinylm.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class Likelihood:
    """What a text cost a model, each token predicted from at most `context` tokens before it."""

    nats: float
    tokens: int
    bytes: int
    context: int

    @property
    def nats_per_token(self) -> float:
        """Mean of minus log probability over all targets; depends on the tokenizer."""
        return self.nats / max(1, self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """The same text's cost in bits for each of its UTF-8 bytes, whatever the tokenizer."""
        # 1 bit = ln 2 nats. Per byte of the text, not per token: so tokenizers can be compared.
        return self.nats / math.log(2) / max(1, self.bytes)


def batch_nats(model: Callable[[Tensor], Tensor], batch: Batch, compute: Compute) -> Tensor:
    """Minus log probability of each target in nats, (B, T) fp32; 0 where the target is IGNORE."""
    inputs = torch.from_numpy(batch.inputs).to(compute.device)
    targets = torch.from_numpy(batch.targets).to(compute.device)
    with compute.autocast():
        logits = model(inputs).flatten(0, 1)  # (B T, V)
    # In fp32: a sum over the vocabulary in bf16 would be off in the third digit.
    loss = F.cross_entropy(logits.float(), targets.flatten(), ignore_index=IGNORE, reduction="none")
    return loss.view(targets.shape)


@torch.no_grad()
def measure(
    model: GPT, ids: np.ndarray, tokenizer: Tokenizer, compute: Compute, mask: Mask = None
) -> Likelihood:
    """Score every token of `ids` (tokens,) after the first exactly once.

    In windows of the model's context, which begin where documents do if the tokenizer marks them.
    Deterministic; the model stays in the mode (train or eval) that it is in. ValueError below two
    tokens.
    """
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens are too few to score: the first has nothing before it")
    context, bytes_per_token = model.config.context, tokenizer.bytes_per_token()
    # About 8,192 tokens at a time: enough to keep the processor busy, few enough for its caches.
    rows = max(1, 8192 // context)
    nats, tokens, size = 0.0, 0, 0
    # Dropout off while measuring, and back to what it was: a measurement must change nothing.
    was_training = model.training
    model.eval()
    for batch in validation_windows(ids, begin_of(tokenizer), context, rows, mask):
        lengths = np.where(batch.targets == IGNORE, 0, bytes_per_token[batch.targets])  # (B, T)
        counted = torch.from_numpy(lengths > 0)  # special tokens stand for no bytes of the text
        # Summed in double precision: a million numbers of 1e0 in fp32 would lose the fifth digit.
        nats += batch_nats(model, batch, compute).cpu()[counted].double().sum().item()
        tokens += int(counted.sum())
        size += int(lengths.sum())
    model.train(was_training)
    return Likelihood(nats, tokens, size, context)
