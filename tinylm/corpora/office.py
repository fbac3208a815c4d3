"""Word, Excel and PowerPoint files as headings, paragraphs and tables.

mammoth reads Word, openpyxl Excel and python-pptx PowerPoint. (markitdown, which wraps all three,
writes NaN into empty cells, loses the names of columns below a title, knows no rows, takes 6 s for
a sheet of 5,000 rows and 4 s to import.)

Such a file is a zip archive of XML: what it would unpack to is looked at before it is unpacked.

Trade-offs: pictures are left out, and so are headers, footers and comments of Word. Formulas count
as the value that was saved with them. A merged cell belongs to its first row. A sheet may hold
several tables with empty rows between them, but not side by side.
"""

import datetime
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tinylm.corpora.layout import (
    MAX_CELLS,
    Heading,
    Paragraph,
    Piece,
    Place,
    Table,
    is_header,
    one_line,
    table_of,
)
from tinylm.corpora.web_pages import page_pieces

MIB = 1 << 20
MAX_OFFICE_BYTES = 256 * MIB  # of all parts together, unpacked
MAX_XML_BYTES = 64 * MIB  # of the largest part with words in it: they are read as a whole
ADVICE = 'pip install "tinylm[documents]"'
# what Office makes of a file with a password, and what it wrote before 2007
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def office_pieces(file: Path) -> list[Piece]:
    """What stands in a .docx, .xlsx or .pptx file.

    Raises ValueError in one line where it is something else, protected, too large or broken.
    """
    read = {".docx": word, ".xlsx": excel, ".pptx": powerpoint}[file.suffix.lower()]
    try:
        check_archive(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's, about styles
            return read(file)
    except ImportError as error:
        raise ValueError(
            f"{file}: reading Office files needs one more package: {ADVICE}"
        ) from error
    # A broken file makes the parsers fail in any of a dozen ways; each has the same cure.
    except Exception as error:
        reason = one_line(str(error))
        if not isinstance(error, Refused):
            reason = f"not a readable Office file ({type(error).__name__})"
        raise ValueError(f"{file}: {reason}") from error


class Refused(ValueError):
    """A file that is not read, and why."""


def check_archive(file: Path) -> None:
    """Refuse what is no archive, and one that would unpack to too much."""
    with file.open("rb") as body:
        first = body.read(8)
    if first == OLE:
        raise Refused("protected by a password, or of an Office before 2007. Save an open copy")
    if first.startswith(b"%PDF"):
        raise Refused("a PDF with the name of an Office file. Rename it to .pdf")
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    size = sum(part.file_size for part in parts)
    # A sheet is read row by row, everything else as a whole.
    words = [part for part in parts if part.filename.lower().endswith((".xml", ".rels"))]
    largest = max((p.file_size for p in words if "worksheets/" not in p.filename), default=0)
    for bytes_, most in ((size, MAX_OFFICE_BYTES), (largest, MAX_XML_BYTES)):
        if bytes_ > most:
            unpacked = f"unpacks to {bytes_ // MIB:,} MiB"
            raise Refused(f"{unpacked}, above the limit of {most // MIB} MiB")


# -- Word -----------------------------------------------------------------------------------------


def word(file: Path) -> list[Piece]:
    """A Word document by way of HTML, which has all that is needed: headings, tables, footnotes."""
    import mammoth

    with file.open("rb") as body:
        page = mammoth.convert_to_html(
            body,
            style_map="p[style-name='Title'] => h1:fresh",
            include_embedded_style_map=False,
            convert_image=lambda image: [],
        )
    return page_pieces(page.value)


# -- Excel ----------------------------------------------------------------------------------------


def excel(file: Path) -> list[Piece]:
    """Each sheet under its name, its tables with the numbers of their rows."""
    import openpyxl

    # read_only: row by row; data_only: values and not formulas
    book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    try:
        pieces: list[Piece] = []
        cells = 0
        for sheet in book.worksheets:
            # The size that a sheet states may be a lie, and its rows would be filled up to it.
            sheet.reset_dimensions()
            rows: list[tuple[int, list[str]]] = []
            for number, row in enumerate(sheet.iter_rows(), start=1):
                cells += max(1, len(row))
                if cells > MAX_CELLS:
                    limit = f"more than {MAX_CELLS:,} cells"
                    raise Refused(f"sheet {sheet.title} has {limit}. Save the part you need")
                texts = [shown(cell) for cell in row]
                rows.append((number, texts))
            pieces += sheet_pieces(sheet.title, rows)
        return pieces
    finally:
        book.close()


def sheet_pieces(name: str, rows: Iterable[tuple[int, list[str]]]) -> Iterator[Piece]:
    """A sheet's tables, which empty rows part; a line of its own above a table is a heading.

    A part without names of columns, behind an empty row, goes on with those above it.
    """
    header: list[str] = []
    for place, (numbers, part) in enumerate(parts(rows)):
        if not place:  # an empty sheet is not named
            yield Place(f"sheet {name}")
            yield Heading(name, 2)
        if [sum(map(bool, row)) for row in part] == [1]:  # one cell between empty rows
            yield Heading(one_line(" ".join(part[0])), 3)
            continue
        while len(part) > 1 and is_title(part):
            yield Heading(next(filter(None, part.pop(0))), 3)
            numbers.pop(0)
        several = max(sum(map(bool, row)) for row in part) > 1
        if header and several and not is_header([tuple(row) for row in compact(part)]):
            part, numbers = [header, *part], [0, *numbers]
            tables = table_of(part, heads=1, numbers=numbers)
        else:
            tables = table_of(part, numbers=numbers)
        if any(isinstance(table, Table) and table.header for table in tables):
            header = part[0]
        yield from tables


def parts(rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Rows that follow each other, with their numbers."""
    numbers: list[int] = []
    part: list[list[str]] = []
    for number, row in [*rows, (0, [])]:
        if any(row):
            numbers.append(number)
            part.append(row)
        elif part:
            yield numbers, part
            numbers, part = [], []


def is_title(part: list[list[str]]) -> bool:
    """Whether the first of several rows is a line of its own above a table."""
    filled = [sum(map(bool, row)) for row in part]
    return filled[0] == 1 and max(filled) > 1


def compact(part: list[list[str]]) -> list[list[str]]:
    """Rows of one length without the columns that are empty in all of them."""
    width = max(map(len, part))
    grid = [row + [""] * (width - len(row)) for row in part]
    used = [column for column in range(width) if any(row[column] for row in grid)]
    return [[row[column] for column in used] for row in grid]


def shown(cell: Any) -> str:
    """A cell's value much as Excel shows it: 4.2 in the format 0.00 is 4.20, 0.19 may be 19%."""
    value, kind = cell.value, str(getattr(cell, "number_format", "") or "")
    if value is None or getattr(cell, "data_type", "") == "e":
        return ""  # empty, or an error such as #REF!
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        value = value.date() if value.time() == datetime.time() else value
        return (
            value.isoformat(" ", "minutes") if isinstance(value, datetime.datetime) else f"{value}"
        )
    if isinstance(value, datetime.time):
        return value.isoformat("minutes")
    if isinstance(value, int | float):
        return number_shown(value, kind)
    return one_line(str(value))


def number_shown(value: float, kind: str) -> str:
    """A number in one of Excel's formats: its decimals, per cent and currency.

    >>> number_shown(4.2, '0.00 "crowns"'), number_shown(0.19, "0%"), number_shown(12, "General")
    ('4.20 crowns', '19%', '12')
    """
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]', "", kind).split(";")[0]
    decimals = re.search(r"[0#]\.(0+)", plain)
    if "%" in plain:
        return f"{value * 100:.{len(decimals[1]) if decimals else 0}f}%"
    text = f"{value:.{len(decimals[1])}f}" if decimals else f"{value:.12g}"
    unit = re.search(r'"\s*([^"]{1,20}?)\s*"|\[\$([^\]-]{1,5})|([€$£¥])', kind)
    return f"{text} {next(filter(None, unit.groups()), '')}".strip() if unit else text


# -- PowerPoint -----------------------------------------------------------------------------------


def powerpoint(file: Path) -> list[Piece]:
    """Each slide: its title, its texts and tables from top to bottom, its notes."""
    import pptx

    pieces: list[Piece] = []
    for number, slide in enumerate(pptx.Presentation(str(file)).slides, start=1):
        pieces.append(Place(f"slide {number}"))
        title = slide.shapes.title
        if title is not None and title.has_text_frame and title.text_frame.text.strip():
            pieces.append(Heading(one_line(title.text_frame.text), 2))
        shapes = sorted(slide.shapes, key=lambda shape: (shape.top or 0, shape.left or 0))
        for shape in shapes:
            if title is None or shape.shape_id != title.shape_id:
                pieces += shape_pieces(shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            pieces += paragraphs(slide.notes_slide.notes_text_frame)
    return pieces


def shape_pieces(shape: Any, depth: int = 0) -> Iterator[Piece]:
    """The texts, tables and charts of a shape, and of a group's shapes."""
    if hasattr(shape, "shapes") and depth < 20:
        for inner in shape.shapes:
            yield from shape_pieces(inner, depth + 1)
    elif getattr(shape, "has_table", False):
        rows = [[one_line(cell.text) for cell in row.cells] for row in shape.table.rows]
        yield from table_of(rows, heads=int(bool(shape.table.first_row) and len(rows) > 1))
    elif getattr(shape, "has_chart", False):
        yield from chart_pieces(shape.chart)
    elif shape.has_text_frame:
        yield from paragraphs(shape.text_frame)


def chart_pieces(chart: Any) -> Iterator[Piece]:
    """The numbers behind a chart as a table: a row for each category."""
    for plot in chart.plots:
        names = [str(name) for name in plot.categories]
        series = [(str(row.name), list(row.values)) for row in plot.series]
        rows = [
            [name, *(f"{values[n]:.12g}" if values[n] is not None else "" for _, values in series)]
            for n, name in enumerate(names)
            if all(n < len(values) for _, values in series)
        ]
        if rows and series:
            yield from table_of([["", *(name for name, _ in series)], *rows], heads=1)


def paragraphs(frame: Any) -> Iterator[Piece]:
    """The paragraphs of a text frame."""
    for paragraph in frame.paragraphs:
        text = one_line(paragraph.text)
        if text:
            yield Paragraph(text)
