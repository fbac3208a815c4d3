"""The row about several processes: tokens per second of two that train one model, against one.

They are started as torchrun does it, each on one thread, and train the demo's base. The time is
what the run folder records between two saves, so that starting Python is left out.

Trade-off: on one machine the processes share its cores and its memory bandwidth, so this shows what
the exchange of gradients costs, not what a second machine brings.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from tinylm.bench.measure import Reading, Setup, Skip, contest, ratios
from tinylm.runs import open_run, read_lines

STEPS = 40  # of which the second half is timed


def processes(setup: Setup) -> Iterator[Reading]:
    """Training tokens per second of two processes against one, each on one thread."""
    speeds = contest(
        {"two": lambda: tokens_per_second(setup, 2), "one": lambda: tokens_per_second(setup, 1)}
    )
    yield Reading(
        "processes",
        "training in two processes against one, a thread each",
        "x",
        ratios(speeds["two"], speeds["one"]),
        detail=f"{median(speeds['two']):,.0f} tokens/s together, {median(speeds['one']):,.0f} "
        "alone; demo-base",
    )


def tokens_per_second(setup: Setup, count: int) -> float:
    """Train some steps of `demo-base` in `count` processes; the speed of all together."""
    folder = setup.folder("processes") / "run"
    fields = {
        "train.steps": STEPS,
        "train.evaluate-every": STEPS // 2,
        "sample.every": 9 * STEPS,
        "corpus.size": 1_000_000,
        "corpus.valid-share": 0.002,
        "train.device": "cpu",
    }
    words = [word for name, value in fields.items() for word in (f"--{name}", str(value))]
    shared = {**os.environ, **meeting_place(count), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tinylm", "train", "demo-base", "--out", str(folder), *words],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(count)
    ]
    if any([process.wait() for process in started]):
        raise Skip(
            f"training in {count} processes failed; see: torchrun --nproc-per-node {count} -m "
            "tinylm train ..."
        )
    *_, half, last = read_lines(folder / "timings.jsonl")
    tokens = open_run(folder).manifest["tokens"] / STEPS * (last["step"] - half["step"])
    return tokens / (last["seconds"] - half["seconds"])


def meeting_place(count: int) -> dict[str, str]:
    """What torchrun tells its processes: how many they are, and a free port of this machine to meet
    at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
