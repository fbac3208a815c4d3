"""Text to token ids and back: one token per character, or byte-pair encoding.

Both write any text without loss.

A tokenizer is a list of byte strings, one per id, with the special tokens last. Decoding and bytes
per token follow from that list; the two classes below differ in how they encode.

Trade-offs: characters need no training and are easy to watch, but make long sequences; BPE makes
them 2 to 4 times shorter and spends parameters on a larger table. A character not seen in training
is written as bytes (byte fallback: Kudo & Richardson, "SentencePiece", 2018). Half a character (a
lone surrogate) is refused: UTF-8 cannot write it. Special tokens are marks of the program, not
text: they have no bytes, decoding leaves them out, and their names inside a text are ordinary
characters.
"""

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylm.config import closest
from tinylm.text.bpe import BYTES, Pair, WordEncoder, spell_tokens, split_words, stretches

# The special token that documents begin with, where a recipe asks for one.
DOCUMENT = "<|document|>"
FORMAT, VERSION = "tinylm-tokenizer", 1


def check_unicode(text: str) -> str:
    """Return the text itself; ValueError if it holds a lone surrogate, half a character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        what = f"character {error.start} of the text is a lone surrogate ({code})"
        raise ValueError(f"{what}: read the file as UTF-8 with errors='replace'") from None
    return text


class Tokenizer(ABC):
    """What all tokenizers share; `content` is what makes this one what it is, as JSON values."""

    def __init__(self, pieces: Sequence[bytes], specials: Sequence[str], content: dict[str, Any]):
        if "" in specials or len(set(specials)) < len(specials):
            names = list(specials)
            raise ValueError(f"special tokens need different names that are not empty, not {names}")
        # Their ids stand behind all others, so that adding one moves no other id.
        self.specials = tuple(map(check_unicode, specials))
        self.special_ids = {name: id for id, name in enumerate(self.specials, start=len(pieces))}
        self._pieces = [*pieces, *(b"" for _ in specials)]  # special tokens stand for no bytes
        self._content = content
        # Two bytes per id where that is enough: a corpus on disk is half as large.
        self._dtype = np.dtype(np.uint16 if len(self._pieces) <= 2**16 else np.uint32)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self._pieces)

    @abstractmethod
    def encode_array(self, text: str) -> NDArray[Any]:
        """The ids of a text, (tokens,) uint16, or uint32 above 65,536 ids: fast, for a corpus."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Names of special tokens in it are text: only the program may use them.

        Text that the program itself writes: `tokenizer_files.encode_marked`.
        """
        return self.encode_array(text).tolist()

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that form no character become U+FFFD, special tokens nothing.

        >>> CharTokenizer("ab").decode([0, 1, 2 + 0xE2])
        'ab\ufffd'
        """
        # Bytes first, text last: one character may be spread over several tokens.
        return b"".join([self._pieces[id] for id in self._checked(ids)]).decode("utf-8", "replace")

    def _checked(self, ids: Iterable[int]) -> list[int]:
        ids = list(ids)
        # Without this check, id -1 would quietly read the last piece: Python counts from the end.
        if ids and not 0 <= min(ids) <= max(ids) < self.vocab_size:
            wrong, last = min(ids) if min(ids) < 0 else max(ids), self.vocab_size - 1
            raise ValueError(f"id {wrong} is not in the vocabulary, whose ids run from 0 to {last}")
        return ids

    def token_bytes(self, id: int) -> bytes:
        """The bytes that one id stands for; none for a special token."""
        return self._pieces[self._checked([id])[0]]

    def bytes_per_token(self) -> NDArray[np.int64]:
        """(vocab_size,) bytes of each id; over a text's ids they add up to its length."""
        # Of the bytes, not of a decoded text: half a character would count as U+FFFD, three bytes.
        return np.array([len(piece) for piece in self._pieces], dtype=np.int64)

    def special_id(self, name: str) -> int:
        """The id of a special token; ValueError with the closest name where there is none."""
        if name in self.specials:
            return self.special_ids[name]
        hint, known = closest(name, list(self.specials)), ", ".join(self.specials) or "none"
        raise ValueError(f"{name!r} is no special token{hint}; there are: {known}")

    def to_dict(self) -> dict[str, Any]:
        """The tokenizer as JSON values; `tokenizer_from_dict` takes it back."""
        # What decides the ids of a text, and nothing else: the fingerprint is the hash of it.
        header = {"format": FORMAT, "version": VERSION}
        return {**header, **self._content, "specials": list(self.specials)}

    def fingerprint(self) -> str:
        """SHA-256 in hex: equal for equal tokenizers, and for their files."""
        return hashlib.sha256(canonical(self.to_dict()).encode("utf-8")).hexdigest()


