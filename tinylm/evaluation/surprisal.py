"""What a text costs a model, token by token and byte by byte: the finer view beside `likelihood.measure`.

    token_nats(...)          every token, in windows that overlap, so that none is predicted from too little
    document_bits(...)       documents, each begun as in training, as bits for every byte: equal bytes compare, whatever
                             the tokenizers, so two models are paired piece by piece
    continuation_nats(...)   the end of a text given its beginning: how a question with written answers is scored

Trade-off: overlapping windows cost context / stride times the work of plain ones. A token of several bytes spreads its
bits evenly over them; sums over whole tokens are exact, the share of a single byte is a convention.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tinylm.evaluation.likelihood import batch_nats
from tinylm.model.compute import Compute
from tinylm.model.gpt import GPT
from tinylm.text.batches import IGNORE, Batch
from tinylm.text.tokenizers import Tokenizer

BATCH = 8192  # tokens in one forward pass: enough to keep the processor busy, small enough for its caches


def token_nats(model: GPT, ids: np.ndarray, stride: int | None = None) -> np.ndarray:
    """Nats, -ln p, of each of (n,) ids after the first: (n - 1,) float64, independent of the batch size.

    stride: how far a window moves on; each token beyond the first window sees at least `context - stride` tokens
    before it. Default: half the context. ValueError below two tokens.
    """
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens are too few to score: the first has nothing before it")
    context, last = model.config.context, len(ids) - 1
    length = min(context, last)
    step = stride or max(1, context // 2)
    starts = [*range(0, last - length, step), last - length]  # the last window ends where the text does
    rows = max(1, BATCH // length)
    nats, done = np.empty(last), 0
    for first in range(0, len(starts), rows):
        group = starts[first : first + rows]
        windows = np.stack([ids[s : s + length + 1] for s in group]).astype(np.int64)  # (rows, length + 1)
        losses = _batch(model, windows[:, :-1], windows[:, 1:]).cpu().numpy()
        for start, loss in zip(group, losses):
            nats[done : start + length] = loss[done - start :]  # only what no earlier window has scored
            done = start + length
    return nats


def opening(tokenizer: Tokenizer, document_token: bool) -> list[int]:
    """The ids that stand before a document: its token, or a blank line where a run has none."""
    return [tokenizer.special_id("<|document|>")] if document_token else tokenizer.encode("\n\n")


def document_bits(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[str], document_token: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Bits of every byte of the documents, one behind the other, (bytes,), and where each token ends, (tokens,).

    Documents follow each other as in training, parted by their token or a blank line, whose own cost is left out.
    """
    begin = np.array(opening(tokenizer, document_token), dtype=np.int64)
    parts = [part for text in documents for part in (begin, tokenizer.encode_array(text).astype(np.int64))]
    ids = np.concatenate(parts)
    own = np.concatenate([np.full(len(part), place % 2 == 1) for place, part in enumerate(parts)])  # not an opening
    sizes = tokenizer.bytes_per_token()[ids[own]]  # (tokens,) bytes
    bits = token_nats(model, ids)[own[1:]] / math.log(2)  # the first id is never a document's own
    return np.repeat(bits / np.maximum(sizes, 1), sizes), np.cumsum(sizes)


def continuation_nats(
    model: GPT, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], document_token: bool
) -> np.ndarray:
    """Nats of each continuation given its prompt, for (prompt, continuation) pairs: (pairs,) float64.

    Shorter sequences are filled up on the right, where a causal model does not look. A prompt that does not fit into
    the context loses its beginning.
    """
    begin = opening(tokenizer, document_token)
    rows = [(begin + tokenizer.encode(prompt), tokenizer.encode(rest)) for prompt, rest in pairs]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]) + len(rows[i][1]))
    nats = np.zeros(len(rows))
    while order:
        longest = sum(map(len, rows[order[-1]]))
        group, order = order[-max(1, BATCH // longest) :], order[: -max(1, BATCH // longest)]
        nats[group] = _padded_nats(model, [rows[i] for i in group])
    return nats


def _padded_nats(model: GPT, rows: Sequence[tuple[list[int], list[int]]]) -> np.ndarray:
    """Summed nats of the second half of each (prompt ids, continuation ids) pair: (rows,)."""
    room = model.config.context + 1  # one more than the inputs: the last target is no input
    sequences = [(prompt + rest)[-room:] for prompt, rest in rows]
    width = max(map(len, sequences)) - 1
    inputs = np.zeros((len(rows), width), dtype=np.int64)
    targets = np.full((len(rows), width), IGNORE, dtype=np.int64)
    for row, (sequence, (_, rest)) in enumerate(zip(sequences, rows)):
        inputs[row, : len(sequence) - 1] = sequence[:-1]
        scored = min(len(rest), len(sequence) - 1)
        targets[row, len(sequence) - 1 - scored : len(sequence) - 1] = sequence[-scored:]
    return _batch(model, inputs, targets).cpu().double().sum(1).numpy()


@torch.inference_mode()
def _batch(model: GPT, inputs: np.ndarray, targets: np.ndarray) -> Tensor:
    """Nats of each target (B, T) fp32, 0 where it is IGNORE; the model is left in the mode in which it was."""
    was_training = model.training
    model.eval()
    nats = batch_nats(model, Batch(inputs, targets), Compute(model.tokens.weight.device))
    model.train(was_training)
    return nats
