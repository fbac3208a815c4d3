"""Retrieval: documents cut into passages, and the passages that share the rarest words with a
question.

    index = Index({"ferry.md": text, ...})
    for hit in index.search("What does a ticket cost?"): print(hit.passage.source, hit.score)

A passage is one sentence, or one row of a table: small enough for a small model to read. It is
found by its own words, counted three times, and by those of its headings, its document's name and
the sentence before it, counted once, since "it opens at nine" does not say what does.

Passages are ranked by BM25 (Robertson & Zaragoza, "The Probabilistic Relevance Framework", 2009),
computed by the library bm25s (Lu 2024). For each word w of the question that a passage holds,

    score += idf(w) * count(w) * 2.5 / (count(w) + 1.5 * (0.25 + 0.75 * length / mean length))

so that rare words weigh more (idf), a second occurrence weighs less than the first, and a long
passage needs more of them. Text is read by markdown-it-py (CommonMark and tables), sentences end
where pysbd says, and words meet by their Snowball stems (PyStemmer).

An index is a cache: `Index.open` takes a saved one where the documents are still the same, and cuts
anew those that changed.

Trade-offs: words are matched, not meanings; a question that says "price" does not find a passage
that says "costs". Scripts without blanks between words, such as Chinese, are matched by pairs of
characters.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bm25s
from bm25s.stopwords import STOPWORDS_EN
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tinylm.corpora.documents import html_to_text
from tinylm.runs import read_json, write_json

FORMAT = "tinylm-index-2"
LONGEST = 40  # words in a sentence before it is cut
MANY = 200  # passages; in fewer, how many of them hold a word says little
OWN_WEIGHT = 3  # how often a passage's own words count against once for those of its context
WRAPPED = 40  # characters from which on a line may be one of a paragraph that was wrapped by hand
HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
BLANK_LINE = re.compile(r"\n\s*\n")
WORD = re.compile(r"\d+(?:[.,:]\d+)*|\w+(?:[-'’]\w+)*")
# Han, Hiragana, Katakana, Thai, Lao, Khmer: no blanks between words.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")
ASKING = "do does how many much what when where which who whom whose i my me"
STOPWORDS = frozenset(STOPWORDS_EN) | frozenset(ASKING.split())


@dataclass(frozen=True)
class Passage:
    """One sentence or table row of a document.

    `place` is its number there, counted from 1; `context` its headings and the sentence before it.
    """

    text: str
    source: str
    place: int
    context: str = ""

    @property
    def name(self) -> str:
        """Where it stands, for people: "ferry, sentence 8"."""
        return f"{self.source}, sentence {self.place}"


@dataclass(frozen=True)
class Found:
    """A passage and its BM25 score: above 0, higher is better, comparable within one search only.

    `share` is comparable between searches: of the question's words, each weighted by how rare it is
    in the documents (the idf of BM25), the part that stands in the passage or its context; 0 to 1.
    """

    passage: Passage
    score: float
    share: float


# -- from text to passages ------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A paragraph, a table row or a line of code, with the headings above it."""

    text: str
    headings: tuple[str, ...]
    whole: bool = False  # not to be cut into sentences


