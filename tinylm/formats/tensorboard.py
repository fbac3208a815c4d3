"""TensorBoard beside a run, for people whose other curves live there: an observer of the record
stream.

    for record in observed(trainer.run(), open_tensorboard(folder, trainer.step)):
        ...

Nothing depends on it. metrics.jsonl holds the same numbers and `tinylm plot` draws them, with no
account and no server. Another tracker is another `Writer`: an object with these three methods.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tinylm.training.trainer import Record


class Writer(Protocol):
    """What is asked of a tracker; torch's `SummaryWriter` has it."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Keep one number under a name, at a training step."""

    def add_text(self, tag: str, text_string: str, global_step: int) -> Any:
        """Keep one text under a name, at a training step."""

    def close(self) -> None:
        """Write what is still held back."""


def open_tensorboard(folder: Path, step: int = 0) -> Writer:
    """A writer of event files into `folder`; a resumed run hides what an earlier part wrote after
    `step`.

    Raises ValueError where the tensorboard package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            '--tensorboard needs a package: pip install "tinylm[tensorboard]"'
        ) from None
    return SummaryWriter(str(folder), purge_step=step + 1)


def observed(records: Iterator[Record], writer: Writer) -> Iterator[Record]:
    """The same records, each written down on its way: losses in nats, and the texts sampled along
    the way."""
    try:
        for record in records:
            scalars = {
                "train/loss": record.loss,
                "train/learning_rate": record.learning_rate,
                "train/grad_norm": record.grad_norm,
            }
            scalars |= {
                f"valid/{name}": value
                for name, value in (record.valid or {}).items()
                if "per" in name
            }
            for name, value in scalars.items():
                writer.add_scalar(name, value, record.step)
            for number, text in enumerate(record.samples):
                writer.add_text(f"sample/{number}", text, record.step)
            yield record
    finally:
        writer.close()
