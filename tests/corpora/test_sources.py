"""What companies keep their documents in, read to be searched: words, tables and places."""

import os
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpora.office_files import (
    MARK,
    paragraph,
    run,
    table,
    write_docx,
    write_pptx,
    write_xlsx,
)
from tests.corpora.test_documents import pdf
from tinylm.assistant.passages import blocks
from tinylm.assistant.retrieval import Index, Passage, split_passages
from tinylm.corpora import layout
from tinylm.corpora.documents import path_of, read_documents, read_sources
from tinylm.corpora.layout import Heading, Paragraph, Table, as_markdown, table_of
from tinylm.corpora.web_pages import page_pieces

FARES = [["ticket", "adult", "child"], ["single", "3.40", "1.70"], ["book of ten", "30", "15"]]
ROWS = ["single, adult: 3.40, child: 1.70", "book of ten, adult: 30, child: 15"]


@pytest.fixture(autouse=True)
def packages():
    for name in ("mammoth", "openpyxl", "pptx", "pypdf"):
        pytest.importorskip(name)


def passages(path: Path) -> list[Passage]:
    """All passages of a file or folder."""
    found = read_sources(path)
    return [
        passage
        for name, text in zip(found.sources, found.texts)
        for passage in split_passages(text, name)
    ]


def texts(path: Path) -> list[str]:
    """Their texts."""
    return [passage.text for passage in passages(path)]


def text_at(x: int, y: int, words: str) -> str:
    """Drawing commands of a PDF: words at a place in points."""
    return f"BT /F1 10 Tf {x} {y} Td ({words}) Tj ET\n"


def pdf_table(rows: list[list[str]], top: int = 600) -> str:
    """A table of a PDF, its columns 150 points apart."""
    return "".join(
        text_at(72 + 150 * column, top - 14 * n, cell)
        for n, row in enumerate(rows)
        for column, cell in enumerate(row)
    )


def write_every_kind(folder: Path) -> None:
    """The same price list in each format."""
    html_row = "<tr>" + "<td>{}</td>" * 3 + "</tr>"
    head, *body = FARES
    rows = "".join(html_row.format(*row) for row in body)
    names = "".join(f"<th>{name}</th>" for name in head)
    page = f"<h1>Ferry</h1><table><tr>{names}</tr>{rows}</table>"
    (folder / "a.html").write_text(page, encoding="utf-8")
    lines = [f"| {' | '.join(row)} |" for row in FARES]
    lines.insert(1, "|---|---|---|")
    (folder / "b.md").write_text("# Boat\n\n" + "\n".join(lines), encoding="utf-8")
    write_docx(folder / "c.docx", paragraph(run("Ship"), style="Heading1"), table(FARES))
    write_xlsx(folder / "d.xlsx", Ferry=FARES)
    write_pptx(folder / "e.pptx", ("Ferry", [], FARES))
    drawn = text_at(72, 700, "Ferry") + pdf_table(FARES)
    (folder / "f.pdf").write_bytes(pdf(drawn.encode()))


KINDS = ("a.html", "b.md", "c.docx", "d.xlsx", "e.pptx", "f.pdf")
PLACES = {
    "d.xlsx": "d.xlsx, sheet Ferry, row 2",
    "e.pptx": "e.pptx, slide 1, Ferry",
    "f.pdf": "f.pdf, page 1",
}


@pytest.mark.parametrize("name", KINDS)
def test_in_every_format_each_row_of_a_table_is_a_passage_with_the_names_of_its_columns(
    tmp_path, name
):
    write_every_kind(tmp_path)
    found = passages(tmp_path / name)
    assert [passage.text for passage in found][-2:] == ROWS
    assert "ticket adult child" in found[-2].context
    documents = {name: read_sources(tmp_path / name).texts[0]}
    (best, *_) = Index(documents).search("What is the price of a single ticket for a child?")
    assert best.passage.text == ROWS[0]
    assert found[-2].name == PLACES.get(name, found[-2].name)


def test_a_folder_of_every_format_is_read_whole_and_each_source_leads_to_its_file(tmp_path):
    write_every_kind(tmp_path)
    found = read_sources(tmp_path)
    assert found.sources == list(KINDS) and found.skipped == []
    for source in found.sources:
        assert path_of(tmp_path, source) == tmp_path / source
        assert path_of(tmp_path / source, source) == tmp_path / source


# ---- Word ----


