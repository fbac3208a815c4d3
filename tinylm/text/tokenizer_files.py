"""Tokenizers from files: TinyLM's own two kinds, and those of other families, which Hugging Face's
library runs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinylm.files import write_text
from tinylm.text.tokenizers import (
    FORMAT,
    VERSION,
    BpeTokenizer,
    CharTokenizer,
    Tokenizer,
    canonical,
    check_unicode,
)


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write a tokenizer as JSON; equal tokenizers give equal files."""
    write_text(path, canonical(tokenizer.to_dict()))


def open_library(library: str) -> Any:
    """The `tokenizers.Tokenizer` in the content of a tokenizer.json; ValueError where that, or the
    package, fails."""
    try:
        import tokenizers

        return tokenizers.Tokenizer.from_str(library)
    except ImportError:
        raise ValueError('it is run by the tokenizers package: pip install "tinylm[hf]"') from None
    except Exception as error:  # the package raises nothing more precise
        raise ValueError(f"the tokenizers package cannot read it: {error}") from None


class LibraryTokenizer(Tokenizer):
    """A tokenizer of another family, run by Hugging Face's `tokenizers`; made by `from_library` in
    tokenizer_json.py.

    `library` is the content of its tokenizer.json, `pieces` the bytes of each id in hex,
    `special_ids` its own.
    """

    def __init__(self, library: str, pieces: Sequence[str], special_ids: dict[str, int]) -> None:
        content = {
            "kind": "library",
            "library": library,
            "pieces": list(pieces),
            "special_ids": special_ids,
        }
        super().__init__([bytes.fromhex(piece) for piece in pieces], (), content)
        self.library, self.specials, self.special_ids = library, tuple(special_ids), special_ids
        self._encoder = open_library(library)
        # their names in a text are text, as in the classes above
        self._encoder.encode_special_tokens = True

    def encode_array(self, text: str) -> NDArray[Any]:
        """The ids of a text, (tokens,) uint16 or uint32, without those that the library would put
        around it."""
        return np.array(
            self._encoder.encode(check_unicode(text), add_special_tokens=False).ids,
            dtype=self._dtype,
        )


def tokenizer_from_dict(d: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `to_dict` described; ValueError with one line for anything else, whatever
    it holds."""
    if not isinstance(d, dict) or d.get("format") != FORMAT:
        raise ValueError(f"this is no TinyLM tokenizer: its format is not {FORMAT!r}")
    if isinstance(d.get("version"), int) and d["version"] > VERSION:
        raise ValueError(
            f"tokenizer version {d['version']} is newer than {VERSION}: update TinyLM to read it"
        )
    try:
        if d["kind"] == "char":
            tokenizer: Tokenizer = CharTokenizer(d["characters"], d["specials"])
        elif d["kind"] == "library":
            tokenizer = LibraryTokenizer(d["library"], d["pieces"], d["special_ids"])
        else:
            tokenizer = BpeTokenizer(d["merges"], d["specials"])
    # missing, of the wrong type, impossible
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this tokenizer is damaged: {type(error).__name__}, {error}") from None
    # true for 1, an unknown kind, something extra
    if canonical(tokenizer.to_dict()) != canonical(d):
        raise ValueError(
            "this tokenizer is damaged: it holds values that no TinyLM tokenizer writes"
        )
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer that `save` wrote; ValueError names the file and what is wrong with it."""
    try:
        return tokenizer_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:  # ValueError includes bad JSON and bad UTF-8
        raise ValueError(f"{path}: {error}") from None


def encode_marked(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which the names of special tokens stand for those tokens.

    Only for text that the program wrote itself, such as a filled-in chat template.

    >>> from tinylm.text.tokenizers import CharTokenizer
    >>> encode_marked(CharTokenizer("ab", specials=["<|end|>"]), "ab<|end|>")
    [0, 1, 258]
    """
    if not tokenizer.specials:
        return tokenizer.encode(text)
    longest_first = sorted(tokenizer.specials, key=len, reverse=True)
    names = "|".join(map(re.escape, longest_first))
    ids: list[int] = []
    for place, part in enumerate(re.split(f"({names})", text)):  # text, name, text, name, text
        ids += [tokenizer.special_id(part)] if place % 2 else tokenizer.encode(part)
    return ids
