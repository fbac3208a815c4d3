"""Tokenizers as a GGUF file keeps them, both ways: a name and a type for each id, and the merges.

Byte-level BPE is llama.cpp's `gpt2`. The pattern that cuts a text into words is known there by a
name, so a tokenizer can be written where its pattern has one. TinyLM's own is GPT-2's.

Characters are llama.cpp's `llama` (SentencePiece): a text is cut into characters, neighbours merge
where the vocabulary holds them as one token, which is never the case here, and what is left over
falls back to bytes. One difference remains: SentencePiece writes a blank as ▁ (U+2581), so a ▁ in
a text is read as a blank. A vocabulary that holds the sign itself is refused.

llama.cpp takes some id for the end of a text where a file names none (11, or 2). So every file
names one. A run whose documents have no mark gets the byte 0xFF, which no text in UTF-8 contains.

Source: llama.cpp, src/llama-vocab.cpp (release v0.5.0).
"""

import json
from dataclasses import dataclass, field
from typing import Any

from tinylm.config import closest
from tinylm.formats.chat import TURN_ENDS
from tinylm.formats.tokenizer_json import portable, to_library, vocabulary
from tinylm.text.bpe import WORD
from tinylm.text.tokenizers import DOCUMENT, Tokenizer

NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 3, 4, 5, 6  # token types
BLANK = "▁"  # how SentencePiece writes a blank
NEVER = b"\xff"

# The words between which merges happen, by the name in `tokenizer.ggml.pre`: regular expressions
# and rules as Hugging Face's tokenizer.json writes them. Sources: the models' own tokenizer files.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = BYTES | {"use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}


def split_by(pattern: str) -> dict[str, Any]:
    """Cut at a pattern, then spell the bytes."""
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, BYTES]}


PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": GPT2,
    "default": GPT2,
    "smollm": {"type": "Sequence", "pretokenizers": [DIGITS, GPT2]},  # every digit alone
    "llama-bpe": split_by(LLAMA3),
    "qwen2": split_by(QWEN2),
}
BEGINS = ("llama-bpe",)  # llama.cpp puts `bos` first here, where the file does not say otherwise


# -- to a file ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about a tokenizer."""

    model: str  # gpt2: byte-level BPE; llama: SentencePiece
    pre: str  # the name of the pattern that cuts a text into words
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)


def gguf_vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """The tokenizer for llama.cpp, which then encodes as `tokenizer` does (header: one exception).

    ValueError in one line where llama.cpp has no such tokenizer.
    """
    content = to_library(tokenizer)
    names, types = names_and_types(content, tokenizer.vocab_size)
    model = content["model"]
    if is_characters(content):
        return characters(names, types)
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise ValueError("llama.cpp gets byte-level BPE or characters; this tokenizer is neither")
    pre = pre_tokenizer_name(content)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return Vocabulary("gpt2", pre, names, types, merges)