def test_a_word_file_keeps_headings_tables_and_footnotes_and_loses_its_markup(tmp_path):
    link = f'<w:hyperlink r:id="rId3">{run("Wayfare")}</w:hyperlink>'
    write_docx(
        tmp_path / "a.docx",
        paragraph(run("Travel"), style="Heading1"),
        paragraph(run("We book through "), link, run("."), MARK),
        paragraph(run("Fares"), style="Heading2"),
        paragraph(run("It is "), run("always", bold=True), run(" 5 * 2 crowns_a_day.")),
        table([["Role", "Class"], ["Captain", "first"], ["Cook", "second"]], bold=True),
        footnote="Not in May.",
    )
    found = passages(tmp_path / "a.docx")
    assert [passage.text for passage in found] == [
        "We book through Wayfare.",
        "It is always 5 * 2 crowns_a_day.",
        "Captain, first",
        "Cook, second",
        "Not in May.",
    ]
    assert found[1].name == "a.docx, Fares, sentence 2" and found[0].name == "a.docx, sentence 1"
    assert found[2].context == "Travel Fares Role Class"
    (trained,) = read_documents(tmp_path / "a.docx").texts
    assert "It is always 5 * 2 crowns_a_day." in trained and "| Captain | first |" in trained


# ---- Excel ----


def test_a_sheet_is_read_as_excel_shows_it_with_titles_gaps_and_formats(tmp_path):
    import datetime

    write_xlsx(
        tmp_path / "a.xlsx",
        Prices=[
            ["Price list 2031"],
            [],
            [None, "goods", "price", "tax", "since"],
            [None, "lamp", (4.2, "0.00"), (0.19, "0%"), datetime.date(2031, 5, 4)],
            [None, "Ropes"],
            [None, "blue rope", (0.9, '0.00 "crowns"'), None, datetime.datetime(2031, 1, 2, 9, 30)],
            [],
            [None, "anchor", 12.0, "#REF!", None],
        ],
        Empty=[],
        Staff=[["name", "free"], ["Ada", True], ["Jonas", False]],
    )
    found = passages(tmp_path / "a.xlsx")
    assert [passage.text for passage in found] == [
        "Prices",
        "lamp, price: 4.20, tax: 19%, since: 2031-05-04",
        "blue rope, price: 0.90 crowns, since: 2031-01-02 09:30",
        "anchor, price: 12",
        "name, free",  # no number tells the names of columns from values: nothing is lost
        "Ada, yes",
        "Jonas, no",
    ]
    assert [passage.where for passage in found[:4]] == [
        "sheet Prices",
        "sheet Prices, row 4",
        "sheet Prices, row 6",
        "sheet Prices, row 8",
    ]
    assert "Ropes" in found[2].context and "Price list 2031" in found[1].context
    assert "goods price tax since" in found[3].context  # behind a gap they still hold


def test_the_names_of_columns_may_hold_digits_and_a_second_table_has_its_own(tmp_path):
    write_xlsx(
        tmp_path / "a.xlsx",
        Sales=[["quay", 2030, 2031], ["North", 12, 14], [], ["person", "Q1", "Q2"], ["Ada", 3, 4]],
    )
    assert texts(tmp_path / "a.xlsx") == ["North, 2030: 12, 2031: 14", "Ada, Q1: 3, Q2: 4"]


def test_a_long_row_is_cut_between_cells_and_each_piece_keeps_its_name(tmp_path):
    names = ["station", *(f"month {chr(97 + n)}" for n in range(20))]
    write_xlsx(tmp_path / "a.xlsx", Wide=[names, ["Gull Rock", *range(100, 120)]])
    pieces = texts(tmp_path / "a.xlsx")
    assert len(pieces) > 1 and all(piece.startswith("Gull Rock, month ") for piece in pieces)
    assert all(f": {n}" in " ".join(pieces) for n in range(100, 120))


