"""What stands in a document of any format: headings, paragraphs, tables and places, as Markdown.

    word, excel, powerpoint, PDF, web page -> pieces -> Markdown -> passages (assistant/retrieval)

A place (page 3, slide 2, sheet Fares) is written as a comment, which no reader of the Markdown
shows and from which a passage learns where it stands. What a text holds by itself is escaped, so
that a star stays a star.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_CELLS = 500_000  # of all tables of a document


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the outermost."""

    text: str
    level: int


@dataclass(frozen=True)
class Paragraph:
    """Text that belongs together."""

    text: str


@dataclass(frozen=True)
class Place:
    """Where what follows stands: "page 3", "slide 2", "sheet Fares"."""

    name: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under the names of their columns; no names where the table has none.

    `numbers` counts the rows as the document does, from 1; empty where it does not.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()


Piece = Heading | Paragraph | Place | Table


def table_of(
    rows: Sequence[Sequence[str]], heads: int = 0, numbers: Sequence[int] = ()
) -> list[Piece]:
    """A table as it is written, whose first `heads` rows are known to name its columns.

    Where none is known to, the first row does if it looks like it. A row with one cell names the
    rows below it, as "Boats" does between prices.

    >>> table_of([["goods", "price"], ["lamp", "4"]])
    [Table(header=('goods', 'price'), rows=(('lamp', '4'),), numbers=())]
    """
    width = max(map(len, rows), default=0)
    grid = [(*row, *[""] * (width - len(row))) for row in rows]
    used = [column for column in range(width) if any(row[column] for row in grid)]
    grid = [tuple(row[column] for column in used) for row in grid]
    numbers = numbers or [0] * len(grid)
    header: tuple[str, ...] = ()
    body = list(zip(grid, numbers))
    if heads:
        # a second row of names stands below the first: "Price adult", "Price child"
        header = tuple(joined(column) for column in zip(*grid[:heads]))
        body = body[heads:]
    elif is_header(grid):
        header = grid[0]
        # Where no number tells names from values, the row is kept as one too: nothing is lost.
        body = body[any(has_digit(cell) for row in grid[1:] for cell in row) :]
    return parts_of(header, body, counted=any(numbers))


def parts_of(
    header: tuple[str, ...], body: Iterable[tuple[tuple[str, ...], int]], counted: bool
) -> list[Piece]:
    """The rows of a body as tables under one header, parted where a row has a single cell."""
    pieces: list[Piece] = []
    rows: list[tuple[tuple[str, ...], int]] = []

    def end() -> None:
        if rows:
            cells, numbers = zip(*rows)
            pieces.append(Table(header, cells, numbers if counted else ()))
            rows.clear()

    for row, number in body:
        filled = [cell for cell in row if cell]
        if len(row) > 1 and len(filled) == 1 and row[0]:
            end()
            pieces.append(Heading(filled[0], 6))
        elif filled:
            rows.append((row, number))
    end()
    return pieces


YEAR = re.compile(r"(?:19|20|21)\d\d")
AMOUNT = re.compile(r"[^\w\s]?\s?[\d.,:%-]+(?:\s?\S{1,6})?")  # 4.20, €5, 9:30, 12 kg


def is_header(grid: Sequence[tuple[str, ...]]) -> bool:
    """Whether the first row names the columns: several short, different texts.

    A name may hold a digit where only amounts stand below it, as in "Q1" and "2031".
    """
    if len(grid) < 2 or len(grid[0]) < 2:
        return False
    # the corner above the names of rows is often empty
    columns = [column for column, cell in enumerate(grid[0]) if cell or column]
    names = [grid[0][column] for column in columns]
    short = all(0 < len(name.split()) <= 6 and any(map(str.isalnum, name)) for name in names)
    if len(set(names)) < len(names) or not short:
        return False
    return all(
        not has_digit(name) or is_name_above(name, [row[column] for row in grid[1:]])
        for name, column in zip(names, columns)
    )


def is_name_above(name: str, cells: Sequence[str]) -> bool:
    """Whether a text with a digit names amounts: it is none itself, or a year above no years."""
    amounts = all(AMOUNT.fullmatch(cell) for cell in cells if cell) and any(cells)
    if YEAR.fullmatch(name):
        return amounts and not any(YEAR.fullmatch(cell) for cell in cells)
    return amounts and not AMOUNT.fullmatch(name)


def has_digit(text: str) -> bool:
    """Whether a text holds a digit."""
    return any(map(str.isdigit, text))


def joined(cells: Iterable[str]) -> str:
    """Different texts with blanks between them, in their order."""
    return " ".join(dict.fromkeys(cell for cell in cells if cell))


# -- as text --------------------------------------------------------------------------------------


def as_text(pieces: Iterable[Piece]) -> str:
    """Pieces as text to train on: headings and tables in the signs of Markdown, nothing escaped.

    >>> as_text([Heading("Fares", 1), Table((), (("adult", "3"),))])
    '# Fares\\n\\n| adult | 3 |'
    """
    texts = []
    for piece in pieces:
        if isinstance(piece, Heading):
            texts.append(f"{'#' * min(piece.level, 3)} {one_line(piece.text)}")
        elif isinstance(piece, Paragraph):
            texts.append(one_line(piece.text))
        elif isinstance(piece, Table):
            rows = [piece.header, *piece.rows] if piece.header else piece.rows
            texts.append("\n".join(f"| {' | '.join(map(one_line, row))} |" for row in rows))
    return "\n\n".join(texts)


def as_markdown(pieces: Iterable[Piece]) -> str:
    """Pieces as Markdown whose rendered page has exactly their words, with places as comments.

    >>> as_markdown([Place("slide 2"), Paragraph("3 * 4 = 12")])
    '<!-- slide 2 -->\\n\\n3 \\\\* 4 = 12'
    """
    texts = []
    for piece in pieces:
        if isinstance(piece, Place):
            texts.append(f"<!-- {one_line(piece.name).replace('--', '-')[:80]} -->")
        elif isinstance(piece, Heading):
            texts.append(f"{'#' * piece.level} {escaped(piece.text)}")
        elif isinstance(piece, Paragraph):
            texts.append(escaped(piece.text))
        else:
            texts.append(table_markdown(piece))
    return "\n\n".join(text for text in texts if text)


def table_markdown(table: Table) -> str:
    """A table of Markdown; each row that has a number carries it in a comment."""
    width = max(map(len, (table.header, *table.rows)))
    header = [escaped(cell) for cell in table.header] or [""] * width
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * width]
    for place, row in enumerate(table.rows):
        number = f" <!-- row {table.numbers[place]} -->" if table.numbers else ""
        lines.append(f"| {' | '.join(map(escaped, row))}{number} |")
    return "\n".join(lines)


SPECIAL = re.compile(r"[\\`*_\[\]<>|~#&!]")
BEGINS_SOMETHING = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))|^(?=[-+=])")  # a list, or a rule


def escaped(text: str) -> str:
    """A text in one line whose signs mean nothing to Markdown."""
    plain = SPECIAL.sub(r"\\\g<0>", one_line(text))
    return BEGINS_SOMETHING.sub(lambda match: f"{match[1] or ''}\\", plain)


def one_line(text: str) -> str:
    """A text with single blanks for all white space."""
    return " ".join(text.split())
