"""From a recipe's [corpus] section to the token files of a run: read, split, learn the tokenizer,
encode.

The split comes first, so that no document stands on both sides and the tokenizer never sees
validation text. Text is read as a stream, more than once where that is needed, so a corpus may be
far larger than memory.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinylm.config import CorpusConfig, Recipe, closest
from tinylm.corpora import domain, handbook, stories
from tinylm.corpora.documents import Skipped, iter_documents, iter_text, read_documents
from tinylm.corpora.fetch import CORPORA, data_folder
from tinylm.recipes import shipped
from tinylm.text.batches import Corpus
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.token_files import read_ids, write_ids
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer, Tokenizer

SHIPPED = ("stories", "verse", "handbook", "domain")
# Of these, the ones that a generator writes without end: (seed, split) -> documents.
GENERATED: dict[str, Callable[[int, stories.Split], Iterator[str]]] = {
    "stories": lambda seed, split: (story.text for story in stories.stories(seed, split)),
    "domain": domain.documents,
}
Texts = Callable[[], Iterator[str]]  # calling it again reads the same text again


@dataclass(frozen=True)
class Split:
    """Training and validation text. With `documents`, each text is a whole document; without, a
    chunk of one text."""

    train: Texts
    valid: Texts
    documents: bool
    separator: str = "\n\n"
    skipped: list[Skipped] = field(default_factory=list)


def endless(name: str, split: stories.Split, size: int, seed: int) -> Iterator[str]:
    """The first documents of a generated corpus, up to `size` bytes; the last one is whole."""
    return within(GENERATED[name](seed, split), size)


def whole(name: str, size: int) -> Iterator[str]:
    """A shipped corpus from its beginning, the two sides not told apart."""
    if name in GENERATED:
        return endless(name, "train", size, seed=0)
    return iter(verse_poems()) if name == "verse" else iter(handbook.handbook(1).values())


def within(texts: Iterable[str], size: int) -> Iterator[str]:
    """Texts until `size` bytes, blank lines between them counted, have been given; always at least
    one."""
    spent = 0
    for text in texts:
        if spent and spent + len(text.encode()) > size:
            return
        spent += len(text.encode()) + 2
        yield text


def verse_poems() -> list[str]:
    """The poems of data/verse.txt: one blank line stands between stanzas, two between poems."""
    text = (shipped("data") / "verse.txt").read_text(encoding="utf-8")
    return [poem.strip("\n") for poem in text.split("\n\n\n") if poem.strip()]


def split_corpus(config: CorpusConfig) -> Split:
    """Training and validation text of a [corpus] section. ValueError where it cannot be read or one
    side is empty."""
    name, path = config.text, Path(config.text)
    if name in GENERATED:
        kept_aside = max(1, int(config.size * config.valid_share))
        return Split(
            lambda: endless(name, "train", config.size, config.seed),
            lambda: endless(name, "valid", kept_aside, config.seed),
            documents=True,
        )
    if name == "verse":
        return split_documents(lambda: iter(verse_poems()), config, "\n\n\n")
    if name == "handbook":
        return split_documents(lambda: iter(handbook.handbook(1).values()), config, "\n\n")
    if name in CORPORA and not path.exists():
        path = data_folder() / f"{name}.txt"
        if not path.exists():
            raise ValueError(
                f"{name} is not on this machine: tinylm fetch {name}, or give another "
                "--corpus.text FILE"
            )
    if not path.exists():
        hint = closest(name, [*SHIPPED, *CORPORA])
        raise ValueError(
            f"no {path}{hint}; --corpus.text takes a text file, a folder, or one of "
            f"{', '.join(SHIPPED)}"
        )
    if path.is_file() and config.separator is None:
        return cut_text(path, config.valid_share, config.encoding)
    if path.is_file():
        separator = config.separator or ""
        return split_documents(
            lambda: iter_documents(path, separator, config.encoding), config, separator
        )
    documents = read_documents(path, config.separator, config.encoding)
    return split_documents(lambda: iter(documents.texts), config, "\n\n", documents.skipped)


def has_documents(config: CorpusConfig) -> bool:
    """Whether the text comes in documents, or is one text that nothing divides."""
    return config.text in SHIPPED or config.separator is not None or Path(config.text).is_dir()


def split_documents(
    texts: Texts, config: CorpusConfig, separator: str, skipped: list[Skipped] | None = None
) -> Split:
    """Put the `valid_share` of the documents whose hashes come first aside; at least one on either
    side.

    Where few documents of very different lengths would leave the longer side for validation, the
    sides are exchanged.
    """
    lengths = {document_hash(text, config.seed): len(text) for text in texts()}
    hashes = sorted(lengths)
    if len(hashes) < 2:
        raise ValueError(
            f"{config.text}: {len(hashes)} document, too few to keep one aside; leave "
            "corpus.separator out to cut the text in two instead"
        )
    first = set(hashes[: max(1, round(len(hashes) * config.valid_share))])
    exchanged = sum(lengths[key] for key in first) > sum(lengths.values()) / 2

    def side(valid: bool) -> Texts:
        return lambda: (
            text
            for text in texts()
            if (document_hash(text, config.seed) in first) == (valid ^ exchanged)
        )

    return Split(side(False), side(True), True, separator, skipped or [])


def document_hash(text: str, seed: int) -> bytes:
    """A document's place in the order of the split: its own content decides, so copies fall on the
    same side."""
    return hashlib.sha256(f"{seed}\n{text.strip()}".encode()).digest()[:8]


def cut_text(path: Path, valid_share: float, encoding: str) -> Split:
    """One undivided text, cut once at a character: the split that nanoGPT uses, at 90 % by
    default."""
    length = sum(map(len, iter_text(path, encoding=encoding)))
    cut = int(length * (1 - valid_share))
    if not 0 < cut < length:
        raise ValueError(
            f"{path}: {length} characters are too few to split into training and validation text"
        )
    return Split(
        lambda: span(path, 0, cut, encoding),
        lambda: span(path, cut, length, encoding),
        documents=False,
        separator="",
    )


def span(path: Path, start: int, end: int, encoding: str) -> Iterator[str]:
    """The characters from `start` to `end` of a text file, in chunks that end where a line ends.

    A line break begins a new word for both tokenizers, so the ids do not depend on the size of the
    chunks.
    """
    place, held = 0, ""
    for chunk in iter_text(path, encoding=encoding):
        held += chunk[max(0, start - place) : max(0, end - place)]
        place += len(chunk)
        body = held.rstrip("\n")
        if (cut := body.rfind("\n")) > 0:
            # Before the run of line breaks, not inside it: a tokenizer may join several into one
            # token.
            cut = len(body[:cut].rstrip())
            if cut:
                yield held[:cut]
                held = held[cut:]
    if held:
        yield held


def learn_tokenizer(recipe: Recipe, split: Split) -> Tokenizer:
    """A tokenizer of the recipe's kind, learned from the training text alone."""
    specials = [DOCUMENT] if recipe.corpus.document_token else []
    if recipe.tokenizer.kind == "char":
        return CharTokenizer.train(joined(split, split.train), specials)
    return train_bpe_tokenizer(joined(split, split.train), recipe.tokenizer.vocab_size, specials)


