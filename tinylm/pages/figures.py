"""Pictures from records: each function takes numbers as they stand in comparison.json and returns a
Figure.

One style for all of them: the colour-blind-safe palette of Okabe & Ito (2008) together with marker
shapes, so that no reading depends on colour alone; lines are labelled where they end, axes say
their unit, and the title states what the numbers show, worked out from the numbers. Type is large
enough to read at half size.

Trade-off: matplotlib's object-oriented interface without pyplot. Nothing global is touched, so
notebooks, tests and commands may draw at once; a figure shows itself in a notebook as its last
value only.
"""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tinylm.evaluation.statistics import Interval, difference, verdict
from tinylm.files import write_whole
from tinylm.runs import Run

INK, MUTED, GRID = "#1f2328", "#59636f", "#d0d7df"
# Okabe & Ito, strongest contrasts first
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = "os^Dvp"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12.5,
    "axes.labelsize": 12.5,
    "legend.fontsize": 12.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 2.2,
    "svg.fonttype": "path",
    "svg.hashsalt": "tinylm",
    "text.parse_math": False,  # a dollar sign in a sample is a dollar sign
}
POINTS = 150  # at most so many points of a training curve are drawn, each the mean of its stretch


@contextmanager
def canvas(title: str, size: tuple[float, float] = (7.6, 4.4)) -> Iterator[Figure]:
    """A new figure under the house style, titled with its finding; `size` is in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=size, dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
        )
        whole = title.replace(" %", "\u00a0%")  # a number and its sign stay on one line
        wrapped = textwrap.fill(whole, int(8.6 * size[0])).replace("\u00a0", " ")
        figure.suptitle(
            wrapped, x=0.01, ha="left", fontsize=13.5, fontweight="bold", linespacing=1.25
        )
        yield figure
        for text in figure.findobj(Text):
            text.set_text(drawable(text.get_text()))


SIGNATURE = "TinyLM figure"  # in the metadata of every picture


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as .png or .svg; ValueError for another ending."""
    write_whole({path: figure_file(figure, path)})


def figure_file(figure: Figure, path: Path) -> bytes:
    """The content of a figure's file; its ending says which kind."""
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"{path}: pictures are written as .png or .svg")
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        # No date and no version in the file: the same numbers give the same bytes.
        svg = {"Date": None, "Creator": SIGNATURE}
        metadata = svg if path.suffix == ".svg" else {"Software": SIGNATURE}
        figure.savefig(buffer, format=path.suffix[1:], facecolor="white", metadata=metadata)
    return buffer.getvalue()


def is_ours(path: Path) -> bool:
    """Whether a picture was written by `save_figure`, which signs what it writes."""
    with path.open("rb") as file:
        return SIGNATURE.encode() in file.read(4096)


def drawable(text: str) -> str:
    """The text with a box for each character that the font does not have, where matplotlib would
    warn.

    >>> drawable("a tide\\n潮")
    'a tide\\n□'
    """
    known = get_font(findfont(STYLE["font.family"]))
    return "".join(c if c == "\n" or known.get_char_index(ord(c)) else "□" for c in text)


def colour(place: int) -> str:
    """The colour of the run in this place; after the last one it begins again."""
    return PALETTE[place % len(PALETTE)]


def legend_columns(labels: Sequence[str]) -> int:
    """Columns of a legend under a picture: at most four, and two where the names are long.

    >>> legend_columns(["base", "verse"]), legend_columns(4 * ["foundation/verse"])
    (2, 2)
    """
    return min(4 if sum(map(len, labels)) <= 44 else 2, len(labels))


def percent(share: float) -> str:
    """A share for people: no decimals, but never 0 % for something or 100 % for not everything.

    >>> percent(0.624), percent(0.004), percent(0.999), percent(1.0)
    ('62 %', '0.4 %', '99.9 %', '100 %')
    """
    digits = 1 if 0 < share < 0.01 or 0.99 < share < 1 else 0
    return f"{100 * share:.{digits}f} %"


# -- curves over training -------------------------------------------------------------------------


