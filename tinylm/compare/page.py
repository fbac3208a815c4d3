"""What a comparison is told as: text for the terminal, samples.md, pictures and index.html, from
comparison.json alone.

Every function takes the numbers that `comparison.judge` returned. Sentences are worked out from
them: a difference inside its interval is called "no measurable difference" wherever it is told.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tinylm.compare.effect import Column, effect, listed, remarks, sample_lines, sentences
from tinylm.pages import figures
from tinylm.pages.figures import percent
from tinylm.pages.html import Line, Picture, render, visible

SHOWN_LINES = 12  # of one sample in the terminal
WIDTH = 110  # characters of the terminal
# share of a validation text's lines that a run may have trained on before that is marked
SEEN = 0.1
NAMES = (
    "scoreboard",
    "losses",
    "forgetting",
    "metre-steps",
    "next-tokens",
    "same-text",
    "settings",
)
HEADLINES = ("Verse lines against cut text", "Facts known", "Copied lines")  # and all bits per byte


@dataclass(frozen=True)
class Score:
    """A row of the scoreboard: for each run its value with the interval, and the verdict against
    the first run (empty where there is none)."""

    name: str
    cells: list[tuple[str, str]]


@dataclass(frozen=True)
class Block:
    """The samples of all runs for one prompt and seed."""

    title: str
    seed: int
    texts: list[list[Line]]


@dataclass(frozen=True)
class View:
    """What a page shows of a comparison."""

    names: list[str]
    title: str
    sentences: list[str]
    effect: list[Column]
    headline: list[Score]
    scores: list[Score]
    meanings: list[tuple[str, str]]
    notes: list[str]
    samples: list[Block]
    facts: list[list[str]]  # one row per fact about the runs
    pictures: Sequence[Picture]


def labels(result: dict[str, Any]) -> list[str]:
    """The names of the runs, in the order of the comparison, the base first."""
    return [run["run"] for run in result["runs"]]


def number(value: dict[str, Any] | None, unit: str) -> str:
    """A measured value with its interval, in its unit.

    >>> number({"mean": 0.62, "low": 0.58, "high": 0.66, "count": 500}, "share")
    '62 % (58 to 66)'
    """
    if value is None:
        return "–"
    middle, low, high = (
        "?" if value[key] is None else plain(value[key], unit) for key in ("mean", "low", "high")
    )
    low, high = (end.removesuffix(" %").removesuffix(" points") for end in (low, high))
    return f"{middle} ({low} to {high})" + (" †" if value.get("seen", 0) > SEEN else "")


def plain(amount: float, unit: str) -> str:
    """A number in its unit, without its interval."""
    if unit == "share":
        return percent(amount)
    if unit == "points":
        return f"{100 * amount:+.0f} points"
    return f"{amount:.{3 if unit == 'bits/byte' else 1}f}"


def judged(gap: dict[str, Any], unit: str) -> str:
    """A difference to the first run in words and numbers."""
    if gap["verdict"] == "no measurable difference":
        return gap["verdict"]
    amount = (
        f"{100 * gap['mean']:+.0f} points" if unit in ("share", "points") else f"{gap['mean']:+.3g}"
    )
    return f"{gap['verdict']} ({amount})"


def is_headline(row: dict[str, Any]) -> bool:
    """Whether a measure stands at the top of the page and is told in a sentence."""
    return row["name"] in HEADLINES or row["unit"] == "bits/byte"


def score(row: dict[str, Any]) -> Score:
    """A measure, its value for every run, and the verdicts against the first run."""
    values = [number(value, row["unit"]) for value in row["values"]]
    verdicts = [judged(gap, row["unit"]) if gap else "" for gap in row["differences"][1:]]
    return Score(row["name"], list(zip(values, ["", *verdicts])))


def findings(result: dict[str, Any]) -> list[str]:
    """One sentence for each headline measure: the first run, then the others with their
    verdicts."""
    sentences = []
    for row in filter(is_headline, result["scoreboard"]):
        parts = [
            f"{name} {value}" + (f": {verdict}" if verdict else "")
            for name, (value, verdict) in zip(labels(result), score(row).cells)
        ]
        sentences.append(f"{row['name']}: {'; '.join(parts)}.")
    return sentences


def training_note(result: dict[str, Any]) -> list[str]:
    """What each run was trained on and who paid for it, where one came from elsewhere."""
    runs = [run for run in result["runs"] if run.get("training")]
    if not any("its makers" in run["training"] for run in runs):
        return []
    facts = [f"{run['run']}: {run['parameters']:,} parameters, {run['training']}" for run in runs]
    return [f"What went into them. {'; '.join(facts)}."]


def seen_note(result: dict[str, Any]) -> list[str]:
    """What the dagger means, where one is shown."""
    seen = [
        value.get("seen", 0) for row in result["scoreboard"] for value in row["values"] if value
    ]
    note = (
        "† This run has trained on a part of that text, so its figure there is no measure of skill."
    )
    return [note] if max(seen) > SEEN else []


# -- terminal and Markdown ------------------------------------------------------------------------


def terminal(result: dict[str, Any]) -> str:
    """The side by side, then the scoreboard, then the findings."""
    blocks = [
        side_by_side_text(block, labels(result))
        for block in result["side_by_side"]
        if block["seed"] == 0
    ]
    scores = map(score, result["scoreboard"])
    table = [["measure", *labels(result)], *([s.name, *(v for v, _ in s.cells)] for s in scores)]
    widths = [max(map(len, column)) for column in zip(*table)]
    board = "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)
    notes = [*findings(result), *training_note(result), *seen_note(result)]
    return "\n\n".join([*blocks, board, "\n".join(notes)])


def side_by_side_text(block: dict[str, Any], names: Sequence[str]) -> str:
    """One prompt, all runs in columns (below each other where more than three); + marks a line that
    scans."""
    width = (WIDTH - 3 * (len(names) - 1)) // len(names) if len(names) <= 3 else WIDTH
    columns = [
        [name, "-" * len(name), *marked(text, width)] for name, text in zip(names, block["texts"])
    ]
    prompt = repr(block["prompt"]) if block["prompt"] else "the beginning of a document"
    title = f"Continuing {prompt}, seed {block['seed']} (+ scans as iambic pentameter)"
    if len(names) > 3:
        return "\n".join([title, *(line for column in columns for line in column)])
    rows = zip_longest(*columns, fillvalue="")
    return "\n".join(
        [title, *(" | ".join(cell.ljust(width) for cell in row).rstrip() for row in rows)]
    )


def marked(text: dict[str, Any], width: int) -> list[str]:
    """The lines of a sample, wrapped, with a + before each one that scans; at most SHOWN_LINES."""
    good = {scan["line"] for scan in text["scanned"] if scan["ok"]}
    out: list[str] = []
    for line in text["text"].split("\n"):
        sign = "+ " if line.strip() in good else "  "
        out += textwrap.wrap(line, width, initial_indent=sign, subsequent_indent="    ") or [""]
    return out[:SHOWN_LINES] + (["  ..."] if len(out) > SHOWN_LINES else [])


def samples_markdown(result: dict[str, Any]) -> str:
    """samples.md: every shown sample whole, and below it the scansion of its lines."""
    sampling = ", ".join(
        f"{key} {value}" for key, value in result["sampling"].items() if value is not None
    )
    legend = "x weak, / strong; + accepted as iambic pentameter, - not."
    parts = [f"# Samples side by side\n\nSame prompts and seeds for all runs; {sampling}. {legend}"]
    for block in result["side_by_side"]:
        parts.append(f"## {shown_prompt(block['prompt'])}, seed {block['seed']}")
        for name, text in zip(labels(result), block["texts"]):
            scanned = [
                f"{'+' if s['ok'] else '-'} {s['pattern']:12} {s['line']}  {remarks(s)}".rstrip()
                for s in text["scanned"]
            ]
            parts.append(f"### {name}\n\n{fenced(text['text'])}")
            if scanned:
                parts.append("Scansion of the whole lines:\n\n" + fenced("\n".join(scanned)))
    return visible("\n\n".join(parts)) + "\n"


def fenced(text: str) -> str:
    """A code block whose fence is longer than any row of backticks in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def shown_prompt(prompt: str) -> str:
    """A prompt as a title: its end in quotation marks, or words for an empty one."""
    return f"“{figures.shorten(prompt)}”" if prompt else "A document from its beginning"