def joined(split: Split, texts: Texts) -> Iterator[str]:
    """Chunks of text with the separator behind each document."""
    return (text + split.separator for text in texts()) if split.documents else texts()


def encode(
    split: Split, texts: Texts, tokenizer: Tokenizer, document_token: bool
) -> Iterator[np.ndarray]:
    """Ids of each chunk or document (tokens,); documents begin with their token or end with the
    separator."""
    if not (split.documents and document_token):
        yield from map(tokenizer.encode_array, joined(split, texts))
        return
    begin = tokenizer.special_id(DOCUMENT)
    for text in texts():
        ids = tokenizer.encode_array(text)
        yield np.concatenate((np.array([begin], dtype=ids.dtype), ids))


def build_corpus(recipe: Recipe, folder: Path, tokenizer: Tokenizer | None = None) -> Corpus:
    """Write a run's token files into `folder` and return them as a corpus; a `tokenizer` that is
    given is kept.

    Raises ValueError where the text cannot be read, or is too short for one context on either side.
    """
    split = split_corpus(recipe.corpus)
    tokenizer = tokenizer or learn_tokenizer(recipe, split)
    sides = {"train": split.train, "valid": split.valid}
    ids = {
        name: read_ids(
            write_ids(folder / name, encode(split, texts, tokenizer, recipe.corpus.document_token))
        )
        for name, texts in sides.items()
    }
    if len(ids["valid"]) < 2:
        raise ValueError(
            f"{recipe.corpus.text}: {len(ids['valid'])} tokens of validation text, at least 2 are "
            "needed"
        )
    skipped = tuple(f"{document.source} ({document.reason})" for document in split.skipped)
    return Corpus(tokenizer, ids["train"], ids["valid"], text_hash(split), skipped=skipped)


def text_hash(split: Split) -> str:
    """SHA-256 of all training text, then all validation text, as it is learned."""
    digest = hashlib.sha256()
    for chunk in itertools.chain(joined(split, split.train), joined(split, split.valid)):
        digest.update(chunk.encode("utf-8"))
    return digest.hexdigest()
