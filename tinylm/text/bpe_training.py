"""How byte-pair encoding learns its merges from text.

Join the pair of neighbours that occurs most often, again and again; the list of merges, in the
order in which they were learnt, *is* the tokenizer. First the reference, which recounts everything
after each merge; then the fast trainer, which updates only the counts that a merge touches. The
slow one tests the fast one.

Where the literature leaves a choice: the highest count wins, then the smallest pair of ids; a pair
must occur twice. Sources: Gage, "A New Algorithm for Data Compression" (1994); Sennrich et al.
(2016).
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

from tinylm.text.bpe import BYTES, EMPTY, Pair, join, split_words, stretches
from tinylm.text.tokenizers import BpeTokenizer, check_unicode


def merge_pair(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Replace every occurrence of `pair` by `new_id`, from left to right.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]
    """
    # From the left, without overlap: of three equal neighbours the first two are joined.
    merged: list[int] = []
    place = 0
    while place < len(ids):
        matches = tuple(ids[place : place + 2]) == pair
        merged.append(new_id if matches else ids[place])
        place += 2 if matches else 1
    return merged


def train_bpe_reference(text: str, n_merges: int) -> list[Pair]:
    """Learn merges by recounting every pair of the text after each merge.

    The algorithm as it is explained (Sennrich et al. 2016), and far too slow for a book: the tests
    hold the fast one below to the same list. In the example aa becomes 256, ab 257, and then these
    two 258; no other pair is left that occurs twice.

    >>> train_bpe_reference("aaabdaaabac", 10)
    [(97, 97), (97, 98), (256, 257)]
    """
    # A word is a list of its bytes, 0 to 255: these are the first 256 tokens, and need no learning.
    words = [list(word.encode("utf-8")) for word in split_words(text)]
    merges: list[Pair] = []
    while len(merges) < n_merges:
        # 1. Count all pairs of neighbours, inside words only.
        counts = Counter(pair for ids in words for pair in pairwise(ids))
        # 2. Take the most frequent; of equals the one with the lowest ids, so that every platform
        #    learns the same list.
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break  # a pair that occurs once shortens nothing anywhere else
        # 3. Join it everywhere, as a new token with the next id.
        merges.append(best)
        # Ids go on behind the bytes: the first merge becomes 256.
        words = [merge_pair(ids, best, 255 + len(merges)) for ids in words]
    return merges


class PairIndex:
    """Every different word once, with the count and the places of each pair.

    `merge` keeps both up to date: a merge changes only the pairs beside the places where it
    happens, so there is nothing to count anew.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        # All words behind each other in slots (see bpe.py), each slot with the number of times that
        # its word occurs in the text: a word is merged once, and counts as often as it occurs.
        self.slots, self.weights = array("i", [EMPTY]), array("q", [0])
        self.counts: defaultdict[Pair, int] = defaultdict(int)
        # Slots where a pair starts, from left to right.
        self.places: defaultdict[Pair, array[int]] = defaultdict(lambda: array("q"))
        for word, weight in words.items():
            spelt = word.encode("utf-8")
            # `start` is the slot of the pair's left byte, counted over all words.
            for start, pair in enumerate(pairwise(spelt), len(self.slots)):
                self.counts[pair] += weight
                self.places[pair].append(start)
            # An empty slot ends the word, so that no pair reaches into the next one.
            self.slots.extend((*spelt, EMPTY))
            self.weights.extend([weight] * (len(spelt) + 1))

    def merge(self, pair: Pair, tokens: Sequence[bytes]) -> set[Pair]:
        """Join `pair` into the last of `tokens` wherever it stands; the pairs that this created."""
        counts, new, created = self.counts, len(tokens) - 1, set()
        for start in self.places.pop(pair):
            # A place may be out of date: None where an earlier merge has taken one of the two.
            if around := join(self.slots, tokens, start, pair, new):
                (before, after), weight = around, self.weights[start]
                # Joining b c in "a b c d" breaks the pairs ab and cd and makes a(bc) and (bc)d.
                left_side = (before, pair[0]), (before, new), start - len(tokens[before])
                right_side = (pair[1], after), (new, after), start
                for broken, fresh, place in (left_side, right_side):
                    # At the edge of a word there is no neighbour, and so no pair to update.
                    if EMPTY not in fresh:
                        counts[broken] -= weight
                        counts[fresh] += weight
                        self.places[fresh].append(place)
                        created.add(fresh)
        return created


def train_bpe(chunks: str | Iterable[str], n_merges: int) -> list[Pair]:
    """Learn at most `n_merges` merges, fewer where no pair occurs twice.

    The same list as `train_bpe_reference`, fast.

    `chunks` is a text or an iterable of texts (documents); words never cross from one to the next.
    Time and memory (80 bytes per byte) grow with the different words only and almost linearly, also
    for one endless word.

    >>> train_bpe(["aaabd", "aaabac"], 10)
    [(97, 97), (97, 98), (256, 257)]
    """
    # "the" is merged once and weighs as often as it occurs: a book has few different words.
    words: Counter[str] = Counter()
    texts = [chunks] if isinstance(chunks, str) else chunks
    for text in texts:
        # A long text is cut at ends of words first: to split it all at once would take more memory.
        for part in stretches(text):
            words.update(split_words(part))
    index, tokens = PairIndex(words), list(BYTES)
    # A pair is created during one merge only, that of its newer id. Afterwards its count can only
    # fall, so a count in the heap may be too high, never too low: a pair that comes up with an old
    # count goes back with the true one.
    heap = [(-count, pair) for pair, count in index.counts.items()]
    heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        old_count, pair = heappop(heap)  # negative: Python's heap keeps the smallest on top
        if (count := index.counts[pair]) != -old_count:
            heappush(heap, (-count, pair))
        elif count >= 2:
            merges.append(pair)
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
            # Only these pairs can have become more frequent.
            for created in index.merge(pair, tokens):
                heappush(heap, (-index.counts[created], created))
    return merges


def train_bpe_tokenizer(
    chunks: str | Iterable[str], vocab_size: int, specials: Sequence[str] = ()
) -> BpeTokenizer:
    """Learn `vocab_size` - 256 - specials merges from a text or an iterable of texts; ValueError if
    they lack."""
    smallest = 256 + len(specials)
    if vocab_size < smallest:
        parts = f"256 bytes and {len(specials)} special tokens"
        raise ValueError(
            f"vocab_size {vocab_size} is too small: BPE needs at least {smallest} ids, for {parts}"
        )
    # Bytes and special tokens have ids already; what is left over is learned.
    n_merges = vocab_size - smallest
    texts = [chunks] if isinstance(chunks, str) else chunks
    merges = train_bpe(map(check_unicode, texts), n_merges)
    # An error and not a smaller vocabulary: the recipe says how many rows the model has.
    if len(merges) < n_merges:
        advice = "use a longer text"
        if merges:
            advice = f"use vocab_size {smallest + len(merges)} or less, or a longer text"
        problem = f"only {len(merges)} merges were possible in this text"
        raise ValueError(
            f"vocab_size {vocab_size} asks for {n_merges} merges, but {problem}; {advice}"
        )
    return BpeTokenizer(merges, specials)