def test_a_huge_sheet_is_refused_in_a_line_and_a_lie_about_its_size_is_not_believed(
    tmp_path, monkeypatch
):
    write_xlsx(tmp_path / "a.xlsx", Small=[["a", "b"], ["one", 2]])
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"')
    far = b'<row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData>'
    for name, end in (("lie.xlsx", b"</sheetData>"), ("far.xlsx", far)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, body in parts.items():
                archive.writestr(
                    part, body.replace(b"</sheetData>", end) if part == sheet else body
                )
    assert texts(tmp_path / "lie.xlsx") == texts(tmp_path / "a.xlsx")
    begin = time.perf_counter()
    monkeypatch.setattr("tinylm.corpora.office.MAX_CELLS", 10_000)
    with pytest.raises(ValueError, match=r"sheet Small has more than 10,000 cells"):
        read_sources(tmp_path / "far.xlsx")
    assert time.perf_counter() - begin < 5


# ---- PowerPoint ----


def test_a_slide_gives_its_texts_one_by_one_with_its_number_and_title(tmp_path):
    write_pptx(
        tmp_path / "a.pptx",
        ("Ferry", ["It sails at nine", "Bring *warm* clothes"], []),
        ("Prices", ["All in crowns"], FARES),
        notes="Speak slowly.",
    )
    found = passages(tmp_path / "a.pptx")
    assert [passage.text for passage in found] == [
        "It sails at nine",
        "Bring *warm* clothes",
        "Speak slowly.",
        "All in crowns",
        *ROWS,
        "Speak slowly.",
    ]
    assert found[1].name == "a.pptx, slide 1, Ferry" and found[4].name == "a.pptx, slide 2, Prices"


def test_a_chart_is_the_table_of_its_numbers(tmp_path):
    import pptx
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    data = CategoryChartData()
    data.categories = ["spring", "autumn"]
    data.add_series("boats", (3, 4.5))
    data.add_series("crews", (7, None))
    size = (Inches(1), Inches(1), Inches(4), Inches(4))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *size, data)
    show.save(tmp_path / "a.pptx")
    assert texts(tmp_path / "a.pptx") == ["spring, boats: 3, crews: 7", "autumn, boats: 4.5"]


# ---- PDF ----


def test_a_pdf_gives_paragraphs_and_tables_with_their_pages(tmp_path):
    prose = text_at(72, 700, "All prices hold until the end of May, when the new har-")
    prose += text_at(72, 688, "bour list comes out. Members pay less.")
    prose += text_at(72, 640, "Opens at nine") + text_at(72, 626, "Closes at ten")
    drawn = [prose + pdf_table(FARES), text_at(72, 700, "Lost property") + pdf_table(FARES[1:])]
    (tmp_path / "a.pdf").write_bytes(pdf(*(page.encode() for page in drawn)))
    found = passages(tmp_path / "a.pdf")
    assert [passage.text for passage in found] == [
        "All prices hold until the end of May, when the new har-bour list comes out.",
        "Members pay less.",
        "Opens at nine",
        "Closes at ten",
        *ROWS,
        "Lost property",
        "single, 3.40, 1.70",
        "book of ten, 30, 15",
    ]
    assert [passage.name for passage in found[3:7:3]] == ["a.pdf, page 1", "a.pdf, page 2"]


def test_two_columns_of_prose_are_no_table(tmp_path):
    left = "the boats lay at their moorings all through that week and no one went out to sea"
    lines = [text_at(40, 700 - 14 * n, left) + text_at(420, 700 - 14 * n, left) for n in range(4)]
    (tmp_path / "a.pdf").write_bytes(pdf("".join(lines).encode()))
    assert "|" not in read_sources(tmp_path / "a.pdf").texts[0]


def test_heads_and_feet_of_pages_are_read_once_and_lists_are_no_tables(tmp_path):
    def page(number: int) -> bytes:
        body = text_at(72, 700, f"1.   Rule {number} holds") + text_at(72, 686, "2.   No dogs")
        head, foot = text_at(72, 760, "Ferry rules"), text_at(300, 40, f"page {number} of 4")
        return (head + body + foot).encode()

    (tmp_path / "a.pdf").write_bytes(pdf(*map(page, range(1, 5))))
    found = read_sources(tmp_path / "a.pdf").texts[0].split()
    assert found.count("Ferry") == 1 and found.count("holds") == 4 and found.count("dogs") == 4
    assert "|" not in found and " ".join(found).count("of 4") == 1


def test_the_dots_of_a_table_of_contents_are_left_out(tmp_path):
    lines = text_at(72, 700, "Fares " + ". " * 20 + "12") + text_at(
        72, 686, "Dogs" + "." * 30 + "14"
    )
    (tmp_path / "a.pdf").write_bytes(pdf(lines.encode()))
    assert texts(tmp_path / "a.pdf") == ["Fares 12", "Dogs 14"]


def test_the_text_of_a_pdf_to_train_on_is_that_which_it_stores(tmp_path):
    (tmp_path / "a.pdf").write_bytes(
        pdf(pdf_table(FARES).encode(), text_at(72, 700, "#1").encode())
    )
    (trained,) = read_documents(tmp_path / "a.pdf").texts
    assert trained.endswith("\n\n#1") and "page" not in trained and "|" not in trained


