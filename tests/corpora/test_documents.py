"""Your own documents: what is read, what is skipped and why, and what comes out of each kind of
file."""

from __future__ import annotations

import os
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from tinylm.corpora import documents
from tinylm.corpora.documents import html_to_text, iter_documents, iter_text, read_documents


def pdf(*pages: bytes) -> bytes:
    """A minimal PDF whose pages have these drawing commands (compressed), with a correct table of
    offsets."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
    ]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    for n, commands in enumerate(pages):
        page = (
            f"<</Type/Page/Parent 2 0 R/Resources<</Font<</F1 3 0 R>>>>/Contents {5 + 2 * n} 0 R>>"
        )
        packed = zlib.compress(commands)
        head = f"<</Filter/FlateDecode/Length {len(packed)}>>stream\n".encode()
        objects += [page.encode(), head + packed + b"\nendstream"]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj".encode() + body + b"endobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def page(text: str) -> bytes:
    return f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()


def test_one_text_file_is_one_document_and_its_newlines_and_mark_are_normalised(
    tmp_path: Path,
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_documents(file).texts == ["one\ntwo\nthree\n"]
    assert read_documents(file).sources == ["notes.txt"]


def test_a_separator_cuts_a_file_and_drops_empty_pieces(tmp_path: Path) -> None:
    file = tmp_path / "tales.txt"
    file.write_text("<end>first\n<end>\n<end>second", encoding="utf-8")
    found = read_documents(file, "<end>")
    assert found.texts == ["first\n", "second"]
    assert found.sources == ["tales.txt#1", "tales.txt#2"]
    assert list(iter_documents(file, "<end>")) == found.texts
    with pytest.raises(ValueError, match="separator: it is empty"):
        read_documents(file, "")


def test_a_separator_typed_with_windows_newlines_still_matches(tmp_path: Path) -> None:
    file = tmp_path / "tales.txt"
    file.write_bytes(b"a\r\n--\r\nb")
    assert read_documents(file, "\r\n--\r\n").texts == ["a", "b"]


def test_a_folder_is_read_in_sorted_order_and_reports_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Ferry\n", encoding="utf-8")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z.txt").write_text("tide", encoding="utf-8")
    (tmp_path / "copy.txt").write_text("  tide\n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    (tmp_path / "map.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.txt").write_bytes(b"\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.txt").write_text("secret", encoding="utf-8")
    found = read_documents(tmp_path)
    assert (found.texts, found.sources) == (["tide", "# Ferry\n"], ["a/z.txt", "b.md"])
    reasons = {skip.source: skip.reason for skip in found.skipped}
    assert set(reasons) == {".git", "copy.txt", "empty.txt", "latin.txt", "map.png"}
    assert reasons["copy.txt"] == "the same text as a/z.txt"
    assert reasons["latin.txt"].startswith("not UTF-8 text (byte 3 is 0xE9)")


def test_a_loop_of_links_and_a_link_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    (folder / "in.txt").write_text("inside", encoding="utf-8")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "out.txt").symlink_to(tmp_path / "outside.txt")
    found = read_documents(folder)
    assert found.texts == ["inside"]
    assert [skip.source for skip in found.skipped] == ["loop", "out.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_skipped_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "real.txt").write_text("real", encoding="utf-8")
    assert [skip.source for skip in read_documents(tmp_path).skipped] == ["pipe.txt"]


def test_one_file_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"ok " + b"x" * 100 + b"\xe9\xe9")
    with pytest.raises(
        ValueError, match=r"latin.txt: not UTF-8 text \(byte 103 is 0xE9\)"
    ) as caught:
        read_documents(latin)
    assert "\n" not in str(caught.value)
    (tmp_path / "wide.txt").write_text("as Notepad saves it", encoding="utf-16")
    with pytest.raises(ValueError, match="probably UTF-16, which Windows calls Unicode"):
        read_documents(tmp_path / "wide.txt")
    with pytest.raises(ValueError, match="no such file or folder"):
        read_documents(tmp_path / "gone.txt")
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="no document with text"):
        read_documents(tmp_path / "empty.txt")


def test_a_file_above_the_size_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    big = tmp_path / "big.html"
    with big.open("wb") as file:
        file.truncate(65 * documents.MIB)  # a sparse file: it takes no room on the disk
    with pytest.raises(ValueError, match="65 MiB, above the limit of 64 MiB"):
        read_documents(big)


def test_streamed_text_never_splits_a_character_or_a_newline(tmp_path: Path) -> None:
    file = tmp_path / "wide.txt"
    text = "é€😀\r\nline\r\n" * 5
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    for size in range(1, 9):
        assert "".join(iter_text(file, size)) == text.replace("\r\n", "\n")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_place_of_a_bad_byte_is_right_for_every_chunk_size(tmp_path: Path, size: int) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes("é€".encode() + b"ok\xff rest")
    with pytest.raises(ValueError, match="byte 7 is 0xFF"):
        list(iter_text(file, size))
    file.write_bytes(b"ok" + "€".encode()[:2])  # cut in the middle of the last character
    with pytest.raises(ValueError, match="byte 2 is 0xE2"):
        list(iter_text(file, size))


def test_html_keeps_the_words_of_the_page_and_drops_scripts_styles_and_tags() -> None:
    html = """<html><head><title>Quay</title><style>p{color:red}</style></head><body>
      <script>if (a < b) { alert("<p>no</p>") }</script><!-- hidden -->
      <p>Fares &amp; <em>tim</em>es:<br/>nine</p><ul><li>one<li>two</ul>
      <template><p>never</p></template>last"""
    assert html_to_text(html) == "Quay\nFares & times:\nnine\none\ntwo\nlast"


def test_an_html_file_in_a_folder_becomes_its_text(tmp_path: Path) -> None:
    (tmp_path / "page.HTM").write_text("<p>The ferry</p>", encoding="utf-8")
    assert read_documents(tmp_path).texts == ["The ferry"]


def test_a_pdf_gives_the_text_of_its_pages(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    file = tmp_path / "tide.pdf"
    file.write_bytes(pdf(page("High water at nine"), page("Low water at three")))
    assert read_documents(file).texts == ["High water at nine\n\nLow water at three"]


def test_broken_pages_limits_and_bombs_in_a_pdf_are_errors_of_one_line(
    tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("pypdf")
    file = tmp_path / "bad.pdf"
    for body, message in [
        (b"not a pdf at all", "not a readable PDF"),
        (pdf(b"q " * (9 * documents.MIB)), "page 1 unpacks to more than 16 MiB"),
        (pdf(), "no document with text"),
    ]:
        file.write_bytes(body)
        with pytest.raises(ValueError, match=message) as caught:
            read_documents(file)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr("tinylm.corpora.pdf.MAX_PDF_PAGES", 1)
    file.write_bytes(pdf(page("a"), page("b")))
    with pytest.raises(ValueError, match="2 pages, above the limit of 1"):
        read_documents(file)


def test_without_pypdf_a_pdf_names_the_extra_to_install_and_a_folder_goes_on(
    tmp_path: Path, monkeypatch
) -> None:
    # makes `import pypdf` fail, as where it is not installed
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "tide.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "tide.txt").write_text("tide", encoding="utf-8")
    with pytest.raises(ValueError, match=r'pip install "tinylm\[documents\]"'):
        read_documents(tmp_path / "tide.pdf")
    found = read_documents(tmp_path)
    assert found.texts == ["tide"]
    assert "tinylm[documents]" in found.skipped[0].reason


def test_a_large_file_streams_at_a_useful_speed(tmp_path: Path) -> None:
    file = tmp_path / "large.txt"
    file.write_text(("The tide comes in.\n" * 50 + "<end>") * 20_000, encoding="utf-8")  # 19 MB
    start = time.perf_counter()
    assert sum(1 for _ in iter_documents(file, "<end>")) == 20_000
    assert time.perf_counter() - start < 5


def test_a_table_of_a_page_keeps_its_rows_and_pre_its_lines(tmp_path):
    page = (
        "<table><tr><th>place</th><th>price</th></tr><tr><td>pool</td><td>4</td></tr></table>"
        "<pre>one\ntwo</pre><p>a\nb</p>"
    )
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    lines = read_documents(tmp_path / "a.html").texts[0].split("\n")
    assert lines == ["place, price", "pool, 4", "one", "two", "a b"]


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252"])
def test_a_page_may_declare_its_encoding(tmp_path, charset):
    page = f'<html><head><meta charset="{charset}"></head><p>Café – open</p>'
    (tmp_path / "a.html").write_bytes(page.encode("cp1252"))
    assert read_documents(tmp_path / "a.html").texts == ["Café – open"]


def test_an_encoding_can_be_named_and_the_error_names_the_likely_one(tmp_path):
    text = "Der Fährmann hört größere Möwen über den Häusern. " * 40
    (tmp_path / "a.txt").write_bytes(text.encode("cp1252"))
    with pytest.raises(ValueError, match=r"probably \S+\. .*--corpus.encoding cp125"):
        read_documents(tmp_path / "a.txt")
    assert read_documents(tmp_path / "a.txt", encoding="cp1252").texts == [text]
    with pytest.raises(ValueError, match="encoding 'utf-9' is unknown"):
        read_documents(tmp_path / "a.txt", encoding="utf-9")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_refused_as_what_it_is(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes(("The tide comes in again. " * 9).encode(encoding))
    with pytest.raises(ValueError, match=f"NUL bytes.*probably {encoding.upper()}"):
        read_documents(tmp_path / "a.txt")


def test_office_files_are_read_with_their_tables_as_rows(tmp_path):
    docx, openpyxl = pytest.importorskip("docx"), pytest.importorskip("openpyxl")
    document = docx.Document()
    document.add_heading("Ferry", level=1)
    document.add_paragraph("It sails at nine.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        (c for row in table.rows for c in row.cells), ("who", "pays", "adult", "3")
    ):
        cell.text = text
    document.save(tmp_path / "a.docx")
    book = openpyxl.Workbook()
    book.active.append(["place", "price"])
    book.active.append(["pool", 4])
    book.save(tmp_path / "b.xlsx")
    word, excel = read_documents(tmp_path).texts
    assert "# Ferry" in word and "It sails at nine." in word and "| adult | 3 |" in word
    assert "| pool | 4 |" in excel


def test_an_office_file_that_unpacks_to_too_much_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("tinylm.corpora.office.MAX_OFFICE_BYTES", 1_000)
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * 2_000)
    with pytest.raises(ValueError, match="above the limit"):
        read_documents(tmp_path / "a.docx")
    (tmp_path / "b.docx").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="not a readable Office file"):
        read_documents(tmp_path / "b.docx")
