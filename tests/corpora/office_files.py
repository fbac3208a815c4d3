"""Small Word, Excel, PowerPoint and PDF files for tests, made on the spot."""

import zipfile
from pathlib import Path

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TYPES = """<?xml version="1.0"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml"
ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>
</Types>"""
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def relation(number: int, kind: str, target: str, more: str = "") -> str:
    """One relationship of a part of an archive to another."""
    return f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="{target}" {more}/>'


def relations(*parts: str) -> str:
    """The relationships of a part."""
    body = "".join(parts)
    return f'<?xml version="1.0"?><Relationships xmlns="{PACKAGE}">{body}</Relationships>'


def run(text: str, bold: bool = False) -> str:
    """A run of words of Word."""
    style = "<w:rPr><w:b/></w:rPr>" if bold else ""
    return f'<w:r>{style}<w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str, style: str = "") -> str:
    """A paragraph of Word."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}{''.join(runs)}</w:p>"


def table(rows: list[list[str]], bold: bool = False) -> str:
    """A table of Word, its first row bold if asked for."""
    body = "".join(
        "<w:tr>" + "".join(f"<w:tc>{paragraph(run(c, bold and not n))}</w:tc>" for c in row)
        + "</w:tr>"
        for n, row in enumerate(rows)
    )  # fmt: skip
    return f"<w:tbl>{body}</w:tbl>"


def write_docx(path: Path, *body: str, footnote: str = "", head: str = "") -> None:
    """A Word file whose body is this XML. `head` is put before the document's root."""
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/>'
        "</w:style>"
        for n in (1, 2)
    )
    notes = f'<w:footnote w:id="2">{paragraph(run(footnote))}</w:footnote>'
    links = [relation(1, "styles", "styles.xml"), relation(2, "footnotes", "footnotes.xml")]
    links.append(relation(3, "hyperlink", "https://way.example/a?b", 'TargetMode="External"'))
    xml = '<?xml version="1.0"?>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr(
            "_rels/.rels", relations(relation(1, "officeDocument", "word/document.xml"))
        )
        archive.writestr("word/_rels/document.xml.rels", relations(*links))
        archive.writestr("word/styles.xml", f"{xml}<w:styles {W}>{styles}</w:styles>")
        archive.writestr("word/footnotes.xml", f"{xml}<w:footnotes {W}>{notes}</w:footnotes>")
        document = (
            f'<w:document {W} xmlns:r="{OFFICE}"><w:body>{"".join(body)}</w:body></w:document>'
        )
        archive.writestr("word/document.xml", xml + head + document)


MARK = '<w:r><w:footnoteReference w:id="2"/></w:r>'


def write_xlsx(path: Path, **sheets: list[list]) -> None:
    """An Excel file of sheets of rows; a cell may be (value, number format)."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for place, row in enumerate(rows, start=1):
            for column, cell in enumerate(row, start=1):
                value, kind = cell if isinstance(cell, tuple) else (cell, None)
                sheet.cell(place, column).value = value
                if kind:
                    sheet.cell(place, column).number_format = kind
    book.save(path)


def write_pptx(
    path: Path, *slides: tuple[str, list[str], list[list[str]]], notes: str = ""
) -> None:
    """A PowerPoint file; a slide is (title, paragraphs, rows of a table)."""
    import pptx
    from pptx.util import Inches

    show = pptx.Presentation()
    for title, texts, rows in slides:
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text_frame.text = "\n".join(texts)
        if rows:
            size = (Inches(1), Inches(5), Inches(4), Inches(1))
            grid = slide.shapes.add_table(len(rows), len(rows[0]), *size).table
            for n, row in enumerate(rows):
                for column, text in enumerate(row):
                    grid.cell(n, column).text = text
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
    show.save(path)