# ---- web pages ----


@pytest.mark.parametrize(
    "html, markdown",
    [
        (
            "<h2>Fares</h2><p>A <b>ticket</b> costs <a href='x'>3</a>.",
            "## Fares\n\nA ticket costs 3.",
        ),
        ("<title>Quay</title><h1>Quay</h1>one<br>two", "# Quay\n\none\n\ntwo"),
        ("<p>3 crowns<sup><a href='#f'>[1]</a></sup> for 2 m<sup>2</sup>", "3 crowns for 2 m2"),
        ("<p>Free<a href='#f'><sup>a</sup></a>.", "Free."),
        ("<li id='f'>Not in May. <a href='#r'>↩</a></li>", "Not in May."),
        ("<pre>one\n  # two</pre>", "one\n\n\\# two"),
        ("<p>1. *a* &lt;b&gt; | _c_", "1\\. \\*a\\* \\<b\\> \\| \\_c\\_"),
        ("<td>no table</td>", "no table"),
        ("<table><tr><td>", ""),
    ],
)
def test_a_page_becomes_markdown_that_says_what_it_shows(html, markdown):
    assert as_markdown(page_pieces(html)) == markdown


def test_cells_over_several_rows_and_columns_stand_in_each(tmp_path):
    html = """<table><caption>Fares</caption><thead><tr><th rowspan=2>trip<th colspan=2>price
    <tr><th>adult<th>child</thead><tr><td rowspan=2>harbour<td>3<td>1<tr><td>4<td>2
    <tr><th colspan=3>Sundays<tr><td>lake<td colspan=2>free</table>"""
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    found = passages(tmp_path / "a.html")
    assert [passage.text for passage in found] == [
        "Fares",
        "harbour, price adult: 3, price child: 1",
        "harbour, price adult: 4, price child: 2",
        "lake, price adult: free",
    ]
    assert "Sundays" in found[3].context


def test_a_table_in_a_table_makes_the_outer_one_layout():
    html = (
        "<table><tr><td>menu<td><h2>Fares</h2><table><tr><th>who<th>pays<tr><td>adult<td>3</table>"
        "<tr><td>foot</table>"
    )
    assert page_pieces(html) == [
        Paragraph("menu"),
        Paragraph("Fares"),
        Table(("who", "pays"), (("adult", "3"),)),
        Paragraph("foot"),
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr>" + "<td rowspan=9999 colspan=50>a" * 400 + "<tr><td>" * 60_000,
        "<table><tr>" + "<td colspan=50>a" * 60_000,
        "<table>" * 20_000,
        "<table><tr><td>" * 20_000,
        "<b>" * 100_000 + "x",
        "<a><sup>" * 60_000 + "</a></sup>" * 60_000,
        "<sup><a>" + " " * 500_000 + "x</a></sup>",
        "<h1>" * 100_000,
    ],
    ids=range(8),
)
def test_a_page_made_to_exhaust_its_reader_is_read_or_refused_at_once(html):
    begin = time.perf_counter()
    try:
        as_markdown(page_pieces(html))
    except ValueError as error:
        assert "more than 500,000 cells" in str(error)
    assert time.perf_counter() - begin < 8


# ---- Markdown ----


def test_what_is_marked_up_in_markdown_reaches_a_passage_as_plain_text():
    text = (
        "---\ntitle: Gym\ntags:\n  - pay\n---\nYou can claim up to **$80/month**[^1] for a "
        "[gym][g] <br> or ~~two~~ `three`, see <https://a.example>. ![map](x.png)\n\n"
        "- [ ] ask *Ada*\n- [x] pay\n\n| what | how |\n|---|---|\n| [gym](x) | **$80**[^1] |\n"
        "\n[^1]: Only for staff.\n[^two]: Never used.\n\n[g]: https://gym.example\n\nA [^0-9] b.\n"
    )
    found = split_passages(text, "a.md")
    assert [passage.text for passage in found] == [
        "You can claim up to $80/month for a gym or two three, see https://a.example.",
        "map",
        "ask Ada",
        "pay",
        "gym, $80",
        "Only for staff.",
        "Never used.",
        "A [^0-9] b.",
    ]
    assert found[0].context == "Gym" and found[0].name == "a.md, sentence 1"


def test_a_document_that_begins_with_a_rule_loses_nothing():
    text = "---\n\nThe tide is high.\n\n---\n\nThe end."
    assert [p.text for p in split_passages(text, "a")] == ["The tide is high.", "The end."]


