"""A training run watched on the terminal, and stopped from there."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinylm.commands.terminal import clean, say

if TYPE_CHECKING:
    from tinylm.training.trainer import Record, Trainer


def follow(trainer: "Trainer", tensorboard: bool = False) -> bool:
    """Announce a run, train it under a progress bar, and say how it ended and what to do next;
    whether it is done."""
    from tinylm.formats.tensorboard import observed, open_tensorboard
    from tinylm.training.alerts import watched

    announce(trainer)
    records = watched(trainer.run(), trainer)
    if tensorboard and trainer.team.rank == 0:
        records = observed(records, open_tensorboard(trainer.folder / "tensorboard", trainer.step))
    draw(trainer, records)
    conclude(trainer)
    return trainer.finished


def announce(trainer: "Trainer") -> None:
    """Say what is about to be trained, how long it takes and how much memory it needs."""
    from tinylm.training.estimate import estimate

    whole = estimate(trainer)
    for notice in trainer.notices:
        say(notice)
    say(
        f"{whole.parameters:,} parameters, {whole.tokens:,} tokens in "
        f"{trainer.recipe.train.steps:,} steps, about "
        f"{whole.minutes:.1f} minutes and {whole.peak_bytes / 1e9:.1f} GB on "
        f"{trainer.compute.device} in {str(trainer.compute.dtype)[6:]}"
    )


def draw(trainer: "Trainer", records: Iterator["Record"]) -> None:
    """Train under a progress bar, with validations, notices and samples written above it."""
    from tqdm.auto import tqdm

    total, done = trainer.recipe.train.steps, trainer.step
    with (
        stop_on_signal(trainer),
        tqdm(total=total, initial=done, unit="step", mininterval=0.5) as bar,
    ):
        for record in records:
            bar.update()
            bar.set_postfix_str(postfix(record), refresh=False)
            for line in remarks(record):
                bar.write(line, file=sys.stderr)


def remarks(record: "Record") -> Iterator[str]:
    """What is worth a line of its own after a step."""
    if record.valid:
        yield (
            f"step {record.step}: validation {record.valid['nats_per_token']:.4f} "
            f"nats/token, {record.valid['bits_per_byte']:.4f} bits/byte"
        )
    if record.notice:
        yield f"step {record.step}: {record.notice}"
    for text in record.samples[:1]:
        yield clean("  | " + text[:300].replace("\n", "\n  | "))


def conclude(trainer: "Trainer") -> None:
    """Say how a run ended, and what to do next."""
    if not trainer.finished:
        say(f"stopped after step {trainer.step}; go on with: tinylm resume {trainer.folder}")
        return
    best = trainer.best
    outcome = f"best step {best['step']}: {best['nats_per_token']:.4f} nats/token"
    prompt = (trainer.recipe.sample.prompts or ("",))[0]
    say(f"done in {trainer.seconds / 60:.1f} minutes; {outcome}")
    say(f'try: tinylm sample {trainer.folder} --prompt "{prompt}"')


def postfix(record: "Record") -> str:
    """What a progress bar shows of a step: how well it goes, and how fast."""
    speed = record.tokens / max(record.seconds, 1e-9)
    state = f"loss {record.loss:.3f}"
    if "success" in record.measures:
        state = f"rewarded lines {100 * record.measures['success']:.0f} %"
    return f"{state}, {speed:,.0f} tokens/s"


@contextmanager
def stop_on_signal(trainer: "Trainer") -> Iterator[None]:
    """Ctrl-C or a polite kill ends the run after its present step, saved; a second Ctrl-C ends it
    at once."""

    def stop(number: int, _frame: Any) -> None:
        if trainer.stopping:
            raise KeyboardInterrupt
        say("\nstopping after this step; press Ctrl-C again to stop at once")
        trainer.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
