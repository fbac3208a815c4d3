"""bench: TinyLM beside its peers, measured in one run on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from tinylm.commands.terminal import clean, say

if TYPE_CHECKING:
    from tinylm.bench.measure import Reading, Setup

Records = list[dict[str, Any]]  # readings as JSON values


def bench(
    rows: Positional[tuple[str, ...]] = (),
    nanogpt: Path | None = None,
    llama2c: Path | None = None,
    texts: Path | None = None,
    json: Path = Path("runs/bench/results.json"),
    list: bool = False,
) -> None:
    """Measure TinyLM against its peers. Each ratio is printed with its spread and its bar.

    Args:
        rows: What to measure; --list shows all rows. Default: all except those that --list marks.
        nanogpt: A clone of github.com/karpathy/nanoGPT; it is copied, nothing is written into it.
        llama2c: A clone of github.com/karpathy/llama2.c.
        texts: Folder with tinyshakespeare.txt, and with the four texts that the row meter needs.
        json: File for the results; bench.png is written beside it.
        list: Only list the rows.
    """
    from tinylm.bench.measure import Setup, machine
    from tinylm.bench.rows import ROWS, chosen, picture
    from tinylm.pages.figures import save_figure

    if list:
        for name, row in ROWS.items():
            print(f"{name:14} {row.help}{'' if row.default else ' Runs only when named.'}")
        return
    names, facts = chosen(rows), machine()
    print(machine_line(facts))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tinylm-bench-", ignore_cleanup_errors=True) as scratch:
        say(f"measuring {', '.join(names)}; leave the machine alone meanwhile")
        records = measure(names, Setup(Path(scratch), nanogpt, llama2c, texts), facts, json)
    say(f"{(time.perf_counter() - began) / 60:.1f} minutes")
    if figure := picture(records, facts):
        save_figure(figure, json.parent / "bench.png")
        say(f"{json} and {json.parent / 'bench.png'}")


def measure(names: Sequence[str], setup: Setup, facts: dict[str, Any], out: Path) -> Records:
    """Print the readings of these rows and keep them in `out`; returns them as JSON values."""
    from tinylm.bench.rows import run_rows
    from tinylm.files import write_whole
    from tinylm.runs import to_json

    records: Records = []
    for reading in run_rows(names, setup):
        print(clean(reading_line(reading)), flush=True)
        records.append(reading.record())
        # after each: an interruption keeps the rest
        write_whole({out: to_json({"machine": facts, "readings": records})})
    return records


def machine_line(facts: dict[str, Any]) -> str:
    """The machine in one line."""
    versions = ", ".join(
        f"{name} {version or 'absent'}" for name, version in facts["versions"].items()
    )
    load = "" if facts["load"] is None else f", load {facts['load']:.1f}"
    gpu = f", {facts['gpu']}" if facts["gpu"] else ""
    features = " ".join(facts["features"]) or "no vector features reported"
    return (
        f"{facts['processor']} ({features}){gpu}, "
        f"{facts['cores']} cores, {facts['threads']} torch threads{load}; Python "
        f"{facts['python']}, {versions}"
    )


def reading_line(reading: Reading) -> str:
    """A reading as two lines: what, how much, against which bar; below it the measurements
    themselves."""
    from tinylm.bench.measure import shown

    head = f"{reading.row:13} {reading.what:62}"
    if not reading.values:
        return f"{head} not measured: {reading.detail}"
    value, low, high = (
        shown(v, reading.unit) for v in (reading.value, min(reading.values), max(reading.values))
    )
    spread = f" ({low} to {high})" if len(reading.values) > 1 else ""
    bar = ""
    if reading.bar is not None:
        beyond = f", beyond {reading.bar.beyond:g}" if reading.bar.beyond is not None else ""
        bar = (
            f"; bar {reading.bar.direction} {shown(reading.bar.value, reading.unit)}{beyond}: "
            f"{reading.verdict}"
        )
    busy = " [machine busy]" if reading.busy else ""
    detail = f"\n{'':13} {reading.detail}" if reading.detail else ""
    return f"{head} {value} {reading.unit}".rstrip() + spread + bar + busy + detail
