"""Retrieval: the passages of documents that share the rarest words with a question.

    index = Index({"ferry.md": text, ...})
    for hit in index.search("What does a ticket cost?"): print(hit.passage.source, hit.score)

A passage is one sentence, or one row of a table (see passages.py). It is found by its own words,
counted three times, and by those of its headings, its document's name and the sentence before it,
counted once, since "it opens at nine" does not say what does.

Passages are ranked by BM25 (Robertson & Zaragoza, "The Probabilistic Relevance Framework", 2009),
computed by the library bm25s (Lu 2024). For each word w of the question that a passage holds,

    score += idf(w) * count(w) / (count(w) + 1.5 * (0.25 + 0.75 * length / mean length))

so that rare words weigh more (idf), a second occurrence weighs less than the first, and a long
passage needs more of them. Words meet by their Snowball stems (PyStemmer).

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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bm25s
from bm25s.stopwords import STOPWORDS_EN

from tinylm.assistant.passages import Passage, split_passages
from tinylm.runs import read_json, write_json

# Layout of a saved index: a file of an older one counts as damaged, and is written anew.
FORMAT = "tinylm-index-3"
MANY = 200  # passages; in fewer, how many of them hold a word says little
OWN_WEIGHT = 3  # how often a passage's own words count against once for those of its context
# A number with its points, commas and colons (3.40, 22:40), or a word with its hyphens.
WORD = re.compile(r"\d+(?:[.,:]\d+)*|\w+(?:[-'’]\w+)*")
# Han, Hiragana, Katakana, Thai, Lao, Khmer: no blanks between words.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")
# Every question holds some of these, so they say nothing about which passage answers it.
ASKING = "do does how many much what when where which who whom whose i my me"
STOPWORDS = frozenset(STOPWORDS_EN) | frozenset(ASKING.split())


@dataclass(frozen=True)
class Found:
    """A passage and its BM25 score: above 0, higher is better, comparable within one search only.

    `share` is comparable between searches: of the question's words, each weighted by how rare it is
    in the documents (the idf of BM25), the part that stands in the passage or its context; 0 to 1.
    """

    passage: Passage
    score: float
    share: float


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
            # "abcd" gives ab, bc, cd: every word of two characters is among them.
            words += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        elif word[0].isdigit():
            # Only commas before three digits part thousands; that of 3,5 is a decimal one.
            words.append(re.sub(r",(?=\d{3}\b)", "", word))
        else:
            parts = re.split(r"[-'’]", word.removesuffix("'s").removesuffix("’s"))  # Mara's -> mara
            words += parts
            if len(parts) > 1:
                words.append("".join(parts))  # harbour-master also meets harbourmaster
    # Stop words are compared before stemming, since their list holds plain forms.
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
        # Compared in `updated`, so that only changed documents are cut again.
        self.hashes = {name: hash_of(text) for name, text in documents.items()}
        self.passages: list[Passage] = []
        if passages is None:
            for name, text in documents.items():
                self.passages += split_passages(text, name)
        else:
            self.passages += passages
        # One list of stems for each passage. A list times 3 holds each word three times: BM25 then
        # counts it three times, which is all that "weight" means here.
        corpus = [
            stems(passage.source) + stems(passage.context) + OWN_WEIGHT * stems(passage.text)
            for passage in self.passages
        ]
        self.words = [frozenset(words) for words in corpus]
        # word -> number of passages that hold it; a set counts each word once a passage
        self.holders = Counter(word for words in self.words for word in words)
        # bm25s refuses a corpus without any word.
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
        # Of equal scores the earlier passage wins, so that every platform finds the same.
        best = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:count]
        # BM25 scores grow with the length of the question. The share of it that was found does
        # not: `Search` compares it with a threshold, to say that nothing was found.
        weights = {word: self.rarity(word) for word in words}
        total = sum(weights.values())
        found = []
        for place in best:
            if scores[place] > 0:
                shared = self.words[place] & weights.keys()
                share = sum(weights[word] for word in shared) / total
                found.append(Found(self.passages[place], float(scores[place]), share))
        return found

    def rarity(self, word: str) -> float:
        """The idf of a word: high where few passages hold it, highest where none does.

        Fewer than MANY passages count as MANY: in a handful of them every word is as rare as the
        next.
        """
        holders, passages = self.holders[word], max(len(self.passages), MANY)
        # The idf of Lucene's BM25, which bm25s ranks by as well: the 1 keeps it above zero.
        return math.log(1 + (passages - holders + 0.5) / (holders + 0.5))

    def updated(self, documents: Mapping[str, str]) -> "Index":
        """An index of `documents`, for which only those are cut that are new or changed."""
        kept: dict[str, list[Passage]] = {name: [] for name in self.hashes}
        for passage in self.passages:
            kept[passage.source].append(passage)
        passages: list[Passage] = []
        for name, text in documents.items():
            unchanged = self.hashes.get(name) == hash_of(text)
            passages += kept[name] if unchanged else split_passages(text, name)
        # Rarity depends on all passages, so the ranking is built anew; that is quick.
        return Index(documents, passages)

    def save(self, path: Path) -> None:
        """Write the passages and the hashes of their documents as JSON; the ranking is counted anew
        in no time."""
        # JSON and no pickle: reading an index then cannot run anything.
        passages = [asdict(passage) for passage in self.passages]
        write_json(path, {"format": FORMAT, "hashes": self.hashes, "passages": passages})

    @classmethod
    def open(cls, path: Path, documents: Mapping[str, str]) -> "Index":
        """The index of `documents`, from the file that `save` wrote where there is one; saved again
        where it changed.

        A damaged file is no loss: the documents are the truth, and are cut anew.
        """
        saved = cls.read(path)  # None: missing, damaged or of an older format
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
            # A passage whose document has no hash could never be found to be out of date.
            intact = content["format"] == FORMAT and sources <= index.hashes.keys()
            return index if intact else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def hash_of(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
