"""Search by meaning: every passage is a vector, and so is a question; the passages whose vectors
point the same way as the question's come first.

    encoder = Encoder.of(run)
    vectors = encoder.vectors([text_of(passage) for passage in passages])   # (passages, W), once
    space = Space.fit(vectors, Practised.read_by(encoder))                  # in seconds
    asked = encoder.read([("", question)])
    scores = space.place_passages(vectors) @ space.place_questions(asked)[0]

A vector is the mean of a hidden layer over the tokens of a passage, which the model reads behind
its document's name, its headings and the sentence before it. Three things make it fit for search:

    a late layer, not the last    the last one is about the next token, not about the text
    half-whitening                all vectors of a language model point much the same way. The mean
                                  is taken off and each principal direction is divided by the
                                  square root of its spread, a milder form of "all but the top"
                                  (Mu & Viswanath 2018), in which the largest ones are taken away
    a head                        one matrix on top, learned in seconds from written pairs of a
                                  sentence and a question in other words: the question must find
                                  its sentence among all others (contrastive, in-batch negatives:
                                  Karpukhin et al. 2020, "Dense passage retrieval")

The pairs (data/practice/meanings.txt) are about libraries, clinics, zoos: never about the shipped
handbook. What was chosen by trying is noted in fused.py, with its figures.

Trade-off: the vectors of a model with 135 million parameters know that a salary is a wage, and not
much more; a number or a name is nothing to them. That is what search by words is for (fused.py).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors
from torch import Tensor

from tinylm.assistant.retrieval import Passage
from tinylm.files import write_whole
from tinylm.model.device import choose_compute
from tinylm.model.gpt import GPT
from tinylm.recipes import shipped
from tinylm.runs import Run
from tinylm.text.tokenizers import Tokenizer
from tinylm.training.load import load_model

Array = NDArray[Any]
# What hands the batches on, and may draw a progress bar meanwhile, such as tqdm.
Watch = Callable[[Sequence[list[int]]], Iterable[list[int]]]

LAYER = 0.8  # which hidden layer, as a share of the depth: 24 of 30
BATCH = 16  # texts; more are no faster on a CPU
RANK = 512  # directions that are kept; the others have next to no spread, and would be noise
STEPS, RATE, TEMPERATURE, DROPPED = 40, 1e-3, 0.1, 0.5  # of the head


@dataclass(frozen=True)
class Pair:
    """A sentence with a question that asks for it in other words; row of `sentence` in the list
    that `practice` returns first."""

    question: str
    sentence: int


def practice() -> tuple[list[Passage], list[Pair]]:
    """The written pairs: sentences as passages of small documents, and questions about them."""
    lines = (shipped("data") / "practice" / "meanings.txt").read_text(encoding="utf-8").splitlines()
    sentences: list[Passage] = []
    pairs: list[Pair] = []
    topic, before = "", ""
    for line in lines:
        if line.startswith("# "):
            topic, before = line.removeprefix("# "), ""
            continue
        sentence, *questions = (part.strip() for part in line.split("|"))
        pairs += [Pair(question, len(sentences)) for question in questions]
        # Context as `split_passages` makes it: the heading and the sentence before.
        context = f"{topic.capitalize()} {before}".strip()
        sentences.append(Passage(sentence, topic, len(sentences) + 1, context))
        before = sentence
    return sentences, pairs


# -- from text to vectors -------------------------------------------------------------------------


Text = tuple[str, str]  # what stands before a text, and the text itself


class Encoder:
    """Reads texts with a model, each once: `known` keeps their vectors by `key_of`. `fingerprint`
    is that of the model's run."""

    def __init__(self, model: GPT, tokenizer: Tokenizer, fingerprint: str) -> None:
        self.model, self.tokenizer, self.fingerprint = model, tokenizer, fingerprint
        self.layer = max(1, round(LAYER * model.config.depth))
        self.known: dict[str, Array] = {}

    @classmethod
    def of(cls, run: Run) -> "Encoder":
        """The encoder of a run's model."""
        model, tokenizer, _ = load_model(run)
        return cls(model, tokenizer, run.fingerprint)

    def vectors(self, texts: Sequence[Text], watch: Watch = iter) -> Array:
        """One unit vector for each text, (texts, W); those not known yet are read, and kept."""
        new = {key_of(text): text for text in texts if key_of(text) not in self.known}
        # Rounded as they lie on the disk: an index finds the same before it was saved and after.
        read = unit(self.read(list(new.values()), watch)).astype(np.float16)
        self.known |= zip(new, read.astype(np.float32))
        none = np.zeros((0, self.model.config.width), dtype=np.float32)
        return np.stack([self.known[key_of(text)] for text in texts]) if texts else none

    def read(self, texts: Sequence[Text], watch: Watch = iter) -> Array:
        """The mean hidden state over each text, (texts, W)."""
        context = self.model.config.context
        rows: list[tuple[list[int], int]] = []  # all ids, and how many of them are the text's own
        for before, text in texts:
            own = self.tokenizer.encode(text)
            # Of what is too long the beginning is left out: the text itself stands at the end.
            ids = (self.tokenizer.encode(before) + own)[-context:]
            rows.append((ids, min(len(own), context)))
        vectors = np.zeros((len(rows), self.model.config.width), dtype=np.float32)
        # Texts of one length together: little is computed for filling.
        order = sorted(range(len(rows)), key=lambda place: len(rows[place][0]))
        for batch in watch([order[i : i + BATCH] for i in range(0, len(order), BATCH)]):
            hidden = hidden_states(self.model, [rows[place][0] for place in batch], self.layer)
            for states, place in zip(hidden, batch):
                ids, length = rows[place]
                # The first token of all is left out: whatever it is, its state is a hundred times
                # as long as any other, since attention without a goal rests on it.
                first = max(len(ids) - length, min(1, len(ids) - 1))
                if ids:
                    vectors[place] = states[first : len(ids)].mean(0).numpy()
        return vectors

    def load(self, path: Path) -> None:
        """Know what `save` wrote; nothing where the file is missing, damaged or another model's."""
        try:
            tensors = from_safetensors(path.read_bytes())
            keys, vectors = tensors["keys"], tensors[self.fingerprint].astype(np.float32)
        except (OSError, SafetensorError, KeyError):
            return
        if vectors.shape == (len(keys), self.model.config.width) and np.isfinite(vectors).all():
            self.known |= zip((key.tobytes().hex() for key in keys), vectors)

    def save(self, path: Path, texts: Sequence[Text]) -> None:
        """Write the vectors of these texts, half as large in fp16, unless `path` holds them."""
        keys = sorted({key_of(text) for text in texts})
        if not keys:
            return
        tensors: dict[str, Array] = {
            "keys": np.array([list(bytes.fromhex(key)) for key in keys], dtype=np.uint8),
            self.fingerprint: np.stack([self.known[key] for key in keys]).astype(np.float16),
        }
        body = to_safetensors(tensors)
        if not path.is_file() or path.read_bytes() != body:
            write_whole({path: body})