def loss_records(runs: Sequence[Run], labels: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The loss curves of runs as plain numbers: bits per byte against tokens seen in that run.

    Training loss is logged in nats per token; it is turned into bits per byte by the bytes per
    token of the run's validation text, and averaged over stretches of steps.
    """
    curves = []
    for run, label in zip(runs, labels or [run.name for run in runs]):
        train, valid = run.records("train"), run.records("valid")
        per_step = train[-1]["tokens"] / train[-1]["step"] if train else 0
        scale = next(
            (r["bits_per_byte"] / r["nats_per_token"] for r in valid if r["nats_per_token"]), np.nan
        )
        stretches = np.array_split(np.arange(len(train)), min(POINTS, len(train))) if train else []
        curves.append(
            {
                "run": label,
                "stage": stage_of(run),
                "best_step": run.manifest["best"]["step"],
                # The loss of a reward stage is no likelihood of a text: it has no place here.
                "train": [
                    {
                        "tokens": int(train[part[-1]]["tokens"]),
                        "bits_per_byte": scale * mean_of(train, part, "loss"),
                    }
                    for part in stretches
                    if run.recipe.reward is None
                ],
                "valid": [
                    {
                        "step": r["step"],
                        "tokens": int(r["step"] * per_step),
                        "bits_per_byte": r["bits_per_byte"],
                        "nats_per_token": r["nats_per_token"],
                    }
                    for r in valid
                ],
            }
        )
    return curves


STAGES = ("pretraining", "fine-tuning", "reward")


def stage_of(run: Run) -> str:
    """Which of the three stages of training a run is."""
    if run.recipe.reward is not None:
        return "reward"
    return "fine-tuning" if run.manifest.get("parent") else "pretraining"


def mean_of(records: Sequence[dict[str, Any]], places: np.ndarray, key: str) -> float:
    """The mean of one field over the records at `places` (n,)."""
    return float(np.mean([records[place][key] for place in places]))


def loss_curves(runs: Sequence[Run]) -> Figure:
    """Training and validation loss of runs that exist: what `tinylm plot` draws."""
    return losses(loss_records(runs))


def losses(curves: Sequence[dict[str, Any]]) -> Figure:
    """One panel per stage, one colour per run: dots and lines for validation, a faint line for
    training."""
    stages = [stage for stage in STAGES if any(c["stage"] == stage for c in curves)]
    with canvas(losses_title(curves), (8.4, 4.6)) as figure:
        panels = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
        for axes, stage in zip(panels, stages):
            here = [(place, c) for place, c in enumerate(curves) if c["stage"] == stage]
            most = max(
                (point["tokens"] for _, c in here for point in [*c["train"], *c["valid"]]),
                default=0,
            )
            unit, scale = (
                ("million tokens seen", 1e6) if most >= 2e6 else ("thousand tokens seen", 1e3)
            )
            for place, curve in here:
                draw_curve(axes, curve, place, scale)
            label_ends(
                axes,
                [(p, c["run"], c["valid"][-1]["bits_per_byte"]) for p, c in here if c["valid"]],
            )
            axes.set(
                xlabel=f"{stage}: {unit}",
                xlim=(-0.02 * most / scale, max(1.02 * most / scale, 1e-3)),
            )
        panels[0].set_ylabel("bits per byte")
        panels[-1].plot([], [], color=MUTED, marker="o", label="validation")
        panels[-1].plot([], [], color=MUTED, alpha=0.45, linewidth=1.4, label="training")
        panels[-1].legend(frameon=False, loc="best")  # where it hides least
    return figure


def draw_curve(axes: Axes, curve: dict[str, Any], place: int, scale: float) -> None:
    """Validation as a line with markers, training as a thin faint line below it."""
    for part, look in (
        ("train", {"alpha": 0.45, "linewidth": 1.4}),
        ("valid", {"marker": MARKERS[place % len(MARKERS)], "markersize": 6}),
    ):
        tokens, bits = (
            [point[key] for point in curve[part]] for key in ("tokens", "bits_per_byte")
        )
        axes.plot(np.divide(tokens, scale), bits, color=colour(place), **look)


def losses_title(curves: Sequence[dict[str, Any]]) -> str:
    """How far each run's validation loss came, and whether it turned upward."""
    parts = []
    for curve in curves:
        values = [point["bits_per_byte"] for point in curve["valid"]]
        if len(values) < 2:
            parts.append(f"{curve['run']}: no validation after its start")
            continue
        if curve["stage"] == "reward":  # its last weights are kept, whatever they cost
            parts.append(f"{curve['run']}: {values[0]:.2f} to {values[-1]:.2f} bits per byte")
            continue
        best, last = min(values), curve["valid"][-1]["step"]
        turned = (
            f", best at step {curve['best_step']} of {last}" if values[-1] > 1.01 * best else ""
        )
        parts.append(f"{curve['run']}: {values[0]:.2f} to {best:.2f} bits per byte{turned}")
    return "; ".join(parts)


def forgetting(curves: Sequence[dict[str, Any]]) -> Figure:
    """Bits per byte on the base's own validation text while fine-tuning on another one."""
    ends = [
        (c["run"], c["points"][0]["bits_per_byte"], c["points"][-1]["bits_per_byte"])
        for c in curves
    ]
    remarks = [
        f"{run} {'forgets' if after > 1.005 * before else 'keeps it'} ({before:.2f} to {after:.2f})"
        for run, before, after in ends
    ]
    with canvas(f"On the base's text, in bits per byte: {', '.join(remarks)}") as figure:
        axes = figure.subplots()
        for curve in curves:
            points, place = curve["points"], curve["place"]
            axes.plot(
                [p["step"] for p in points],
                [p["bits_per_byte"] for p in points],
                color=colour(place),
                marker=MARKERS[place % len(MARKERS)],
                markersize=6,
                clip_on=False,
            )
            axes.axhline(
                points[0]["bits_per_byte"], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3))
            )
        axes.annotate(
            "before fine-tuning",
            (0.02, curves[0]["points"][0]["bits_per_byte"]),
            xytext=(0, -4),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="top",
            color=MUTED,
        )
        label_ends(axes, [(c["place"], c["run"], c["points"][-1]["bits_per_byte"]) for c in curves])
        axes.set(xlabel="fine-tuning steps", ylabel="bits per byte, base's text", xlim=(0, None))
        axes.margins(y=0.18)
    return figure