def test_a_sentence_stands_below_its_heading_and_a_title_is_no_place():
    text = "# Ferry\n\nIt sails.\n\n## Fares\n\nIt costs 3.\n\n| a | b |\n|---|---|\n| x | 1 |\n"
    assert [p.name for p in split_passages(text, "ferry.md")] == [
        "ferry.md, sentence 1",
        "ferry.md, Fares, sentence 2",
        "ferry.md, Fares, sentence 3",
    ]


# ---- tables as such ----


@pytest.mark.parametrize(
    "rows, header",
    [
        ([["who", "pays"], ["adult", "3"]], ("who", "pays")),
        ([["", "adult"], ["single", "3"]], ("", "adult")),
        ([["Phone", "555 10"], ["Fax", "555 11"]], ()),
        ([["lamp", "4.20"], ["rope", "0.90"]], ()),
        ([["goods", "price 2031"], ["lamp", "4.20"]], ("goods", "price 2031")),
        ([["Room 3", "12 seats"], ["Room 4", "14 seats"]], ()),
        ([["a", "a"], ["b", "1"]], ()),
        ([["only"], ["one"]], ()),
    ],
)
def test_the_first_row_names_the_columns_where_it_looks_like_it(rows, header):
    (found,) = table_of(rows)
    assert isinstance(found, Table) and found.header == header


def test_a_table_without_numbers_loses_no_row_to_its_header():
    assert table_of([["Manager", "Ada"], ["Cook", "Jonas"]]) == [
        Table(("Manager", "Ada"), (("Manager", "Ada"), ("Cook", "Jonas")))
    ]
    assert table_of([]) == [] and layout.as_text([Heading("a", 5)]) == "### a"


# ---- hostile, damaged and misnamed files ----


def expansion(name: str = "word") -> str:
    """Nine entities, each ten times the one before: a billion laughs."""
    lines = ["<!ENTITY a0 'ha'>"]
    lines += [f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)]
    return f"<!DOCTYPE {name} [{''.join(lines)}]>"


