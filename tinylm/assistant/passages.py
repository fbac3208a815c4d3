"""Passages: a document cut into sentences and rows of tables, each with its place.

A passage is one sentence, or one row of a table: small enough for a small model to read. Text is
read by markdown-it-py (CommonMark and tables), and sentences end where pysbd says. What is marked
up reaches a passage as plain text: no links' targets, no stars, no marks of footnotes.

Pages, slides, sheets and rows stand in comments that corpora/layout.py wrote; without them a
sentence's place is the heading above it and its number.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tinylm.corpora.documents import html_to_text

LONGEST = 40  # words in a sentence before it is cut: a passage must fit into a small context
WRAPPED = 40  # characters from which on a line may be one of a paragraph that was wrapped by hand
TITLE = re.compile(r"^# (.*)$", re.MULTILINE)
PLACE = re.compile(r"<!-- ((?:page|slide|sheet) [^\n]{1,80}?) -->")
TASK = re.compile(r"^\[[ xX]\]\s+")  # the box of a list of tasks
ROW = re.compile(r"<!-- (row \d{1,7}) -->")
FRONT_MATTER = re.compile(r"\A---\n(?:(?:[\w.-]+:|[ \t-]).{0,500}\n|\n){1,100}?---\n")
# a mark, or at the beginning of a line and with a colon the footnote itself
FOOTNOTE = re.compile(r"(?:^\[\^([\w-]{1,40})\]: )|\[\^([\w-]{1,40})\]", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Passage:
    """One sentence or table row of a document.

    `place` is its number there, counted from 1; `context` its headings and the sentence before it;
    `where` its place as a reader of the document would look it up, "sheet Fares, row 7".
    """

    text: str
    source: str
    place: int
    context: str = ""
    where: str = ""

    @property
    def name(self) -> str:
        """Where it stands, for people: "ferry, sentence 8"."""
        return f"{self.source}, {self.where or f'sentence {self.place}'}"


@dataclass(frozen=True)
class Block:
    """A paragraph, a table row or a line of code, with the headings above it."""

    text: str
    headings: tuple[str, ...]
    whole: bool = False  # not to be cut into sentences
    columns: tuple[str, ...] = ()  # of the table that a row belongs to
    where: str = ""  # page, slide, or sheet and row; "" where the document has none of them


def split_passages(text: str, source: str) -> list[Passage]:
    """The passages of a text in Markdown or plain text.

    >>> [(p.text, p.context) for p in split_passages("# Ferry\\nIt sails. It waits.", "boats")]
    [('It sails.', 'Ferry'), ('It waits.', 'Ferry It sails.')]
    """
    passages: list[Passage] = []
    text = without_marks(text)
    title = title_of(text)
    for block in blocks(text):
        before = ""  # a paragraph's first sentence has none before it
        sentences = [block.text] if block.whole else sentences_of(block.text)
        for sentence in sentences:
            for piece in short_pieces(sentence):
                # "It opens at nine." is about whatever the heading and the last sentence name.
                parts = [*block.headings, *block.columns, before]
                context = " ".join(part for part in parts if part)
                place = len(passages) + 1
                where = block.where or place_below(block.headings, title, place)
                passages.append(Passage(piece, source, place, context, where))
                before = piece
    return passages


def place_below(headings: tuple[str, ...], title: str, place: int) -> str:
    """The place of a sentence in a document without pages: "Fares, sentence 8".

    The innermost heading counts, if it is not the title of the whole document; "" without one.
    """
    below = headings[-1] if headings and headings != (title,) else ""
    return f"{below}, sentence {place}" if below else ""


def title_of(text: str) -> str:
    """The only heading of the first level, or "" where there are none or several."""
    outermost = TITLE.findall(text)
    return outermost[0].strip() if len(outermost) == 1 else ""


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text as a reader of the rendered page sees them, without markup.

    Comments that name a page, slide or sheet (see corpora/layout.py) part it; each part has its own
    headings.
    """
    where = ""
    for number, part in enumerate(PLACE.split(text)):
        if number % 2:  # the name that the pattern captures
            where = part
            continue
        for block in blocks_of(part):
            # "row 7" of "sheet Fares"; a slide has a title, which is its heading
            heading = block.headings[-1] if block.headings and where.startswith("slide") else ""
            places = [place for place in (where, block.where or heading) if place]
            yield replace(block, where=", ".join(places))


