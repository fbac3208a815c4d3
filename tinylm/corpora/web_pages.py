"""Web pages: as plain text to train on, and as pieces with headings and tables to search.

Tags are found by one regular expression that never goes back: a page made to exhaust its reader is
read in one pass, where the standard library's parser takes minutes over 60 kB of unfinished tags.

Trade-offs: nothing is laid out, so what a page hides by its style is read too, and a script's words
are not. A table inside a table makes the outer one layout: its cells are then paragraphs.
"""

import re
from collections.abc import Iterator
from html import unescape

from tinylm.corpora.layout import MAX_CELLS, Heading, Paragraph, Piece, one_line, table_of

# A comment's beginning, or a tag with its name. A tag never reaches over the next "<" and nothing
# is tried twice (*+).
_TAG = re.compile(
    r"""<!--|<(/?[a-zA-Z!?][^\s<>/"']*+)(?:"[^"<]*+"|'[^'<]*+'|[^<>"']++)*+[^<>]*+>"""
)
# above the last code point; Python refuses thousands of digits
_NO_CHARACTER = re.compile(r"&#[0-9]{8,};?")
_DROPPED = frozenset({"script", "style", "template"})
# these stand within a line; every other tag begins a new one (HTML standard, WHATWG, section 4)
_INLINE = frozenset(
    re.findall(
        r"\w+",
        "a abbr b bdi bdo cite code data del dfn em font i ins kbd label mark q s samp small span "
        "strong sub sup time tt u var wbr",
    )
)
_CELL = "\N{SYMBOL FOR UNIT SEPARATOR}"


def html_to_text(html: str) -> str:
    """The words of a web page, one line per block, without tags, scripts and styles.

    >>> html_to_text("<h1>Ferry</h1><style>p{}</style><p>At <b>nine</b>,<br>fish &amp; all.</p>")
    'Ferry\\nAt nine,\\nfish & all.'
    """
    pieces: list[str] = []
    preformatted = False
    for name, text in scan(html):
        if not name:
            pieces.append(_page_text(text, preformatted))
        elif name in ("td", "th"):
            pieces.append(_CELL)  # the cells of a row share a line: a price keeps its goods
        elif name.removeprefix("/") not in (*_INLINE, "td", "th"):
            preformatted = name == "pre" or (preformatted and name != "/pre")
            pieces.append("\n")
    lines = [one_line(line) for line in "".join(pieces).split("\n")]
    rows = [_in_row(line) for line in lines]
    return "\n".join(row for row in rows if row)


def scan(html: str) -> Iterator[tuple[str, str]]:
    """Yield ("", text) and (name of a tag, the tag as written) in their order; closing tags have
    names such as "/p". Comments, scripts and styles are left out."""
    place, dropped = 0, ""  # where the next text begins; the dropped element that is open, if any
    while tag := _TAG.search(html, place):
        if not dropped:
            yield "", html[place : tag.start()]
        place, name = tag.end(), (tag[1] or "").lower()
        if dropped:
            dropped = "" if name == f"/{dropped}" else dropped
        elif not name:  # a comment, to its end or the page's
            end = html.find("-->", place - 2)
            place = len(html) if end < 0 else end + 3
        elif name in _DROPPED:
            dropped = name
        else:
            yield name, tag[0]
    if not dropped:
        yield "", html[place:]


def _in_row(line: str) -> str:
    """A line of a page; the cells of a table's row with commas between them."""
    if _CELL not in line:
        return line
    return ", ".join(cell.strip() for cell in line.split(_CELL) if cell.strip())


def _page_text(text: str, preformatted: bool = False) -> str:
    """Text between tags as a page shows it: &amp; becomes &.

    A newline in the source is only a space, except in preformatted text.
    """
    plain = unescape(_NO_CHARACTER.sub("\ufffd", text)).replace(_CELL, " ")
    return plain if preformatted else plain.replace("\n", " ")


# -- pieces ---------------------------------------------------------------------------------------

_SPAN = re.compile(r"""\b(col|row)span\s*=\s*["']?(\d{1,4})""", re.IGNORECASE)
_NOTE = re.compile(r"\W*(?:\d{1,3}|[a-z*†‡§¹²³])?\W*", re.IGNORECASE)  # [1], *, (a)
_BACK = re.compile(r"[\s↑↩^\ufe0e\ufe0f]*")  # the way back from a footnote


def page_pieces(html: str) -> list[Piece]:
    """The headings, paragraphs and tables of a page, without links' addresses and footnotes' marks.

    >>> page_pieces("<h2>Fares</h2><p>A <b>ticket</b> costs 3.</p>")
    [Heading(text='Fares', level=2), Paragraph(text='A ticket costs 3.')]

    Raises ValueError for a table of more than 500,000 cells.
    """
    page = _Page()
    for name, text in scan(html):
        if name:
            page.tag(name, text)
        else:
            page.text(text)
    return page.end()


