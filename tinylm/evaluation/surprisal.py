"""What a text costs a model, token by token and byte by byte: the finer view beside
`likelihood.measure`.

    token_nats(...)          every token of a long text, in windows that overlap, so that none sees
      too little
    sequence_nats(...)       every token of many short ones, each on its own
    document_bits(...)       documents, each begun as in training, as bits for every byte: equal
      bytes compare, whatever
                             the tokenizers, so two models are paired piece by piece
    continuation_nats(...)   the end of a text given its beginning: how a question with written
      answers is scored

Trade-off: overlapping windows cost context / stride times the work of plain ones. A token of
several bytes spreads its bits evenly over them; sums over whole tokens are exact, the share of a
single byte is a convention.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tinylm.evaluation.likelihood import batch_nats
from tinylm.model.device import Compute
from tinylm.model.gpt import GPT
from tinylm.text.batches import Batch
from tinylm.text.tokenizers import DOCUMENT, Tokenizer

# tokens in one forward pass: enough to keep the processor busy, small enough for its caches
BATCH = 8192


def token_nats(model: GPT, ids: np.ndarray, stride: int | None = None) -> np.ndarray:
    """Nats, -ln p, of each of (n,) ids after the first: (n - 1,) float64, independent of the batch
    size.

    stride: how far a window moves on; each token beyond the first window sees at least `context -
    stride` tokens before it. Default: half the context. ValueError below two tokens.
    """
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens are too few to score: the first has nothing before it")
    context, last = model.config.context, len(ids) - 1
    length = min(context, last)  # of a window, in inputs
    step = stride or max(1, context // 2)
    # the last window ends where the text does
    starts = [*range(0, last - length, step), last - length]
    rows = max(1, BATCH // length)
    nats, done = np.empty(last), 0
    for first in range(0, len(starts), rows):
        group = starts[first : first + rows]
        # (rows, length + 1)
        windows = np.stack([ids[s : s + length + 1] for s in group]).astype(np.int64)
        losses = _batch(model, windows[:, :-1], windows[:, 1:]).cpu().numpy()
        # Windows overlap, so that no token is judged with only a few tokens before it.
        for start, loss in zip(group, losses):
            # only what no earlier window has scored
            nats[done : start + length] = loss[done - start :]
            done = start + length
    return nats


def sequence_nats(model: GPT, sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Nats of every id after the first of each sequence, scored on its own: one (length - 1,) array
    for each.

    Sequences that fit into the context are scored together, filled up on the right, where a causal
    model does not look; longer ones by overlapping windows.
    """
    room = model.config.context + 1  # the last id is a target but no input
    nats_of = {
        i: token_nats(model, np.asarray(ids)) for i, ids in enumerate(sequences) if len(ids) > room
    }
    # The longest are taken first, with others of like length: little is filled up.
    short = sorted(
        (i for i in range(len(sequences)) if i not in nats_of), key=lambda i: len(sequences[i])
    )
    while short:
        width = len(sequences[short[-1]])
        rows = max(1, BATCH // width)
        group, short = short[-rows:], short[:-rows]
        ids = np.zeros((len(group), width), dtype=np.int64)
        for row, i in enumerate(group):
            ids[row, : len(sequences[i])] = sequences[i]
        nats = _batch(model, ids[:, :-1], ids[:, 1:]).cpu().double().numpy()
        nats_of |= {i: nats[row, : len(sequences[i]) - 1] for row, i in enumerate(group)}
    return [nats_of[i] for i in range(len(sequences))]


def opening(tokenizer: Tokenizer, document_token: bool) -> list[int]:
    """The ids that stand before a document: its token, or a blank line where a run has none."""
    return [tokenizer.special_id(DOCUMENT)] if document_token else tokenizer.encode("\n\n")


def document_bits(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[str], document_token: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Bits of every byte of the documents, one behind the other, (bytes,), and where each token
    ends, (tokens,).

    Each document is scored on its own behind the opening that training gives it; what that costs is
    left out.
    """
    begin = opening(tokenizer, document_token)
    ids = [tokenizer.encode_array(text).astype(np.int64) for text in documents]
    costs = sequence_nats(model, [[*begin, *own] for own in ids])
    bits = np.concatenate([nats[len(begin) - 1 :] for nats in costs]) / math.log(2)  # (tokens,)
    sizes = tokenizer.bytes_per_token()[np.concatenate(ids)]  # (tokens,) bytes
    return np.repeat(bits / sizes, sizes), np.cumsum(sizes)


def continuation_nats(
    model: GPT, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], document_token: bool
) -> np.ndarray:
    """Nats of each continuation given its prompt, for (prompt, continuation) pairs: (pairs,)
    float64."""
    begin = opening(tokenizer, document_token)
    rows = [(begin + tokenizer.encode(prompt), tokenizer.encode(rest)) for prompt, rest in pairs]
    # Encoded apart and put together: encoded as one, a token could cross from prompt to answer.
    costs = sequence_nats(model, [prompt + rest for prompt, rest in rows])
    return np.array([nats[len(prompt) - 1 :].sum() for nats, (prompt, _) in zip(costs, rows)])


@torch.inference_mode()
def _batch(model: GPT, inputs: np.ndarray, targets: np.ndarray) -> Tensor:
    """Nats of each target (B, T) fp32; the model is left in the mode in which it was."""
    was_training = model.training
    model.eval()
    nats = batch_nats(model, Batch(inputs, targets), Compute(model.tokens.weight.device))
    model.train(was_training)
    return nats
