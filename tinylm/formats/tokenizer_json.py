"""Tokenizers as the `tokenizers` library of Hugging Face writes them: ours to a tokenizer.json, and
theirs to ours.

Ours become byte-level BPE with our own split into words, or, for characters, BPE without a merge
whose unknown characters fall back to bytes. Both encode what ours encode. One difference is left:
there a special token's name in a text is that token, here it is ordinary text.

Theirs are not rebuilt but run by the library (see `LibraryTokenizer`); what is read here are the
bytes of each id, which bits per byte and streaming need. A normaliser may change a text before it
is cut (Qwen: Unicode's NFC; Llama 2: a blank in front), so decoding gives the normalised text.
Byte-level vocabularies: GPT-2 (Radford et al. 2019); `▁` and byte fallback: SentencePiece (Kudo &
Richardson 2018).
"""

import itertools
import json
import sys
from typing import Any

import regex

from tinylm.text.bpe import WORD
from tinylm.text.tokenizer_files import LibraryTokenizer, open_library
from tinylm.text.tokenizers import DOCUMENT, BpeTokenizer, CharTokenizer, Tokenizer


def to_library(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of a tokenizer.json that encodes every text as `tokenizer` does."""
    if isinstance(tokenizer, LibraryTokenizer):
        return json.loads(tokenizer.library)
    assert isinstance(tokenizer, BpeTokenizer | CharTokenizer)
    model, pre_tokenizer, decoder = (
        bpe_parts if isinstance(tokenizer, BpeTokenizer) else char_parts
    )(tokenizer)
    plain = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "normalizer": None,
        "post_processor": None,
        "added_tokens": [
            {"id": tokenizer.special_id(name), "content": name, **plain}
            for name in tokenizer.specials
        ],
        "pre_tokenizer": pre_tokenizer,
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "ignore_merges": False,
            **model,
        },
    }


def bpe_parts(tokenizer: Any) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]:
    """Model, split and decoder of a byte-level BPE tokenizer."""
    signs, plain = byte_signs(), len(tokenizer.merges) + 256
    names = ["".join(signs[byte] for byte in tokenizer.token_bytes(id)) for id in range(plain)]
    merges = [f"{names[left]} {names[right]}" for left, right in tokenizer.merges]
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
    split = {
        "type": "Split",
        "pattern": {"Regex": portable(WORD.pattern)},
        "behavior": "Isolated",
        "invert": False,
    }
    model = {
        "vocab": {name: id for id, name in enumerate(names)},
        "merges": merges,
        "byte_fallback": False,
    }
    return model, {"type": "Sequence", "pretokenizers": [split, level]}, level


def char_parts(tokenizer: Any) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]:
    """Model, split and decoder of a character tokenizer."""
    names = [*tokenizer.characters, *(f"<0x{byte:02X}>" for byte in range(256))]
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    model = {
        "vocab": {name: id for id, name in enumerate(names)},
        "merges": [],
        "byte_fallback": True,
    }
    return model, None, decoder


def byte_signs() -> list[str]:
    """(256,) the sign that stands for each byte in a byte-level vocabulary: printable ones for
    themselves.

    >>> signs = byte_signs()
    >>> signs[ord("a")], signs[ord(" ")]
    ('a', 'Ġ')
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = map(chr, itertools.count(256))
    return [chr(byte) if byte in printable else next(others) for byte in range(256)]


def portable(pattern: str) -> str:
    r"""A pattern with `\p{L}` and `\p{N}` spelt out, so that engines with another year's Unicode
    cut alike.

    >>> portable(r"[^\p{N}]")[:12]
    '[^0-9²-³¹¼-¾'
    """
    everything = "".join(
        chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000
    )
    for name in (r"\p{L}", r"\p{N}"):
        runs = regex.findall(f"{name}+", everything)  # neighbours in the code table
        pattern = pattern.replace(
            name, "".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
        )
    return pattern


# -- from theirs to ours --------------------------------------------------------------------------


def from_library(library: str, size: int, begin: int | None = None) -> LibraryTokenizer:
    """The tokenizer in the content of a tokenizer.json, for a model of `size` ids.

    `begin` is the id that its documents begin with; it is then DOCUMENT here. Raises ValueError
    where the content cannot be read, where the `tokenizers` package is missing, or where an id has
    no place in the model.
    """
    content = json.loads(library)
    specials = {
        token["content"]: token["id"] for token in content["added_tokens"] if token["special"]
    }
    plain = {
        token["content"]: token["id"] for token in content["added_tokens"] if not token["special"]
    }
    kinds = {part["type"] for part in parts_of(content["decoder"])}
    pieces = [b""] * size
    for name, id in {**vocabulary(content["model"]), **plain, **specials}.items():
        if not 0 <= id < size:
            raise ValueError(f"token {name!r} has id {id}, but the model has ids 0 to {size - 1}")
        pieces[id] = (
            b"" if name in specials else name.encode() if name in plain else spell(name, kinds)
        )
    if begin is not None:
        specials.setdefault(DOCUMENT, begin)
    return LibraryTokenizer(library, [piece.hex() for piece in pieces], specials)


def vocabulary(model: dict[str, Any]) -> dict[str, int]:
    """Name -> id; Unigram models list their names instead."""
    vocab = model["vocab"]
    return vocab if isinstance(vocab, dict) else {name: id for id, (name, _) in enumerate(vocab)}


def parts_of(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A decoder's parts, or the one that it is."""
    return [] if part is None else part["decoders"] if part["type"] == "Sequence" else [part]


def spell(name: str, kinds: set[str]) -> bytes:
    """The bytes that a vocabulary entry stands for, by the kinds of its decoder.

    >>> (spell("Ġthe", {"ByteLevel"}), spell("▁the", {"Metaspace"}),
    ...  spell("<0x0A>", {"ByteFallback"}))
    (b' the', b' the', b'\\n')
    """
    if "ByteLevel" in kinds:
        if unknown := set(name) - BYTE_OF.keys():
            raise ValueError(f"token {name!r} holds {min(unknown)!r}, which stands for no byte")
        return bytes(BYTE_OF[sign] for sign in name)
    if not kinds & {"ByteFallback", "Metaspace"}:
        names = ", ".join(sorted(kinds)) or "none"
        raise ValueError(
            f"its decoder ({names}) has neither ByteLevel nor ByteFallback nor Metaspace"
        )
    if "ByteFallback" in kinds and regex.fullmatch("<0x[0-9A-F]{2}>", name):
        return bytes.fromhex(name[3:5])
    return (name.replace("▁", " ") if kinds & {"Metaspace", "Replace"} else name).encode()


BYTE_OF = {sign: byte for byte, sign in enumerate(byte_signs())}


def first_id(library: str) -> int | None:
    """The id that a tokenizer.json puts before every text, such as Llama's `<s>`; None where it
    puts nothing there."""
    encoder = open_library(library)
    plain, marked = (encoder.encode("a", add_special_tokens=marks).ids for marks in (False, True))
    return None if marked[: len(plain)] == plain else marked[0]
