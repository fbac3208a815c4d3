"""How the bench measures: contestants in turn, medians with their spread, and an eye on what else
the machine does.

Absolute speeds say more about the machine and its mood than about a program, so nearly every figure
is a ratio of two things measured within the same minute. The contestants take turns and the order
is reversed from repeat to repeat: what slows the machine down for a while slows both.

Trade-offs: three repeats show the spread, not a confidence interval; a load that comes and goes
within a second is not noticed. Ratios pair the measurements of one repeat, and the median of the
ratios is told with the smallest and the largest.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch

from tinylm.corpora.fetch import CORPORA, data_folder

REPEATS = 3
PACKAGES = ("tinylm", "torch", "numpy", "tokenizers", "tiktoken", "transformers")
# a calibration product below this share of the run's fastest says that somebody else is at work
BUSY_SHARE = 0.7
# runnable processes per core, mean of a minute; the bench itself makes one per core
BUSY_LOAD = 1.5


class Skip(Exception):
    """Why a row, or a part of it, cannot be measured on this machine: said to the user, never
    fatal."""


@dataclass(frozen=True)
class Bar:
    """How far a figure has to go, and what lies beyond."""

    direction: Literal[">=", "<="]
    value: float
    beyond: float | None = None

    def reached(self, measured: float, target: float) -> bool:
        """Whether a measured ratio stands on the right side of a target, equality included."""
        return measured >= target if self.direction == ">=" else measured <= target


@dataclass(frozen=True)
class Reading:
    """One measured figure: `values` holds one number per repeat, and nothing where it could not be
    measured."""

    row: str
    what: str
    unit: str  # "x": how many times as good as the peer; else the unit's name
    values: tuple[float, ...] = ()
    bar: Bar | None = None
    detail: str = ""  # the measurements behind the ratio, or why there are none
    # False: the figure was got, but not on the terms that the bar asks for (detail says why)
    fair: bool = True
    busy: bool = False

    @property
    def value(self) -> float:
        """The median of the repeats, in `unit`; ValueError (statistics) where nothing was
        measured."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Where the median stands: `beyond`, `met`, `MISSED`, `not measured`, or nothing where no
        bar is set.

        >>> Reading("bpe", "training", "x", (0.5, 2.0, 1.2), Bar(">=", 0.33, beyond=1.0)).verdict
        'beyond'
        """
        if not self.values:
            return "not measured"
        if self.bar is None:
            return ""
        if not (self.fair and self.bar.reached(self.value, self.bar.value)):
            return "MISSED"
        beyond = self.bar.beyond
        return "beyond" if beyond is not None and self.bar.reached(self.value, beyond) else "met"

    def record(self) -> dict[str, Any]:
        """The reading as JSON values."""
        return {
            "row": self.row,
            "what": self.what,
            "unit": self.unit,
            "detail": self.detail,
            "busy": self.busy,
            "value": self.value if self.values else None,
            "values": self.values,
            "verdict": self.verdict,
            "low": min(self.values, default=None),
            "high": max(self.values, default=None),
            "bar": self.bar and f"{self.bar.direction} {self.bar.value:.5g}",
            "beyond": self.bar and self.bar.beyond,
        }


@dataclass(frozen=True)
class Setup:
    """What a row may use: the peers' folders, texts, and a scratch folder that is emptied after the
    run."""

    scratch: Path
    nanogpt: Path | None = None
    llama2c: Path | None = None
    texts: Path | None = None

    def shakespeare(self) -> Path:
        """Tiny Shakespeare: from the folder of texts, or fetched earlier. Skip where it is in
        neither place."""
        places = [data_folder() / "tiny-shakespeare.txt"]
        if self.texts is not None:
            places = [
                self.texts / "tinyshakespeare.txt",
                self.texts / "tiny-shakespeare.txt",
                *places,
            ]
        for path in places:
            if path.is_file() and path.stat().st_size == CORPORA["tiny-shakespeare"].size:
                return path.resolve()
        raise Skip(
            "needs tiny Shakespeare: tinylm fetch tiny-shakespeare, or --texts FOLDER with "
            "tinyshakespeare.txt"
        )

    def folder(self, name: str) -> Path:
        """A new folder in the scratch folder whose name begins with `name`."""
        number = sum(1 for path in self.scratch.iterdir() if path.name.startswith(name))
        run_folder = self.scratch / f"{name}-{number}"
        run_folder.mkdir()
        return run_folder


Measure = Callable[[], float]


def contest(contestants: dict[str, Measure], repeats: int = REPEATS) -> dict[str, list[float]]:
    """Let every contestant measure itself `repeats` times, in turn, every other round in reverse
    order.

    >>> calls = []
    >>> _ = contest({"a": lambda: calls.append("a") or 1.0,
    ...     "b": lambda: calls.append("b") or 2.0}, repeats=2)
    >>> calls
    ['a', 'b', 'b', 'a']
    """
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats):
        for name in list(contestants)[:: -1 if repeat % 2 else 1]:
            measured[name].append(contestants[name]())
    return measured


def ratios(above: Iterable[float], below: Iterable[float]) -> tuple[float, ...]:
    """Repeat by repeat: above / below."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def command(words: list[str], folder: Path, **environment: str) -> tuple[float, str]:
    """Run a program in `folder`; its wall time in seconds and its standard output. Skip with its
    last line if it fails.

    UTF-8 both ways, whatever the system's own encoding is.
    """
    start = time.perf_counter()
    settings = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1", **environment}
    done = subprocess.run(
        words, cwd=folder, env=settings, capture_output=True, encoding="utf-8", errors="replace"
    )
    spent = time.perf_counter() - start
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise Skip(f"{Path(words[0]).name} {' '.join(words[1:3])} failed: {last[:200]}")
    return spent, done.stdout


