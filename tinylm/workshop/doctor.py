"""Is this machine ready for the workshop? Each check is one line: what was found, and what to do
where it falls short.

    for check in checks(Path(".")): print(check.state, check.name, check.text)

The speed is that of the demo's own training steps, measured for a few seconds; from the reference
that `make notebooks` left in notebooks/timings.json follow the minutes that each notebook takes
here.

Trade-offs: a few seconds say little about a laptop that grows hot in ten minutes. Memory is what is
built in, not what is free.
"""

import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from tinylm.corpora.fetch import data_folder
from tinylm.formats.smollm2 import NAME
from tinylm.recipes import ROOT, load_recipe
from tinylm.runs import read_json

State = Literal["ok", "note", "problem"]
MEMORY, DISK = 2.0, 1.0  # GB that the demo needs, with room to breathe
# Minutes of `tinylm demo --foundation` per second of a step of the small demo: 10 minutes at 0.136.
FOUNDATION_MINUTES = 73
PLENTY = 2  # times that, below which a note is made
SLOW = 2.5  # times the reference's step: the notebooks' five minutes become a quarter of an hour
# in a clone; an installed wheel has no notebooks
TIMINGS = ROOT.parent / "notebooks" / "timings.json"


@dataclass(frozen=True)
class Check:
    """One finding. A problem keeps the workshop from working; a note does not."""

    name: str
    state: State
    text: str


def checks(folder: Path) -> Iterator[Check]:
    """All checks; those on speed come last and take some seconds. `folder` is where runs are going
    to be written."""
    yield python()
    packages = list(required())
    yield from packages
    yield notebook_packages()
    yield cores(os.cpu_count() or 1)
    yield enough(
        "memory",
        memory() / 1e9,
        MEMORY,
        "close other programs, or train with --train.micro-batch-size 4",
    )
    yield disk(folder)
    if all(check.state == "ok" for check in packages):
        yield products()
        seconds = step_seconds()
        yield from speed(seconds, read_json(TIMINGS) if TIMINGS.is_file() else None)
        yield real_model(data_folder() / NAME, seconds)


def python() -> Check:
    """Whether Python's version is one that the package allows, and has 64 bits."""
    bits, version = 64 if sys.maxsize > 2**32 else 32, platform.python_version()
    versions = metadata.metadata("tinylm")["Requires-Python"]
    detail = f"{version}, {bits} bits, {platform.platform()}"
    if bits == 64 and fits(version, versions):
        return Check("Python", "ok", detail)
    return Check(
        "Python", "problem", f"{detail}: Python {versions} with 64 bits is needed, for torch"
    )


def required() -> Iterator[Check]:
    """Whether every package that TinyLM needs is there, in a version that it was made for."""
    wrong = []
    for requirement in metadata.requires("tinylm") or []:
        name = re.split(r"[^\w-]", requirement)[0]
        if "extra ==" in requirement:
            continue
        try:
            have = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not fits(have, requirement):
            wrong.append(f"{name} {have} is not in {requirement}")
    detail = (
        "; ".join(wrong) + ". Install again: pip install -e ."
        if wrong
        else f"torch {metadata.version('torch')}"
    )
    yield Check("packages", "problem" if wrong else "ok", detail)


def fits(version: str, requirement: str) -> bool:
    """Whether a version lies within the bounds of a requirement.

    >>> (fits("2.13.0+cpu", "torch<2.14,>=2.9"), fits("2.8", "torch<2.14,>=2.9"),
    ...  fits("2.14", "torch<2.14,>=2.9"))
    (True, False, False)
    """
    for sign, bound in re.findall(r"(>=|<)([\d.]+)", requirement):
        reached = numbers(version) >= numbers(bound)
        if reached != (sign == ">="):
            return False
    return True


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare by: "2.13.0+cpu" -> (2, 13, 0, 0)."""
    parts = [int(part) for part in re.findall(r"\d+", version.split("+")[0])]
    return tuple([*parts, 0, 0, 0, 0][:4])


def notebook_packages() -> Check:
    """Whether the three packages that the notebooks need are installed; none is imported."""
    missing = [
        name for name in ("jupyterlab", "ipywidgets", "nbclient") if util.find_spec(name) is None
    ]
    if not missing:
        return Check("notebooks", "ok", "jupyterlab, ipywidgets and nbclient are there")
    detail = f'{", ".join(missing)} missing; for the notebooks: pip install -e ".[notebooks]"'
    return Check("notebooks", "note", detail)


def cores(count: int) -> Check:
    """How many cores there are, with a note where that is one."""
    if count == 1:
        return Check("cores", "note", "1: the demo takes about twice as long as on 2")
    return Check("cores", "ok", f"{count}")


def memory() -> float:
    """Bytes of memory that the machine has."""
    if sys.platform == "win32":
        # MEMORYSTATUSEX: its own size and the load, then total physical memory
        status = (ctypes.c_uint64 * 8)(64)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return float(status[1])
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def disk(folder: Path) -> Check:
    """Whether files can be written into the folder, and how much room is left there."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
    except OSError as error:
        return Check(
            "disk",
            "problem",
            f"{folder.resolve()} cannot be written to ({error.strerror}): work elsewhere",
        )
    return enough(
        "disk", shutil.disk_usage(folder).free / 1e9, DISK, "free some, or work on another disk"
    )