def names_and_types(content: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """The name and the type of each of `size` ids."""
    # A model may have more rows than its tokenizer has tokens.
    names, types = [f"[PAD{id}]" for id in range(size)], [UNUSED] * size
    for name, id in vocabulary(content["model"]).items():
        names[id], types[id] = name, NORMAL
    for token in content["added_tokens"]:
        # A control token is the program's: its name in a text stays text.
        names[token["id"]] = token["content"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    return names, types


def is_characters(content: dict[str, Any]) -> bool:
    """Whether a tokenizer.json is a character tokenizer of TinyLM."""
    model, parts = content["model"], ("normalizer", "pre_tokenizer")
    plain = model["type"] == "BPE" and not model["merges"] and model.get("byte_fallback")
    return bool(plain) and not any(content.get(part) for part in parts)


def characters(names: list[str], types: list[int]) -> Vocabulary:
    """SentencePiece without a token of two characters."""
    if BLANK in names:
        raise ValueError(f"llama.cpp takes {BLANK} (U+2581) for a blank, but it is a token here")
    # A blank that was never seen in training falls back to its byte.
    blank = names.index(" ") if " " in names else names.index("<0x20>")
    is_byte = [len(name) == 6 and name.startswith("<0x") for name in names]
    types = [BYTE if byte and kind == NORMAL else kind for byte, kind in zip(is_byte, types)]
    names[blank], types[blank] = BLANK, NORMAL
    return Vocabulary("llama", "default", names, types)


def pre_tokenizer_name(content: dict[str, Any]) -> str:
    """llama.cpp's name of the way in which a tokenizer.json cuts words."""
    model, cut = content["model"], essence(content["pre_tokenizer"])
    own = essence({"type": "Split", "pattern": {"Regex": portable(WORD.pattern)}})
    known = {name: essence(rule) for name, rule in PRE_TOKENIZERS.items() if name != "default"}
    name = next((name for name, rule in known.items() if rule == cut), None)
    name = "gpt-2" if cut == own else name
    if name is None:
        raise ValueError(f"it cuts words in a way that has no name here: {', '.join(known)}")
    if bool(model.get("ignore_merges")) != (name == "llama-bpe"):
        raise ValueError(f"ignore_merges = {model['ignore_merges']} is not what {name} has")
    return name


def essence(rule: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """What decides where a pre-tokenizer cuts, as a list of steps.

    >>> essence(PRE_TOKENIZERS["smollm"])
    [('Digits', True), ('ByteLevel', None)]
    """
    steps: list[tuple[str, Any]] = []
    for part in (rule or {}).get("pretokenizers", [rule] if rule else []):
        kind = part["type"]
        if kind == "ByteLevel" and not part["use_regex"]:
            continue  # only spells bytes
        prefix = part.get("add_prefix_space") or None  # GPT-2 has none
        detail = {"Split": part.get("pattern"), "Digits": part.get("individual_digits")}
        steps.append((kind, detail.get(kind, prefix)))
    return steps


def special_ids(tokenizer: Tokenizer, chat: bool) -> dict[str, int]:
    """The ids that begin a text and end it: `bos`, `eos`, `unk`; fewer where there are none."""
    never = next(
        (i for i in range(tokenizer.vocab_size) if tokenizer.token_bytes(i) == NEVER), None
    )
    begin = tokenizer.special_ids.get(DOCUMENT, never)
    end = next((name for name in TURN_ENDS if chat and name in tokenizer.specials), None)
    ids = {"bos": begin, "eos": tokenizer.special_ids[end] if end else begin, "unk": never}
    return {kind: id for kind, id in ids.items() if id is not None}


# -- from a file ----------------------------------------------------------------------------------


def tokenizer_json(metadata: dict[str, Any]) -> str:
    """The tokenizer in a file's metadata as the content of a tokenizer.json."""
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    kind = metadata.get("tokenizer.ggml.model")
    if kind == "gpt2":
        parts = bpe_parts(metadata, tokens)
    elif kind == "llama" and not any(map(is_long, tokens, types)):
        parts = character_parts(tokens)
    else:
        reads = "byte-level BPE ('gpt2') and characters"
        raise ValueError(f"tokenizer {kind!r}: TinyLM reads {reads}")
    added = [
        {"id": id, "content": token, "special": kind == CONTROL, "single_word": False,
         "lstrip": False, "rstrip": False, "normalized": False}
        for id, (token, kind) in enumerate(zip(tokens, types)) if kind in (CONTROL, USER_DEFINED)
    ]  # fmt: skip
    content = {"version": "1.0", "added_tokens": added, "normalizer": None, **parts}
    return json.dumps({**content, "post_processor": begin(metadata)}, ensure_ascii=False)


def bpe_parts(metadata: dict[str, Any], tokens: list[str]) -> dict[str, Any]:
    """Model, pre-tokenizer and decoder of byte-level BPE."""
    pre = metadata.get("tokenizer.ggml.pre", "default")
    if pre not in PRE_TOKENIZERS:
        hint = closest(str(pre), list(PRE_TOKENIZERS))
        raise ValueError(f"pre-tokenizer {pre!r}{hint}; known: {', '.join(PRE_TOKENIZERS)}")
    model = {
        "type": "BPE",
        "vocab": {token: id for id, token in enumerate(tokens)},
        "merges": [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]],
        "ignore_merges": pre == "llama-bpe",
    }
    parts = {"pre_tokenizer": PRE_TOKENIZERS[pre], "decoder": BYTES, "model": model}
    return parts | ({"normalizer": {"type": "NFC"}} if pre == "qwen2" else {})


def is_long(token: str, kind: int) -> bool:
    """Whether a token is text of more than one character, so that neighbours might merge."""
    return kind == NORMAL and len(token) > 1


def character_parts(tokens: list[str]) -> dict[str, Any]:
    """Model, pre-tokenizer and decoder of SentencePiece with characters only."""
    vocab = {" " if token == BLANK else token: id for id, token in enumerate(tokens)}
    model = {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": True}
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    return {"pre_tokenizer": None, "decoder": decoder, "model": model}


def begin(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """The post-processor that puts `bos` before every text, where llama.cpp does."""
    usual = metadata.get("tokenizer.ggml.pre") in BEGINS
    id = metadata.get("tokenizer.ggml.bos_token_id")
    if id is None or not metadata.get("tokenizer.ggml.add_bos_token", usual):
        return None
    name = metadata["tokenizer.ggml.tokens"][id]
    first = {"SpecialToken": {"id": name, "type_id": 0}}
    text, more = ({"Sequence": {"id": part, "type_id": 0}} for part in "AB")
    tokens = {name: {"id": name, "ids": [id], "tokens": [name]}}
    processor = {"type": "TemplateProcessing", "special_tokens": tokens}
    return {**processor, "single": [first, text], "pair": [first, text, more]}
