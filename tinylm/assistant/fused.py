"""Search by words and by meaning together, on an imported model.

    index = open_fused(path, documents, Encoder.of(run))
    for hit in index.search("What is my salary?"): ...     # as Index.search, and the same hits

Three searches look for a question, each blind where another one sees:

    words        BM25 (retrieval.py): names, numbers, rare words; nothing that is said otherwise
    meaning      cosine of vectors (meaning.py): other words; a little of everything
    likelihood   how likely the model finds the question behind the passage (query likelihood:
                 Ponte & Croft 1998). It is next-token prediction, used as a search engine. Most
                 exact of the three and by far the dearest: each passage is read with the question,
                 so only the best of the other two are asked, and only where words do not find
                 enough of the question to be SURE

Each gives a ranking, and the rankings are fused by reciprocal ranks (Cormack et al. 2009): a
passage scores 1 / (K + rank) in each search, so that no search has to know the other's units. The
ranking by words counts twice, times the share of the question that the passage holds: where it
holds nothing of it, BM25's first is no better than its tenth.

Measured with `tinylm bench search` (SmolLM2-135M-Instruct, the handbook's 311 passages): right
sentence first, among three, among ten; percent of the 100 paraphrases, then of the 297 plain
questions. The target was 65 percent of the paraphrases among three: missed.

    BM25                0,  0,  0     94, 99, 100
    meaning            29, 47, 65     72, 85,  92
    likelihood         36, 57, 69     not asked of most
    fused              39, 56, 70     94, 100, 100

A paraphrase took 1.5 s (one thread of a busy machine, 1.48 of it the likelihood), a plain question
53 ms.

Tried on the 61 other paraphrases, which are for tuning and for nothing else; a point is worth
little, one question is 1.6 percent:

    BM25                                                                       0,  2,  7
    mean of layer 24, cosine; of layer 18; of layer 30          20, 33, 52; 7, 20, 43; 18, 28, 39
      mean off, three main components off; ten                      26, 38, 62; 28, 36, 57
      mean off, half-whitened                                                 25, 44, 67
        without document name, heading and sentence before                    16, 28, 51
        each token against its likest (ColBERT: Khattab & Zaharia 2020)       21, 38, 48
        with a head, 295 pairs (kept: 537)                        34, 51, 74 (28, 49, 72)
          and 0.3 of the document's mean (kept)                               30, 49, 75
    likelihood over the 30 best, plain text (kept)                            41, 57, 74
      with headings and the sentence before, 20 best                          33, 57, 80
      in the chat format: "Write a question that this text answers."          28, 54, 69
      the other way round: passage behind question, less passage alone        20, 39, 64
    all fused, 20 best (kept); 12 best                       46, 66, 80; 44, 66, 77
      the likelihood with headings instead; both of them     41, 64, 79; 48, 67, 82
      words counted once whatever they share                                  38, 61, 75

Of the plain questions BM25 finds 94 percent first. Counted once whatever they share, words fused
with meaning find 88, counted as above 95. No paraphrase for tuning finds half of its words in any
passage; of the plain questions 98 in a hundred do: hence SURE.

Trade-off: a fused score is a sum of ranks, and says nothing about how good a hit is. `share` and
the scores in `Hit.scores` do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tinylm.assistant.meaning import (
    Array,
    Encoder,
    Practised,
    Space,
    Watch,
    hidden_states,
    name_of,
    practice_texts,
    text_of,
    unit,
)
from tinylm.assistant.retrieval import Found, Index, Passage

K = 5  # ranks behind which a search's opinion counts half
LIKELIEST = 20  # passages that the likelihood is asked about
# Tokens that the likelihood reads of a question, and before it: a page pasted into the search must
# not take a minute or a gigabyte.
LONGEST_QUESTION, LONGEST_BEFORE = 64, 192
OF_DOCUMENT = 0.3  # how much a document's mean vector counts beside the passage's own
SURE = 0.6  # share of the question's words that one passage holds: words alone will do


@dataclass(frozen=True)
class Hit(Found):
    """A passage with what each search thinks of it: `scores` holds BM25's as "words", a cosine as
    "meaning", and nats as "likelihood" where it was asked. `score` is that of the fused ranking."""

    scores: Mapping[str, float] = field(default_factory=dict)


class FusedIndex(Index):
    """An index that searches by words and by meaning; immutable as `Index` is."""

    def __init__(self, words: Index, encoder: Encoder, watch: Watch = iter) -> None:
        # The passages are those of `words`, cut already; counting their words again is quick.
        super().__init__({}, words.passages)
        self.hashes, self.encoder = words.hashes, encoder
        # What the encoder knows from an earlier index or from a file is not read again.
        vectors = encoder.vectors([text_of(passage) for passage in self.passages], watch)
        if self.passages:
            self.space = Space.fit(vectors, Practised.read_by(encoder, watch))
            self.places = self.space.place_passages(vectors)  # (passages, R)
            # What a document is about as a whole stands behind each of its sentences.
            rows: dict[str, list[int]] = {}
            for place, passage in enumerate(self.passages):
                rows.setdefault(passage.source, []).append(place)
            self.documents = np.zeros_like(self.places)  # (passages, R)
            for places in rows.values():
                self.documents[places] = unit(self.places[places].mean(0, keepdims=True))

    def search(self, question: str, count: int = 3) -> list[Found]:
        """The `count` best passages by all searches, best first."""
        if not self.passages or not question.strip():
            return []
        scores, shares = self.scores(question)
        fused = fuse(scores, shares)
        best = np.lexsort((np.arange(len(fused)), -fused))[:count]
        return [
            Hit(
                self.passages[place],
                float(fused[place]),
                float(shares[place]),
                {name: float(each[place]) for name, each in scores.items() if each[place] > -1e9},
            )
            for place in best
        ]

    def scores(self, question: str, sure: float = SURE) -> tuple[dict[str, Array], Array]:
        """What each search gives each passage, by name, each (passages,); and `share` of each, as
        in `Found`. Where the likelihood was not asked about a passage, it is -inf."""
        words, shares = self.by_words(question)
        meaning = self.by_meaning(question)
        scores = {"words": words, "meaning": meaning}
        if shares.max() < sure:
            first = np.argsort(-fuse(scores, shares), kind="stable")[:LIKELIEST]
            likely = np.full(len(words), -np.inf, dtype=np.float32)
            likely[first] = likelihood(self.encoder, question, [self.passages[p] for p in first])
            scores["likelihood"] = likely
        return scores, shares

    def by_words(self, question: str) -> tuple[Array, Array]:
        """BM25's scores and shares of all passages, (passages,) each; zero where no word is
        shared."""
        scores = np.zeros(len(self.passages), dtype=np.float32)
        shares = np.zeros(len(self.passages), dtype=np.float32)
        places = {id(passage): place for place, passage in enumerate(self.passages)}
        for hit in super().search(question, len(self.passages)):
            place = places[id(hit.passage)]
            scores[place], shares[place] = hit.score, hit.share
        return scores, shares

    def by_meaning(self, question: str) -> Array:
        """The cosine of each passage's vector with the question's, and a share of its document's,
        (passages,)."""
        vector = self.encoder.read([("", question)])  # not kept: nobody asks it again
        asked = self.space.place_questions(vector)[0]
        return (self.places + OF_DOCUMENT * self.documents) @ asked

    def updated(self, documents: Mapping[str, str], watch: Watch = iter) -> "FusedIndex":
        """An index of `documents`; only passages that are new or changed are read by the model."""
        return FusedIndex(super().updated(documents), self.encoder, watch)


def fuse(scores: Mapping[str, Array], shares: Array) -> Array:
    """One score a passage, (passages,), from the ranks in each search."""
    total = np.zeros(len(shares))
    for name, each in scores.items():
        weight = 2 * shares if name == "words" else (each > -np.inf).astype(float)
        total += weight / (K + ranks(each))
    return total


def ranks(scores: Array) -> Array:
    """The rank of each score, 1 for the highest; of equal ones the earlier ranks higher."""
    order = np.argsort(-scores, kind="stable")
    places = np.empty(len(scores), dtype=np.float32)
    places[order] = np.arange(1, len(scores) + 1)
    return places


@torch.inference_mode()
def likelihood(encoder: Encoder, question: str, passages: Sequence[Passage]) -> Array:
    """log p(question | passage) of each passage, in nats, (passages,).

    p(passage | question) is what a search wants. By Bayes' rule it grows with
    p(question | passage) p(passage), and with all passages alike beforehand the first factor ranks
    them. A language model gives it as it is: the product over the question's tokens of the
    probability of each behind the passage and the tokens before.
    """
    model, encode = encoder.model, encoder.tokenizer.encode
    asked = encode(f" {question}")[: min(LONGEST_QUESTION, model.config.context // 2)]
    room = min(LONGEST_BEFORE, model.config.context - len(asked))
    before = [encode(before_question(passage))[-room:] for passage in passages]
    # All layers, but the head only where the question is predicted: on the position before each of
    # its tokens. The head alone is a fifth of the work.
    hidden = hidden_states(model, [ids + asked for ids in before], model.config.depth)
    places = torch.tensor([[len(ids) - 1 + n for n in range(len(asked))] for ids in before])
    states = hidden[torch.arange(len(before))[:, None], places]  # (passages, tokens, W)
    logits = model.head(model.norm(states))
    own = logits.gather(-1, torch.tensor(asked).expand(len(before), -1)[..., None])[..., 0]
    return (own - logits.logsumexp(-1)).sum(-1).numpy()


def before_question(passage: Passage) -> str:
    """What the model reads before a question, with the passage in it."""
    # Without the sentence before: a question about that one would be likely behind this one too.
    return f"{name_of(passage.source).capitalize()}\n{passage.text}\nQuestion:"


def open_fused(
    path: Path, documents: Mapping[str, str], encoder: Encoder, watch: Watch = iter
) -> FusedIndex:
    """The index of `documents`, from the files that an earlier call wrote where they are the same.

    `path` is that of `Index.open`; the vectors lie beside it, and those of the practice too. A
    damaged file, or one of another model, is no loss: what is missing is read anew.
    """
    words = Index.open(path, documents)
    own, practised = path.with_suffix(".vectors"), path.parent / "practice.vectors"
    for place in (own, practised):
        encoder.load(place)
    index = FusedIndex(words, encoder, watch)
    encoder.save(own, [text_of(passage) for passage in index.passages])
    encoder.save(practised, practice_texts())
    return index
