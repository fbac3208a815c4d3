"""Your own documents: text, Markdown, HTML, PDF and Office files become a list of clean strings.

One file or a whole folder. What cannot be read is never dropped in silence: for a single file it is
an error, in a folder it stands in the `skipped` list beside its reason.

Trade-offs: text must be UTF-8 unless its encoding is named, because guessing is wrong often enough
to spoil a corpus unseen; a web page may declare its own. Markdown stays as it was typed. HTML loses
its tags, its scripts and its styles, and keeps one line per block and per row of a table. A PDF
gives the text that it stores, in the order in which it stores it: columns may interleave, and a
scanned page holds no text at all. Symbolic links and hidden folders are not followed, so a loop of
links cannot trap the reader and a folder never pulls in text from outside itself.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

MIB = 1 << 20
MAX_PDF_PAGES = 2_000
MAX_OFFICE_BYTES = 256 * MIB  # of all parts together, unpacked
# one page's drawing commands after decompression; an ordinary page has some 10 kB
MAX_PDF_PAGE_BYTES = 16 * MIB


@dataclass(frozen=True)
class Skipped:
    """A document that was left out, and why, in words for people."""

    source: str
    reason: str


@dataclass(frozen=True)
class Documents:
    """Documents in a fixed order (sorted by path): `texts[i]` was read from `sources[i]`."""

    texts: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def read_documents(path: Path, separator: str | None = None, encoding: str = "utf-8") -> Documents:
    """Read one file, or every readable file below a folder, without repeats.

    A file is one document, unless `separator` is given: then text and Markdown files are cut at
    each occurrence of it, and empty pieces are dropped. Newlines come out as a single line feed,
    and a byte order mark is removed. Documents that are then equal, but for white space at their
    ends, count as the same; the first stays.

    Raises ValueError when `path` is missing, when a single file cannot be read (wrong encoding, too
    large, broken) or when nothing readable is found.
    """
    documents = Documents()
    seen: dict[bytes, str] = {}  # fingerprint of a text -> the source it was first read from
    for file, source in _files(path, documents.skipped):
        try:
            texts = _read_file(file, separator, encoding)
        except (ValueError, OSError) as error:
            if file == path:
                raise ValueError(str(error)) from error
            documents.skipped.append(Skipped(source, str(error).removeprefix(f"{file}: ")))
            continue
        for number, text in enumerate(texts, start=1):
            _add(documents, seen, text, source if separator is None else f"{source}#{number}")
    if not documents.texts:
        first = (
            f" (skipped {documents.skipped[0].source}: {documents.skipped[0].reason})"
            if documents.skipped
            else ""
        )
        raise ValueError(
            f"{path}: no document with text in it was found{first}. Readable: {', '.join(READERS)}"
        )
    return documents


def iter_text(path: Path, chunk_bytes: int = MIB, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the text of a file chunk by chunk, in constant memory, never splitting a character.

    Raises ValueError naming the first byte that is not in the encoding, and the likely one.
    """
    try:
        # utf-8-sig drops a leading byte order mark.
        name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError:
        raise ValueError(f"encoding {encoding!r} is unknown; try utf-8, cp1252 or utf-16") from None
    # The outer decoder turns "\r\n" and "\r" into "\n" even where a chunk ends between the two.
    # Both keep an unfinished character or newline for the next chunk.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(name)(), translate=True)
    with path.open("rb") as file:
        while True:
            chunk = file.read(chunk_bytes)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # The decoder may have put bytes kept from the chunk before in front of this one.
                offset = file.tell() - len(error.object) + error.start
                where = f"byte {offset} is 0x{error.object[error.start]:02X}"
                raise ValueError(
                    not_text(path, f"not {encoding.upper()} text ({where})")
                ) from error
            if "\0" in text:
                raise ValueError(not_text(path, "not text (it holds NUL bytes)"))
            if text:
                yield text
            if not chunk:
                return


