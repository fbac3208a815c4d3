"""Rows about training: time to nanoGPT's result, throughput, share of the machine's peak, cost of
the optimiser.

Also the two long ones: the whole demo, and a text far larger than memory.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from tinylm.bench.measure import (
    REPEATS,
    Bar,
    Reading,
    Setup,
    Skip,
    contest,
    gemm_flops,
    python,
    ratios,
)
from tinylm.bench.nanogpt import CPU_COMMAND, CPU_TOKENS, NanoGpt, Score, step_times
from tinylm.corpora.build import endless
from tinylm.model.device import choose_compute
from tinylm.model.size import flops_per_token
from tinylm.recipes import load_recipe
from tinylm.runs import open_run
from tinylm.training.start import start_run
from tinylm.training.trainer import Trainer

Fields = dict[str, str]

# nats per character: a full pass over the validation text with what nanoGPT's CPU command leaves
NANOGPT_LOSS = 1.898
# From random weights to that loss as fast as possible, in half of nanoGPT's CPU shape: 2 of its 4
# layers of width 128, 0.39 M parameters. Whole commands to about 1.89 took 17.5 s with four layers,
# 14.8 s with three, 12.0 s with two.
SPRINT: Fields = {
    "train.steps": "250",
    "model.depth": "2",
    "model.context": "64",
    "train.batch_size": "16",
    "train.learning_rate": "5e-3",
}
# The lowest loss within nanoGPT's wall time, at any size: as many steps as fit.
MARATHON: Fields = {"train.steps": "1000000"}
# of that time for the steps; the rest is for starting Python, torch and the tokenizer
MARATHON_SHARE = 0.85
# What nanoGPT reaches on an A100 with 10.7 M parameters, here with 4.0 M on a processor: width 256,
# 5 layers.
A100_LOSS, A100_MINUTES = 1.4697, 14.0
LONG: Fields = {
    "model.width": "256",
    "model.heads": "4",
    "model.depth": "5",
    "model.embedding_scale": "16",
    "model.dropout": "0.1",
    "train.steps": "3000",
    "train.batch_size": "8",
    "train.decay": "0.8",
    "train.evaluate_every": "500",
    "train.compile": "true",
}


@dataclass(frozen=True)
class Trained:
    """One `tinylm train` command: wall seconds from start to exit, and the best full validation
    pass."""

    seconds: float
    nats: float
    context: int


def train_command(setup: Setup, recipe: str, fields: Fields, *options: str) -> Trained:
    """Run `tinylm train RECIPE` in a process of its own, without samples or validations along the
    way."""
    folder = setup.folder("run") / "made"
    never = {"train.evaluate_every": "1000000", "sample.every": "1000000", "sample.tokens": "1"}
    words = [
        word for name, value in {**never, **fields}.items() for word in ("--set", f"{name}={value}")
    ]
    spent, _ = python(
        ["-m", "tinylm", "train", recipe, "--out", str(folder), *words, *options], setup.scratch
    )
    best = open_run(folder).manifest["best"]
    return Trained(spent, best["nats_per_token"], best["context"])


def nanogpt_loss(setup: Setup) -> Iterator[Reading]:
    """Time to the loss that nanoGPT's CPU command reaches, and the loss after that command's
    time."""
    nano, text = NanoGpt(setup), {"corpus.text": str(setup.shakespeare())}
    own_runs: list[Trained] = []
    scores: list[Score] = []

    def theirs() -> float:
        spent = nano.train(CPU_COMMAND)[0]
        scores.append(nano.score())
        return spent

    def sprint() -> float:
        own_runs.append(train_command(setup, "shakespeare-char", {**text, **SPRINT}))
        return own_runs[-1].seconds

    seconds = contest({"nanoGPT": theirs, "TinyLM": sprint})
    yield time_to_loss(seconds, own_runs, scores)
    limit = median(seconds["nanoGPT"])
    minutes = str(MARATHON_SHARE * limit / 60)
    long = train_command(setup, "shakespeare-char", {**text, **MARATHON}, "--max-minutes", minutes)
    yield Reading(
        "nanogpt-loss",
        "loss after nanoGPT's own wall time",
        "nats/character",
        (long.nats,),
        Bar("<=", 1.55, beyond=1.50),
        f"one run of {long.seconds:.1f} s, nanoGPT's median being {limit:.1f} s; windows of "
        f"{long.context}",
        fair=long.seconds <= limit,
    )


def time_to_loss(
    seconds: dict[str, list[float]], own_runs: Sequence[Trained], scores: Sequence[Score]
) -> Reading:
    """The wall time of our runs beside nanoGPT's; unfair where one of ours missed the loss."""
    worst, theirs = max(run.nats for run in own_runs), seconds["nanoGPT"]
    reached = median(score.nats for score in scores)
    return Reading(
        "nanogpt-loss",
        f"time to {NANOGPT_LOSS} nats/character, against nanoGPT's CPU command",
        "x",
        ratios(theirs, seconds["TinyLM"]),
        Bar(">=", 8, beyond=12),
        f"TinyLM {median(seconds['TinyLM']):.1f} s to {worst:.3f} in windows of "
        f"{own_runs[0].context}, nanoGPT {median(theirs):.1f} s to {reached:.3f} in windows of "
        f"{scores[0].context}: whole commands, full passes",
        fair=worst <= NANOGPT_LOSS,
    )