def text_of(passage: Passage) -> Text:
    """A passage as the model reads it, behind its document's name and its context."""
    return f"{name_of(passage.source)}\n{passage.context}\n", passage.text


def key_of(text: Text) -> str:
    """What a vector depends on, besides the model: SHA-256 in hex."""
    return hashlib.sha256("\0".join(text).encode("utf-8")).hexdigest()


def name_of(source: str) -> str:
    """A document's name in words: "fish-hall.md" is "fish hall"."""
    stem = source.rsplit(".", 1)[0] if "." in source else source
    return stem.replace("-", " ").replace("_", " ")


@torch.inference_mode()
def hidden_states(model: GPT, rows: Sequence[Sequence[int]], layer: int) -> Tensor:
    """The residual stream behind block number `layer` (counted from 1), (B, T, W).

    Shorter rows are filled up behind their end, where causal attention keeps the filling from
    their own positions.
    """
    length = max(1, max(map(len, rows)))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
    # As in GPT.forward, without the layers above and without the head.
    x = model.tokens(ids) * model.config.embedding_scale
    rotation = None
    if model.config.position == "learned":
        x = x + model.positions.weight[:length]
    else:
        rotation = model.cos[:length, None], model.sin[:length, None]
    # Twice as fast where the processor multiplies in bf16; sums and the stream stay in fp32.
    with choose_compute("cpu").autocast():
        for block in list(model.blocks)[:layer]:
            x = block(x, rotation, None)
    return x.float()


# -- from vectors to a space in which likeness is meaning -----------------------------------------


def practice_texts() -> list[Text]:
    """All texts of the practice, as they are read."""
    sentences, pairs = practice()
    return [*map(text_of, sentences), *(("", pair.question) for pair in pairs)]


