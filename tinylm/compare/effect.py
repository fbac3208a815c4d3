"""The effect at a glance: one picture and three sentences, from the numbers of a comparison alone.

The picture is an SVG that needs no script: the same prompt continued by every run, each line marked
as scanning or not, and under it the share of lines that scan. The sample is the first one of the
side by side, never one chosen for its score. Bars grow once; without animation they stand as they
end. Colours follow the reader's light or dark setting.
"""

import textwrap
from html import escape
from typing import Any

COLUMN, LEFT, LINE = 360, 26, 21  # pixels
CHARACTERS = 50  # of one line of text in a column
LINES = 8  # of text in a column
STYLE = """
text { font: 14px Georgia, 'Times New Roman', serif; fill: #1f2328 }
.name { font: 600 19px system-ui, sans-serif } .small { font: 13px system-ui, sans-serif }
.muted { fill: #59636f } .yes { fill: #1a7f37 } .no { fill: #b35900 } .track { fill: #d0d7df }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .muted { fill: #9aa7b4 }
  .yes { fill: #4ac26b } .no { fill: #e0a030 } .track { fill: #3a444e } }
.bar { transform-origin: left; animation: grow 1.4s ease-out .4s 1 }
@keyframes grow { from { transform: scaleX(0) } }
"""


def value_of(result: dict[str, Any], name: str, run: int) -> float | None:
    """The mean of a measure for one run; None where it was not measured."""
    for row in result["scoreboard"]:
        if row["name"] == name:
            value = row["values"][run]
            return None if value is None else float(value["mean"])
    return None


def effect_svg(result: dict[str, Any]) -> str:
    """The picture, as the text of an SVG file."""
    runs = [run["run"] for run in result["runs"]]
    first = result["side_by_side"][0]
    height = 128 + LINE * LINES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMN * len(runs)} {height}" '
        f'role="img"><title>The same prompt, continued by {escape(", ".join(runs))}</title>',
        f"<style>{STYLE}</style>",
    ]
    for number, (name, sample) in enumerate(zip(runs, first["texts"])):
        parts.append(f'<g transform="translate({COLUMN * number + LEFT} 0)">')
        parts.append(f'<text class="name" y="26">{escape(name)}</text>')
        purpose = textwrap.shorten(
            result["runs"][number].get("purpose") or "", 48, placeholder=" …"
        )
        parts.append(f'<text class="small muted" y="46">{escape(purpose)}</text>')
        parts += sample_lines(sample)
        parts += share_bar(result, number, 74 + LINE * (LINES + 1))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def sample_lines(sample: dict[str, Any]) -> list[str]:
    """A sample as lines of SVG text; a line that was scanned has a coloured sign before it."""
    verdicts = {scanned["line"]: scanned["ok"] for scanned in sample["scanned"]}
    rows: list[tuple[str, bool | None]] = []
    for line in filter(None, sample["text"].split("\n")):
        pieces = textwrap.wrap(line, CHARACTERS)
        rows += [(piece, verdicts.get(line) if not i else None) for i, piece in enumerate(pieces)]
    parts = []
    for place, (text, ok) in enumerate(rows[:LINES]):
        y = 76 + LINE * place
        if ok is not None:
            kind, sign = ("yes", "✓") if ok else ("no", "✗")
            parts.append(f'<text class="{kind} small" x="-14" y="{y}">{sign}</text>')
        parts.append(f'<text x="2" y="{y}">{escape(text)}</text>')
    return parts


def share_bar(result: dict[str, Any], run: int, y: int) -> list[str]:
    """The share of lines that scan, as a bar with its words; of prose, cut at ten syllables."""
    share, words = value_of(result, "Lines that scan", run), "of its lines scan"
    if share is None:
        share, words = value_of(result, "Text cut at ten syllables", run), "of its prose, by chance"
    if share is None:
        return []
    width = COLUMN - 2 * LEFT
    return [
        f'<rect class="track" y="{y}" width="{width}" height="9" rx="4"/>',
        f'<rect class="bar yes" y="{y}" width="{max(4.0, width * share):.0f}" height="9" rx="4"/>',
        f'<text class="small" y="{y + 28}"><tspan font-weight="700">{100 * share:.0f} %</tspan> '
        f"{words}</text>",
    ]


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
            f"Lines that scan as iambic pentameter: {listed(scanning)} (with their words shuffled: "
            f"{shuffled})."
        )
    if words := shares("Different words"):
        lines.append(f"Different words, of all the words in 50 lines: {listed(words)}.")
    if facts := shares("Facts known"):
        lines.append(f"Facts of the town that each model knows: {listed(facts)}; guessing: 25 %.")
    return lines


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
