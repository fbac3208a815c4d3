"""From token ids to batches: a corpus in memory-mapped files, and an endless, repeatable stream of
windows.

Batch number k is a pure function of the seed and k, so a run's place in the data is one number and
a resume needs nothing else. Undivided text is cut into a grid of windows with a new random phase
each epoch: every token is seen once per epoch (up to the edges), and never cut at the same places
twice. Text in marked documents is read in whole ones, so that what a sentence refers to is in
sight: a window holds one document, or several short ones in a row, and windows of like length share
a batch, so that little of it is padding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinylm.text.tokenizers import DOCUMENT, Tokenizer

Mask = np.ndarray | None  # (tokens,) 1 where a token's prediction counts; None: everywhere
IGNORE = -100  # a target that carries no loss; torch's own convention for cross-entropy


@dataclass(frozen=True)
class Corpus:
    """What a run learns from and is judged on, as ids of `tokenizer`; arrays are (tokens,) and may
    be memory-mapped."""

    tokenizer: Tokenizer
    train: np.ndarray
    valid: np.ndarray
    sha256: str  # of the text, so that runs on the same text can be told
    base_valid: np.ndarray | None = None  # validation ids of the run that fine-tuning starts from
    train_mask: Mask = None
    valid_mask: Mask = None
    skipped: tuple[str, ...] = ()  # documents that could not be read, with the reason


@dataclass(frozen=True)
class Batch:
    """`inputs` (B, T) int64 and, one position ahead of them, `targets` (B, T) int64, IGNORE where
    there is no loss."""

    inputs: np.ndarray
    targets: np.ndarray


def begin_of(tokenizer: Tokenizer) -> int | None:
    """The id that documents begin with; None where the tokenizer has none: undivided text."""
    return tokenizer.special_id(DOCUMENT) if DOCUMENT in tokenizer.specials else None


def cut_batch(
    ids: np.ndarray, mask: Mask, starts: np.ndarray, lengths: np.ndarray, context: int
) -> Batch:
    """Windows of `lengths` tokens from each of `starts`, filled up on the right.

    What fills up has targets to IGNORE, and so has what `mask` leaves out.
    """
    # Widths in steps of 16: torch prepares its products anew for each shape, and with many shapes
    # memory falls to pieces.
    width = min(context, -(-lengths.max() // 16) * 16)
    inputs = np.zeros((len(starts), width), dtype=np.int64)
    targets = np.full_like(inputs, IGNORE)
    for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist())):
        ahead = slice(start + 1, start + length + 1)  # each token's target is the one after it
        inputs[row, :length] = ids[start : start + length]
        targets[row, :length] = ids[ahead]
        if mask is not None:
            targets[row, :length][mask[ahead] == 0] = IGNORE
    return Batch(inputs, targets)


def window_starts(ids: np.ndarray, begin: int | None, context: int) -> np.ndarray:
    """Where windows begin, so that they hold each token once.

    At each document, and every `context` tokens within one.

    >>> window_starts(np.array([9, 1, 2, 3, 9, 4]), begin=9, context=3)
    array([0, 3, 4])
    >>> window_starts(np.arange(7), begin=None, context=3)
    array([0, 3])
    """
    # Without documents the whole text is one; -1 is nobody's id.
    documents = np.union1d(0, np.flatnonzero(ids[:-1] == (-1 if begin is None else begin)))
    lengths = np.diff(documents, append=len(ids) - 1)
    starts = [np.arange(first, first + n, context) for first, n in zip(documents, lengths) if n]
    return np.concatenate(starts)


def pack(lengths: np.ndarray, context: int) -> np.ndarray:
    """Which pieces begin a window, if each window takes the next pieces for as long as they fit.

    >>> pack(np.array([2, 2, 3, 1, 5]), context=5)
    array([0, 2, 4])
    """
    firsts, filled = [], context  # full, so that the first piece begins a window
    for piece, length in enumerate(lengths.tolist()):
        if filled + length > context:
            firsts.append(piece)
            filled = 0
        filled += length
    return np.array(firsts)


class Batches:
    """The stream of training batches. `batches[k]` is batch k, for any k, in any order."""

    def __init__(self, corpus: Corpus, context: int, batch_size: int, seed: int) -> None:
        ids = corpus.train
        last = len(ids) - 1 - context  # the last place where a window and its last target fit
        if last < 0:
            short = f"the training text has {len(ids)} tokens, fewer than one context of {context}"
            raise ValueError(f"{short} and a token: use more text or a smaller model.context")
        self.corpus, self.context, self.batch_size, self.seed = corpus, context, batch_size, seed
        if (begin := begin_of(corpus.tokenizer)) is None:
            # A grid, moved by a new phase each epoch. One window fewer than fit leaves room for it.
            self.starts = np.arange(max(1, last // context)) * context
            self.lengths = np.full(len(self.starts), context)
            self.phases = last - int(self.starts[-1]) + 1
        else:
            pieces = window_starts(ids, begin, context)
            self.starts = pieces[pack(np.diff(pieces, append=len(ids) - 1), context)]
            self.lengths, self.phases = np.diff(self.starts, append=len(ids) - 1), 1
        # Tokens in a batch, on average:
        self.tokens = round(self.lengths.mean() * min(batch_size, len(self.starts)))
        # Epoch -1 is none: the first batch that is asked for draws its epoch's order.
        self.epoch, self.phase, self.order = -1, 0, self.starts[None]

    def __getitem__(self, k: int) -> Batch:
        # k alone decides the epoch and the place in it; the order of an epoch is drawn when needed.
        epoch, place = divmod(k, max(1, len(self.starts) // self.batch_size))
        if epoch != self.epoch:
            self.shuffle(epoch)
        rows = self.order[place]
        starts, lengths = self.starts[rows] + self.phase, self.lengths[rows]
        return cut_batch(self.corpus.train, self.corpus.train_mask, starts, lengths, self.context)

    def shuffle(self, epoch: int) -> None:
        """Put an epoch's windows in random order, (batches, rows); a rest that fills no batch is
        left out this time."""
        # From the seed and the epoch alone: batch 5,000 can be had without the 4,999 before it.
        random = np.random.default_rng((self.seed, epoch))
        size = min(self.batch_size, len(self.starts))
        count = max(1, len(self.starts) // self.batch_size)
        order = random.permutation(len(self.starts))[: count * size]
        # Windows of like length share a batch, so that little of it is padding: sort by length
        # within each group of 32 batches (lexsort: the last key counts first) ...
        group = np.arange(count * size) // (32 * size)
        order = order[np.lexsort((self.lengths[order], group))]
        # ... then shuffle whole batches, else the short ones of a group would come first.
        self.epoch, self.order = epoch, random.permutation(order.reshape(count, size))
        self.phase = int(random.integers(self.phases))


def validation_windows(
    ids: np.ndarray, begin: int | None, context: int, rows: int, mask: Mask = None
) -> Iterator[Batch]:
    """Cut `ids` into windows that score every token after the first exactly once, each seeing at
    most `context` tokens.

    Windows of like length are stacked, `rows` at a time.

    >>> windows = validation_windows(np.array([9, 1, 2, 3, 9, 4]), begin=9, context=3, rows=2)
    >>> [batch.targets.tolist() for batch in windows]
    [[[9, -100, -100], [4, -100, -100]], [[1, 2, 3]]]
    """
    # Sorted by length, so that windows stacked together need little padding; sums do not care.
    starts = window_starts(ids, begin, context)
    lengths = np.diff(starts, append=len(ids) - 1)
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, range(rows, len(order), rows)):
        yield cut_batch(ids, mask, starts[group], lengths[group], context)
