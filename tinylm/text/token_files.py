"""Token ids on the disk: plain little-endian numbers, their type in the file's name, read as a
memory map."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_ids(path: Path, chunks: Iterable[np.ndarray]) -> Path:
    """Write ids (tokens,) chunk by chunk to `path` with the type as its suffix (train.uint16);
    returns that path."""
    chunks = iter(chunks)
    first = next(chunks, np.empty(0, dtype=np.uint16))
    path = path.with_suffix(f".{first.dtype.name}")
    with path.open("wb") as file:
        for chunk in itertools.chain([first], chunks):
            file.write(chunk.astype(chunk.dtype.newbyteorder("<")).tobytes())
    return path


def read_ids(path: Path) -> np.ndarray:
    """The ids of a file as a read-only memory map (tokens,): only the pages that a batch touches
    are read."""
    kind = np.dtype(path.suffix[1:]).newbyteorder("<")
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)