def metre_steps(curves: Sequence[dict[str, Any]]) -> Figure:
    """Share of lines that scan among the samples written along the way, with 95 % intervals as
    bands."""
    ends = [(c["run"], c["points"][0], c["points"][-1]) for c in curves]
    remarks = [
        f"{run} {percent(first['mean'])} at step {first['step']}, {percent(last['mean'])} at step "
        f"{last['step']} ({verdict(difference(measured(last), measured(first)))})"
        for run, first, last in ends
    ]
    with canvas(f"Lines that scan: {'; '.join(remarks)}") as figure:
        axes = figure.subplots()
        for curve in curves:
            steps = [p["step"] for p in curve["points"]]
            low, mean, high = (
                100 * np.array([p[key] for p in curve["points"]]) for key in ("low", "mean", "high")
            )
            axes.fill_between(
                steps, low, high, color=colour(curve["place"]), alpha=0.16, linewidth=0
            )
            axes.plot(
                steps,
                mean,
                color=colour(curve["place"]),
                marker=MARKERS[curve["place"] % len(MARKERS)],
            )
        label_ends(axes, [(c["place"], c["run"], 100 * c["points"][-1]["mean"]) for c in curves])
        axes.set(
            xlabel="training steps of that run",
            ylabel="lines that scan, %",
            ylim=(0, 102),
            xlim=(0, None),
        )
    return figure


def measured(value: dict[str, Any]) -> Interval:
    """An interval back from its JSON values."""
    return Interval(value["mean"], value["low"], value["high"])


def label_ends(axes: Axes, ends: Sequence[tuple[int, str, float]]) -> None:
    """Write each line's name at the right edge, at the height where it ends; moved apart where two
    would overlap.

    ends: (place of the run, its name, last height in the axes' own unit).
    """
    low, high = axes.get_ylim()
    taken = -np.inf
    for place, name, y in sorted(ends, key=lambda end: end[2]):
        height = max(y, taken + 0.075 * (high - low))
        taken = height
        axes.annotate(
            f" {name}",
            (1.0, height),
            xycoords=("axes fraction", "data"),
            color=colour(place),
            fontweight="bold",
            va="center",
            annotation_clip=False,
        )


# -- the scoreboard, and what the models predict --------------------------------------------------


