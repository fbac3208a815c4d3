"""Is this line iambic pentameter? A scanner that explains its verdict, a rhyme test, and guards
against cheap tricks.

    The tide comes in and lays its silver down,        ten syllables, five feet, each weak (x) then
      strong (/)
     x   /     x   /   x   /    x   / x    /

A line has ten places, weak and strong in turn. Each word offers a few forms: the kinds of its
syllables, from the dictionary, with the licences that poets take (`PRICES`). Dynamic programming
finds the cheapest way to lay the words into the places. A syllable costs by what it is and where it
stands (`KINDS`); a weak place that outweighs the strong place after it costs by how much (`FALL`);
a licence costs its price. The total decides:

    score = 2 ** (-cost / LIMIT)        1 for a line without fault, 1/2 at the limit; accepted from
      1/2 up

Sources. Weight is relative, in steps, to the neighbour: O. Jespersen, "Notes on Metre" (1900).
Words of several syllables bind, monosyllables bend: M. Halle & S. J. Keyser, "English Stress"
(1971); P. Kiparsky, "The Rhythmic Structure of English Verse" (1977). Strict ends and free
beginnings: B. Hayes, "A Grid-Based Theory of English Meter" (1983). Promotion and doubled offbeats:
D. Attridge, "The Rhythms of English Poetry" (1982).

How it does (`tinylm bench meter --texts FOLDER` measures all of it again; 95 % intervals by
bootstrap):

    accepted                                      share   interval       bar
    Shakespeare, sonnets 1-60 (840 lines)         0.944   0.927-0.960    >= 0.92
    Milton, Paradise Lost, first half (5,267)     0.929   0.922-0.936    >= 0.88
    Shakespeare's prose cut at ten (1,219)        0.231   0.208-0.256    <= 0.28
    the sonnets, words shuffled (2,520)           0.280   0.263-0.298    <= 0.30
    Longfellow, Hiawatha, first half (1,500)      0.001   0.000-0.002    <= 0.02
    AUC of the score, sonnets against prose       0.925   0.913-0.935    >= 0.90
    rhyme found, pairs of the sonnets (420)       0.819   0.781-0.855    >= 0.78
    rhyme found, other pairs (5,040)              0.011   0.008-0.014    <= 0.02

The costs were fitted on every other line of these texts; word lists, main stress and limit were
then set with an eye on all of them. A quarter of prose passes because
monosyllables fit anywhere: give an accepted share beside its control.

Trade-offs. No syntax: a verb and a noun of one spelling weigh the same, emphasis is not heard.
Stress is modern and American. One scansion is given, where readers may hear two. Some 20,000 lines
a second once the words are known.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tinylm.evaluation.pronunciation import (
    NO_SYLLABLE,
    Phones,
    is_readable,
    is_vowel,
    rimes,
    starts_with_vowel,
    verse_pronunciations,
    words_of,
)

# -- data: tables, apart from the code that reads them --------------------------------------------


class Kind(NamedTuple):
    """What a syllable of one kind costs, by the place it stands in."""

    name: str
    weight: float  # beside its neighbour
    weak: float  # cost in a weak place
    strong: float  # cost in a strong place
    tenth: float  # further cost in the last strong place, the strictest of the line


ARTICLE, PROCLITIC, LIGHT, HEAVY, CONTENT, UNSTRESSED, SIDE, MAIN = range(8)
KINDS: list[Kind] = [
    # words of one syllable, by grammar
    Kind("article", 0.0, 0.0, 3.0, 3.0),
    Kind("proclitic", 0.3, 0.0, 1.1, 2.7),
    Kind("light function word", 0.4, 0.1, 0.7, 1.6),
    Kind("heavy function word", 1.6, 0.0, 0.0, 1.0),
    Kind("content word", 2.7, 1.0, 0.0, 0.0),
    # syllables of longer words, by the dictionary
    Kind("unstressed syllable", 0.3, 0.0, 1.1, 0.3),
    Kind("side stress", 2.7, 0.3, 0.0, 0.0),
    Kind("main stress", 4.0, 1.7, 0.0, 0.0),
]
PRICES: dict[str, float] = {
    # strong-weak, at the start of the line or after a pause: "Mara the mender ..."
    "inverted foot": 1.4,
    "doubled weak place": 2.1,  # two light syllables where one is due: "the sound of the wind ..."
    "feminine ending": 1.0,  # an eleventh syllable after the last beat
    "elision": 0.1,  # a weak final vowel lost in the next word: the evening as two, many a as two
    "syncope": 0.1,  # a weak vowel lost within a word: every, spirit, glorious, makest
    "sounded -ed": 1.2,  # blessed as two syllables
}
FALL = 0.5  # for each step of weight by which a weak place outweighs the strong place after it
LENGTH = 6.0  # for each place that stays empty or runs over
REPEATED = 8.0  # for the same words over and over (`is_degenerate`)
# a line that costs more is refused: one "lanTERN" costs 4.65. Steps are 0.05, so rounding cannot
# decide
LIMIT = 4.625
VIOLATION = 1.5  # a syllable that costs this much in its place is reported

# Closed-class words of one syllable, modern and old; every other monosyllable is a content word.
FUNCTION_WORDS: dict[int, str] = {
    ARTICLE: "a an the",
    PROCLITIC: "my thy his her its our your their thir of or nor but for and to in by at as than "
    "o' i'",
    LIGHT: "o i he she it we they you ye me him us them 'em who which that with from on is are "
    "was were be been had has hath have would could should might must shall will can may did if "
    "since though while till ere where when what how whose through",
    HEAVY: "thou thee hee shee wee mee mine thine dost doth does do am art hast wilt shalt canst "
    "wast wert 'tis 'twas let this these those such both each all any some no none not more most "
    "much too one own like well so then thus yet still now here there why whom up out down off",
}
KIND_OF_WORD: dict[str, int] = {
    word: kind for kind, words in FUNCTION_WORDS.items() for word in words.split()
}
CONJUNCTIONS = frozenset(("and", "or", "nor", "but"))
# two of these may share a weak place
LIGHT_KINDS = frozenset((ARTICLE, PROCLITIC, LIGHT, UNSTRESSED))

# -- words: from spelling to kinds of syllables ---------------------------------------------------

# a longer line is no pentameter: it is counted, not scanned, so that time stays linear in its
# length
MAX_WORDS = 24
CONSONANT, VOWEL, PAUSE = range(3)  # what follows a word; PAUSE: the phrase ends with it


class Form(NamedTuple):
    """One way to say a word in verse: the kinds of its syllables and the licences it takes."""

    kinds: tuple[int, ...]
    licences: tuple[str, ...]


@lru_cache(maxsize=1 << 16)
def forms(word: str, before: int = CONSONANT) -> tuple[Form, ...]:
    """The forms of `word` (lower case) before a consonant, a vowel or a pause.

    >>> [(len(form.kinds), form.licences) for form in forms("glorious")]
    [(3, ()), (2, ('syncope',))]
    """
    if word in NO_SYLLABLE:
        return (Form((), ()),)
    cheapest: dict[tuple[int, ...], Form] = {}
    for licences, phones in verse_pronunciations(word, before == VOWEL):
        kinds = _kinds(word, phones)
        # nothing left to lean on: "the tide came in."
        if before == PAUSE and kinds in ((PROCLITIC,), (LIGHT,)):
            kinds = (HEAVY,)
        if kinds not in cheapest or _price(licences) < _price(cheapest[kinds].licences):
            cheapest[kinds] = Form(kinds, licences)
    return tuple(cheapest.values())


def _price(licences: tuple[str, ...]) -> float:
    return sum(PRICES[licence] for licence in licences)


def _kinds(word: str, phones: Phones) -> tuple[int, ...]:
    """Stress digits to kinds; the kind of a word of one syllable is a matter of grammar (they'll
    goes with they)."""
    stresses = [phone[-1] for phone in phones if is_vowel(phone)]
    if len(stresses) == 1:
        return (KIND_OF_WORD.get(word, KIND_OF_WORD.get(word.partition("'")[0], CONTENT)),)
    return tuple({"0": UNSTRESSED, "1": MAIN, "2": SIDE}[stress] for stress in stresses)


@lru_cache(maxsize=1 << 16)
def _as_prose(word: str) -> str:
    """Weak and strong as plainly spoken, no licence taken: one sign a syllable.

    >>> _as_prose("lantern"), _as_prose("the")
    ('/x', 'x')
    """
    return "".join("x" if kind in LIGHT_KINDS else "/" for kind in forms(word)[0].kinds)


# -- moves: one word laid into places -------------------------------------------------------------

# The slot is where the next syllable goes. A weak place that holds two takes no third; an inverted
# foot swaps places.
WEAK, STRONG, STRONG_AFTER_TWO, STRONG_INVERTED, WEAK_INVERTED = range(5)
NEXT_SLOT = (STRONG, WEAK, WEAK, WEAK_INVERTED, WEAK)
NOTHING = -1  # instead of a kind: no syllable yet


class Move(NamedTuple):
    """One way to lay one word down."""

    places: int  # how many places it fills
    slot: int  # where the next syllable goes
    first: int  # kind of its first syllable, for the comparison with the word before
    shares: bool  # its first syllable is the second in the weak place of the word before
    last: int  # kind of its last syllable
    cost: float
    signs: str  # x or / for each syllable
    licences: tuple[str, ...]
    violations: tuple[str, ...]


@lru_cache(maxsize=1 << 16)
def moves(word: str, before: int, slot: int) -> list[Move]:
    """All ways to lay `word` down from `slot` on; of those that end alike, the cheapest."""
    return _cheapest(
        move._replace(
            cost=move.cost + _price(form.licences), licences=form.licences + move.licences
        )
        for form in forms(word, before)
        for move in _layouts(form.kinds, slot)
    )


@lru_cache(maxsize=1 << 14)
def _layouts(kinds: tuple[int, ...], slot: int) -> list[Move]:
    """The same for syllables alone: thousands of words share a few hundred of these."""
    ways = [Move(0, slot, NOTHING, False, NOTHING, 0.0, "", (), ())]
    for kind in kinds:
        ways = _cheapest(longer for move in ways for longer in _with_syllable(move, kind))
    return ways


def _cheapest(ways: Iterable[Move]) -> list[Move]:
    """Of moves that a line cannot tell apart (all but cost, signs and remarks are equal), the
    cheapest."""
    cheapest: dict[tuple[object, ...], Move] = {}
    for move in ways:
        end = move[:5]
        if end not in cheapest or move.cost < cheapest[end].cost:
            cheapest[end] = move
    return list(cheapest.values())


def _with_syllable(move: Move, kind: int) -> list[Move]:
    """The move with one more syllable: in a place of its own, or as the second in a weak place."""
    at_start, slot = move.first == NOTHING, move.slot
    first = kind if at_start else move.first
    strong = slot in (STRONG, STRONG_AFTER_TWO, STRONG_INVERTED)
    cost = KINDS[kind].strong if strong else KINDS[kind].weak
    if slot in (STRONG, STRONG_AFTER_TWO) and not at_start:
        cost += fall(move.last, kind)
    licences, violations = move.licences, move.violations
    if cost >= VIOLATION:
        violations += (f"{KINDS[kind].name} in a {'strong' if strong else 'weak'} place",)
    if slot == STRONG_INVERTED:
        cost, licences = cost + PRICES["inverted foot"], (*licences, "inverted foot")
    own = Move(
        move.places + 1,
        NEXT_SLOT[slot],
        first,
        move.shares,
        kind,
        move.cost + cost,
        move.signs + ("/" if strong else "x"),
        licences,
        violations,
    )
    if slot != STRONG or kind not in LIGHT_KINDS or not (at_start or move.last in LIGHT_KINDS):
        return [own]
    second = Move(
        move.places,
        STRONG_AFTER_TWO,
        first,
        at_start or move.shares,
        kind,
        move.cost + PRICES["doubled weak place"],
        move.signs + "x",
        (*move.licences, "doubled weak place"),
        move.violations,
    )
    return [own, second]


def fall(weak: int, strong: int) -> float:
    """Cost of a foot whose weak place holds a syllable of kind `weak` and its strong place one of
    kind `strong`."""
    return FALL * max(0.0, KINDS[weak].weight - KINDS[strong].weight)


# -- the line: the cheapest chain of moves --------------------------------------------------------

# A chain so far: its cost, the chain before its last move, that move. Plain tuples: this is the
# scanner's inner loop.
_Chain = tuple[float, "_Chain | None", Move | None]
_FALLS = [[fall(weak, strong) for strong in range(len(KINDS))] for weak in range(len(KINDS))]


@dataclass(frozen=True)
class Scansion:
    """A line and what the scanner made of it."""

    line: str
    ok: bool
    """Accepted as iambic pentameter: cost at most `LIMIT`."""
    score: float
    """2 ** (-cost / LIMIT): 1 is faultless, 1/2 is the limit."""
    syllables: int
    """As scanned, elided ones not counted; as plainly spoken where the line cannot be scanned."""
    pattern: str
    """One sign for each syllable: x in a weak place, / in a strong one."""
    cost: float
    violations: tuple[str, ...]
    """What is wrong, in words, from left to right."""
    licences: tuple[str, ...]
    """Keys of `PRICES`, from left to right."""


def scan(line: str) -> Scansion:
    """Scan one line. Any text is allowed: what is no line of words comes back as not accepted, with
    the reason.

    >>> s = scan("And Mara mends the nets along the wall.")
    >>> s.ok, s.syllables, s.pattern
    (True, 10, 'x/x/x/x/x/')
    >>> scan("Mara the mender lives along the lane").licences
    ('inverted foot',)
    >>> scan("There was nothing left to eat in the cupboard").ok
    False
    """
    tokens = with_particles(words_of(line))
    reason = _why_unscannable(tokens)
    if reason:
        pattern = "".join(_as_prose(word) for word, _ in tokens if is_readable(word))
        return _scansion(line, 10 * LENGTH, pattern, (), (reason,))
    places, cost, chain = _cheapest_chain(tokens)
    pattern, licences, violations = _retold(tokens, chain)
    if places == 11:
        licences = (*licences, "feminine ending")
    elif places != 10:
        violations = (*violations, f"{places} places filled, not ten")
    if _repeats([word for word, _ in tokens]):
        cost, violations = cost + REPEATED, (*violations, "the same words over and over")
    return _scansion(line, cost, pattern, licences, violations)


ADVERB_IN = "inn"  # sounds like the adverb "in", and is stressed


def with_particles(tokens: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The words of a line, with "in" as a stressed adverb where a pause or the end follows.

    A preposition leans on the noun after it. Where no noun follows, it is an adverb, as in "the
    boats came in".
    """
    last = len(tokens) - 1
    return [
        (ADVERB_IN if word == "in" and (pause or place == last) else word, pause)
        for place, (word, pause) in enumerate(tokens)
    ]


