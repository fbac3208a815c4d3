"""PDF files: the text of each page, and its tables by where their words stand.

A PDF stores words with places and knows no tables. pypdf lays a page out in characters of one
width; lines that follow each other and whose words stand in the same columns, parted by three
blanks or more, are the rows of a table.

Trade-offs: a scanned page holds no text at all. Columns of prose are told from tables by their
length alone. A sentence that goes on over the page is cut there.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from tinylm.corpora.layout import Paragraph, Piece, Place, one_line, table_of

MIB = 1 << 20
MAX_PDF_PAGES = 2_000
# one page's drawing commands after decompression; an ordinary page has some 10 kB
MAX_PDF_PAGE_BYTES = 16 * MIB
LONGEST_CELL = 8  # words on average, from which on columns are prose
WRAPPED = 40  # characters from which on a line may go on in the next one
GAP = re.compile(r" {3,}")  # typewriter type has two between words
LEADERS = re.compile(r"(?:\.\s?){5,}")  # the dots of a table of contents
BULLET = re.compile(r"[^\w\s]|\(?\w{1,3}[.)]")  # •, 1., (a)
QUIET = logging.NullHandler()
T = TypeVar("T")
Line = Sequence[tuple[int, str]]  # (column of characters, words) of each cell


def pdf_pages(file: Path) -> list[str]:
    """The text of each page as the file stores it, in that order; needs the package pypdf.

    Raises ValueError in one line for a file that is protected, too large or broken.
    """
    return _read(file, lambda page: page.extract_text())


def pdf_pieces(file: Path) -> list[Piece]:
    """Paragraphs and tables, each page behind its place. Raises ValueError as above."""
    pieces: list[Piece] = []
    for number, lines in enumerate(_without_heads(_read(file, _lines)), start=1):
        page = list(_line_pieces(lines))
        if page:
            pieces += [Place(f"page {number}"), *page]
    return pieces


def _lines(page: Any) -> list[Line]:
    """The lines of a page, laid out in cells where nothing is lost by it."""
    stored = page.extract_text()
    laid_out = page.extract_text(extraction_mode="layout") if "\n" in stored else ""
    # what stands askew, or in a form within the page, is left out of the layout
    if Counter("".join(stored.split())) == Counter("".join(laid_out.split())):
        lines: list[Line] = [_cells(LEADERS.sub(" ", line)) for line in laid_out.splitlines()]
    else:
        lines = [[(0, one_line(LEADERS.sub(" ", line)))] for line in stored.splitlines()]
    return [line for line in lines if line and line[0][1]]


def _without_heads(pages: list[list[Line]]) -> list[list[Line]]:
    """Pages without the first and last lines that most of them share, numbers apart.

    They stay on the first page that has them.
    """
    for side in (0, -1):
        shared = Counter(_alike(page[side]) for page in pages if page)
        heads = {words for words, many in shared.items() if many > max(2, len(pages) / 2)}
        for page in pages:
            if page and (words := _alike(page[side])) in heads:
                if shared[words] > 0:
                    shared[words] = 0  # the first one
                else:
                    page.pop(side)
    return pages


def _alike(line: Line) -> str:
    """The words of a line with one sign for all numbers."""
    return re.sub(r"\d+", "0", " ".join(words for _, words in line))


def _read(file: Path, extract: Callable[[Any], T]) -> list[T]:
    """What `extract` makes of each page; whatever goes wrong is told in one line."""
    try:
        import pypdf
    except ImportError as error:
        raise ValueError(
            f'{file}: reading PDF needs one more package: pip install "tinylm[documents]"'
        ) from error
    logging.getLogger("pypdf").addHandler(QUIET)  # its warnings quote the file
    try:
        reader = pypdf.PdfReader(file)
        if reader.is_encrypted:
            raise ValueError("protected by a password. Save an open copy first")
        if len(reader.pages) > MAX_PDF_PAGES:
            raise ValueError(
                f"{len(reader.pages):,} pages, above the limit of {MAX_PDF_PAGES:,}. Split it first"
            )
        extracted = []
        for number, page in enumerate(reader.pages, start=1):
            commands = page.get_contents()
            if commands is not None and len(commands.get_data()) > MAX_PDF_PAGE_BYTES:
                raise ValueError(
                    f"page {number} unpacks to more than {MAX_PDF_PAGE_BYTES // MIB} MiB"
                )
            extracted.append(extract(page))
        return extracted
    # a broken PDF makes the parser fail in any of a dozen ways; each has the same cure
    except Exception as error:
        reason = one_line(str(error))
        if not isinstance(error, ValueError):  # not one of the refusals above
            reason = f"not a readable PDF ({type(error).__name__}: {reason})"
        raise ValueError(f"{file}: {reason}") from error


def _cells(line: str) -> list[tuple[int, str]]:
    """The parts of a line that gaps part, each with the column where it begins.

    >>> _cells("Lamp    4.20")
    [(0, 'Lamp'), (8, '4.20')]
    """
    cells, begin = [], 0
    for gap in [*GAP.finditer(line.rstrip()), None]:
        end = gap.start() if gap else len(line)
        if line[begin:end].strip():
            cells.append((begin, line[begin:end].strip()))
        begin = gap.end() if gap else end
    if len(cells) > 1 and BULLET.fullmatch(cells[0][1]):
        cells[:2] = [(cells[0][0], f"{cells[0][1]} {cells[1][1]}")]
    return cells


def _line_pieces(lines: Sequence[Line]) -> Iterator[Piece]:
    """Lines of a page as tables and paragraphs."""
    text: list[str] = []  # of the paragraph that is open
    place = 0
    while place < len(lines):
        end = place
        while end < len(lines) and len(lines[end]) > 1:
            end += 1
        rows = _table_rows(lines[place:end])
        if rows:
            yield from _paragraph(text)
            yield from table_of(rows)
            place = end
            continue
        # Not a table: one line, which goes on in the next one if it is long and ends nothing.
        line = " ".join(words for _, words in lines[place])
        text.append(line)
        if len(line) < WRAPPED or line.endswith((".", "!", "?", ":")):
            yield from _paragraph(text)
        place += 1
    yield from _paragraph(text)


def _paragraph(lines: list[str]) -> Iterator[Piece]:
    """The lines as one paragraph; empties the list. A word that was cut keeps its hyphen."""
    if lines:
        yield Paragraph(re.sub(r"(?<=\w-)\n(?=[a-z])", "", "\n".join(lines)))
        lines.clear()


def _table_rows(lines: Sequence[Line]) -> list[list[str]]:
    """Lines as rows of one table, or nothing where they are none.

    The line with the most cells gives the columns; every other cell belongs to the column over
    which its middle stands.
    """
    if len(lines) < 2:
        return []
    words = [len(cell.split()) for line in lines for _, cell in line]
    if sum(words) > LONGEST_CELL * len(words):
        return []
    widest = max(lines, key=len)
    # Half way between two cells of the widest line lies the border of their columns.
    borders = [(begin + len(cell) + after) / 2 for (begin, cell), (after, _) in pairwise(widest)]
    rows = []
    for line in lines:
        row = [""] * len(widest)
        for begin, cell in line:
            column = sum(begin + len(cell) / 2 > border for border in borders)
            if row[column]:
                return []
            row[column] = cell
        rows.append(row)
    return rows