class CharTokenizer(Tokenizer):
    """One id per character: those seen in training, by code point.

    Then 256 ids for the bytes of all other characters, then the specials. Below, é was not seen:
    its bytes 0xC3 0xA9 are counted from id 4.

    >>> tokenizer = CharTokenizer.train("a tea")
    >>> tokenizer.encode("tea"), tokenizer.encode("é")
    ([3, 2, 1], [199, 173])
    """

    def __init__(self, characters: str, specials: Sequence[str] = ()) -> None:
        if any(left >= right for left, right in pairwise(characters)):
            raise ValueError("characters must be different and in the order of their code points")
        # One order for one set of characters: the same text always gives the same ids.
        letters = [character.encode("utf-8") for character in check_unicode(characters)]
        super().__init__(letters + BYTES, specials, {"kind": "char", "characters": characters})
        self.characters = characters
        # code point -> id, -1: never seen
        # One entry more than the largest code point needs: the place of all that lies above it.
        self._id_of = np.full(ord(characters[-1]) + 2 if characters else 1, -1)
        self._id_of[[ord(character) for character in characters]] = range(len(characters))

    @classmethod
    def train(cls, chunks: str | Iterable[str], specials: Sequence[str] = ()) -> "CharTokenizer":
        """Collect the characters of a text or of an iterable of texts."""
        seen: set[str] = set()
        for chunk in [chunks] if isinstance(chunks, str) else chunks:
            seen.update(check_unicode(chunk))
        # Sorted: a set has no order of its own, and ids must not depend on one.
        return cls("".join(sorted(seen)), specials)

    def encode_array(self, text: str) -> NDArray[Any]:
        """The ids of a text, (tokens,) uint16 or uint32, without a loop over its characters."""
        # UTF-32 is an array of code points, and a table gives each its id: all in NumPy.
        codes = np.frombuffer(check_unicode(text).encode("utf-32-le"), dtype="<u4")
        ids = self._id_of[np.minimum(codes, len(self._id_of) - 1)]  # the last entry is always -1
        if (unseen := ids < 0).any():
            strange = codes[unseen]
            # UTF-8 takes one byte more above each of these code points.
            lengths = np.ones_like(ids)
            lengths[unseen] = 1 + (strange[:, None] > [0x7F, 0x7FF, 0xFFFF]).sum(axis=1)
            ids = np.repeat(ids, lengths)  # makes room for the bytes of each unseen character
            # Each -1 stands `lengths` times in a row now: as many places as there are bytes.
            spelt = strange.tobytes().decode("utf-32-le").encode("utf-8")
            ids[ids < 0] = len(self.characters) + np.frombuffer(spelt, dtype=np.uint8).astype(int)
        return ids.astype(self._dtype)


class BpeTokenizer(Tokenizer):
    """Byte-pair encoding (bpe.py): ids 0 to 255 are the bytes, then the merges, then the specials.

    >>> tokenizer = BpeTokenizer([(98, 121), (104, 101), (32, 116)])  # by, he, " t"
    >>> [tokenizer.token_bytes(id) for id in tokenizer.encode("by the tea")]
    [b'by', b' t', b'he', b' t', b'e', b'a']
    """

    def __init__(self, merges: Sequence[Pair], specials: Sequence[str] = ()) -> None:
        self.merges = [(int(left), int(right)) for left, right in merges]
        # The merges in their order are all there is to a BPE: pieces and ids follow from them.
        content = {"kind": "bpe", "merges": [list(pair) for pair in self.merges]}
        super().__init__(spell_tokens(self.merges), specials, content)
        self._words = WordEncoder(self.merges, "H" if self._dtype == np.uint16 else "I")

    def encode_array(self, text: str) -> NDArray[Any]:
        """The ids of a text, (tokens,) uint16 or uint32: one look-up per word."""
        # A megabyte at a time, word by word, each word looked up in a dictionary of packed ids.
        packed = bytearray()
        for part in stretches(check_unicode(text)):
            packed += b"".join(map(self._words.__getitem__, split_words(part)))
        # Packed in the type of the result ("H": 2 bytes, "I": 4), so that nothing is converted.
        return np.frombuffer(packed, dtype=self._dtype)


class StreamDecoder:
    """Text from ids that arrive one by one; a character is held back until its last byte has come.

    >>> decoder = StreamDecoder(BpeTokenizer([]))
    >>> [decoder.push(id) for id in "é!".encode()], decoder.flush()
    (['', 'é', '!'], '')
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # Python's own incremental decoder keeps the bytes of an unfinished character.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, id: int) -> str:
        """The text that is certain after this id; may be empty."""
        return self._decoder.decode(self._tokenizer.token_bytes(id))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for an unfinished character, or nothing."""
        return self._decoder.decode(b"", final=True)


def canonical(d: dict[str, Any]) -> str:
    """JSON without blanks, its keys sorted, with a line break at the end."""
    # One spelling for one tokenizer, so that its hash can serve as its name.
    return json.dumps(d, sort_keys=True, separators=(",", ":")) + "\n"