def not_text(path: Path, problem: str) -> str:
    """What is wrong with a file, its likely encoding, and what to do."""
    from charset_normalizer import from_bytes

    with path.open("rb") as file:
        sample = file.read(64_000)
    # Text in UTF-16 has a zero in every other byte, also where no mark says so.
    zeros = [sample[side::2].count(0) * 4 > len(sample[side::2]) for side in (0, 1)]
    likely = None
    if zeros == [True, False] or zeros == [False, True]:
        likely = "utf-16-be" if zeros[0] else "utf-16-le"
    elif b"\0" not in sample and (best := from_bytes(sample).best()) is not None:
        likely = best.encoding
    if sample[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        likely = "utf-16"
    if likely is None:
        return f"{path}: {problem}. Save it as UTF-8 and try again"
    windows = ", which Windows calls Unicode" if "utf-16" in likely else ""
    name = likely.upper() if "utf" in likely else likely
    advice = f"Save it as UTF-8, or give --corpus.encoding {likely}"
    return f"{path}: {problem}, probably {name}{windows}. {advice}"


def iter_documents(path: Path, separator: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the documents of one large text file, cut at `separator`; empty pieces are dropped.

    Holds the current document and one chunk (16 MiB), so a file of any size can be read. Repeats
    are kept.

    Raises ValueError for an empty separator or a file that is not UTF-8.
    """
    separator = separator.replace("\r\n", "\n")  # the text has no other newlines left
    if not separator:
        raise ValueError(
            "separator: it is empty. Give the text that stands between two documents, or leave it "
            "out"
        )
    tail = ""  # what follows the last separator so far: the document still being read
    for chunk in iter_text(path, 16 * MIB, encoding):
        *finished, tail = (tail + chunk).split(separator)
        yield from (document for document in finished if document.strip())
    if tail.strip():
        yield tail


def html_to_text(html: str) -> str:
    """The words of a web page, one line per block, without tags, scripts and styles.

    >>> html_to_text("<h1>Ferry</h1><style>p{}</style><p>At <b>nine</b>,<br>fish &amp; all.</p>")
    'Ferry\\nAt nine,\\nfish & all.'
    """
    pieces: list[str] = []
    place, dropped = 0, ""  # where the next text begins; the dropped element that is open, if any
    preformatted = False
    while tag := _TAG.search(html, place):
        if not dropped:
            pieces.append(_page_text(html[place : tag.start()], preformatted))
        place, name = tag.end(), (tag[1] or "").lower()
        if dropped:
            dropped = "" if name == f"/{dropped}" else dropped
        elif not name:  # a comment, to its end or the page's
            end = html.find("-->", place - 2)
            place = len(html) if end < 0 else end + 3
        elif name in _DROPPED:
            dropped = name
        elif name in ("td", "th"):
            pieces.append(_CELL)  # the cells of a row share a line: a price keeps its goods
        elif name.removeprefix("/") not in (*_INLINE, "td", "th"):
            preformatted = name == "pre" or (preformatted and name != "/pre")
            pieces.append("\n")
    pieces.append("" if dropped else _page_text(html[place:], preformatted))
    lines = [" ".join(line.split()).strip() for line in "".join(pieces).split("\n")]
    rows = [_in_row(line) for line in lines]
    return "\n".join(row for row in rows if row)


_CELL = "\N{SYMBOL FOR UNIT SEPARATOR}"


def _in_row(line: str) -> str:
    """A line of a page; the cells of a table's row with commas between them."""
    if _CELL not in line:
        return line
    return ", ".join(cell.strip() for cell in line.split(_CELL) if cell.strip())


# A comment's beginning, or a tag with its name. A tag never reaches over the next "<" and nothing
# is tried twice (*+), so that a page of unfinished tags is read in one pass; the standard library's
# parser takes minutes over 60 kB of them.
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


def _page_text(text: str, preformatted: bool = False) -> str:
    """Text between tags as a page shows it: &amp; becomes &.

    A newline in the source is only a space, except in preformatted text.
    """
    plain = unescape(_NO_CHARACTER.sub("\ufffd", text)).replace(_CELL, " ")
    return plain if preformatted else plain.replace("\n", " ")


def _files(path: Path, skipped: list[Skipped]) -> Iterator[tuple[Path, str]]:
    """Yield (file, its name in reports) in sorted order; write what is passed over into
    `skipped`."""
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        yield path, path.name
        return
    # a stack: the next entry in sorted order is on top
    waiting = sorted(path.iterdir(), reverse=True)
    while waiting:
        entry = waiting.pop()
        source = entry.relative_to(path).as_posix()
        if entry.is_symlink():
            skipped.append(Skipped(source, "a symbolic link; copy the file itself into the folder"))
        elif entry.name.startswith("."):
            skipped.append(Skipped(source, "hidden (its name begins with a dot)"))
        elif entry.is_dir():
            try:
                waiting.extend(sorted(entry.iterdir(), reverse=True))
            except OSError as error:
                skipped.append(Skipped(source, f"cannot be opened ({error.strerror})"))
        elif not entry.is_file() or entry.suffix.lower() not in READERS:
            skipped.append(Skipped(source, f"not a kind that can be read: {', '.join(READERS)}"))
        else:
            yield entry, source


def _read_file(file: Path, separator: str | None, encoding: str) -> list[str]:
    """The documents of one file; a name with an unknown ending, given by hand, is taken for
    text."""
    read, max_bytes = READERS.get(file.suffix.lower(), READERS[".txt"])
    if not file.is_file():
        raise ValueError(f"{file}: not an ordinary file")
    size = file.stat().st_size
    if size > max_bytes:
        raise ValueError(
            f"{file}: {size / MIB:,.0f} MiB, above the limit of {max_bytes // MIB:,} MiB. Split it "
            "first"
        )
    if read is _read_text:
        if separator is not None:
            return list(iter_documents(file, separator, encoding))
        return ["".join(iter_text(file, encoding=encoding))]
    return [read(file)]


def _read_text(file: Path) -> str:
    return "".join(iter_text(file))


_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w-]{1,40})""", re.IGNORECASE)


def _read_html(file: Path) -> str:
    """A web page in UTF-8, or in the encoding that it declares."""
    with file.open("rb") as page:
        declared = _CHARSET.search(page.read(2048))  # HTML wants it within the first kilobyte
    encoding = declared[1].decode("ascii") if declared else "utf-8"
    # Browsers read Latin-1 as Windows-1252, which has signs where Latin-1 has controls (WHATWG).
    if encoding.lower() in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"):
        encoding = "cp1252"
    return html_to_text("".join(iter_text(file, encoding=encoding)))


def _read_office(file: Path) -> str:
    """Word, Excel and PowerPoint as Markdown, tables as rows; needs the package markitdown.

    Such a file is a zip archive: what it would unpack to is looked at before it is unpacked.
    """
    try:
        from markitdown import MarkItDown
    except ImportError as error:
        advice = 'pip install "tinylm[documents]"'
        raise ValueError(
            f"{file}: reading Office files needs one more package: {advice}"
        ) from error
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_OFFICE_BYTES:
            limit = f"{MAX_OFFICE_BYTES // MIB} MiB"
            raise ValueError(f"unpacks to {size // MIB:,} MiB, above the limit of {limit}")
        return MarkItDown(enable_plugins=False).convert_local(file).text_content
    # A broken file makes the parsers fail in any of a dozen ways; each has the same cure.
    except Exception as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, ValueError):
            reason = f"not a readable Office file ({type(error).__name__})"
        raise ValueError(f"{file}: {reason}") from error


def _read_pdf(file: Path) -> str:
    """The text of all pages, pages parted by an empty line; needs the optional package pypdf."""
    try:
        import pypdf
    except ImportError as error:
        raise ValueError(
            f'{file}: reading PDF needs one more package: pip install "tinylm[documents]"'
        ) from error
    try:
        reader = pypdf.PdfReader(file)
        if reader.is_encrypted:
            raise ValueError("protected by a password. Save an open copy first")
        if len(reader.pages) > MAX_PDF_PAGES:
            raise ValueError(
                f"{len(reader.pages):,} pages, above the limit of {MAX_PDF_PAGES:,}. Split it first"
            )
        for number, page in enumerate(reader.pages, start=1):
            commands = page.get_contents()
            if commands is not None and len(commands.get_data()) > MAX_PDF_PAGE_BYTES:
                raise ValueError(
                    f"page {number} unpacks to more than {MAX_PDF_PAGE_BYTES // MIB} MiB"
                )
        return "\n\n".join(page.extract_text().strip() for page in reader.pages)
    # a broken PDF makes the parser fail in any of a dozen ways; each has the same cure
    except Exception as error:
        reason = " ".join(str(error).split())  # on one line
        if not isinstance(error, ValueError):  # not one of the refusals above
            reason = f"not a readable PDF ({type(error).__name__}: {reason})"
        raise ValueError(f"{file}: {reason}") from error


def _add(documents: Documents, seen: dict[bytes, str], text: str, source: str) -> None:
    """Append one document, unless it is empty or was read before."""
    body = text.strip()
    fingerprint = hashlib.sha256(body.encode("utf-8")).digest()
    if not body:
        documents.skipped.append(
            Skipped(source, "holds no text; a PDF of scanned pages needs text recognition first")
        )
    elif fingerprint in seen:
        documents.skipped.append(Skipped(source, f"the same text as {seen[fingerprint]}"))
    else:
        seen[fingerprint] = source
        documents.texts.append(text)
        documents.sources.append(source)


# how each kind of file is read, and how large it may be: parsing HTML or PDF costs far more per
# byte than text
READERS: dict[str, tuple[Callable[[Path], str], int]] = {
    ".txt": (_read_text, 4096 * MIB),
    ".text": (_read_text, 4096 * MIB),
    ".md": (_read_text, 4096 * MIB),
    ".markdown": (_read_text, 4096 * MIB),
    ".html": (_read_html, 64 * MIB),
    ".htm": (_read_html, 64 * MIB),
    ".pdf": (_read_pdf, 256 * MIB),
    ".docx": (_read_office, 64 * MIB),
    ".xlsx": (_read_office, 64 * MIB),
    ".pptx": (_read_office, 64 * MIB),
}
