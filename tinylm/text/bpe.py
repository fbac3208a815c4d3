"""Byte-pair encoding: how a vocabulary is learnt from text, and how it then cuts text into tokens.

Start from the 256 bytes, so that any text can be written. Join the pair of neighbours that occurs most often into a new
token, again and again: "t" + "h" gives "th", "th" + "e" gives "the". The list of these merges, in the order in which
they were learnt, *is* the tokenizer. Read on in three steps: the reference trainer, which recounts everything after
each merge; the fast trainer, which updates the counts that a merge touches; the encoder. The slow ones test the fast.

Trade-offs: no token crosses a word, so "dog." and "dog!" share "dog", and the work is done once per different word;
scripts without blanks have long words. Where the literature leaves a choice: the highest count wins, then the smallest
pair of ids, and a pair must occur twice. No two merges spell the same token: bytes between two ends of tokens are cut
in one way only, wherever they stand. Sources: Gage, "A New Algorithm for Data Compression" (1994);
Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016); GPT-2 (Radford et al., 2019).
"""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

import regex

Pair = tuple[int, int]
BYTES = [bytes([byte]) for byte in range(256)]
LARGEST_VOCABULARY = 2**26  # bytes of all tokens together; 60 merges in a hostile file could ask for 2**60

WORD = regex.compile(  # GPT-2's pattern; its alternatives stand in the order of the fastest search
    r" ?[\p{L}]+"  # letters, with the blank before them
    r"|'(?:[sdmt]|ll|ve|re)"  # English endings
    r"| ?[\p{N}]+"  # digits of any script
    r"| ?[^\s\p{L}\p{N}]+"  # punctuation and all other signs
    r"|\s+(?!\S)|\s+"  # white space, except the one blank that belongs to the next word
)
# The same for texts without any other sign, by Python's own `re`: the whole encoding gains a factor of 1.5.
ASCII_WORD = re.compile(WORD.pattern.replace(r"\p{L}", "A-Za-z").replace(r"\p{N}", "0-9"), re.ASCII)
WORD_END = regex.compile(r"(?<=\S)(?=\s)")  # no word goes on from a non-space into a space


def split_words(text: str) -> list[str]:
    """Cut a text into the words inside which merges take place; joined together they are the text again.

    >>> split_words("Mara's ladle,  3 nets")
    ['Mara', "'s", ' ladle', ',', ' ', ' 3', ' nets']
    """
    return (ASCII_WORD if text.isascii() else WORD).findall(text)


def stretches(text: str, size: int = 2**20) -> Iterator[str]:
    """Cut a long text at ends of words, about every `size` characters, to bound memory; its words stay the same.

    >>> list(stretches("the tide comes in", size=5))
    ['the tide', ' comes', ' in']
    """
    start = 0
    while end := WORD_END.search(text, start + size):
        yield text[start : end.start()]
        start = end.start()
    yield text[start:]


# ---- The reference: slow and clear ----