def shares(rows: Sequence[dict[str, Any]], labels: Sequence[str], title: str) -> Figure:
    """Shares with their 95 % intervals: one row of dots per measure, one colour and marker per
    run."""
    with canvas(title, (8.0, 1.7 + 0.52 * len(rows))) as figure:
        axes = figure.subplots()
        for run, label in enumerate(labels):
            # runs stand below each other in a row
            shift = (run - (len(labels) - 1) / 2) * min(0.22, 0.7 / len(labels))
            known = [
                (row, r["values"][run])
                for row, r in enumerate(rows)
                if r["values"][run] is not None
            ]
            means = 100 * np.array([value["mean"] for _, value in known])
            spread = 100 * np.array(
                [[v["mean"] - v["low"], v["high"] - v["mean"]] for _, v in known]
            ).reshape(-1, 2)
            axes.errorbar(
                means,
                [row + shift for row, _ in known],
                xerr=np.maximum(spread.T, 0),
                fmt=MARKERS[run % len(MARKERS)],
                color=colour(run),
                markersize=7.5,
                linewidth=2,
                label=label,
            )
        axes.set_yticks(range(len(rows)), [textwrap.fill(row["name"], 27) for row in rows])
        axes.set(xlabel="%, with 95 % interval", xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5))
        axes.grid(axis="y", visible=False)
        for line in range(1, len(rows)):
            axes.axhline(line - 0.5, color=GRID, linewidth=0.8)
        figure.legend(frameon=False, loc="outside lower center", ncols=legend_columns(labels))
    return figure


