"""Your own documents: text, Markdown, HTML, PDF and Office files become a list of clean strings.

One file or a whole folder. What cannot be read is never dropped in silence: for a single file it is
an error, in a folder it stands in the `skipped` list beside its reason.

Trade-offs: text must be UTF-8 unless its encoding is named, because guessing is wrong often enough
to spoil a corpus unseen; a web page may declare its own. Markdown stays as it was typed. To train
on, HTML loses its tags, its scripts and its styles, and keeps one line per block and per row of a
table; to be searched, its headings and tables become those of Markdown (`read_sources`). Symbolic
links and hidden folders are not followed, so a loop of links cannot trap the reader and a folder
never pulls in text from outside itself.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tinylm.corpora.layout import Piece, as_markdown, as_text
from tinylm.corpora.office import office_pieces
from tinylm.corpora.pdf import pdf_pages, pdf_pieces
from tinylm.corpora.web_pages import html_to_text, page_pieces

MIB = 1 << 20


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
    return _collect(path, lambda file: _read_file(file, separator, encoding), separator is not None)


def read_sources(path: Path) -> Documents:
    """The same files as Markdown, to be searched: what is a heading or a table stays one.

    Pages, slides, sheets and their rows stand in comments, from which `retrieval.split_passages`
    takes the place of each passage. Text and Markdown files stay as they are. Raises ValueError as
    `read_documents` does.
    """
    return _collect(path, lambda file: [_read_source(file)], False)


def path_of(folder: Path, source: str) -> Path:
    """The file that a source of `read_documents` or `read_sources` was read from.

    >>> path_of(Path("."), "rules/pay.md").as_posix()
    'rules/pay.md'
    """
    return folder / source if folder.is_dir() else folder


def _collect(path: Path, read: Callable[[Path], list[str]], several: bool) -> Documents:
    """What `read` makes of a file or of each file of a folder; `several` documents a file are
    numbered."""
    documents = Documents()
    seen: dict[bytes, str] = {}  # fingerprint of a text -> the source it was first read from
    for file, source in _files(path, documents.skipped):
        try:
            texts = read(file)
        except (ValueError, OSError) as error:
            if file == path:
                raise ValueError(str(error)) from error
            documents.skipped.append(Skipped(source, str(error).removeprefix(f"{file}: ")))
            continue
        for number, text in enumerate(texts, start=1):
            _add(documents, seen, text, f"{source}#{number}" if several else source)
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
        elif entry.name.startswith("~$"):
            skipped.append(Skipped(source, "made by Office while the document is open"))
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
    read = _reader(file)
    if read is _read_text:
        if separator is not None:
            return list(iter_documents(file, separator, encoding))
        return ["".join(iter_text(file, encoding=encoding))]
    return [read(file)]


def _read_source(file: Path) -> str:
    """One file as Markdown."""
    read, pieces = _reader(file), PIECES.get(file.suffix.lower())
    if pieces is None:
        return read(file)
    try:
        return as_markdown(pieces(file))
    except ValueError as error:
        raise ValueError(f"{file}: {str(error).removeprefix(f'{file}: ')}") from error


def _reader(file: Path) -> Callable[[Path], str]:
    """How a file is read, if it is an ordinary one and not too large."""
    read, max_bytes = READERS.get(file.suffix.lower(), READERS[".txt"])
    if not file.is_file():
        raise ValueError(f"{file}: not an ordinary file")
    size = file.stat().st_size
    if size > max_bytes:
        raise ValueError(
            f"{file}: {size / MIB:,.0f} MiB, above the limit of {max_bytes // MIB:,} MiB. Split it "
            "first"
        )
    return read


def _read_text(file: Path) -> str:
    return "".join(iter_text(file))


_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w-]{1,40})""", re.IGNORECASE)


def _read_html(file: Path) -> str:
    """The source of a web page in UTF-8, or in the encoding that it declares."""
    with file.open("rb") as page:
        declared = _CHARSET.search(page.read(2048))  # HTML wants it within the first kilobyte
    encoding = declared[1].decode("ascii") if declared else "utf-8"
    # Browsers read Latin-1 as Windows-1252, which has signs where Latin-1 has controls (WHATWG).
    if encoding.lower() in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"):
        encoding = "cp1252"
    return "".join(iter_text(file, encoding=encoding))


def _html_text(file: Path) -> str:
    return html_to_text(_read_html(file))


def _office_text(file: Path) -> str:
    return as_text(office_pieces(file))


def _pdf_text(file: Path) -> str:
    """The text of all pages, pages parted by an empty line."""
    return "\n\n".join(page.strip() for page in pdf_pages(file))


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


# How each kind of file is read to train on, and how large it may be: parsing HTML or PDF costs far
# more per byte than text.
READERS: dict[str, tuple[Callable[[Path], str], int]] = {
    ".txt": (_read_text, 4096 * MIB),
    ".text": (_read_text, 4096 * MIB),
    ".md": (_read_text, 4096 * MIB),
    ".markdown": (_read_text, 4096 * MIB),
    ".html": (_html_text, 64 * MIB),
    ".htm": (_html_text, 64 * MIB),
    ".pdf": (_pdf_text, 256 * MIB),
    ".docx": (_office_text, 64 * MIB),
    ".xlsx": (_office_text, 64 * MIB),
    ".pptx": (_office_text, 64 * MIB),
}
# The same kinds as Markdown, to be searched; text stays as it is.
PIECES: dict[str, Callable[[Path], Iterable[Piece]]] = {
    ".html": lambda file: page_pieces(_read_html(file)),
    ".htm": lambda file: page_pieces(_read_html(file)),
    ".pdf": pdf_pieces,
    ".docx": office_pieces,
    ".xlsx": office_pieces,
    ".pptx": office_pieces,
}