def enough(name: str, gigabytes: float, needed: float, advice: str) -> Check:
    """A problem below what is needed, a note below twice that.

    >>> enough("disk", 0.3, 1.0, "free some").text
    '0.3 GB, and 1 GB is needed: free some'
    """
    if gigabytes < needed:
        return Check(name, "problem", f"{gigabytes:.1f} GB, and {needed:g} GB is needed: {advice}")
    state: State = "ok" if gigabytes >= PLENTY * needed else "note"
    return Check(
        name,
        state,
        f"{gigabytes:.1f} GB" + ("" if state == "ok" else f", little more than needed: {advice}"),
    )


# -- speed ----------------------------------------------------------------------------------------


def step_seconds() -> float:
    """Seconds that one training step of the demo's base takes here: the median of several, on a
    short text."""
    from tinylm.training.estimate import step_seconds as timed_step
    from tinylm.training.start import start_run

    recipe = load_recipe("demo-base", {"corpus.size": "150000", "corpus.valid_share": "0.05"})
    with tempfile.TemporaryDirectory(
        prefix="tinylm-doctor-", ignore_cleanup_errors=True
    ) as scratch:
        return timed_step(start_run(recipe, Path(scratch) / "run"))


def products() -> Check:
    """What the processor makes of matrix products alone, in both types that training uses."""
    import torch

    from tinylm.bench.measure import gemm_flops

    detail = ", ".join(
        f"{gemm_flops(t) / 1e9:,.0f} GFLOP/s in {str(t)[6:]}"
        for t in (torch.float32, torch.bfloat16)
    )
    return Check("products", "ok", f"{detail}, {torch.get_num_threads()} threads")


def speed(seconds: float, reference: dict[str, Any] | None) -> Iterator[Check]:
    """What a step costs here, beside the reference machine's, and the minutes that follow from
    it."""
    detail = f"{seconds:.3f} s a training step of the demo"
    steps = sum(load_recipe(name).train.steps for name in ("demo-base", "demo-verse"))
    # 1: texts, validation, comparison
    demo = Check("demo", "ok", f"about {seconds * steps / 60 + 1:.0f} minutes")
    if reference is None:
        yield from (Check("speed", "ok", detail), demo)
        return
    ratio = seconds / reference["step_seconds"]
    advice = (
        "; close other programs, plug the laptop in, or use tinylm demo --resume-from"
        if ratio > SLOW
        else ""
    )
    detail += f", {ratio:.1f} x that of the reference ({reference['machine']}){advice}"
    yield from (Check("speed", "note" if advice else "ok", detail), demo)
    for name, minutes in reference["minutes"].items():
        yield Check(name, "ok", f"about {ratio * minutes:.1f} minutes")


def real_model(file: Path, seconds: float) -> Check:
    """Whether the foundation model is here, and how long the demo with it takes where a training
    step of the small demo takes `seconds`."""
    demo = f"tinylm demo --foundation takes about {FOUNDATION_MINUTES * seconds:.0f} minutes"
    if file.is_file():
        return Check("real model", "ok", f"SmolLM2 is here ({file}); {demo}")
    get = "not here (only its demo needs it): tinylm fetch smollm2, 98 MB"
    return Check("real model", "note", f"SmolLM2 is {get}; {demo}")
