"""Retrieval: documents cut into passages, and the passages that share the rarest words with a
question.

    index = Index({"ferry.md": text, ...})
    for found in index.search("What does a ticket cost?"): print(found.passage.source, found.score)

A passage is one sentence, small enough for a small model to read. It is found by its own words,
counted three times, and by those of its heading and of the sentence before it, counted once, since
"it opens at nine" does not say what does. Passages are ranked by BM25 (Robertson & Zaragoza, "The
Probabilistic Relevance Framework", 2009), computed by the library bm25s (Lu 2024). An index is a
cache: `Index.open` takes a saved one where the documents are still the same, and cuts anew those
that changed.

Trade-off: words are matched, not meanings; a question that says "price" does not find a passage
that says "costs".
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import bm25s
from bm25s.stopwords import STOPWORDS_EN

from tinylm.runs import read_json, write_json

FORMAT = "tinylm-index"
LONGEST = 40  # words in a sentence before it is cut
MANY = 200  # passages; in fewer, how many of them hold a word says little
OWN_WEIGHT = 3  # how often a passage's own words count against once for those of its context
HEADING = re.compile(r"^(#+ .*)$", re.MULTILINE)
BLANK_LINE = re.compile(r"\n\s*\n")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\Wa-z_])")
WORD = re.compile(r"\w+(?:[-.,:]\w+)*")
SUFFIX = re.compile(r"(?:ing|ed|es|s)$")
ASKING = "do does how many much what when where which who whom whose i my me"
STOPWORDS = frozenset(STOPWORDS_EN) | frozenset(ASKING.split())


@dataclass(frozen=True)
class Passage:
    """One sentence of a document; `place` is its number there, counted from 1, `context` its
    heading and forerunner."""

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


def split_passages(text: str, source: str) -> list[Passage]:
    """The sentences of a text; a Markdown heading belongs to the context of all that follow it.

    >>> [(p.text, p.context) for p
    ...     in split_passages("# Ferry\\nIt sails. It waits.\\n\\nIt is late.", "ferry")]
    [('It sails.', 'Ferry'), ('It waits.', 'Ferry It sails.'), ('It is late.', 'Ferry')]
    """
    passages: list[Passage] = []
    title = ""
    text = HEADING.sub(r"\n\n\1\n\n", text)
    # A text without blank lines, as it comes out of a web page, has a paragraph on each line.
    for paragraph in BLANK_LINE.split(text) if BLANK_LINE.search(text) else text.splitlines():
        before = ""
        for sentence in SENTENCE_END.split(paragraph.strip()):
            if sentence.startswith("#"):
                title, before = sentence.lstrip("# "), ""
                continue
            for piece in short_pieces(" ".join(sentence.split())):
                passages.append(
                    Passage(piece, source, len(passages) + 1, f"{title} {before}".strip())
                )
                before = piece
    return passages


def short_pieces(sentence: str) -> list[str]:
    """The sentence, cut every LONGEST words where it is longer than that; nothing for an empty
    one."""
    words = sentence.split()
    return [" ".join(words[start : start + LONGEST]) for start in range(0, len(words), LONGEST)]


def stems(text: str) -> list[str]:
    """The words worth searching for, in lower case and without their endings, so that "tickets"
    finds "ticket".

    >>> stems("What does a book of ten ferry tickets cost at 22:40?")
    ['book', 'ten', 'ferry', 'ticket', 'cost', '22:40']
    """
    words = (word for word in WORD.findall(text.lower()) if word not in STOPWORDS)
    return [SUFFIX.sub("", word) if len(word) > 4 else word for word in words]


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
            stems(passage.context) + OWN_WEIGHT * stems(passage.text) for passage in self.passages
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