def a100_loss(setup: Setup) -> Iterator[Reading]:
    """The loss of nanoGPT's A100 run (1.4697 by its own estimate), on this machine's processor."""
    fields = {"corpus.text": str(setup.shakespeare()), "train.device": "cpu", **LONG}
    run = train_command(setup, "shakespeare-char", fields, "--max-minutes", str(A100_MINUTES))
    yield Reading(
        "a100-loss",
        f"minutes to the {A100_LOSS} nats/character of nanoGPT's A100 run",
        "minutes",
        (run.seconds / 60,),
        Bar("<=", 15, beyond=8),
        f"one run, start to exit: {run.nats:.4f} by a full pass in windows of {run.context}",
        fair=run.nats <= A100_LOSS,
    )


def make_trainer(setup: Setup, recipe: str, fields: Fields) -> Trainer:
    """A trainer of this process, its first step still to come."""
    folder = setup.folder("run")
    return start_run(load_recipe(recipe, fields), folder, overwrite=True)


@dataclass(frozen=True)
class Pace:
    """Seconds of one training step (median), and of the optimiser's part in it."""

    step: float
    optimizer: float


def pace(trainer: Trainer, steps: int = 20, warmup: int = 3) -> Pace:
    """Take some steps and time them: batch, forward, backward, clipping, update."""
    whole, update = [], []
    for number in range(warmup + steps):
        start = time.perf_counter()
        trainer.accumulate(trainer.batches[number])
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), trainer.recipe.train.clip)
        before = now(trainer)
        trainer.optimizers.step(number)
        end = now(trainer)
        whole.append(end - start)
        update.append(end - before)
    return Pace(median(whole[warmup:]), median(update[warmup:]))


def now(trainer: Trainer) -> float:
    """The clock, once the device has done all it was asked to."""
    if trainer.compute.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def throughput(setup: Setup) -> Iterator[Reading]:
    """Training tokens per second in the shape and batch of nanoGPT's CPU command."""
    nano = NanoGpt(setup)
    fields = {
        "corpus.text": str(setup.shakespeare()),
        "model.context": "64",
        "train.batch_size": "12",
        "model.depth": "4",
        "model.heads": "4",
        "model.width": "128",
        "train.device": "cpu",
    }
    kinds = {
        "Muon, our recipe": {"train.optimizer": "muon"},
        "AdamW, as nanoGPT": {"train.optimizer": "adamw"},
        "AdamW, compiled": {"train.optimizer": "adamw", "train.compile": "true"},
    }
    trainers = {
        kind: make_trainer(setup, "shakespeare-char", fields | more) for kind, more in kinds.items()
    }
    short = [*CPU_COMMAND, "--max_iters=80", "--eval_interval=1000", "--eval_iters=1"]
    speeds = contest(
        {
            "nanoGPT": lambda: CPU_TOKENS / median(step_times(nano.train(short)[1])),
            **{kind: partial(tokens_per_second, trainer) for kind, trainer in trainers.items()},
        }
    )
    for kind, trainer in trainers.items():
        yield Reading(
            "throughput",
            f"training throughput ({kind}) against nanoGPT",
            "x",
            ratios(speeds[kind], speeds["nanoGPT"]),
            Bar(">=", 1.5, beyond=2.5),
            f"TinyLM {median(speeds[kind]):,.0f} tokens/s, nanoGPT's command (not compiled) "
            f"{median(speeds['nanoGPT']):,.0f}, at 4 layers of width 128, batches of 12 x 64"
            + "".join(f"; {notice}" for notice in trainer.notices),
        )


def tokens_per_second(trainer: Trainer, steps: int = 60) -> float:
    """Training tokens a second, from the median of `steps` timed steps."""
    return trainer.batches.tokens / pace(trainer, steps).step


def mfu(setup: Setup) -> Iterator[Reading]:
    """Model FLOPs of a training step as a share of the machine's matrix-product peak, at width 256
    and 384."""
    dtype = choose_compute("cpu").dtype
    for width, heads in ((256, 4), (384, 6)):
        trainers = {
            kind: wide_trainer(setup, width, heads, compiling)
            for kind, compiling in (("as it is", "false"), ("compiled", "true"))
        }
        speeds = {kind: partial(tokens_per_second, own, steps=8) for kind, own in trainers.items()}
        peak = partial(gemm_flops, dtype, size=2048, least_seconds=0.5)
        measured = contest({**speeds, "peak": peak})
        for kind, trainer in trainers.items():
            what = f"model FLOPs against the measured {str(dtype)[6:]} peak, width {width}, {kind}"
            yield share_of_peak(what, trainer, measured[kind], measured["peak"])


