"""From token ids to batches: a corpus in memory-mapped files, and an endless, repeatable stream of windows.

Batch number k is a pure function of the seed and k, so a run's place in the data is one number and a resume needs
nothing else. Each epoch shifts the grid of windows by a random phase and visits the windows in a random order: every
token is seen once per epoch (up to the edges), and never cut at the same places twice. Windows may span two documents;
that wastes nothing and costs a little attention to text that does not belong together.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinylm.text.tokenizers import Tokenizer

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


@dataclass(frozen=True)
class Batch:
    """`inputs` (B, T) int64 and, one position ahead of them, `targets` (B, T) int64, IGNORE where there is no loss."""

    inputs: np.ndarray
    targets: np.ndarray


def cut_batch(ids: np.ndarray, mask: np.ndarray | None, starts: list[int], length: int) -> Batch:
    """Windows of `length` tokens from each of `starts`, and the same one position further as targets."""
    inputs = np.stack([ids[s : s + length] for s in starts]).astype(np.int64)
    targets = np.stack([ids[s + 1 : s + length + 1] for s in starts]).astype(np.int64)
    if mask is not None:
        targets[np.stack([mask[s + 1 : s + length + 1] for s in starts]) == 0] = IGNORE
    return Batch(inputs, targets)


class Batches:
    """The stream of training batches. `batches[k]` is batch k, for any k, in any order."""

    def __init__(
        self, ids: np.ndarray, context: int, batch_size: int, seed: int, mask: np.ndarray | None = None
    ) -> None:
        if len(ids) <= context:
            raise ValueError(
                f"the training text has {len(ids)} tokens, fewer than one context of {context} and the token after it: "
                "use more text or a smaller model.context"
            )
        self.ids, self.mask, self.context, self.batch_size, self.seed = ids, mask, context, batch_size, seed
        self.windows = max(1, (len(ids) - 1) // context - 1)  # one fewer than fit, so that any phase leaves room
        self.phases = len(ids) - self.windows * context
        self.tokens = context * batch_size  # in one batch
        self.epoch, self.order = -1, np.empty(0, dtype=np.int64)

    def __getitem__(self, k: int) -> Batch:
        starts = [self.start(k * self.batch_size + row) for row in range(self.batch_size)]
        return cut_batch(self.ids, self.mask, starts, self.context)

    def start(self, window: int) -> int:
        """Where window number `window` of the endless stream begins in the ids."""
        epoch, place = divmod(window, self.windows)
        if epoch != self.epoch:
            random = np.random.default_rng((self.seed, epoch))
            self.epoch, self.order = epoch, random.permutation(self.windows) * self.context
            self.order += random.integers(self.phases)
        return int(self.order[place])


def validation_windows(ids: np.ndarray, context: int, rows: int, mask: np.ndarray | None = None) -> list[Batch]:
    """Cut `ids` into windows that score every token after the first exactly once, each seeing at most `context` tokens.

    Windows of one length are stacked `rows` at a time; the shorter last one is a batch of its own.

    >>> [batch.targets.tolist() for batch in validation_windows(np.arange(8), context=3, rows=2)]
    [[[1, 2, 3], [4, 5, 6]], [[7]]]
    """
    full = (len(ids) - 1) // context
    starts = [row * context for row in range(full)]
    spans = [(context, starts[i : i + rows]) for i in range(0, full, rows)]
    if rest := (len(ids) - 1) - full * context:
        spans.append((rest, [full * context]))
    return [cut_batch(ids, mask, group, length) for length, group in spans]


def write_ids(path: Path, chunks: Iterable[np.ndarray]) -> Path:
    """Write ids (tokens,) chunk by chunk to `path` with the type as its suffix (train.uint16); returns that path."""
    chunks = iter(chunks)
    first = next(chunks, np.empty(0, dtype=np.uint16))
    path = path.with_suffix(f".{first.dtype.name}")
    with path.open("wb") as file:
        for chunk in itertools.chain([first], chunks):
            file.write(chunk.astype(chunk.dtype.newbyteorder("<")).tobytes())
    return path


def read_ids(path: Path) -> np.ndarray:
    """The ids of a file as a read-only memory map (tokens,): only the pages that a batch touches are read."""
    kind = np.dtype(path.suffix[1:]).newbyteorder("<")
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)