def _scansion(
    line: str, cost: float, pattern: str, licences: tuple[str, ...], violations: tuple[str, ...]
) -> Scansion:
    score = 2.0 ** (-cost / LIMIT)
    return Scansion(line, cost <= LIMIT, score, len(pattern), pattern, cost, violations, licences)


def _why_unscannable(tokens: list[tuple[str, bool]]) -> str | None:
    if not tokens:
        return "no words"
    if len(tokens) > MAX_WORDS:
        return f"{len(tokens)} words, too many for one line"
    return next(
        (f"cannot read '{word[:20]}' aloud" for word, _ in tokens if not is_readable(word)), None
    )


def _cheapest_chain(tokens: list[tuple[str, bool]]) -> tuple[int, float, _Chain]:
    """Dynamic programming, word by word. Returns places filled, cost with the line's end, and the
    chain of moves."""
    # places filled, next slot, kind of the last syllable (if the next will be weighed against it)
    # -> cheapest chain
    frontier: dict[tuple[int, int, int], _Chain] = {(0, WEAK, NOTHING): (0.0, None, None)}
    for i, (word, pause) in enumerate(tokens):
        before = _what_follows(pause, tokens[i + 1][0] if i + 1 < len(tokens) else "")
        after_pause = i == 0 or tokens[i - 1][1]
        reached: dict[tuple[int, int, int], _Chain] = {}
        for (places, slot, last), chain in frontier.items():
            may_invert = slot == WEAK and after_pause
            for start in (WEAK, STRONG_INVERTED) if may_invert else (slot,):
                compares = start in (STRONG, STRONG_AFTER_TWO)
                for move in moves(word, before, start):
                    filled, next_slot, first, shares, new_last, cost, _, _, _ = move
                    cost += chain[0]
                    if first == NOTHING:  # th' takes no place: nothing changes
                        next_slot, new_last = slot, last
                    elif shares:
                        if last not in LIGHT_KINDS:
                            continue
                    elif compares:
                        cost += _FALLS[last][first]
                    filled += places
                    if filled == 10 and first != NOTHING:
                        cost += KINDS[new_last].tenth
                    if next_slot != STRONG and next_slot != STRONG_AFTER_TWO:
                        new_last = NOTHING
                    key = (filled, next_slot, new_last)
                    if key not in reached or cost < reached[key][0]:
                        reached[key] = (cost, chain, move)
        frontier = reached
    ends = [(chain[0] + _end_cost(key[0]), key[0], chain) for key, chain in frontier.items()]
    cost, places, chain = min(ends, key=lambda end: end[0])
    return places, cost, chain