def wide_trainer(setup: Setup, width: int, heads: int, compiling: str) -> Trainer:
    """A trainer of the demo's base recipe at another width."""
    fields = {
        "corpus.size": "1000000",
        "corpus.document_token": "false",
        "tokenizer.vocab_size": "512",
        "model.width": str(width),
        "model.heads": str(heads),
        "model.mlp": "relu2",
        "model.mlp_width": str(4 * width),
        "train.device": "cpu",
        "train.compile": compiling,
    }
    return make_trainer(setup, "demo-base", fields)


def share_of_peak(
    what: str, trainer: Trainer, speeds: Sequence[float], peak: Sequence[float]
) -> Reading:
    """Tokens per second turned into a share of the peak, both measured in the same repeats."""
    work = flops_per_token(trainer.model.config)
    reached = [work * speed for speed in speeds]  # FLOP/s
    return Reading(
        "mfu",
        what,
        "%",
        tuple(100 * share for share in ratios(reached, peak)),
        Bar(">=", 50, beyond=65),
        f"{median(reached) / 1e9:.0f} of {median(peak) / 1e9:.0f} GFLOP/s, 4 layers, context "
        f"{trainer.model.config.context}, batch {trainer.recipe.train.batch_size}, optimiser "
        "included" + "".join(f"; {notice}" for notice in trainer.notices),
    )


def optimiser(setup: Setup) -> Iterator[Reading]:
    """The optimiser's share of a training step at the demo's shape."""
    trainer = make_trainer(setup, "demo-base", {"corpus.size": "2000000", "train.device": "cpu"})
    paces = [pace(trainer) for _ in range(REPEATS)]
    yield Reading(
        "optimiser",
        "optimiser's share of a step at the demo's shape",
        "%",
        tuple(100 * p.optimizer / p.step for p in paces),
        Bar("<=", 5, beyond=3),
        f"{1000 * median(p.optimizer for p in paces):.1f} of "
        f"{1000 * median(p.step for p in paces):.0f} ms",
    )


def demo(setup: Setup) -> Iterator[Reading]:
    """Wall time of `tinylm demo`, from start to exit."""
    spent, _ = python(
        ["-m", "tinylm", "demo", "--out", str(setup.folder("demo") / "made")], setup.scratch
    )
    yield Reading(
        "demo",
        "tinylm demo",
        "minutes",
        (spent / 60,),
        Bar("<=", 4, beyond=2),
        "one run, start to exit",
    )


# Prepare a text and take steps, in a process whose peak memory is then known.
LARGE = """
import json, sys, time
from pathlib import Path
from tinylm.recipes import load_recipe
from tinylm.training.start import start_run
from tinylm.training.environment import peak_memory
began = time.perf_counter()
trainer = start_run(load_recipe("your-text", json.loads(sys.argv[1])), Path(sys.argv[2]))
prepared = time.perf_counter() - began
for record in trainer.run(): pass
print(json.dumps({"seconds": prepared, "bytes": peak_memory()}))
"""
LARGE_TEXT, SMALL_TEXT = 1_000_000_000, 10_000_000  # bytes


def memory(setup: Setup) -> Iterator[Reading]:
    """A text of 1 GB, prepared and trained on for 100 steps: resident memory, and speed against a
    text of 10 MB."""
    small = write_stories(setup.scratch / "small.txt", SMALL_TEXT)
    large = setup.scratch / "large.txt"
    with large.open("wb") as file:
        for _ in range(LARGE_TEXT // SMALL_TEXT):
            file.write(small.read_bytes())
    speeds = [prepare(setup, small)[0] for _ in range(REPEATS)]
    speed, peak = prepare(setup, large)
    if not peak:
        raise Skip("this platform does not tell a process's peak memory")
    yield Reading(
        "memory",
        "resident memory with a text of 1 GB",
        "GB",
        (peak / 1e9,),
        Bar("<=", 1.0),
        "prepare, then 100 steps of your-text; one run",
    )
    yield Reading(
        "memory",
        "MB/s of preparing 1 GB, against 10 MB",
        "x",
        tuple(speed / other for other in speeds),
        Bar(">=", 0.8),
        f"{speed:.1f} MB/s against {median(speeds):.1f}; the large text is the small one, repeated",
    )


def prepare(setup: Setup, path: Path) -> tuple[float, int]:
    """MB/s of preparing a text, and the peak memory of that and 100 steps, in bytes."""
    size = path.stat().st_size
    kept_aside = str(200_000 / size)  # the same amount of validation for every text
    fields = {"corpus.text": str(path), "corpus.valid_share": kept_aside, "train.steps": "100"}
    folder = setup.folder("run") / "made"
    _, printed = python(["-c", LARGE, json.dumps(fields), str(folder)], setup.scratch)
    reported = json.loads(printed.splitlines()[-1])
    return size / reported["seconds"] / 1e6, reported["bytes"]


def write_stories(path: Path, size: int) -> Path:
    """Write about `size` bytes of the shipped stories."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text in endless("stories", "train", size, seed=0):
            file.write(text + "\n\n")
    return path