def merge_pair(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Replace every occurrence of `pair` by `new_id`, from left to right.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]
    """
    merged: list[int] = []
    place = 0
    while place < len(ids):
        found = tuple(ids[place : place + 2]) == pair
        merged.append(new_id if found else ids[place])
        place += 2 if found else 1
    return merged


def train_bpe_reference(text: str, n_merges: int) -> list[Pair]:
    """Learn merges by recounting every pair of the text after each merge: far too slow for a book.

    >>> train_bpe_reference("aaabdaaabac", 10)   # aa -> 256, ab -> 257, then these two -> 258; no other pair is left
    [(97, 97), (97, 98), (256, 257)]
    """
    words = [list(word.encode("utf-8")) for word in split_words(text)]
    merges: list[Pair] = []
    while len(merges) < n_merges:
        counts = Counter(pair for ids in words for pair in pairwise(ids))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        merges.append(best)
        words = [merge_pair(ids, best, 255 + len(merges)) for ids in words]
    return merges


def merge_steps(ids: Sequence[int], ranks: Mapping[Pair, int]) -> Iterator[tuple[int, list[int]]]:
    """Encode one word, lowest rank first, and yield (rank, ids so far) after each merge, for a learner to watch.

    >>> list(merge_steps(b"aaab", {(97, 97): 0, (97, 98): 1, (256, 257): 2}))
    [(0, [256, 97, 98]), (1, [256, 257]), (2, [258])]
    """
    while known := [(ranks[pair], pair) for pair in pairwise(ids) if pair in ranks]:
        rank, pair = min(known)
        ids = merge_pair(ids, pair, 256 + rank)
        yield rank, ids


def spell_tokens(merges: Iterable[Pair]) -> list[bytes]:
    """The bytes of every token: 256 single bytes, then one token per merge. ValueError where a merge is impossible."""
    tokens, taken, total = list(BYTES), set(BYTES), 0
    for number, (left, right) in enumerate(merges):
        if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
            raise ValueError(f"merge {number} joins ids {left} and {right}; before it 0 to {len(tokens) - 1} exist")
        total += len(tokens[left]) + len(tokens[right])
        if total > LARGEST_VOCABULARY:
            raise ValueError(f"with merge {number} the tokens grow beyond {LARGEST_VOCABULARY:,} bytes in all")
        tokens.append(tokens[left] + tokens[right])
        if tokens[-1] in taken:
            raise ValueError(f"merge {number} spells a token that exists already: {tokens[-1][:40]!r}")
        taken.add(tokens[-1])
    return tokens


# ---- The fast trainer and encoder ----
#
# Both lay the bytes out in fixed slots and never move them. A token's id stands in its first and in its last slot, so
# both neighbours are found in one step: the slot before its start, the slot at its start + its length. EMPTY stands
# between words and where a swallowed token started; other slots inside a token are never looked at.
#
#     spelt      t     h     e      y
#     t + h      th    th    e      y
#     e + y      th    th    ey     ey
#     th + ey    they  th    EMPTY  they

EMPTY = -1


def join(slots: MutableSequence[int], tokens: Sequence[bytes], start: int, pair: Pair, new: int) -> Pair | None:
    """Join `pair` at slot `start`; return the ids before and after it, or None if it no longer stands there."""
    middle = start + len(tokens[pair[0]])
    if slots[start] != pair[0] or slots[middle] != pair[1]:
        return None
    end = middle + len(tokens[pair[1]])
    slots[middle] = EMPTY
    slots[start] = slots[end - 1] = new
    return slots[start - 1], slots[end]


class PairIndex:
    """Every different word once, with the count and the places of each pair, kept up to date by `merge`."""

    def __init__(self, words: Mapping[str, int]) -> None:
        self.slots, self.weights = array("i", [EMPTY]), array("q", [0])  # ids; how often the word at this slot occurs
        self.counts: defaultdict[Pair, int] = defaultdict(int)
        self.places: defaultdict[Pair, array[int]] = defaultdict(lambda: array("q"))  # slots where it starts, rising
        for word, weight in words.items():
            spelt = word.encode("utf-8")
            for start, pair in enumerate(pairwise(spelt), len(self.slots)):
                self.counts[pair] += weight
                self.places[pair].append(start)
            self.slots.extend((*spelt, EMPTY))
            self.weights.extend([weight] * (len(spelt) + 1))

    def merge(self, pair: Pair, tokens: Sequence[bytes]) -> set[Pair]:
        """Join `pair` into the last of `tokens` wherever it stands; return the pairs that this created."""
        counts, new, created = self.counts, len(tokens) - 1, set()
        for start in self.places.pop(pair):
            if around := join(self.slots, tokens, start, pair, new):
                (before, after), weight = around, self.weights[start]
                left_side = (before, pair[0]), (before, new), start - len(tokens[before])
                right_side = (pair[1], after), (new, after), start
                for broken, fresh, place in (left_side, right_side):
                    if EMPTY not in fresh:
                        counts[broken] -= weight
                        counts[fresh] += weight
                        self.places[fresh].append(place)
                        created.add(fresh)
        return created


def train_bpe(chunks: str | Iterable[str], n_merges: int) -> list[Pair]:
    """Learn at most `n_merges` merges, fewer where no pair occurs twice; the same list as `train_bpe_reference`.

    `chunks` is a text or an iterable of texts (documents); words never cross from one to the next. Time and memory (80
    bytes per byte) grow with the different words only and almost linearly, also for one endless word.

    >>> train_bpe(["aaabd", "aaabac"], 10)
    [(97, 97), (97, 98), (256, 257)]
    """
    words: Counter[str] = Counter()
    for chunk in [chunks] if isinstance(chunks, str) else chunks:
        for part in stretches(chunk):
            words.update(split_words(part))
    index, tokens = PairIndex(words), list(BYTES)
    # A pair is created during one merge only, that of its newer id. Afterwards its count can only fall, so a count in
    # the heap may be too high, never too low: a pair that comes up with an old count goes back with the true one.
    heap = [(-count, pair) for pair, count in index.counts.items()]
    heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        noted, pair = heappop(heap)
        if (count := index.counts[pair]) != -noted:
            heappush(heap, (-count, pair))
        elif count >= 2:
            merges.append(pair)
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
            for created in index.merge(pair, tokens):
                heappush(heap, (-index.counts[created], created))
    return merges


class WordEncoder(dict[str, bytes]):
    """word -> its ids, packed as machine integers ("H": 16 bits, "I": 32); a missing word is encoded on first sight.

    A text repeats its words, so most of the work is looking up. Long words are not kept and a full dictionary is
    emptied: it stays below about 20 MB.
    """

    WORDS, LONGEST = 2**16, 48  # words kept; characters of the longest word kept

    def __init__(self, merges: Sequence[Pair], typecode: str) -> None:
        self.merges, self.tokens, self.typecode = merges, spell_tokens(merges), typecode
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}

    def __missing__(self, word: str) -> bytes:
        packed = array(self.typecode, self.merge(word.encode("utf-8"))).tobytes()
        if len(word) <= self.LONGEST:
            if len(self) >= self.WORDS:
                self.clear()
            self[word] = packed
        return packed

    def merge(self, spelt: bytes) -> list[int]:
        """The ids of one word: the earliest learnt pair first, from the left. O(n log n), also for "aaaa..."."""
        slots, tokens, ranks = [EMPTY, *spelt, EMPTY], self.tokens, self.ranks
        waiting = [(ranks[pair], start) for start, pair in enumerate(pairwise(slots)) if pair in ranks]
        heapify(waiting)
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
