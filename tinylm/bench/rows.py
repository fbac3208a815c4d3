"""`tinylm bench`: the rows, run one after the other, and their results as JSON and as a picture.

Each row measures TinyLM beside its peers and yields readings: a ratio with its spread, and the bar
it is held against. A row during which the machine was busy with something else is measured once
more if there is time, and then marked.

Tried and did not help
----------------------
| what | where | measured |
|---|---|---|
| RMSNorm with a backward pass by hand | a training step of the demo, side by side | 127 against 131
  ms: dropped |
| micro-batches that fit the caches (4, 2, 1 of 8) | the same | 102, 132, 202 against 93 ms: 10 ms a
  pass anyhow |
| huge pages (glibc.malloc.hugetlb=1) | the same | nothing beyond the noise |
| GOMP_SPINCOUNT=0; OMP_WAIT_POLICY=active | the same | half as slow again, both |
| GOMP_SPINCOUNT=10000 | the same | 9 % slower alone, fifty times faster beside another busy program
  |
| cross-entropy in chunks with its own backward pass | 2,048 tokens of 2,048 | 5.3 against 5.9 ms:
  0.5 % of a step |
| layer norm, learned positions and gelu instead of rms norm, rope and swiglu | the demo's size | 88
  against 91 ms |
| batch widths: any, multiples of 32, of 8; 16 is kept | the demo, tokens/s | 11 k, 15 k, 16 k; 18 k
  |
| two halves of a batch in two Python threads, one torch thread each | the demo's step | 113 to 126
  against 115 ms |
| str.replace of every merge over all distinct words | encoding, 768 merges | 127 against 90 ms |
| Muon with 3 optimal polynomials (Amsel et al. 2025), not 5 alike | demo's base | 4 of 105 ms;
  0.77, not 0.66 nats |
| one BLAS thread for one sequence (8 sequences need two) | width 384 | 2.3 against 2.8 ms; NumPy
  cannot be asked to |
| torch's products instead of NumPy's, one and eight sequences | width 384 | 4.4 against 2.1, 5.2
  against 4.4 ms |
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinylm.bench.assistant import assistant
from tinylm.bench.gpu import gpu_foundation, gpu_loss, gpu_mfu, gpu_resume, gpu_reward
from tinylm.bench.measure import Reading, Setup, Skip, Watch, shown
from tinylm.bench.page import page
from tinylm.bench.processes import processes
from tinylm.bench.sampling import sampling
from tinylm.bench.search import search
from tinylm.bench.texts import bpe, meter
from tinylm.bench.training import a100_loss, demo, memory, mfu, nanogpt_loss, optimiser, throughput
from tinylm.config import closest
from tinylm.pages.figures import MUTED, PALETTE, canvas

TIME_FOR_REPEATS = 15 * 60.0  # seconds; no row is begun anew where that would end later than this


@dataclass(frozen=True)
class Row:
    """What `tinylm bench NAME` measures."""

    measure: Callable[[Setup], Iterator[Reading]]
    default: bool = True  # also without being named

    @property
    def help(self) -> str:
        """The first line of the docstring of the function that measures it."""
        return (self.measure.__doc__ or "").splitlines()[0]


ROWS = {
    "bpe": Row(bpe),
    "meter": Row(meter),
    "optimiser": Row(optimiser),
    "mfu": Row(mfu),
    "sampling": Row(sampling),
    "throughput": Row(throughput),
    "nanogpt-loss": Row(nanogpt_loss),
    "gpu-loss": Row(gpu_loss),
    "gpu-mfu": Row(gpu_mfu),
    "gpu-foundation": Row(gpu_foundation),
    "gpu-reward": Row(gpu_reward),
    "gpu-resume": Row(gpu_resume),
    "processes": Row(processes, default=False),
    "page": Row(page, default=False),
    "search": Row(search, default=False),
    "a100-loss": Row(a100_loss, default=False),
    "memory": Row(memory, default=False),
    "demo": Row(demo, default=False),
    "assistant": Row(assistant, default=False),
}


def chosen(names: Iterable[str]) -> list[str]:
    """The rows asked for, or the default ones; ValueError names an unknown one."""
    names = list(names)
    for name in names:
        if name not in ROWS:
            raise ValueError(
                f"no row {name}{closest(name, list(ROWS))}; there are: {', '.join(ROWS)}"
            )
    return names or [name for name, row in ROWS.items() if row.default]


def run_rows(names: Iterable[str], setup: Setup) -> Iterator[Reading]:
    """Yield the readings of each row, once they are final."""
    began, watch = time.perf_counter(), Watch()
    for name in names:
        start, busy = time.perf_counter(), watch.busy()
        readings = read_row(name, setup)
        busy = watch.busy() or busy
        took = time.perf_counter() - start
        if busy and any(r.values for r in readings) and start + 2 * took - began < TIME_FOR_REPEATS:
            busy = watch.busy()
            readings = read_row(name, setup)
            busy = watch.busy() or busy
        for reading in readings:
            yield replace(reading, busy=busy and bool(reading.values))


def read_row(name: str, setup: Setup) -> list[Reading]:
    """All readings of one row; where it cannot go on, the last one says why."""
    readings = []
    try:
        for reading in ROWS[name].measure(setup):
            readings.append(reading)
    except Skip as reason:
        readings.append(Reading(name, ROWS[name].help, "", detail=str(reason)))
    return readings


def headroom(record: dict[str, Any]) -> tuple[float, float, float]:
    """Median, worst and best repeat as multiples of the bar; above 1 is better than the bar asks.

    >>> headroom({"bar": "<= 5", "value": 4.0, "low": 2.5, "high": 10.0})
    (1.25, 0.5, 2.0)
    """
    direction, bar = record["bar"].split()
    value, low, high = (
        record[name] / float(bar) if direction == ">=" else float(bar) / max(record[name], 1e-9)
        for name in ("value", "low", "high")
    )
    return value, min(low, high), max(low, high)


def picture(records: list[dict[str, Any]], machine: dict[str, Any]) -> Figure | None:
    """One horizontal bar per reading that has a bar to reach, as multiples of it; None where there
    is none."""
    drawn = [record for record in records if record["bar"] and record["value"] is not None]
    if not drawn:
        return None
    met = sum(record["verdict"] in ("met", "beyond") for record in drawn)
    title = f"{met} of {len(drawn)} bars met on {machine['processor']}, {machine['cores']} cores"
    with canvas(title, (11.0, 1.6 + 0.46 * len(drawn))) as figure:
        axes = figure.subplots()
        for place, record in enumerate(reversed(drawn)):
            draw_reading(axes, place, record)
        axes.axvline(1, color=MUTED, linewidth=2, linestyle="--")
        scale_axes(axes, drawn)
    return figure


def draw_reading(axes: Axes, place: int, record: dict[str, Any]) -> None:
    """One reading in the row `place`: its bar, the whiskers of its repeats, and the numbers."""
    value, worst, best = headroom(record)
    # From the bar that was set: to the right as far as the median is better, to the left as it is
    # worse.
    axes.barh(
        place,
        value - 1,
        left=1,
        color=PALETTE[1] if record["verdict"] == "MISSED" else PALETTE[0],
        height=0.62,
        hatch="//" if record["busy"] else None,
    )
    axes.plot([worst, best], [place, place], color="black", linewidth=1.6, marker="|", markersize=7)
    direction, bar = record["bar"].split()
    text = f"{shown(record['value'], record['unit'])} {record['unit']}".strip()
    text += f"  (bar {direction} {shown(float(bar), record['unit'])})" + "  busy" * record["busy"]
    axes.text(max(1, best) * 1.06, place, text, va="center", fontsize=10.5)


def scale_axes(axes: Axes, drawn: list[dict[str, Any]]) -> None:
    """A logarithmic axis that holds all readings and their numbers; below each other, their
    names."""
    ends = [end for record in drawn for end in headroom(record)]
    low, high = max(0.1, min(0.5, *ends) * 0.9), min(30.0, max(ends))
    axes.set(xscale="log", xlim=(low, high * 7))  # room for the labels
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    names = [record["what"] for record in reversed(drawn)]
    axes.set_yticks(range(len(drawn)), names, fontsize=10.5)
    axes.set_xlabel("times better than the bar asks; whiskers: worst and best repeat")
    axes.grid(visible=False, axis="y")
