"""Run every notebook from top to bottom, write its outputs into it, and say how long each took: `make notebooks`.

With names (`python notebooks/execute.py 03 07`) only those. What earlier notebooks left in runs/notebooks is deleted
first, so that nothing is quicker than for a reader. Written are, beside the notebooks:

    timings.json                  minutes of each, and the time of a training step of the demo: what `tinylm doctor`
                                  works out the minutes on another machine from
    images/reference-losses.png   the loss curves that a reader should see, with their band over seeds
    README.md                     the guide's table of minutes, between its two marks

Outputs are made without ipywidgets, so that they show something where no kernel runs, and cleaned of what is no result:
progress bars that are done, and the folder in which all this happened.
"""

import json
import re
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path

import nbformat
import numpy as np
from matplotlib.figure import Figure
from nbclient import NotebookClient
from nbformat import NotebookNode

from tinylm.bench.measure import machine
from tinylm.workshop.doctor import step_seconds
from tinylm.evaluation.statistics import interval
from tinylm.pages.figures import MARKERS, canvas, colour, save_figure
from tinylm.lessons.lesson import band
from tinylm.lessons.experiment import is_finished, settings_of
from tinylm.runs import Run, open_run

HERE = Path(__file__).resolve().parent
RUNS = HERE.parent / "runs"
TIMINGS, GUIDE, REFERENCE = (
    HERE / "timings.json",
    HERE / "README.md",
    HERE / "images" / "reference-losses.png",
)
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}  # fmt: skip
LONGEST = 5.0  # minutes that a notebook may take
SLOW = 8.0  # seconds from which on the guide names a cell


def main(chosen: list[str]) -> None:
    """Execute the notebooks whose names begin with one of `chosen`; all where there is none."""
    paths = [
        path for path in sorted(HERE.glob("*.ipynb")) if path.name.startswith(tuple(chosen) or "")
    ]
    known = (
        json.loads(TIMINGS.read_text(encoding="utf-8"))
        if TIMINGS.is_file()
        else {"minutes": {}, "slow": {}}
    )
    facts = machine()
    known |= {
        "machine": f"{facts['cores']} cores, {facts['processor']}",
        "step_seconds": round(step_seconds(), 4),
    }
    shutil.rmtree(RUNS / "notebooks", ignore_errors=True)
    for path in paths:
        minutes, known["slow"][path.stem] = execute(path)
        known["minutes"][path.stem] = round(minutes, 2)
        print(
            f"{path.stem:16} {minutes:5.2f} minutes{'  TOO LONG' if minutes > LONGEST else ''}",
            flush=True,
        )
        TIMINGS.write_text(
            json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n"
        )
    print(f"{'in all':16} {sum(known['minutes'][path.stem] for path in paths):5.2f} minutes")
    fill_guide(known)
    if not chosen:  # it takes the runs of two of them
        save_figure(reference(), REFERENCE)


def execute(path: Path) -> tuple[float, list[tuple[str, int]]]:
    """Run one notebook and write it back; returns the minutes it took, and its slow cells with their seconds."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(
        0, nbformat.v4.new_code_cell("import sys\nsys.modules['ipywidgets'] = None")
    )
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(HERE)}})
    started = time.perf_counter()
    client.execute()
    minutes = (time.perf_counter() - started) / 60
    notebook.cells.pop(0)
    slow = slow_cells(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.metadata.clear()
        cell.execution_count, cell.outputs = number + 1, cleaned(cell.outputs)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    return minutes, slow


def slow_cells(notebook: NotebookNode) -> list[tuple[str, int]]:
    """Cells that keep a reader waiting: the heading above each, and its seconds."""
    found, heading = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^##? (.*)$", cell.source, re.MULTILINE) or [heading])[-1]
        elif times := cell.metadata.get("execution"):
            begun, done = (
                datetime.fromisoformat(times[key])
                for key in ("iopub.execute_input", "shell.execute_reply")
            )
            if (seconds := (done - begun).total_seconds()) >= SLOW:
                found.append((heading, round(seconds)))
    return found


def cleaned(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs with streams joined, bars that are done left out, and no path of this machine in them."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r", "", output.text).replace(f"{HERE.parent}/", "")
    return [output for output in kept if output.output_type != "stream" or output.text.strip()]


# -- the guide --------------------------------------------------------------------------------------------------------


def fill_guide(known: dict) -> None:
    """Write the measured minutes into the facilitator's guide."""
    rows = [
        f"Measured on {known['machine']}.",
        "",
        "| notebook | minutes | to wait for, seconds |",
        "|---|---|---|",
    ]
    for name, minutes in sorted(known["minutes"].items()):
        waits = "; ".join(
            f"{heading}: {seconds}" for heading, seconds in known["slow"].get(name, [])
        )
        rows.append(f"| `{name}` | {minutes:.1f} | {waits or 'none'} |")
    rows.append(f"| all | {sum(known['minutes'].values()):.1f} | |")
    text = GUIDE.read_text(encoding="utf-8")
    filled = re.sub(r"(<!-- minutes -->\n).*?(<!-- end of minutes -->)", lambda m: m[1] + "\n".join(rows) + "\n" + m[2],
                    text, flags=re.DOTALL)  # fmt: skip
    GUIDE.write_text(filled, encoding="utf-8", newline="\n")


def reference() -> Figure:
    """Validation loss of both stages of the demo, the base over all seeds trained here, and of notebooks 03 and 04."""
    base, verse = open_run(RUNS / "demo" / "base"), open_run(RUNS / "demo" / "verse")
    seeds = [
        run
        for run in map(open_run, filter(is_finished, RUNS.glob("lessons/base-seed-*")))
        if alike(run, base)
    ]
    title = f"What to expect: stories {last(base):.2f}, verse {last(verse):.2f} bits per byte at the end of the demo"
    with canvas(title, (9.2, 4.4)) as figure:
        panels = figure.subplots(1, 2)
        for axes, whole, own, notebook in zip(
            panels, (base, verse), ([base, *seeds], [verse]), ("03", "04")
        ):
            steps = [record["step"] for record in whole.records("valid")]
            curves = np.array(
                [[record["bits_per_byte"] for record in run.records("valid")] for run in own]
            )
            found = [interval(at, groups=range(len(at))) for at in curves.T]
            band(axes, steps, found, 0, f"demo, {len(own)} seeds" if len(own) > 1 else "demo")
            short = open_run(RUNS / "notebooks" / notebook).records("valid")
            points = ([record[key] for record in short] for key in ("step", "bits_per_byte"))
            axes.plot(*points, f"--{MARKERS[1]}", color=colour(1), label=f"notebook {notebook}")
            axes.set(
                xlabel="steps",
                ylabel=f"bits per byte of {Path(whole.recipe.corpus.text).name}",
                ylim=(0, None),
            )
            axes.legend(frameon=False)
    return figure


def alike(run: Run, other: Run) -> bool:
    """Whether two runs differ in their seed at most."""
    ours, theirs = settings_of(run.recipe), settings_of(other.recipe)
    return {**ours, "train": {**ours["train"], "seed": 0}} == {
        **theirs,
        "train": {**theirs["train"], "seed": 0},
    }


def last(run: Run) -> float:
    return run.records("valid")[-1]["bits_per_byte"]


if __name__ == "__main__":
    main(sys.argv[1:])
