"""The effect at a glance: one picture and three sentences, from the numbers of a comparison alone.

The picture needs no script: the same prompt continued by every run, each line marked as scanning or
not, and under it the share of lines that scan. The sample is the first one of the side by side,
never one chosen for its score. Bars grow once; without animation they stand as they end. Colours
follow the reader's light or dark setting. The page lays the picture out as text, which wraps on a
phone; effect.svg is the same as a file of fixed width.
"""

import textwrap
from dataclasses import dataclass, replace
from typing import Any

from tinylm.pages.html import Line, render

CHARACTERS = 46  # of one line of text in a column of the SVG
LINES = 8  # of text in a column


@dataclass(frozen=True)
class Column:
    """One run in the picture: its sample, and the share of its lines that scan."""

    name: str
    purpose: str
    lines: list[Line]
    share: float | None
    words: str  # what the share is a share of

    @property
    def percent(self) -> int:
        """The share in whole percent; 0 where nothing was measured."""
        return round(100 * (self.share or 0))


def value_of(result: dict[str, Any], name: str, run: int) -> float | None:
    """The mean of a measure for one run; None where it was not measured."""
    for row in result["scoreboard"]:
        if row["name"] == name:
            value = row["values"][run]
            return None if value is None else float(value["mean"])
    return None


def effect(result: dict[str, Any]) -> list[Column]:
    """The first sample of the side by side and the share of lines that scan, for every run."""
    return [
        Column(
            run["run"],
            run.get("purpose") or "",
            [line for line in sample_lines(sample) if line.text][:LINES],
            *share_of(result, number),
        )
        for number, (run, sample) in enumerate(
            zip(result["runs"], result["side_by_side"][0]["texts"])
        )
    ]


def effect_svg(result: dict[str, Any]) -> str:
    """The picture, as the text of an SVG file."""
    columns = [
        replace(
            column,
            purpose=textwrap.shorten(column.purpose, 48, placeholder=" …"),
            lines=wrapped(column.lines),
        )
        for column in effect(result)
    ]
    return render("effect.svg", columns=columns, rows=LINES)


def wrapped(lines: list[Line]) -> list[Line]:
    """Lines cut to the width of a column; the verdict stands at the first piece."""
    pieces = []
    for line in lines:
        first, *others = textwrap.wrap(line.text, CHARACTERS) or [""]
        pieces += [replace(line, text=first), *map(Line, others)]
    return pieces[:LINES]


def sample_lines(sample: dict[str, Any]) -> list[Line]:
    """A sample's lines, those that were scanned with their scansion."""
    known = {scan["line"]: scan for scan in sample["scanned"]}
    lines = []
    for text in sample["text"].split("\n"):
        if scan := known.get(text.strip()):
            lines.append(Line(text, scan["pattern"], remarks(scan), scan["ok"]))
        else:
            lines.append(Line(text))
    return lines


def remarks(scan: dict[str, Any]) -> str:
    """Licences taken and what was wrong, in brackets; empty where there is neither."""
    remark = "; ".join([*scan["licences"], *scan["violations"]])
    return f"({remark})" if remark else ""


def share_of(result: dict[str, Any], run: int) -> tuple[float | None, str]:
    """The share of lines that scan, and its words; of prose, cut at ten syllables."""
    share = value_of(result, "Lines that scan", run)
    if share is not None:
        return share, "of its lines scan"
    return value_of(
        result, "Text cut at ten syllables", run
    ), "of its prose scans, cut at ten syllables"


def sentences(result: dict[str, Any]) -> list[str]:
    """What happened, in at most three sentences for somebody who reads no tables."""
    runs = [run["run"] for run in result["runs"]]

    def shares(name: str) -> list[str]:
        values = [(run, value_of(result, name, number)) for number, run in enumerate(runs)]
        return [f"{run} {100 * value:.0f} %" for run, value in values if value is not None]

    lines = []
    if scanning := shares("Lines that scan"):
        shuffled = listed(shares("Same lines, words shuffled"))
        lines.append(
            f"Lines that scan as iambic pentameter: {listed(scanning)}. With the words of each "
            f"line shuffled: {shuffled}."
        )
    if words := shares("Different words"):
        lines.append(f"Different words among all the words of 50 lines: {listed(words)}.")
    if facts := shares("Facts known"):
        lines.append(f"Facts of the town that each model knows: {listed(facts)}. Guessing: 25 %.")
    return lines


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
