"""Tokens for the eye: labels for charts, and a tokenizer at work on a text, step by step, as lines
to print.

The slow path, written for reading; its ids are those of the tokenizers themselves, which is tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tinylm.text.bpe import Pair, split_words
from tinylm.text.bpe_training import merge_pair
from tinylm.text.tokenizers import BpeTokenizer, CharTokenizer, Tokenizer, check_unicode

SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}  # white space made visible in labels


def label_bytes(piece: bytes) -> str:
    """Bytes as they can be printed: a sign for white space, a number for controls and for bytes of
    no character.

    >>> label_bytes(b" the"), label_bytes(b"\\n"), label_bytes(b" \\xe2")
    ('␣the', '⏎', '␣<0xE2>')
    """

    def sign(character: str) -> str:
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape hands over a byte of no character
            return f"<0x{code - 0xDC00:02X}>"
        return SIGNS.get(character) or (character if character.isprintable() else f"<U+{code:04X}>")

    return "".join(map(sign, piece.decode("utf-8", "surrogateescape")))


def token_label(tokenizer: Tokenizer, id: int) -> str:
    """One token as it can be printed: "␣the", "⏎", "<0xE2>", the name of a special token.

    A byte of a character tokenizer is always a number: byte 0x41 is not the character A.
    """
    if (
        isinstance(tokenizer, CharTokenizer)
        and 0 <= (byte := int(id) - len(tokenizer.characters)) < 256
    ):
        return f"<0x{byte:02X}>"
    names = (name for name, other in tokenizer.special_ids.items() if other == id)
    # an id without a name: nothing uses it
    return label_bytes(tokenizer.token_bytes(id)) or next(names, f"<{id}>")


def merge_steps(ids: Sequence[int], ranks: Mapping[Pair, int]) -> Iterator[tuple[int, list[int]]]:
    """Encode one word, lowest rank first, and yield (rank, ids so far) after each merge, for a
    learner to watch.

    >>> list(merge_steps(b"aaab", {(97, 97): 0, (97, 98): 1, (256, 257): 2}))
    [(0, [256, 97, 98]), (1, [256, 257]), (2, [258])]
    """
    while known := [(ranks[pair], pair) for pair in pairwise(ids) if pair in ranks]:
        rank, pair = min(known)
        ids = merge_pair(ids, pair, 256 + rank)
        yield rank, ids


def show(tokenizer: Tokenizer, text: str) -> list[str]:
    """Lines for a learner: the pieces of a text and how they came about."""
    if isinstance(tokenizer, BpeTokenizer):
        return [
            line for word in split_words(check_unicode(text)) for line in show_word(tokenizer, word)
        ]
    if isinstance(tokenizer, CharTokenizer):
        return [show_character(tokenizer, character) for character in check_unicode(text)]
    return [f"{token_label(tokenizer, id)} (id {id})" for id in tokenizer.encode(text)]


def show_character(tokenizer: CharTokenizer, character: str) -> str:
    """The token of a character, or the bytes it falls back to.

    >>> show_character(CharTokenizer("ab"), "b"), show_character(CharTokenizer("ab"), "é")
    ('b → b (id 1)', 'é → <0xC3> (id 197) <0xA9> (id 171), not in the vocabulary')
    """
    tokens = " ".join(
        f"{token_label(tokenizer, id)} (id {id})" for id in tokenizer.encode(character)
    )
    known = "" if character in tokenizer.characters else ", not in the vocabulary"
    return f"{label_bytes(character.encode('utf-8'))} → {tokens}{known}"


def show_word(tokenizer: BpeTokenizer, word: str) -> list[str]:
    """One word, and below it every merge at work on it.

    >>> print("\\n".join(show_word(BpeTokenizer([(116, 104), (256, 101)]), "the")))
    word the: t h e
      merge 0, t + h → id 256: th e
      merge 1, th + e → id 257: the
    """
    spelt = word.encode("utf-8")
    lines = [f"word {label_bytes(spelt)}: {' '.join(token_label(tokenizer, id) for id in spelt)}"]
    for rank, ids in merge_steps(spelt, {pair: rank for rank, pair in enumerate(tokenizer.merges)}):
        joined = " + ".join(token_label(tokenizer, id) for id in tokenizer.merges[rank])
        spelling = " ".join(token_label(tokenizer, id) for id in ids)
        lines.append(f"  merge {rank}, {joined} → id {256 + rank}: {spelling}")
    return lines


def unseen_characters(tokenizer: Tokenizer, text: str) -> list[str]:
    """The characters of a text that a character tokenizer did not see in training, each once.

    A model reads them as bytes that it never learned anything about. Byte-pair tokenizers are
    made of bytes: for them there is no such character.
    """
    if not isinstance(tokenizer, CharTokenizer):
        return []
    return sorted(set(text) - set(tokenizer.characters))