class _Grid:
    """A table while it is read."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.heads: list[bool] = []  # of each row: whether all of its cells are names of columns
        self.row: list[str] | None = None
        self.named = True  # whether all cells of the row so far are names
        self.below: dict[int, tuple[str, int]] = {}  # column -> (text, rows that it reaches into)
        self.cell: list[str] | None = None
        self.tag = ""  # of the cell
        self.bold = True  # all words of the cell so far
        self.layout = False

    def begin_cell(self, tag: str) -> None:
        """A new cell of the row."""
        if self.row is None:
            self.row, self.named = [], True
        self.cell, self.tag, self.bold = [], tag, True

    def end_cell(self) -> None:
        """Put the cell into its columns, and remember how far down it reaches."""
        if self.cell is None or self.row is None:
            return
        text, self.cell = ", ".join(self.cell), None
        is_name = self.tag[1:3].lower() == "th"
        spans = {kind.lower(): int(many) for kind, many in _SPAN.findall(self.tag)}
        for n in range(min(max(spans.get("col", 1), 1), 50)):
            self.fill()
            # a name stands over all of its columns, a value in the first
            part = text if is_name or not n else ""
            if spans.get("row", 1) > 1:
                self.below[len(self.row)] = (part, spans["row"] - 1)
            self.row.append(part)
        self.named = self.named and (is_name or self.bold or not text)

    def fill(self) -> None:
        """Columns into which a cell of a row above reaches."""
        assert self.row is not None
        while len(self.row) in self.below:
            text, left = self.below.pop(len(self.row))
            if left > 1:
                self.below[len(self.row)] = (text, left - 1)
            self.row.append(text)

    def end_row(self) -> int:
        """Keep the row; its number of cells."""
        if self.row is None:
            return 0
        self.fill()
        row, self.row = self.row, None
        if any(row):
            self.rows.append(row)
            self.heads.append(self.named)
        return len(row)

    def pieces(self) -> list[Piece]:
        """The table, its first rows of names as its header."""
        heads = next((n for n, named in enumerate(self.heads) if not named), len(self.heads))
        heads = heads if heads < len(self.rows) else 0
        for n in range(heads, len(self.rows)):
            if self.heads[n] and len(set(self.rows[n])) == 1:
                del self.rows[n][1:]  # a name across all columns stands above the rows below it
        return table_of(self.rows, heads)


class _Page:
    """Pieces of a page while its tags come by."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.words: list[str] = []  # since the last block began
        self.level = 0  # of the heading that is open
        self.preformatted = False
        self.bold = 0  # open tags of bold text
        self.link: int | None = None  # where in `words` the open link began
        self.raised: int | None = None  # and the open superscript
        self.raised_link = False  # the superscript stands in a link, or holds one
        self.grids: list[_Grid] = []  # open tables, outermost first
        self.cells = 0

    def text(self, text: str) -> None:
        """Words between two tags."""
        self.words.append(_page_text(text, self.preformatted))
        if self.grids and not self.bold and text.strip():
            self.grids[-1].bold = False

    def tag(self, name: str, tag: str) -> None:
        """A tag: within a line it changes little, any other ends a block."""
        if name.removeprefix("/") in _INLINE:
            self.inline(name)
            return
        self.flush()
        if name in ("h1", "h2", "h3", "h4", "h5", "h6", "title"):
            self.level = 1 if name == "title" else int(name[1])
        elif name.startswith("/h") or name == "/title":
            self.level = 0
        elif name in ("pre", "/pre"):
            self.preformatted = name == "pre"
        elif name == "table":
            self.begin_table()
        elif self.grids and name in ("/table", "tr", "/tr", "td", "th", "/td", "/th"):
            self.table_tag(self.grids[-1], name, tag)

    def inline(self, name: str) -> None:
        """Marks of footnotes, and the way back from them, are no part of the text."""
        if name in ("b", "strong"):
            self.bold += 1
        elif name in ("/b", "/strong"):
            self.bold = max(0, self.bold - 1)
        elif name == "sup":
            self.raised, self.raised_link = len(self.words), self.link is not None
        elif name == "a":
            self.link, self.raised_link = len(self.words), self.raised is not None
        elif name == "/sup" and self.raised is not None:
            marks = "".join(self.words[self.raised :])
            if self.raised_link and len(marks) < 12 and _NOTE.fullmatch(marks):
                del self.words[self.raised :]
            self.raised = None
        elif name == "/a" and self.link is not None:
            if _BACK.fullmatch("".join(self.words[self.link :])):
                del self.words[self.link :]
            self.link = None

    def flush(self) -> None:
        """End a block: its text goes into the open cell, or becomes a heading or a paragraph."""
        text, cell = "".join(self.words), self.grids[-1].cell if self.grids else None
        self.words, self.link, self.raised = [], None, None
        for part in text.split("\n") if self.preformatted else [text]:
            line = one_line(part)
            if line and cell is not None:
                cell.append(line)
            elif line and self.level:
                # many pages have their title in a heading too
                if Heading(line, 1) not in self.pieces[-1:]:
                    self.pieces.append(Heading(line, self.level))
            elif line:
                self.pieces.append(Paragraph(line))

    def begin_table(self) -> None:
        """A table; one within a cell makes the outer one layout."""
        if self.grids and self.grids[-1].cell is not None:
            outer = self.grids[-1]
            texts = [*(text for row in outer.rows for text in row), *(outer.row or ())]
            self.pieces += [Paragraph(text) for text in (*texts, *(outer.cell or ())) if text]
            outer.layout, outer.rows, outer.row, outer.cell = True, [], None, None
        self.grids.append(_Grid())

    def table_tag(self, grid: _Grid, name: str, tag: str) -> None:
        """A tag of the innermost table, whose text so far stands in its cell already."""
        if not grid.layout:
            grid.end_cell()
            if self.cells + len(grid.row or ()) > MAX_CELLS:
                raise ValueError(f"its tables have more than {MAX_CELLS:,} cells. Split it first")
            if name in ("tr", "/tr", "/table"):
                self.cells += grid.end_row()
            if name in ("td", "th"):
                grid.begin_cell(tag)
        if name == "/table":
            self.grids.pop()
            self.pieces += grid.pieces()

    def end(self) -> list[Piece]:
        """All pieces, open tables included."""
        self.flush()
        while self.grids:
            self.table_tag(self.grids[-1], "/table", "")
        return self.pieces