def without_marks(text: str) -> str:
    """A text without its front matter (YAML before the first line) and the marks of footnotes.

    The title in the front matter becomes a heading, and a footnote a paragraph. Only marks that
    have a footnote are taken out: [^0-9] may be a pattern in an example.

    >>> without_marks("Free[^1] on Sundays.\\n\\n[^1]: Not in May.\\n")
    'Free on Sundays.\\n\\n\\nNot in May.\\n'
    """
    if front := FRONT_MATTER.match(text):
        named = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", front[0], re.MULTILINE)
        text = text[front.end() :]
        if named and not TITLE.search(text):
            text = f"# {named[1]}\n\n{text}"
    notes = {note[1] for note in FOOTNOTE.finditer(text)}

    def without(mark: re.Match[str]) -> str:
        if mark[1]:
            return "\n"
        return "" if mark[2] in notes else mark[0]

    return FOOTNOTE.sub(without, text)


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a text without places."""
    # Without blank lines Markdown would see one single paragraph.
    if not BLANK_LINE.search(text) and not HEADING.search(text):
        text = unwrapped(text)
    headings: list[tuple[int, str]] = []  # (level, text), outermost first
    silent = ""  # a heading that nothing has followed yet
    # One iterator for all: whoever reads a heading or a table takes its tokens out of the loop.
    tokens = iter(parser().parse(text))
    for token in tokens:
        if token.type == "heading_open":
            if silent:  # what a heading alone says can be found
                yield Block(silent, tuple(text for _, text in headings[:-1]), whole=True)
            level = int(token.tag[1])  # 2 of "h2"
            silent = plain(next(tokens))  # the token behind heading_open holds the words
            # A heading ends all sections of its own level and below.
            headings = [(above, text) for above, text in headings if above < level]
            headings.append((level, silent))
            continue
        above = tuple(text for _, text in headings)
        new_blocks: list[Block] = []
        if token.type == "inline":
            new_blocks = [Block(plain(token), above)]
        elif token.type == "table_open":
            new_blocks = list(table_rows(tokens, above))
        elif token.type in ("fence", "code_block"):
            # A line of code has no sentences: its full stops end nothing.
            new_blocks = [Block(line, above, whole=True) for line in token.content.splitlines()]
        elif token.type == "html_block":
            new_blocks = [Block(line, above) for line in html_to_text(token.content).splitlines()]
        for block in new_blocks:
            if block.text.strip():
                silent = ""
                yield block
    if silent:
        yield Block(silent, tuple(text for _, text in headings[:-1]), whole=True)


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables and struck-out text."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def plain(inline: Token) -> str:
    """The words of an inline token, without emphasis and link targets.

    A link's target belongs to the source, not to the text: it would be searched and quoted.
    """
    words = []
    for child in inline.children or []:
        # The end of a line in the source is a blank on the page.
        is_break = child.type == "html_inline" and child.content.startswith("<br")
        if is_break or child.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif child.type == "image":
            words.append(child.content)  # its description
        elif child.type in ("text", "code_inline", "text_special"):
            words.append(child.content)
    return TASK.sub("", "".join(words).strip())


def table_rows(tokens: Iterator[Token], above: tuple[str, ...]) -> Iterator[Block]:
    """Each row of a table as one block, its header as context; reads `tokens` to its end."""
    header: tuple[str, ...] | None = None
    cells: list[str] = []
    where = ""
    for token in tokens:
        if token.type == "table_close":
            return
        if token.type == "inline":
            cells.append(plain(token))
            number = ROW.search(token.content)
            where = number[1] if number else where
        elif token.type == "tr_close":
            if header is None:
                header = tuple(cells)  # the first row of a Markdown table is its header
            else:
                # "3.40" is found by "price" because the header stands in its context.
                names = tuple(name for name in header if name)
                for row in row_texts(header, cells):
                    yield Block(row, above, whole=True, columns=names, where=where)
            cells, where = [], ""


def row_texts(header: tuple[str, ...], cells: Sequence[str]) -> Iterator[str]:
    """A row of a table as text, cut between cells where it has more than LONGEST words.

    Two cells explain each other ("adult, 3.40"); in a wider table each value needs the name of its
    column. Every piece of a row that is cut begins with its first cell.

    >>> list(row_texts(("goods", "price", "members"), ["lamp", "4.20", "3.80"]))
    ['lamp, price: 4.20, members: 3.80']
    """
    filled = [(name, cell) for name, cell in zip(header, cells) if cell]
    named = len(header) > 2
    texts = [
        f"{name}: {cell}" if named and name and number else cell
        for number, (name, cell) in enumerate(filled)
    ]
    row: list[str] = []
    for text in texts:
        if len(" ".join([*row, text]).split()) > LONGEST and len(row) > 1:
            yield ", ".join(row)
            row = row[:1]
        row.append(text)
    if row:
        yield ", ".join(row)


def unwrapped(text: str) -> str:
    """A text without blank lines, its lines joined to paragraphs and those parted by blank lines.

    A line goes on in the next one if it is long, as lines wrapped by hand are, and ends no
    sentence. Short lines, as they come out of a web page, stay apart.
    """
    paragraphs: list[str] = []
    goes_on = False
    for line in text.splitlines():
        # Headings, table rows, list items and quotes begin something new.
        if goes_on and not line.startswith(("#", "|", "-", "*", ">")):
            paragraphs[-1] += "\n" + line
        else:
            paragraphs.append(line)
        is_complete = line.rstrip().endswith((".", "!", "?", ":"))
        is_heading_or_row = line.startswith(("#", "|"))
        goes_on = len(line) >= WRAPPED and not is_complete and not is_heading_or_row
    joined = "\n\n".join(paragraphs)
    return re.sub(r"(?m)^(\|.*)\n\n(?=\|)", r"\1\n", joined)  # rows of a table stay together


@cache
def segmenter() -> Any:
    """Where English sentences end: not behind "Dr.", "3.40" or "e.g."."""
    import pysbd  # here and not above: few commands cut sentences, and it takes time to import

    return pysbd.Segmenter(language="en", clean=False)


def sentences_of(paragraph: str) -> list[str]:
    """The sentences of a paragraph.

    >>> sentences_of("The doctor is Dr. Stone. Her room is number 5.")
    ['The doctor is Dr. Stone.', 'Her room is number 5.']
    """
    # pysbd takes milliseconds a paragraph: most have one sentence, and need no look.
    if not re.search(r"[.!?]\s", paragraph):
        return [paragraph]
    return [sentence.strip() for sentence in segmenter().segment(paragraph)]


def short_pieces(sentence: str) -> list[str]:
    """The sentence, cut every LONGEST words where it is longer; nothing for an empty one."""
    words = sentence.split()
    return [" ".join(words[start : start + LONGEST]) for start in range(0, len(words), LONGEST)]
