"""From token ids to batches: a corpus in memory-mapped files, and an endless, repeatable stream of windows.

Batch number k is a pure function of the seed and k, so a run's place in the data is one number and a resume needs
nothing else. Undivided text is cut into a grid of windows with a new random phase each epoch: every token is seen once
per epoch (up to the edges), and never cut at the same places twice. Text in marked documents is read from where
documents begin, so that what a sentence refers to is in sight; a window runs on into the documents behind it, and their
beginnings are seen again in windows of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinylm.text.tokenizers import DOCUMENT, Tokenizer

IGNORE = -100  # a target that carries no loss; torch's own convention for cross-entropy


@dataclass(frozen=True)
class Corpus:
    """What a run learns from and is judged on, as ids of `tokenizer`; arrays are (tokens,) and may be memory-mapped."""

    tokenizer: Tokenizer
    train: np.ndarray
    valid: np.ndarray
    sha256: str  # of the text, so that runs on the same text can be told
    base_valid: np.ndarray | None = None  # validation ids of the run that fine-tuning starts from
    train_mask: np.ndarray | None = None  # (tokens,) 1 where a token's prediction is trained on; None: everywhere
    valid_mask: np.ndarray | None = None
    skipped: tuple[str, ...] = ()  # documents that could not be read, with the reason


@dataclass(frozen=True)
class Batch:
    """`inputs` (B, T) int64 and, one position ahead of them, `targets` (B, T) int64, IGNORE where there is no loss."""

    inputs: np.ndarray
    targets: np.ndarray


def begin_of(tokenizer: Tokenizer) -> int | None:
    """The id that documents begin with; None where the tokenizer has none, so that text is undivided."""
    return tokenizer.special_id(DOCUMENT) if DOCUMENT in tokenizer.specials else None


def cut_batch(ids: np.ndarray, mask: np.ndarray | None, starts: np.ndarray, lengths: np.ndarray) -> Batch:
    """Windows of `lengths` tokens from each of `starts`, filled up on the right with targets to IGNORE."""
    inputs = np.zeros((len(starts), lengths.max()), dtype=np.int64)
    targets = np.full_like(inputs, IGNORE)
    for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist())):
        inputs[row, :length] = ids[start : start + length]
        targets[row, :length] = ids[start + 1 : start + length + 1]
        if mask is not None:
            targets[row, :length][mask[start + 1 : start + length + 1] == 0] = IGNORE
    return Batch(inputs, targets)


def cuts(ids: np.ndarray, begin: int | None, context: int) -> np.ndarray:
    """Where windows begin, so that they hold each token once: at each document, and every `context` tokens within one.

    >>> cuts(np.array([9, 1, 2, 3, 9, 4]), begin=9, context=3), cuts(np.arange(7), begin=None, context=3)
    (array([0, 3, 4]), array([0, 3]))
    """
    firsts = np.zeros(1, dtype=np.int64) if begin is None else np.union1d(0, np.flatnonzero(ids[:-1] == begin))
    counts = -(-np.diff(firsts, append=len(ids) - 1) // context)  # windows in each document, rounded up
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    return np.repeat(firsts, counts) + context * within


class Batches:
    """The stream of training batches. `batches[k]` is batch k, for any k, in any order."""

    def __init__(self, corpus: Corpus, context: int, batch_size: int, seed: int) -> None:
        last = len(corpus.train) - 1 - context  # the last place where a whole window and the token after it fit
        if last < 0:
            raise ValueError(
                f"the training text has {len(corpus.train)} tokens, fewer than one context of {context} and the token "
                "after it: use more text or a smaller model.context"
            )
        self.corpus, self.context, self.batch_size, self.seed = corpus, context, batch_size, seed
        self.tokens = context * batch_size  # in one batch
        if (begin := begin_of(corpus.tokenizer)) is None:
            # One window fewer than fit, so that any phase of the grid leaves room.
            self.starts = np.arange(max(1, last // context)) * context
            self.phases = last - int(self.starts[-1]) + 1
        else:
            self.starts, self.phases = np.minimum(cuts(corpus.train, begin, context), last), 1
        self.epoch, self.order = -1, self.starts

    def __getitem__(self, k: int) -> Batch:
        starts = [self.start(k * self.batch_size + row) for row in range(self.batch_size)]
        lengths = np.full(len(starts), self.context)
        return cut_batch(self.corpus.train, self.corpus.train_mask, np.array(starts), lengths)

    def start(self, window: int) -> int:
        """Where window number `window` of the endless stream begins in the ids."""
        epoch, place = divmod(window, len(self.starts))
        if epoch != self.epoch:
            random = np.random.default_rng((self.seed, epoch))
            self.epoch, self.order = epoch, random.permutation(self.starts) + random.integers(self.phases)
        return int(self.order[place])


def validation_windows(
    ids: np.ndarray, begin: int | None, context: int, rows: int, mask: np.ndarray | None = None
) -> Iterator[Batch]:
    """Cut `ids` into windows that score every token after the first exactly once, each seeing at most `context` tokens.

    Windows of like length are stacked, `rows` at a time.

    >>> windows = validation_windows(np.array([9, 1, 2, 3, 9, 4]), begin=9, context=3, rows=2)
    >>> [batch.targets.tolist() for batch in windows]
    [[[9], [4]], [[1, 2, 3]]]
    """
    starts = cuts(ids, begin, context)
    lengths = np.diff(starts, append=len(ids) - 1)
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, range(rows, len(order), rows)):
        yield cut_batch(ids, mask, starts[group], lengths[group])
