"""One self-contained HTML page: text, tables and pictures in a single file that needs no network
and no script.

    parts = [heading("Loss"), picture(figure, "What to look for.", ["step", "loss"], rows)]
    Path("index.html").write_text(document("A comparison", "Two runs.", parts), encoding="utf-8")

Each function turns plain text into finished markup of type Html and escapes whatever it is given;
only Html may be joined into a page, so text that a model made can never become markup. The content
security policy forbids everything but inline styles and data images, should something slip through
all the same.

Pictures are inline SVG whose neutral colours and palette are replaced by CSS variables: the same
drawing follows the reader's light or dark setting, stays sharp at every size and prints in black on
white.
"""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from html import escape as escape_markup
from typing import NewType

import matplotlib
from matplotlib.figure import Figure

from tinylm.pages.figures import GRID, INK, MUTED, PALETTE, STYLE

Html = NewType("Html", str)
"""Finished markup. Made by the functions of this file alone."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
NEUTRAL = {INK: "ink", MUTED: "muted", GRID: "grid"}
# the same hues, lighter
DARK_PALETTE = ("#56a8e0", "#f0894a", "#35c79b", "#e3a6c8", "#f0b840", "#8fd0f5")

CSS = """
:root { color-scheme: light dark; --ink: #1f2328; --muted: #59636f; --grid: #d0d7df;
  --paper: #fff; --soft: #f4f6f8;
  --yes: #00664d; --no: #a33c00; %(light)s }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --muted: #9aa7b4; --grid: #3a444e;
  --paper: #0f141a;
  --soft: #1a2129; --yes: #4cd6ac; --no: #f79a63; %(dark)s } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.1rem 4rem; background: var(--paper);
  color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .4rem } h2 { font-size: 1.25rem;
  margin: 2.6rem 0 .5rem }
.lead { font-size: 1.1rem; color: var(--muted); margin: 0 0 1rem }
figure { margin: 1rem 0 1.6rem } figcaption { color: var(--muted);
  margin-top: .4rem; max-width: 46rem }
.scroll { overflow-x: auto } .scroll:focus-visible { outline: 2px solid var(--c0) }
svg { display: block; width: 100%%; min-width: 20rem; height: auto }
img { display: block; max-width: 100%%; height: auto; border-radius: .3rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0;
  font-size: .93rem }
.short { white-space: nowrap }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid var(--grid);
  overflow-wrap: normal } th { font-weight: 600 }
caption { text-align: left; color: var(--muted) }
details { margin: .4rem 0 } summary { cursor: pointer; color: var(--muted) }
.finding { font-weight: 700; font-size: 1.05rem; line-height: 1.35; margin: 0 0 .3rem;
  max-width: 46rem }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%%), 1fr));
  gap: .8rem }
.card { background: var(--soft); border-radius: .5rem; padding: .7rem .9rem; min-width: 0 }
.card h3 { font-size: .95rem; margin: 0 0 .3rem }
.line { margin: 0 0 .35rem; white-space: pre-wrap }
.line small { display: block; color: var(--muted); font-size: .78rem }
.line code { font: .85rem/1.2 ui-monospace, monospace } .yes { color: var(--yes) }
  .no { color: var(--no) }
@media (max-width: 40rem) { .short { white-space: normal } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt } table { font-size: 8pt }
    .short { white-space: normal }
  figure, .line, tr { break-inside: avoid } h2, .finding { break-after: avoid }
  svg { min-width: 0; max-width: 13cm } .scroll { overflow: visible } }
