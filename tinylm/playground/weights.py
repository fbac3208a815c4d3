"""A model's weights as few bytes: signed bytes with one scale a row, or half-precision floats, by
measured loss.

    int8    weight = byte * scale of its row (Dettmers et al. 2022, "LLM.int8()": vector-wise absmax
      quantisation)
    fp16    IEEE 754 half precision

int8 takes half the room of fp16. It is taken where it costs at most `ALLOWED` on the run's own
validation text. Vectors (norms, biases) stay fp32: they are few, and every number of a row depends
on them.
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tinylm.evaluation.likelihood import measure
from tinylm.model.device import Compute
from tinylm.model.gpt import GPT
from tinylm.text.tokenizers import Tokenizer

Kind = Literal["int8", "fp16", "fp32"]
ALLOWED = 0.01  # nats per token that rounding may cost: one percent of perplexity
SCORED = 4096  # tokens of validation text that decide


@dataclass(frozen=True)
class Packed:
    """Rounded weights: where each stands in `body`, and as the page will read them back."""

    kind: Kind
    entries: list[dict[str, Any]]  # name, shape, kind, and where its bytes stand, of each
    body: bytes
    rounded: dict[str, Tensor]


def pack(model: GPT, kind: Kind) -> Packed:
    """Every weight of a model, matrices as `kind`, vectors as fp32; each begins at a multiple of
    four bytes."""
    entries, body, rounded = [], bytearray(), {}
    for name, weight in model.named_parameters():  # a tied head is listed once, as the token table
        own = kind if weight.ndim == 2 else "fp32"
        written, rounded[name] = round_to(weight.detach().float().cpu(), own)
        place = {"offset": len(body), "bytes": len(written)}
        entries.append({"name": name, "shape": list(weight.shape), "kind": own, **place})
        body += written + bytes(-len(written) % 4)
    return Packed(kind, entries, bytes(body), rounded)


def round_to(weight: Tensor, kind: Kind) -> tuple[bytes, Tensor]:
    """One weight as bytes (little-endian), and the fp32 numbers that those bytes stand for.

    >>> written, rounded = round_to(torch.tensor([[127.0, 3.2], [-1.27, 0.0]]), "int8")
    >>> list(written[:4]), rounded[0].tolist()
    ([127, 3, 129, 0], [127.0, 3.0])
    """
    if kind == "int8":
        largest = weight.abs().amax(dim=1, keepdim=True)  # (rows, 1)
        scales = torch.where(largest > 0, largest / 127, 1.0)
        numbers = (weight / scales).round().to(torch.int8)  # (rows, columns)
        return raw(numbers, "i1") + raw(scales, "<f4"), numbers.float() * scales
    if kind == "fp16":
        half = weight.half()
        return raw(half, "<f2"), half.float()
    return raw(weight, "<f4"), weight


def raw(numbers: Tensor, layout: str) -> bytes:
    """The bytes of a tensor in a NumPy layout such as "<f2", rows one after the other."""
    return numbers.numpy().astype(layout).tobytes()


@dataclass(frozen=True)
class Choice:
    """The rounding that was chosen, and the nats per token that decided; empty where nothing could
    be measured."""

    packed: Packed
    nats: dict[str, float]
    tokens: int


def choose(model: GPT, tokenizer: Tokenizer, ids: np.ndarray | None) -> Choice:
    """int8 where it costs at most `ALLOWED` nats per token of `ids` (tokens,) more than fp32 does,
    else fp16.

    Without a text to measure on, fp16: it is safe for any model.
    """
    if ids is None or len(ids) < 2:
        return Choice(pack(model, "fp16"), {}, 0)
    packed = {kind: pack(model, kind) for kind in ("fp32", "int8", "fp16")}
    cpu = Compute(torch.device("cpu"))
    scores = {
        k: measure(with_weights(model, p.rounded), ids[:SCORED], tokenizer, cpu)
        for k, p in packed.items()
    }
    nats = {kind: score.nats_per_token for kind, score in scores.items()}
    best = "int8" if nats["int8"] - nats["fp32"] <= ALLOWED else "fp16"
    return Choice(packed[best], nats, scores["fp32"].tokens)


def with_weights(model: GPT, weights: dict[str, Tensor]) -> GPT:
    """The same shape with other weights, in evaluation mode."""
    other = copy.deepcopy(model).eval()
    other.load_state_dict(weights, strict=False)  # not listed: a tied head, the rotation tables
    return other