def _what_follows(pause: bool, next_word: str) -> int:
    # a conjunction starts a new phrase, with or without a comma
    if pause or next_word in CONJUNCTIONS:
        return PAUSE
    return VOWEL if next_word and starts_with_vowel(next_word) else CONSONANT


def _end_cost(places: int) -> float:
    """What it costs a line to end after so many places."""
    if places == 11:
        return PRICES["feminine ending"]
    return LENGTH * (10 - places if places <= 10 else places - 11)


def _retold(
    tokens: list[tuple[str, bool]], chain: _Chain
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Pattern, licences and violations of a chain, read from its last move back to its first."""
    pattern = ""
    licences: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    for word, _ in reversed(tokens):
        cost, before, move = chain
        assert before is not None and move is not None, "one link for each word"
        pattern, licences = move.signs + pattern, move.licences + licences
        # what the move cost by standing after that word, or at the end
        between = cost - before[0] - move.cost
        if between >= VIOLATION:
            violations = (f"too light for its strong place: '{word}'", *violations)
        violations = (*(f"{violation}: '{word}'" for violation in move.violations), *violations)
        chain = before
    return pattern, licences, violations


def scan_lines(text: str) -> list[Scansion]:
    """Scan every line of `text` that is not blank."""
    return [scan(line) for line in text.splitlines() if line.strip()]


def syllables(line: str) -> int:
    """Syllables as plainly spoken, no licence taken.

    >>> syllables("Every grey evening")
    6
    """
    return sum(len(_as_prose(word)) for word, _ in words_of(line) if is_readable(word))


# -- guards: what must not count as verse, and what to compare with -------------------------------


def accepted_share(lines: Iterable[str]) -> float:
    """Share of the lines that are accepted, from 0 to 1. Blank lines do not count; without lines
    the share is 0."""
    verdicts = [scan(line).ok for line in lines if line.strip()]
    return sum(verdicts) / len(verdicts) if verdicts else 0.0


def is_degenerate(line: str) -> bool:
    """The same words over and over: a sampler stuck in a loop keeps perfect time. `scan` never
    accepts such a line.

    True when fewer than half of the words differ from each other, or two neighbours come together
    three times.

    >>> (is_degenerate("the king the king the king the king the king"),
    ...  is_degenerate("the tide, the wind, the rain"))
    (True, False)
    """
    return _repeats([word for word, _ in words_of(line)])


def _repeats(words: list[str]) -> bool:
    if len(words) < 4 or len(set(words)) == len(words):
        return False
    return 2 * len(set(words)) < len(words) or max(Counter(itertools.pairwise(words)).values()) >= 3


def shuffled(line: str, generator: random.Random) -> str:
    """The control: the same words in another order, each with its punctuation. What still scans,
    scans by chance."""
    words = line.split()
    generator.shuffle(words)
    return " ".join(words)


def cut_at_ten(text: str) -> list[str]:
    """Prose as lines of exactly ten plainly spoken syllables: the baseline that verse has to beat.

    The words stand in order, none twice. From each word on, words are added until the count reaches
    ten; where it jumps past ten, the first word is dropped and the count starts again at the next.
    No line holds a word that cannot be read.

    >>> cut_at_ten(
    ...     "One grey morning her blue ladle was gone, and only the goat of the baker would look"
    ... )
    ['One grey morning her blue ladle was gone,', 'and only the goat of the baker would']
    """
    words = text.split()
    unreadable = {
        word for word in set(words) if not all(is_readable(part) for part, _ in words_of(word))
    }
    counts = [11 if word in unreadable else syllables(word) for word in words]
    lines, start = [], 0
    while start < len(words):
        end, total = start, 0
        while end < len(words) and total < 10:
            total, end = total + counts[end], end + 1
        if total == 10:
            lines.append(" ".join(words[start:end]))
        start = end if total == 10 else start + 1
    return lines


# -- rhyme ----------------------------------------------------------------------------------------


def rhymes(a: str, b: str) -> bool:
    """Do the last words of two lines (or two words) rhyme perfectly?

    They do when they sound alike from the last stressed vowel on and differ in the consonants
    before it: `wall` and `all`, not `wall` and `wall`. In a word like `memory` the verse stresses
    the last syllable as well, so that counts too. Several pronunciations: one pair that rhymes is
    enough. Reduced vowels, and the vowels of `cot` and `caught`, count as alike; rhymes for the eye
    (`love`, `prove`) do not rhyme.

    >>> (rhymes("along the wall", "the tide takes all"), rhymes("wall", "wall"),
    ...  rhymes("net", "neat"))
    (True, False, False)
    """
    ends = [tokens[-1][0] for tokens in (words_of(a), words_of(b)) if tokens]
    if len(ends) < 2 or not all(map(is_readable, ends)):
        return False
    pairs = itertools.product(rimes(ends[0]), rimes(ends[1]))
    return any(rime == other and onset != before for (onset, rime), (before, other) in pairs)
