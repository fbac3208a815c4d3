"""One self-contained HTML page: text, tables and pictures in a single file that needs no network
and no script.

    page = render("comparison.html", title="base and verse, compared", view=view)
    Path("index.html").write_text(page, encoding="utf-8")

Python prepares plain data; the Jinja templates beside this file (templates/) lay it out, one for
each page. Every value that a template shows is escaped and made visible, so text that a model made
can never become markup. Only drawings of this package pass as they are. The content security policy
of base.html forbids everything but inline styles and data images, should something slip through all
the same.

Pictures are inline SVG whose neutral colours and palette are replaced by CSS variables: the same
drawing follows the reader's light or dark setting, stays sharp at every size and prints in black on
white.
"""

import base64
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from tinylm.pages.figures import GRID, INK, MUTED, PALETTE, STYLE

if TYPE_CHECKING:
    from jinja2 import Environment

NEUTRAL = {INK: "ink", MUTED: "muted", GRID: "grid"}
# the same hues, lighter
DARK_PALETTE = ("#56a8e0", "#f0894a", "#35c79b", "#e3a6c8", "#f0b840", "#8fd0f5")
STEERING = ("Cc", "Cf", "Cs")  # Unicode's controls, format characters and surrogates
KEPT = "\n\t\u200c\u200d"  # letters of Persian and Hindi, and emoji families, need the joiners


@dataclass(frozen=True)
class Picture:
    """A figure, what to look for in it, and the table behind it."""

    name: str
    heading: str
    figure: Figure
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Line:
    """A line of a sample; where it was scanned, its pattern, a remark and the verdict."""

    text: str
    pattern: str = ""
    remark: str = ""
    ok: bool | None = None


def render(template: str, **values: Any) -> str:
    """A page from a file of templates/; jinja2.UndefinedError where a value is missing."""
    return environment().get_template(template).render(values)


@cache
def environment() -> "Environment":
    """The templates, with what all of them may use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("tinylm.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=shown,
    )
    templates.filters["svg"] = svg
    templates.globals |= {"light": PALETTE, "dark": DARK_PALETTE}
    return templates


def shown(value: object) -> object:
    """What a template shows of a value before it is escaped; finished markup stays as it is."""
    return value if isinstance(value, Markup) else visible(str(value))


def visible(text: str) -> str:
    """The text with a sign in the place of each character that is invisible or steers how others
    are shown (controls, bidirectional overrides, tags): models may produce any.

    >>> visible("a" + chr(7) + chr(0x202E))
    'a␇�'
    """
    return "".join(
        c if c in KEPT or unicodedata.category(c) not in STEERING else sign(c) for c in text
    )


def sign(character: str) -> str:
    """The picture of a control character, or the replacement character."""
    return chr(0x2400 + ord(character)) if ord(character) < 32 else "\N{REPLACEMENT CHARACTER}"


def svg(figure: Figure) -> Markup:
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
    opening, rest = text.split(">", 1)
    # the page decides the size
    return Markup(re.sub(r' (width|height)="[^"]*pt"', "", opening) + ">" + rest)


def data_uri(png: bytes) -> str:
    """A PNG as an address that carries it, for the page's policy; empty if it is no PNG.

    >>> data_uri(b"GIF89a")
    ''
    """
    known = png.startswith(b"\x89PNG")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii") if known else ""
