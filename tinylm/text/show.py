"""Watch a tokenizer at work: how a text becomes tokens, step by step, as lines to print.

The slow path, written for reading; its ids are those of the tokenizers themselves, which is tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tinylm.text.bpe import Pair, split_words
from tinylm.text.bpe_training import merge_pair
from tinylm.text.tokenizers import BpeTokenizer, CharTokenizer, Tokenizer, check_unicode, label_bytes


def merge_steps(ids: Sequence[int], ranks: Mapping[Pair, int]) -> Iterator[tuple[int, list[int]]]:
    """Encode one word, lowest rank first, and yield (rank, ids so far) after each merge, for a learner to watch.

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
        return [line for word in split_words(check_unicode(text)) for line in show_word(tokenizer, word)]
    assert isinstance(tokenizer, CharTokenizer)
    return [show_character(tokenizer, character) for character in check_unicode(text)]


def show_character(tokenizer: CharTokenizer, character: str) -> str:
    """The token of a character, or the bytes it falls back to.

    >>> show_character(CharTokenizer("ab"), "b"), show_character(CharTokenizer("ab"), "é")
    ('b → b (id 1)', 'é → <0xC3> (id 197) <0xA9> (id 171), not in the vocabulary')
    """
    tokens = " ".join(f"{tokenizer.label(id)} (id {id})" for id in tokenizer.encode(character))
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
    lines = [f"word {label_bytes(spelt)}: {' '.join(map(tokenizer.label, spelt))}"]
    for rank, ids in merge_steps(spelt, {pair: rank for rank, pair in enumerate(tokenizer.merges)}):
        joined = " + ".join(map(tokenizer.label, tokenizer.merges[rank]))
        lines.append(f"  merge {rank}, {joined} → id {256 + rank}: {' '.join(map(tokenizer.label, ids))}")
    return lines