def python(words: list[str], folder: Path) -> tuple[float, str]:
    """`command` with the Python that runs this."""
    return command([sys.executable, *words], folder)


def gemm_flops(
    dtype: torch.dtype, device: str = "cpu", size: int = 1024, least_seconds: float = 0.05
) -> float:
    """Floating-point operations per second of the fastest of many square matrix products: this
    machine's peak, now."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = a @ b  # also warms up
    fastest, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < least_seconds:
        start = time.perf_counter()
        for _ in range(4):
            torch.mm(a, b, out=out)
        if device != "cpu":
            torch.cuda.synchronize()
        fastest = min(fastest, (time.perf_counter() - start) / 4)
    return 2 * size**3 / fastest


def shown(value: float, unit: str = "") -> str:
    """A figure for people: three digits, four for a loss, and no powers of ten.

    >>> shown(25640.0), shown(0.42857), shown(1.5712, "nats/character")
    ('25,640', '0.429', '1.571')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.{4 if unit.startswith('nats') else 3}g}"


class Watch:
    """Tells when the machine is busy with something else, by a matrix product whose speed it
    knows."""

    def __init__(self) -> None:
        self.best = max(gemm_flops(torch.float32) for _ in range(REPEATS))

    def busy(self) -> bool:
        """Whether, right now, the product is much slower than the run's best or too many processes
        want to run."""
        speed = median(gemm_flops(torch.float32) for _ in range(REPEATS))
        self.best = max(self.best, speed)
        return speed < BUSY_SHARE * self.best or (load() or 0.0) > BUSY_LOAD * (os.cpu_count() or 1)


def load() -> float | None:
    """Mean number of runnable processes over a minute; None where the platform does not say
    (Windows)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    features: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    interesting = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "bf16")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": [name for name in interesting if features.get(name)],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": load(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def processor() -> str:
    """The processor's name as the system tells it."""
    listing = Path("/proc/cpuinfo")
    lines = (
        listing.read_text(encoding="utf-8", errors="replace").splitlines()
        if listing.exists()
        else []
    )
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version(package: str) -> str | None:
    """A package's version; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
