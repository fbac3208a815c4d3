"""Byte-pair encoding: how a list of merges cuts text into tokens. How the list is learned:
bpe_training.py.

Start from the 256 bytes, so that any text can be written. Each merge joins a pair of neighbours
into a new token: "t" + "h" gives "th", "th" + "e" gives "the". Merges apply inside words, the
earliest learned first. explain.py shows each step.

Trade-off: no token crosses a word, so "dog." and "dog!" share "dog", and the work is done once per
different word; scripts without blanks have long words. Sources: Sennrich et al., "Neural Machine
Translation of Rare Words with Subword Units" (2016); the split into words is that of GPT-2 (Radford
et al., 2019).
"""

import re
from array import array
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

import regex

Pair = tuple[int, int]
BYTES = [bytes([byte]) for byte in range(256)]
# Bytes of all tokens together. Each merge can double a token: 60 of them could ask for 2**60.
LARGEST_VOCABULARY = 2**26

# GPT-2's pattern; its alternatives stand in the order of the fastest search.
WORD = regex.compile(
    r" ?[\p{L}]+"  # letters, with the blank before them
    r"|'(?:[sdmt]|ll|ve|re)"  # English endings
    r"| ?[\p{N}]+"  # digits of any script
    r"| ?[^\s\p{L}\p{N}]+"  # punctuation and all other signs
    r"|\s+(?!\S)|\s+"  # white space, except the one blank that belongs to the next word
)
# The same for texts of ASCII alone, by Python's own `re`: encoding gains a factor of 1.5.
ASCII_WORD = re.compile(WORD.pattern.replace(r"\p{L}", "A-Za-z").replace(r"\p{N}", "0-9"), re.ASCII)
WORD_END = regex.compile(r"(?<=\S)(?=\s)")  # no word goes on from a non-space into a space


def split_words(text: str) -> list[str]:
    """Cut a text into the words inside which merges take place; joined they are the text again.

    >>> split_words("Mara's ladle,  3 nets")
    ['Mara', "'s", ' ladle', ',', ' ', ' 3', ' nets']
    """
    # isascii() looks at a flag of the string and costs nothing.
    return (ASCII_WORD if text.isascii() else WORD).findall(text)


def stretches(text: str, size: int = 2**20) -> Iterator[str]:
    """Cut a long text at ends of words, about every `size` characters, to bound memory.

    >>> list(stretches("the tide comes in", size=5))
    ['the tide', ' comes', ' in']
    """
    start = 0
    while end := WORD_END.search(text, start + size):
        yield text[start : end.start()]
        start = end.start()
    yield text[start:]


def spell_tokens(merges: Iterable[Pair]) -> list[bytes]:
    """The bytes of every token: 256 single bytes, then one token per merge.

    ValueError where a merge is impossible: merges may come from a file of anybody's.
    """
    tokens, known, total = list(BYTES), set(BYTES), 0
    for number, (left, right) in enumerate(merges):
        if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
            ids = f"ids {left} and {right}; before it 0 to {len(tokens) - 1} exist"
            raise ValueError(f"merge {number} joins {ids}")
        token = tokens[left] + tokens[right]
        total += len(token)
        if total > LARGEST_VOCABULARY:
            raise ValueError(f"merge {number}: the tokens grow beyond {LARGEST_VOCABULARY:,} bytes")
        if token in known:
            raise ValueError(f"merge {number} spells a token that exists already: {token[:40]!r}")
        tokens.append(token)
        known.add(token)
    return tokens


# `merge_long` below and the fast trainer in bpe_training.py lay the bytes out in fixed slots and
# never move them. A token's id stands in its first and in its last slot, so both neighbours are
# found in one step: the slot before its start, the slot at its start + its length. EMPTY stands
# between words and where a swallowed token started; other slots inside a token are never looked at.
#
#     spelt      t     h     e      y
#     t + h      th    th    e      y
#     e + y      th    th    ey     ey
#     th + ey    they  th    EMPTY  they

EMPTY = -1
Slots = MutableSequence[int]


def join(slots: Slots, tokens: Sequence[bytes], start: int, pair: Pair, new: int) -> Pair | None:
    """Join `pair` at slot `start`.

    Returns the ids before and after the new token, or None if the pair no longer stands there.
    """
    middle = start + len(tokens[pair[0]])
    if slots[start] != pair[0] or slots[middle] != pair[1]:
        return None
    end = middle + len(tokens[pair[1]])
    slots[middle] = EMPTY
    slots[start] = slots[end - 1] = new
    return slots[start - 1], slots[end]


class WordEncoder(dict[str, bytes]):
    """word -> its ids, packed as machine integers ("H": 16 bits, "I": 32).

    A missing word is encoded on first sight. A text repeats its words, so most of the work is
    looking up. Long words are not kept and a full dictionary is emptied: it stays below 20 MB.
    """

    WORDS, LONGEST = 2**16, 48  # words kept; characters of the longest word kept

    def __init__(self, merges: Sequence[Pair], typecode: str) -> None:
        self.merges, self.tokens, self.typecode = merges, spell_tokens(merges), typecode
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}

    def __missing__(self, word: str) -> bytes:
        # The ids as bytes: a text's ids are then joined without looking at a single one.
        packed = array(self.typecode, self.merge(word.encode("utf-8"))).tobytes()
        if len(word) <= self.LONGEST:
            if len(self) >= self.WORDS:
                self.clear()
            self[word] = packed
        return packed

    def merge(self, spelt: bytes) -> list[int]:
        """The ids of one word: the earliest learned pair first, from the left."""
        # The search below costs the square of the length: nothing for a word, much for a line of a
        # script without blanks, and all day for a file of one letter.
        if len(spelt) > self.LONGEST:
            return self.merge_long(spelt)
        rank_of, none = self.ranks.get, len(self.merges)  # none: no merge joins this pair
        ids = [EMPTY, *spelt, EMPTY]
        ranks = [rank_of(pair, none) for pair in pairwise(ids)]
        while (rank := min(ranks)) < none:
            place, new = ranks.index(rank), 256 + rank
            ids[place : place + 2] = [new]
            del ranks[place]
            # Only the pairs on either side of the new token have changed.
            ranks[place - 1] = rank_of((ids[place - 1], new), none)
            ranks[place] = rank_of((new, ids[place + 1]), none)
        return ids[1:-1]

    def merge_long(self, spelt: bytes) -> list[int]:
        """The same ids in O(n log n), also for "aaaa..."; short words take a third longer so."""
        slots, tokens, ranks = [EMPTY, *spelt, EMPTY], self.tokens, self.ranks
        pairs = enumerate(pairwise(slots))
        waiting = [(ranks[pair], start) for start, pair in pairs if pair in ranks]
        heapify(waiting)  # the earliest merge on top, from the left
        while waiting:
            rank, start = heappop(waiting)
            new = 256 + rank
            if around := join(slots, tokens, start, self.merges[rank], new):
                before, after = around
                if (before, new) in ranks:
                    heappush(waiting, (ranks[before, new], start - len(tokens[before])))
                if (new, after) in ranks:
                    heappush(waiting, (ranks[new, after], start))
        ids, start = [], 1
        while start < len(slots) - 1:
            ids.append(slots[start])
            start += len(tokens[slots[start]])
        return ids