@dataclass(frozen=True)
class Practised:
    """The vectors of the practice: `sentences` (S, W), `questions` (Q, W), and of which sentence
    each question is, `pairs` (Q,)."""

    sentences: Array
    questions: Array
    pairs: NDArray[np.int64]

    @classmethod
    def read_by(cls, encoder: Encoder, watch: Watch = iter) -> "Practised":
        """The shipped pairs through a model: a minute on one core with 135 M parameters."""
        sentences, pairs = practice()
        return cls(
            encoder.vectors([text_of(sentence) for sentence in sentences], watch),
            encoder.vectors([("", pair.question) for pair in pairs], watch),
            np.array([pair.sentence for pair in pairs]),
        )


@dataclass(frozen=True)
class Space:
    """Where vectors are compared: a mean for each of the two kinds of text, and one matrix
    (W, R)."""

    passage_mean: Array
    question_mean: Array
    matrix: Array

    @classmethod
    def fit(cls, passages: Array, practised: Practised) -> "Space":
        """The space of these passages (N, W)."""
        # Directions are normalised first: how long a hidden state is says nothing about meaning.
        sides = [unit(side) for side in (passages, practised.sentences, practised.questions)]
        means = [side.mean(0) for side in sides]
        # Questions look alike because they are questions. With a mean for each kind of text that is
        # no likeness any more.
        centred = [side - mean for side, mean in zip(sides, means)]
        whitening = half_whitening(np.concatenate(centred))
        head = learn_head(unit(centred[1] @ whitening), unit(centred[2] @ whitening), practised)
        return cls(means[0], means[2], whitening + whitening @ head)

    def place_passages(self, vectors: Array) -> Array:
        """Passages (N, W) as unit vectors (N, R)."""
        return unit((unit(vectors) - self.passage_mean) @ self.matrix)

    def place_questions(self, vectors: Array) -> Array:
        """Questions (N, W) as unit vectors (N, R)."""
        return unit((unit(vectors) - self.question_mean) @ self.matrix)


def unit(vectors: Array) -> Array:
    """Vectors (N, W) of length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def half_whitening(centred: Array) -> Array:
    """A matrix (W, R): principal directions of the vectors (N, W), each divided by the square root
    of its standard deviation.

    Divided by the deviation itself (full whitening), the many directions of noise would count as
    much as those of meaning; undivided, a few directions that all texts share decide everything.
    """
    # Eigenvectors of the covariance (W, W), in ascending order of the variance.
    variances, directions = np.linalg.eigh(np.cov(centred.T.astype(np.float64), bias=True))
    kept = slice(None, -min(RANK, int((variances > 1e-8 * variances[-1]).sum())) - 1, -1)
    return (directions[:, kept] / variances[kept] ** 0.25).astype(np.float32)


def learn_head(sentences: Array, questions: Array, practised: Practised) -> Array:
    """A matrix (R, R) that, added to the identity, brings each question nearer to its sentence.

    `sentences` (S, R) and `questions` (Q, R) are unit vectors. Each question has to pick its
    sentence out of all S, and each sentence its question out of all Q: the loss is the cross
    entropy of a softmax over the cosines, in both directions.
    """
    own = torch.from_numpy(practised.pairs)  # (Q,)
    asked, said = torch.from_numpy(questions), torch.from_numpy(sentences)
    # The other question about the same sentence is no wrong one.
    siblings = (own[:, None] == own[None]) & ~torch.eye(len(own), dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    head = torch.zeros(said.shape[1], said.shape[1], requires_grad=True)
    optimizer = torch.optim.AdamW([head], lr=RATE)

    def placed(vectors: Tensor) -> Tensor:
        # Half of the numbers are dropped at random in each step: with a few hundred pairs, the
        # matrix would otherwise know them by heart within twenty steps.
        kept = torch.rand(vectors.shape, generator=generator) >= DROPPED
        vectors = vectors * kept / (1 - DROPPED)
        return F.normalize(vectors + vectors @ head, dim=1)

    for _ in range(STEPS):
        q, s = placed(asked), placed(said)
        forth = F.cross_entropy(q @ s.T / TEMPERATURE, own)
        scores = (s[own] @ q.T / TEMPERATURE).masked_fill(siblings, float("-inf"))
        back = F.cross_entropy(scores, torch.arange(len(own)))
        optimizer.zero_grad()
        (forth + back).backward()
        optimizer.step()
    return head.detach().numpy()