def test_each_hostile_or_damaged_file_is_one_line_and_the_rest_is_read(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    write_every_kind(folder)
    whole = {name: (folder / name).read_bytes() for name in KINDS}
    (folder / "cut.docx").write_bytes(whole["c.docx"][:700])
    (folder / "cut.xlsx").write_bytes(whole["d.xlsx"][:-200])
    (folder / "cut.pptx").write_bytes(whole["e.pptx"][:9_000])
    (folder / "cut.pdf").write_bytes(whole["f.pdf"][:200])
    (folder / "is-pdf.docx").write_bytes(whole["f.pdf"])
    (folder / "is-docx.pdf").write_bytes(whole["c.docx"])
    (folder / "is-docx.txt").write_bytes(whole["c.docx"])
    (folder / "is-docx.xlsx").write_bytes(whole["c.docx"])
    (folder / "is-xlsx.docx").write_bytes(whole["d.xlsx"])
    (folder / "locked.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2_000)
    (folder / "~$open.docx").write_bytes(b"\x05Ada")
    (folder / ".hidden.docx").write_bytes(whole["c.docx"])
    (folder / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0")
    write_docx(folder / "laughs.docx", paragraph(run("&a9;")), head=expansion())
    for name in ("d.xlsx", "e.pptx"):
        with (
            zipfile.ZipFile(folder / name) as good,
            zipfile.ZipFile(folder / f"laughs.{name[2:]}", "w", zipfile.ZIP_DEFLATED) as bad,
        ):
            for part in good.namelist():
                xml = good.read(part)
                if part.endswith(("sheet1.xml", "sharedStrings.xml", "slide1.xml")):
                    root = xml.index(b"<", xml.index(b"?>") if xml.startswith(b"<?xml") else 0)
                    laughing = xml[root:].replace(b">single<", b">&a9;<")
                    xml = b'<?xml version="1.0"?>' + expansion().encode() + laughing
                bad.writestr(part, xml)
    with zipfile.ZipFile(folder / "bomb.pptx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ppt/presentation.xml", b"<" * (65 << 20))
    with zipfile.ZipFile(folder / "empty.docx", "w"):
        pass
    (tmp_path / "secret.docx").write_bytes(whole["c.docx"])
    if os.name != "nt":
        (folder / "link.docx").symlink_to(tmp_path / "secret.docx")
    begin = time.perf_counter()
    found = read_sources(folder)
    assert time.perf_counter() - begin < 15
    assert found.sources == list(KINDS)
    reasons = {skip.source: skip.reason for skip in found.skipped}
    assert len(reasons) == 18 + (os.name != "nt")
    assert all("\n" not in reason and len(reason) < 200 for reason in reasons.values()), reasons
    assert str(tmp_path) not in "".join(reasons.values())
    for name, reason in {
        "locked.xlsx": "protected by a password",
        "is-pdf.docx": "Rename it to .pdf",
        "is-docx.pdf": "not a readable PDF",
        "is-docx.xlsx": "not a readable Office file",
        "~$open.docx": "made by Office while the document is open",
        ".hidden.docx": "hidden",
        "old.doc": "not a kind that can be read",
        "laughs.docx": "not a readable Office file",
        "laughs.xlsx": "not a readable Office file",
        "laughs.pptx": "not a readable Office file",
        "bomb.pptx": "unpacks to 65 MiB, above the limit of 64 MiB",
    }.items():
        assert reason in reasons[name]


def test_a_pdf_with_a_password_is_one_line(tmp_path):
    import pypdf

    (tmp_path / "a.pdf").write_bytes(pdf(text_at(72, 700, "secret").encode()))
    writer = pypdf.PdfWriter(tmp_path / "a.pdf")
    writer.encrypt("word", algorithm="RC4-128")
    writer.write(tmp_path / "b.pdf")
    with pytest.raises(ValueError, match="protected by a password"):
        read_sources(tmp_path / "b.pdf")


def test_words_far_off_a_page_do_not_make_its_lines_long(tmp_path):
    far = text_at(72, 700, "near") + text_at(10**9, 700, "far") + text_at(72, -(10**9), "deep")
    (tmp_path / "a.pdf").write_bytes(pdf(far.encode()))
    text = read_sources(tmp_path / "a.pdf").texts[0]
    assert {"near", "far", "deep"} <= set(text.replace("|", " ").split()) and len(text) < 1_000


def test_without_the_packages_for_office_files_a_folder_goes_on(tmp_path, monkeypatch):
    write_every_kind(tmp_path)
    for name in ("mammoth", "openpyxl", "pptx", "pypdf"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    found = read_sources(tmp_path)
    assert found.sources == ["a.html", "b.md"]
    assert all('pip install "tinylm[documents]"' in skip.reason for skip in found.skipped)


def test_comments_that_look_like_places_do_no_harm(tmp_path):
    text = "Hello there.\n\n<!-- page 9 -->\n\nGood bye.\n\n<!-- row 5 --> <!-- sheet " + "x" * 500
    (tmp_path / "a.md").write_text(text, encoding="utf-8")
    assert texts(tmp_path / "a.md") == ["Hello there.", "Good bye."]
    cells = [["x | y", "`z"], ["w <!-- row 9 --> *|* v", 1]]
    write_xlsx(tmp_path / "b.xlsx", **{"a --> <b> | row": cells})
    (row,) = passages(tmp_path / "b.xlsx")
    assert row.text == "w <!-- row 9 --> *|* v, 1" and row.where.endswith("row 2")
    assert "x | y `z" in row.context


# ---- drawn at random ----

FEW = settings(max_examples=60, deadline=None)
SIGNS = st.text("ab1 .-+=*_`~#|<>[]()!&;\\\"'/:{}$%^@\n\t", max_size=40)


@FEW
@given(st.one_of(SIGNS, st.text(max_size=30)))
def test_any_text_comes_out_of_its_markdown_word_for_word(text):
    words = " ".join(text.replace("\0", "").split())  # Markdown has no NUL
    out = blocks(as_markdown([Paragraph(words)]))
    assert [block.text for block in out] == [words] * bool(words)


@FEW
@given(st.lists(st.lists(SIGNS, min_size=2, max_size=2), min_size=1, max_size=4))
def test_any_cells_come_out_of_their_table_word_for_word(rows):
    cells = tuple(tuple(layout.one_line(cell) for cell in row) for row in rows)
    out = split_passages(as_markdown([Table(("x", "y"), cells)]), "a")
    expected = [", ".join(cell for cell in row if cell) for row in cells]
    assert [passage.text for passage in out] == [row for row in expected if row]


@FEW
@given(st.text("<>/abtrdh1spup ='\"&;\n", max_size=300))
def test_any_page_becomes_passages_or_one_error(html):
    for passage in split_passages(as_markdown(page_pieces(html)), "a"):
        assert passage.text.strip() and passage.where is not None