# -- the page -------------------------------------------------------------------------------------


def html(result: dict[str, Any], drawn: Sequence[Picture]) -> str:
    """index.html."""
    shown = view(result, drawn)
    return render("comparison.html", title=shown.title, view=shown)


def view(result: dict[str, Any], drawn: Sequence[Picture]) -> View:
    """A comparison as the templates need it."""
    rows = result["scoreboard"]
    return View(
        names=labels(result),
        title=f"{listed(labels(result))}, compared",
        sentences=sentences(result),
        effect=effect(result),
        headline=[score(row) for row in rows if is_headline(row)],
        scores=[score(row) for row in rows],
        meanings=[(row["name"], row["meaning"]) for row in rows],
        notes=[*training_note(result), *seen_note(result)],
        samples=[
            Block(
                f"{shown_prompt(block['prompt'])}, seed {block['seed']}",
                block["seed"],
                [sample_lines(text) for text in block["texts"]],
            )
            for block in result["side_by_side"]
        ],
        facts=facts_of(result["runs"]),
        pictures=drawn,
    )


def facts_of(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """One row per recorded fact: its name, then its value for every run."""
    keys = [key for key in runs[0] if key not in ("run", "fingerprint")]
    return [[key.replace("_", " "), *(shown_fact(run[key]) for run in runs)] for key in keys]


def shown_fact(value: Any) -> str:
    """A recorded value for people: thousands parted, no long fractions, a dash for nothing.

    >>> shown_fact(918912), shown_fact(42.5074), shown_fact(None), shown_fact("cpu")
    ('918,912', '42.5', '–', 'cpu')
    """
    if value is None:
        return "–"
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def pictures(result: dict[str, Any]) -> list[Picture]:
    """Every picture that the numbers allow."""
    names = labels(result)
    shares = [row for row in result["scoreboard"] if row["unit"] == "share" and any(row["values"])]
    grids = [
        grid
        for grid in result["settings"]
        if any(cell["accepted"] for row in grid["cells"] for cell in row)
    ]
    drawn = [scoreboard_picture(shares, names)] if shares else []
    drawn.append(losses_picture(result["losses"]))
    if result["forgetting"]:
        drawn.append(forgetting_picture(result["forgetting"]))
    if result["metre_steps"]:
        drawn.append(metre_steps_picture(result["metre_steps"]))
    drawn.append(next_tokens_picture(result["next_tokens"], names))
    drawn.append(same_text_picture(result["same_text"], names))
    return [*drawn, *map(settings_picture, grids)]


def scoreboard_picture(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Picture:
    """All shares of the scoreboard; the title tells the first of them, metre where lines were
    sampled."""
    values = ", ".join(
        f"{name} {percent(value['mean'])}" for name, value in zip(names, rows[0]["values"]) if value
    )
    gaps = filter(None, rows[0]["differences"][1:])
    verdicts = ", ".join(judged(gap, "share").split(" (")[0] for gap in gaps)
    title = f"{rows[0]['name']}: {values}" + (f" ({verdicts})" if verdicts else "")
    return Picture(
        "scoreboard",
        "The shares in one picture",
        figures.shares(rows, names, title),
        "Where two bars of one row do not overlap, the runs differ. Lines that scan should lie far "
        "above the same lines shuffled; copied and degenerate lines should lie near 0.",
        ["measure", *names],
        [[r["name"], *(number(v, "share") for v in r["values"])] for r in rows],
    )


def losses_picture(curves: Sequence[dict[str, Any]]) -> Picture:
    """The loss of each run over its tokens, with the validation passes as the table."""
    return Picture(
        "losses",
        "Loss",
        figures.losses(curves),
        "Validation that turns upward while training goes on falling is learning by heart. Bits "
        "per byte are those of each run's own text, so heights compare within one text only.",
        ["run", "step", "tokens", "bits per byte", "nats per token"],
        [
            [
                c["run"],
                p["step"],
                f"{p['tokens']:,}",
                f"{p['bits_per_byte']:.4f}",
                f"{p['nats_per_token']:.4f}",
            ]
            for c in curves
            for p in c["valid"]
        ],
    )


def forgetting_picture(curves: Sequence[dict[str, Any]]) -> Picture:
    """What each fine-tune loses, step by step, on the text of the run that it started from."""
    return Picture(
        "forgetting",
        "Forgetting",
        figures.forgetting(curves),
        "A line that climbs is the price of the new text: what the base had learned is "
        "written over.",
        ["run", "step", "bits per byte"],
        [
            [curve["run"], point["step"], f"{point['bits_per_byte']:.4f}"]
            for curve in curves
            for point in curve["points"]
        ],
    )


def metre_steps_picture(curves: Sequence[dict[str, Any]]) -> Picture:
    """The share of lines that scan among the samples that each run wrote while it trained."""
    return Picture(
        "metre-steps",
        "Metre over the steps",
        figures.metre_steps(curves),
        "Only a few lines are sampled along the way, so the bands are wide: look for one "
        "that leaves the first.",
        ["run", "step", "lines that scan", "lines"],
        [
            [curve["run"], point["step"], number(point, "share"), point["count"]]
            for curve in curves
            for point in curve["points"]
        ],
    )


def next_tokens_picture(prompts: Sequence[dict[str, Any]], names: Sequence[str]) -> Picture:
    """The likeliest next tokens of each prompt, with the probability that every run gives them."""
    return Picture(
        "next-tokens",
        "What comes next",
        figures.next_tokens(prompts, names),
        "The same words, and what each model expects behind them. ⏎ is a line break, ␣ a blank.",
        ["prompt", "token", *names],
        [
            [p["prompt"], token, *("no such token" if q is None else percent(q) for q in row)]
            for p in prompts
            for token, row in zip(p["tokens"], p["probabilities"])
        ],
    )


def same_text_picture(same: dict[str, Any], names: Sequence[str]) -> Picture:
    """One passage of text, each piece coloured by the probability that every run gave it."""
    return Picture(
        "same-text",
        "The same text through every model's eyes",
        figures.heat(same, names),
        "A passage kept aside from the last run's training. Bright pieces were expected, dark "
        "ones came as a surprise.",
        [same["unit"], *names],
        [
            [figures.shown(piece), *map(percent, row)]
            for piece, row in zip(same["pieces"], zip(*same["probabilities"]))
        ],
    )


def settings_picture(grid: dict[str, Any]) -> Picture:
    """One run's lines at each temperature and top-p, with both shares of every cell as the
    table."""
    cells = [
        (t, p, cell)
        for t, row in zip(grid["temperatures"], grid["cells"])
        for p, cell in zip(grid["top_p"], row)
    ]
    return Picture(
        "settings",
        f"Sampling settings of {grid['run']}",
        figures.settings(grid),
        "Cold and narrow sampling scans better and repeats itself more: read both numbers of a "
        "cell.",
        ["temperature", "top-p", "lines that scan", "distinct"],
        [
            [
                t,
                p,
                number(cell["accepted"], "share"),
                "–" if cell["distinct"] is None else percent(cell["distinct"]),
            ]
            for t, p, cell in cells
        ],
    )