def next_tokens(prompts: Sequence[dict[str, Any]], labels: Sequence[str]) -> Figure:
    """The likeliest next tokens of the same prompts, one bar per run."""
    # prompt, run, token; a token that a run does not have counts as 0
    probabilities = [
        [[q or 0 for q in run] for run in zip(*prompt["probabilities"])] for prompt in prompts
    ]
    if len(prompts) == 1:
        best = [prompts[0]["tokens"][int(np.argmax(run))] for run in probabilities[0]]
        expected = ", ".join(f"{label} expects “{token}”" for label, token in zip(labels, best))
        title = f"After “{shorten(prompts[0]['prompt'])}” {expected}"
    else:
        sure = [
            np.mean([max(runs[place]) for runs in probabilities]) for place in range(len(labels))
        ]
        summary = ", ".join(f"{label} {percent(share)}" for label, share in zip(labels, sure))
        title = f"Probability of the likeliest of these words, on average: {summary}"
    rows = max(len(prompt["tokens"]) for prompt in prompts)
    with canvas(title, (8.4, 1.9 + 0.36 * rows * max(1, len(labels) / 2))) as figure:
        for axes, prompt in zip(figure.subplots(1, len(prompts), squeeze=False)[0], prompts):
            height = 0.8 / len(labels)
            for run, label in enumerate(labels):
                values = [100 * (row[run] or 0) for row in prompt["probabilities"]]
                axes.barh(
                    np.arange(len(values)) + (run - (len(labels) - 1) / 2) * height,
                    values,
                    height,
                    color=colour(run),
                    label=label if prompt is prompts[0] else None,
                )
            axes.set_yticks(range(len(prompt["tokens"])), list(map(drawable, prompt["tokens"])))
            axes.invert_yaxis()
            axes.grid(axis="y", visible=False)
            axes.set_xlabel("probability, %")
            head = f"“{shorten(prompt['prompt'])}” …"
            axes.set_title(textwrap.fill(head, 60 // len(prompts)), loc="left", fontsize=12)
        figure.legend(frameon=False, loc="outside lower center", ncols=legend_columns(labels))
    return figure


def shorten(text: str, length: int = 26) -> str:
    """The end of a text on one line, as the model sees it last."""
    flat = text.replace("\n", "⏎")
    return flat if len(flat) <= length else "…" + flat[-length:].lstrip()


def heat(data: dict[str, Any], labels: Sequence[str], columns: int = 52) -> Figure:
    """The same text once per run, each piece on the colour of the probability that the run gave
    it."""
    _, lines = laid_out(data["pieces"], columns)
    title, size = heat_title(data, labels), (8.4, 1.6 + 0.36 * (lines + 1.4) * len(labels))
    with canvas(title, size) as figure:
        colours = matplotlib.colormaps["cividis"]
        panels = figure.subplots(len(labels), 1, squeeze=False)[:, 0]
        for axes, label, row in zip(panels, labels, data["probabilities"]):
            draw_pieces(axes, data["pieces"], row, columns)
            axes.set(xlim=(0, columns), ylim=(lines, 0))
            axes.set_title(label, loc="left", fontsize=12.5, fontweight="bold")
            axes.set_axis_off()
        scale = matplotlib.cm.ScalarMappable(matplotlib.colors.LogNorm(1e-3, 1), colours)
        bar = figure.colorbar(
            scale, ax=list(panels), orientation="horizontal", aspect=50, pad=0.02, shrink=0.7
        )
        bar.set_ticks([0.001, 0.01, 0.1, 1], labels=["0.1 % or less", "1 %", "10 %", "100 %"])
        bar.set_label(f"probability of each {data['unit']} before it is seen")
    return figure


def heat_title(data: dict[str, Any], labels: Sequence[str]) -> str:
    """Which run expects the text best, and the bits per piece of all."""
    bits = [float(np.mean(-np.log2(np.maximum(row, 1e-12)))) for row in data["probabilities"]]
    costs = ", ".join(f"{name} {cost:.1f}" for name, cost in zip(labels, bits))
    best = labels[int(np.argmin(bits))]
    return f"{best} expects this text best: {costs} bits per {data['unit']}"


def draw_pieces(
    axes: Axes, pieces: Sequence[str], probabilities: Sequence[float], columns: int
) -> None:
    """A text in lines of `columns` characters, one box a piece: bright where it was expected."""
    colours = matplotlib.colormaps["cividis"]
    places, _ = laid_out(pieces, columns)
    for (line, column), piece, probability in zip(places, pieces, probabilities):
        shade = 1 + np.log10(max(probability, 1e-3)) / 3  # 0.001 and below: dark; 1: bright
        box = Rectangle((column, line), len(shown(piece)), 0.92, color=colours(shade), linewidth=0)
        axes.add_patch(box)
        # each letter in its own column, the blanks before it kept
        word = shown(piece).strip()
        middle = column + len(shown(piece)) - len(shown(piece).lstrip()) + len(word) / 2
        axes.text(
            middle,
            line + 0.48,
            word,
            ha="center",
            va="center",
            family="DejaVu Sans Mono",
            fontsize=14,
            color="white" if shade < 0.55 else "black",
        )


def shown(piece: str) -> str:
    """A piece of text in which line breaks and tabs have a sign."""
    return piece.replace("\n", "⏎").replace("\t", "⇥")


def laid_out(pieces: Sequence[str], columns: int) -> tuple[list[tuple[int, int]], int]:
    """Line and column of every piece, wrapped at `columns` and after line breaks; and how many
    lines that takes.

    >>> laid_out(["ab", "c\\n", "d"], columns=9)
    ([(0, 0), (0, 2), (1, 0)], 2)
    """
    places, line, column = [], 0, 0
    for piece in pieces:
        if column and column + len(shown(piece)) > columns:
            line, column = line + 1, 0
        places.append((line, column))
        column += len(shown(piece))
        if "\n" in piece:
            line, column = line + 1, 0
    return places, line + bool(column)


def settings(grid: dict[str, Any]) -> Figure:
    """Share of lines that scan for each temperature and top-p, as numbers on colours."""
    rows = [[cell["accepted"] for cell in row] for row in grid["cells"]]
    accepted = 100 * np.array([[cell["mean"] if cell else np.nan for cell in row] for row in rows])
    low, high = np.nanmin(accepted), np.nanmax(accepted)
    half = 50 * float(np.mean([cell["high"] - cell["low"] for row in rows for cell in row if cell]))
    title = (
        f"{grid['run']}: {low:.0f} to {high:.0f} % of lines scan, by the settings alone (give or "
        f"take {half:.0f})"
    )
    top = max(10.0, 10 * np.ceil(high / 10))
    with canvas(title, (7.6, 1.9 + 0.8 * len(grid["temperatures"]))) as figure:
        axes = figure.subplots()
        image = axes.imshow(accepted, cmap="cividis", vmin=0, vmax=top, aspect="auto")
        for row, cells in enumerate(grid["cells"]):
            for column, cell in enumerate(cells):
                text = (
                    "no lines"
                    if cell["accepted"] is None
                    else (
                        f"{accepted[row, column]:.0f} % scan\n{100 * cell['distinct']:.0f} % "
                        "distinct"
                    )
                )
                dark = not accepted[row, column] > 0.55 * top
                axes.text(
                    column,
                    row,
                    text,
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                    fontsize=12,
                )
        axes.set_xticks(range(len(grid["top_p"])), [f"{p:g}" for p in grid["top_p"]])
        axes.set_yticks(range(len(grid["temperatures"])), [f"{t:g}" for t in grid["temperatures"]])
        axes.set(xlabel="top-p: share of probability kept", ylabel="temperature")
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label="lines that scan, %")
    return figure