"""


def visible(text: str) -> str:
    """The text with a sign in the place of each control character but tab and line break: models
    may produce any.

    >>> visible("a" + chr(7))
    'a␇'
    """
    return "".join(chr(0x2400 + ord(c)) if ord(c) < 32 and c not in "\n\t" else c for c in text)


def escape(text: str) -> str:
    """Text as markup that shows exactly it."""
    return escape_markup(visible(text))


def document(title: str, lead: str, parts: Iterable[Html]) -> Html:
    """The whole file, ready to be written as UTF-8."""
    light, dark = (
        " ".join(f"--c{i}: {c};" for i, c in enumerate(p)) for p in (PALETTE, DARK_PALETTE)
    )
    style = CSS.strip() % {"light": light, "dark": dark}
    return Html(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}\n</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str) -> Html:
    return Html(f"<h2>{escape(text)}</h2>")


def paragraph(text: str) -> Html:
    """One paragraph of plain text.

    >>> paragraph("a < b & c")
    '<p>a &lt; b &amp; c</p>'
    """
    return Html(f"<p>{escape(text)}</p>")


def bullets(texts: Iterable[str]) -> Html:
    return Html("<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> Html:
    """A table with a header; the first cell of each row names it. Wide ones scroll inside their
    frame."""
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in columns)
    body = "\n".join(f"<tr>{''.join(map(table_cell, row, range(len(row))))}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    inner = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return scroller(Html(inner), caption or "table")


def table_cell(value: object, place: int) -> str:
    """One cell of a table; short ones, numbers above all, stay on one line."""
    text = escape(str(value))
    if place == 0:
        return f'<th scope="row">{text}</th>'
    return f"<td{' class=short' if len(text) < 24 else ''}>{text}</td>"


def scroller(inner: Html, label: str) -> Html:
    """A frame that scrolls sideways where its content is wider than the screen, by keyboard too."""
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">{inner}</div>'
    )


def folded(summary: str, inner: Html) -> Html:
    """Something to open when wanted; printed only where it was opened."""
    return Html(f"<details><summary>{escape(summary)}</summary>{inner}</details>")


def picture(
    figure: Figure, caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> Html:
    """A figure under its title, a caption that says what to look for, and the numbers behind it in
    a table to unfold.

    The title becomes text of the page, so that it is readable on a phone, where a drawing shrinks.
    """
    title = figure.get_suptitle().replace("\n", " ")
    numbers = folded("The numbers behind it", table(columns, rows))
    return Html(
        f'<figure><p class="finding">{escape(title)}</p>{scroller(svg(figure), title)}'
        f"<figcaption>{escape(caption)}</figcaption>{numbers}</figure>"
    )


def svg(figure: Figure) -> Html:
    """A figure as inline SVG without title and background, its known colours replaced by the page's
    variables."""
    title = figure.get_suptitle()
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.suptitle("")
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        figure.suptitle(title)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    variables = {**NEUTRAL, **{shade: f"c{place}" for place, shade in enumerate(PALETTE)}}
    text = re.sub("|".join(variables), lambda match: f"var(--{variables[match[0]]})", text)
    label = escape(title.replace("\n", " ") or "chart")
    # the page decides the size
    opening = re.sub(r' (width|height)="[^"]*pt"', "", text[: text.index(">")])
    return Html(f'{opening} role="img" aria-label="{label}"' + text[text.index(">") :])


def image(png: bytes, description: str) -> Html:
    """A picture that was drawn before, carried inside the page; it keeps its own white ground.
    Nothing if it is no PNG.

    >>> image(b"GIF89a", "a gull")
    ''
    """
    if not png.startswith(b"\x89PNG"):
        return Html("")
    body = base64.b64encode(png).decode("ascii")
    inner = Html(f'<img alt="{escape(description)}" src="data:image/png;base64,{body}">')
    return Html(f"<figure>{scroller(inner, 'picture')}</figure>")


def cards(entries: Iterable[tuple[str, Html]]) -> Html:
    """Titled boxes beside each other where there is room, below each other on a phone."""
    boxes = (
        f'<section class="card"><h3>{escape(title)}</h3>{inner}</section>'
        for title, inner in entries
    )
    return Html(f'<div class="columns">{"".join(boxes)}</div>')


def lines(entries: Iterable[tuple[str, str, str, bool | None]]) -> Html:
    """Lines of text as (line, marks, remark, verdict), the marks and the remark below the line.

    The verdict shows as a sign as well as a colour; None leaves it out.
    """
    out = []
    for line, marks, remark, good in entries:
        sign = (
            ""
            if good is None
            else '<span class="yes">✓ </span>'
            if good
            else '<span class="no">✗ </span>'
        )
        below = (
            f"<small>{sign}<code>{escape(marks)}</code> {escape(remark)}</small>"
            if marks or remark
            else ""
        )
        out.append(f'<p class="line">{escape(line)}{below}</p>')
    return Html("".join(out))


def join(parts: Iterable[Html]) -> Html:
    """Several pieces of markup as one."""
    return Html("".join(parts))
