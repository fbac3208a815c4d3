"""Processes that are made to be killed: each runs one command of TinyLM, and starts in
milliseconds.

The standard library's fork server imports torch once and forks a fresh process for each command, so
that hundreds of kills take minutes. Not on Windows, which cannot fork.
"""

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver") if sys.platform != "win32" else None


def run_command(words: list[str], log: str) -> None:
    """Run one `tinylm` command on one thread, with what it prints in a file; ends the process with
    its exit code."""
    import torch

    from tinylm import cli

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with Path(log).open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        cli.main(words)


def started(words: list[object], log: Path) -> multiprocessing.process.BaseProcess:
    """A process that runs a command."""
    assert FORKS is not None
    FORKS.set_forkserver_preload(["tests.robustness.victims_imports"])
    process = FORKS.Process(target=run_command, args=([str(word) for word in words], str(log)))
    process.start()
    return process


def ended(words: list[object], log: Path) -> float:
    """Run a command to its end; returns its seconds."""
    begin = time.perf_counter()
    process = started(words, log)
    process.join()
    assert process.exitcode == 0, log.read_text(encoding="utf-8")[-2000:]
    return time.perf_counter() - begin


def struck(words: list[object], log: Path, delay: float, number: int) -> int | None:
    """Run a command, send it a signal after `delay` seconds, and wait for its end; returns its exit
    code."""
    process = started(words, log)
    process.join(delay)
    if process.exitcode is None and process.pid is not None:
        with suppress(ProcessLookupError):  # it may come to its end just now
            os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode is not None, "still running a minute after the signal"
    return process.exitcode