def split_passages(text: str, source: str) -> list[Passage]:
    """The passages of a text in Markdown or plain text.

    >>> [(p.text, p.context) for p in split_passages("# Ferry\\nIt sails. It waits.", "boats")]
    [('It sails.', 'Ferry'), ('It waits.', 'Ferry It sails.')]
    """
    passages: list[Passage] = []
    for block in blocks(text):
        before = ""
        sentences = [block.text] if block.whole else sentences_of(block.text)
        for sentence in sentences:
            for piece in short_pieces(sentence):
                context = " ".join(filter(None, [*block.headings, before]))
                passages.append(Passage(piece, source, len(passages) + 1, context))
                before = piece
    return passages


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text as a reader of the rendered page sees them, without markup."""
    if not BLANK_LINE.search(text) and not HEADING.search(text):
        text = unwrapped(text)
    headings: list[tuple[int, str]] = []  # (level, text), outermost first
    silent = ""  # a heading that nothing has followed yet
    tokens = iter(parser().parse(text))
    for token in tokens:
        if token.type == "heading_open":
            if silent:  # what a heading alone says can be found
                yield Block(silent, tuple(text for _, text in headings[:-1]), whole=True)
            level, silent = int(token.tag[1]), plain(next(tokens))
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
    """CommonMark with tables."""
    return MarkdownIt("commonmark").enable("table")


def plain(inline: Token) -> str:
    """The words of an inline token, without emphasis and link targets.

    A link's target belongs to the source, not to the text: it would be searched and quoted.
    """
    words = []
    for child in inline.children or []:
        if child.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif child.type == "image":
            words.append(child.content)  # its description
        elif child.type in ("text", "code_inline", "text_special"):
            words.append(child.content)
    return "".join(words).strip()


def table_rows(tokens: Iterator[Token], above: tuple[str, ...]) -> Iterator[Block]:
    """Each row of a table as one block, its header as context; reads `tokens` to its end."""
    header: tuple[str, ...] = ()
    cells: list[str] = []
    for token in tokens:
        if token.type == "table_close":
            return
        if token.type == "inline":
            cells.append(plain(token))
        elif token.type == "tr_close":
            if header:
                row = ", ".join(cell for cell in cells if cell)
                yield Block(row, (*above, *header), whole=True)
            else:
                header = tuple(cells)
            cells = []


def unwrapped(text: str) -> str:
    """A text without blank lines, its lines joined to paragraphs and those parted by blank lines.

    A line goes on in the next one if it is long, as lines wrapped by hand are, and ends no
    sentence. Short lines, as they come out of a web page, stay apart.
    """
    paragraphs: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if goes_on and not line.startswith(("#", "|", "-", "*", ">")):
            paragraphs[-1] += "\n" + line
        else:
            paragraphs.append(line)
        is_table = line.startswith("|")
        goes_on = len(line) >= WRAPPED and not line.rstrip().endswith((".", "!", "?", ":"))
        goes_on = goes_on and not is_table and not line.startswith("#")
    joined = "\n\n".join(paragraphs)
    return re.sub(r"(?m)^(\|.*)\n\n(?=\|)", r"\1\n", joined)  # rows of a table stay together


@cache
def segmenter() -> Any:
    """Where English sentences end: not behind "Dr.", "3.40" or "e.g."."""
    import pysbd

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


# -- from text to words ---------------------------------------------------------------------------


@cache
def stemmer() -> Any:
    """English Snowball stems (Porter 2001): ticket, tickets; berry, berries; stop, stopped."""
    import Stemmer

    return Stemmer.Stemmer("english")


def stems(text: str) -> list[str]:
    """The words worth searching for, as stems, so that "tickets" finds "ticket".

    A hyphenated word counts as its parts and joined, and 10,000 is 10000.

    >>> stems("What does a book of ten ferry tickets cost at 22:40?")
    ['book', 'ten', 'ferri', 'ticket', 'cost', '22:40']
    >>> stems("The harbour-master pays 10,000 crowns.")
    ['harbour', 'master', 'harbourmast', 'pay', '10000', 'crown']
    """
    words: list[str] = []
    for word in WORD.findall(text.lower()):
        if UNSPACED.search(word):
            words += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
            continue
        if word[0].isdigit():
            words.append(re.sub(r",(?=\d{3}\b)", "", word))
            continue
        parts = re.split(r"[-'’]", word.removesuffix("'s").removesuffix("’s"))
        words += parts if len(parts) == 1 else [*parts, "".join(parts)]
    # The same word in another ending is a stop word too where its plain form is one.
    kept = [word for word in words if word and word not in STOPWORDS]
    stemmed: list[str] = stemmer().stemWords(kept)
    return stemmed


# -- the index ------------------------------------------------------------------------------------


class Index:
    """Passages of named documents, searchable; immutable, so that a search never sees half an
    update."""

    def __init__(
        self, documents: Mapping[str, str], passages: Sequence[Passage] | None = None
    ) -> None:
        self.hashes = {name: hash_of(text) for name, text in documents.items()}
        self.passages = (
            list(passages)
            if passages is not None
            else [
                passage
                for name, text in documents.items()
                for passage in split_passages(text, name)
            ]
        )
        corpus = [
            stems(passage.source) + stems(passage.context) + OWN_WEIGHT * stems(passage.text)
            for passage in self.passages
        ]
        self.words = [frozenset(words) for words in corpus]
        # word -> passages that hold it
        self.holders = Counter(word for words in self.words for word in words)
        self.ranker = bm25s.BM25() if any(corpus) else None
        if self.ranker:
            self.ranker.index(corpus, show_progress=False)

    def search(self, question: str, count: int = 3) -> list[Found]:
        """The `count` best passages, best first; fewer where no more share a word with the
        question."""
        words = stems(question)
        if self.ranker is None or not words:
            return []
        scores = self.ranker.get_scores(words)  # (passages,)
        best = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:count]
        weights = {word: self.rarity(word) for word in words}
        total = sum(weights.values())
        return [
            Found(self.passages[i], float(scores[i]), sum(weights[w] for w
            in self.words[i] & weights.keys()) / total)
            for i in best if scores[i] > 0
        ]  # fmt: skip

    def rarity(self, word: str) -> float:
        """The idf of a word: high where few passages hold it, highest where none does.

        Fewer than MANY passages count as MANY: in a handful of them every word is as rare as the
        next.
        """
        holders, passages = self.holders[word], max(len(self.passages), MANY)
        return math.log(1 + (passages - holders + 0.5) / (holders + 0.5))

    def updated(self, documents: Mapping[str, str]) -> "Index":
        """An index of `documents`, for which only those are cut that are new or changed."""
        kept: dict[str, list[Passage]] = {name: [] for name in self.hashes}
        for passage in self.passages:
            kept[passage.source].append(passage)
        passages: list[Passage] = []
        for name, text in documents.items():
            passages += (
                kept[name] if self.hashes.get(name) == hash_of(text) else split_passages(text, name)
            )
        return Index(documents, passages)

    def save(self, path: Path) -> None:
        """Write the passages and the hashes of their documents as JSON; the ranking is counted anew
        in no time."""
        passages = [asdict(passage) for passage in self.passages]
        write_json(path, {"format": FORMAT, "hashes": self.hashes, "passages": passages})

    @classmethod
    def open(cls, path: Path, documents: Mapping[str, str]) -> "Index":
        """The index of `documents`, from the file that `save` wrote where there is one; saved again
        where it changed.

        A damaged file is no loss: the documents are the truth, and are cut anew.
        """
        saved = cls.read(path)
        index = saved.updated(documents) if saved else cls(documents)
        if saved is None or saved.hashes != index.hashes:
            path.parent.mkdir(parents=True, exist_ok=True)
            index.save(path)
        return index

    @classmethod
    def read(cls, path: Path) -> "Index | None":
        """The index in a file, its documents known by hash alone; None where the file is missing or
        damaged."""
        try:
            content = read_json(path)
            index = cls({}, [Passage(**passage) for passage in content["passages"]])
            index.hashes = dict(content["hashes"])
            sources = {passage.source for passage in index.passages}
            return index if content["format"] == FORMAT and sources <= index.hashes.keys() else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def hash_of(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
