"""Is this line iambic pentameter? A scanner that explains its verdict, and a rhyme test.

    The  tide | comes in | and lays | its sil|ver down        ten syllables, five feet, each weak (x) then strong (/)
     x    /   |   x   /  |  x    /  |  x   / | x   /

A line has ten places, weak and strong in turn. Each word offers a few forms: kinds of syllables, from the dictionary,
with the licences poets take (elision, syncope, sounded -ed). Dynamic programming finds the cheapest way to lay the
words into the places. A syllable costs by what it is and where it stands (table `KINDS`), a weak place that outweighs
the strong one after it costs by how much (`FALL`), a licence costs its price (`PRICES`). The total decides:

    score = 2 ** (-cost / LIMIT)        1 for a line without fault, 1/2 at the limit; accepted when cost <= LIMIT

Sources. Relative weight of neighbours, in steps: O. Jespersen, "Notes on Metre" (1900/1933). Words of several
syllables bind, monosyllables bend: M. Halle & S. J. Keyser, "English Stress" (1971); P. Kiparsky, "The Rhythmic
Structure of English Verse" (1977). Strict line ends, free beginnings: B. Hayes, "A Grid-Based Theory of English Meter"
(1983). Promotion, demotion, doubled offbeats: D. Attridge, "The Rhythms of English Poetry" (1982).

Trade-offs: no syntax, so a verb and a noun of one spelling weigh the same, and emphasis is not heard; modern American
stress; prices are round numbers, fitted on alternate lines of the texts below and checked on the others.
"""

import random
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tinylm.evaluation.pronunciation import Phones, is_vowel, pronunciations

# ---- data: tables, apart from the code that reads them -------------------------------------------------------------


class Kind(NamedTuple):
    """What a syllable of one kind costs, by the place it stands in."""

    name: str
    strength: float  # for the comparison with its neighbour
    weak: float  # cost in a weak place
    strong: float  # cost in a strong place
    tenth: float  # further cost in the last strong place, the strictest of the line


ARTICLE, POSSESSIVE, LIGHT, HEAVY, ADVERB, CONTENT, UNSTRESSED, SIDE, MAIN = range(9)
KINDS: list[Kind] = [
    Kind("article", 0.0, 0.0, 1.5, 1.5),
    Kind("possessive", 0.2, 0.0, 1.2, 1.5),
    Kind("light function word", 0.5, 0.0, 0.9, 1.0),
    Kind("heavier function word", 1.5, 0.1, 0.2, 0.6),
    Kind("adverb", 2.0, 0.5, 0.0, 0.0),
    Kind("content word", 2.4, 1.0, 0.0, 0.0),
    Kind("unstressed syllable", 0.2, 0.0, 1.2, 0.0),
    Kind("side stress", 2.6, 0.4, 0.0, 0.0),
    Kind("main stress", 3.6, 0.8, 0.0, 0.0),
]

FALL = 0.5  # each step by which a weak place outweighs the strong place after it
LIMIT = 4.4  # accepted up to this cost
LENGTH = 6.0  # each syllable that the line has too many or too few
REPEATED = 8.0  # the same words over and over
UNREADABLE = 8.0  # a number, or a word not in Latin letters
PAUSED = 0.3   # share
PRICES = {
    "inverted foot": 1.2,  # strong-weak at the start of the line or after a pause: "Mara the mender ..."
    "doubled weak place": 1.9,  # two light syllables where one is due: "and to the | ..."
    "feminine ending": 0.8,  # an eleventh syllable, weak, after the last beat
    "elision": 0.6,  # a final vowel lost in the next: the (e)vening, many a
    "syncope": 0.2,  # a weak vowel lost within: ev'ry, glorious as two, heaven as one
    "sounded -ed": 1.0,  # blessed as two syllables
}

# Closed-class words of one syllable, by grammar; every other monosyllable is a content word.
FUNCTION_WORDS: dict[int, str] = {
    ARTICLE: "a an the",
    POSSESSIVE: "my thy his her its our your their thir it no some nor or",
    LIGHT: "i he she we they you ye us him them me who hee shee wee mee and but as if though that for to of at by in "
    "with on from be are is am was were been hath has had have than o i' o' 'em 't th' can shall",
    HEAVY: "this these those not what which where when how why whose whom thou thee will would should could may might "
    "must did doth does dost hast till while whilst since ere so too art wilt shalt canst mine thine more most such "
    "each both 'tis 'twas let",
    ADVERB: "all now here there then thus yet still up out off down well much like one own do none once oft else "
    "any through round",
}
KIND_OF_WORD = {word: kind for kind, words in FUNCTION_WORDS.items() for word in words.split()}

# ---- from here on: code --------------------------------------------------------------------------------------------

LIGHT_KINDS = frozenset((ARTICLE, POSSESSIVE, LIGHT, UNSTRESSED))  # two of these may share a weak place
NO_SYLLABLE = frozenset(("th'", "t'", "'t", "'s", "'d", "'st"))  # lean on a neighbour: th' upright, is 't
H_DROPPERS = frozenset("he his him her had hath have hast humble".split())
MAX_WORDS = 24  # a longer line is not pentameter; it is counted, not scanned (keeps the time linear)


@dataclass(frozen=True)
class Scansion:
    """One line and what the scanner made of it."""

    line: str
    ok: bool
    """Accepted as iambic pentameter: cost <= LIMIT."""
    score: float
    """2 ** (-cost / LIMIT), from 1 (no fault) towards 0."""
    syllables: int
    """As scanned: after elisions, before none."""
    pattern: str
    """One sign a syllable, x weak and / strong, as placed."""
    cost: float
    violations: tuple[str, ...]
    """What was wrong, in words."""
    licences: tuple[str, ...]
    """Names from `PRICES`, in order of use."""


class Form(NamedTuple):
    """One way to say a word in verse."""

    kinds: tuple[int, ...]  # of its syllables
    licences: tuple[str, ...]


@lru_cache(maxsize=1 << 16)
def forms(word: str, before_vowel: bool = False) -> tuple[Form, ...]:
    """The syllable kinds of `word`, in every way that verse may say it; `before_vowel`: the next word starts with one.

    >>> [(len(form.kinds), form.licences) for form in forms("glorious")]
    [(3, ()), (2, ('syncope',))]
    """
    if word in NO_SYLLABLE:
        return (Form((), ()),)
    found: dict[tuple[int, ...], Form] = {}
    for phones in pronunciations(word):
        for licences, said in _variants(word, phones, before_vowel):
            form = Form(_kinds(word, said), licences)
            known = found.get(form.kinds)
            if known is None or _price(form.licences) < _price(known.licences):
                found[form.kinds] = form
    return tuple(found.values())


def _price(licences: tuple[str, ...]) -> float:
    return sum(PRICES[licence] for licence in licences)


def _kinds(word: str, phones: Phones) -> tuple[int, ...]:
    """Stress digits to kinds; a word of one syllable gets its kind from grammar."""
    stresses = [phone[-1] for phone in phones if is_vowel(phone)]
    if len(stresses) == 1:
        return (KIND_OF_WORD.get(word, KIND_OF_WORD.get(word.partition("'")[0], CONTENT)),)
    return tuple({"0": UNSTRESSED, "1": MAIN, "2": SIDE}[stress] for stress in stresses)


def _variants(word: str, phones: Phones, before_vowel: bool) -> Iterable[tuple[tuple[str, ...], Phones]]:
    """The dictionary's way to say a word, then the poets' ways with the licences they need."""
    yield (), phones
    vowels = [i for i, phone in enumerate(phones) if is_vowel(phone)]
    for shorter in _syncopated(phones):
        yield ("syncope",), shorter
        for shortest in _syncopated(shorter):
            yield ("syncope", "syncope"), shortest
    weak_end = len(vowels) > 1 and phones[vowels[-1]][-1] == "0"
    if word.endswith("ed") and phones[-1] in "DT" and (not weak_end or vowels[-1] != len(phones) - 2 or word.endswith("ied")):
        yield ("sounded -ed",), (*phones[:-1], "IH0", "D")
    if word.endswith(("est", "eth")) and weak_end:
        yield ("syncope",), phones[: vowels[-1]] + phones[vowels[-1] + 1 :]
    if before_vowel and vowels and vowels[-1] == len(phones) - 1 and (weak_end or word in ("the", "to")):
        yield ("elision",), phones[:-1]


def _syncopated(phones: Phones) -> Iterable[Phones]:
    """Each way to say a word with one syllable less."""
    for i in range(1, len(phones)):
        if not is_vowel(phones[i]) or phones[i][-1] != "0":
            continue
        before, after = phones[i - 1], phones[i + 1 : i + 3]
        if is_vowel(before):  # two vowels meet: glo-ri-ous, flow-er, be-ing
            yield phones[:i] + phones[i + 1 :] if before[-1] != "0" else phones[: i - 1] + ("Y",) + phones[i:]
        elif phones[i] not in ("AH0", "IH0", "ER0") or not after or i < 2:
            continue
        elif after[0] in ("R", "L", "N", "M") and len(after) == 2 and after[1][-1] == "0":  # gen-er-al, mur-mur-ing
            yield phones[:i] + phones[i + 1 :]
        elif before in ("V", "R", "DH", "Z", "L") and phones[i - 2][-1] == "1" and after[0] in ("N", "L", "T"):
            yield phones[:i] + phones[i + 1 :]  # heaven, spirit, fallen, evil


# ---- reading the line ----------------------------------------------------------------------------------------------

_WORD = re.compile(r"'?\w+(?:'\w+)*'?")
_PAUSE = re.compile(r"[,;:.!?()\[\]—–]|--| - ")
_LEADING = frozenset("'tis 'twas 'twere 'twill 'twould 'em 't 's 'd 'st".split())


def _tokens(line: str) -> list[tuple[str, bool]]:
    """Words in lower case with straight apostrophes, each with: does a pause stand before it?"""
    text = _plain(line)
    tokens, end = [], 0
    for match in _WORD.finditer(text):
        word = match[0]
        if word[0] == "'" and word not in _LEADING:  # a quotation mark, or 'gainst = gainst
            word = word[1:]
        if word[-1] == "'" and word not in ("th'", "t'", "o'", "i'"):
            word = word[:-1]
        tokens.append((word, _PAUSE.search(text, end, match.start()) is not None))
        end = match.end()
    return tokens


def _plain(line: str) -> str:
    """Lower case, no accents, one kind of apostrophe, and clitics set apart: i'th' -> i' th'."""
    text = line.lower()
    if not text.isascii():
        text = text.replace("’", "'").replace("‘", "'").replace("æ", "ae").replace("œ", "oe")
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    if "'" in text:
        text = re.sub(r"\b([io]')th?'", r"\1 th' ", text)
        text = re.sub(r"\b(th?')(?=[aeiouh]\w\w)", r"\1 ", text)
    return text.replace("_", " ").replace("&", " and ")


@lru_cache(maxsize=1 << 16)
def _starts_with_vowel(word: str) -> bool:
    ways = pronunciations(word)
    return word in H_DROPPERS or bool(ways) and is_vowel(ways[0][0])


@lru_cache(maxsize=1 << 16)
def _spoken_syllables(word: str) -> int:
    """Syllables of the likeliest plain pronunciation, no licence taken."""
    return 0 if word in NO_SYLLABLE else sum(map(is_vowel, pronunciations(word)[0]))


# ---- laying words into places --------------------------------------------------------------------------------------

# Where the next syllable goes. An inverted foot swaps two places; a doubled weak place takes no third syllable.
WEAK, STRONG, STRONG_AFTER_TWO, INVERTED_STRONG, INVERTED_WEAK, WEAK_AFTER_PAUSE = range(6)
_NO_FALL = -1  # nothing before that could outweigh


class Move(NamedTuple):
    """One way to lay one word down, from one kind of place on."""

    places: int  # how many places it fills
    slot: int  # where the next syllable goes
    first: int  # kind of its first syllable: the line compares it with what stood before; -1: no syllable
    joins: bool  # its first syllable shares the weak place of the word before
    last: int  # kind of its last syllable; -1: no syllable
    cost: float
    signs: str
    licences: tuple[str, ...]
    violations: tuple[str, ...]


@lru_cache(maxsize=1 << 18)
def moves(word: str, before_vowel: bool, slot: int) -> tuple[Move, ...]:
    """All ways to lay `word` down from `slot` on, the cheapest for each way to end."""
    best: dict[tuple[int, int, int, bool, int], Move] = {}
    for form in forms(word, before_vowel):
        open_moves = [Move(0, slot, -1, False, -1, _price(form.licences), "", form.licences, ())]
        for kind in form.kinds:
            open_moves = [longer for move in open_moves for longer in _lay(move, kind, word)]
        for move in open_moves:
            known = best.get(move[:5])
            if known is None or move.cost < known.cost:
                best[move[:5]] = move
    return tuple(best.values())


def _lay(move: Move, kind: int, word: str) -> list[Move]:
    """Put one more syllable down: in its own place, or as the second in a weak place."""
    first = kind if move.first < 0 else move.first
    at_start = move.first < 0
    slot, laid = move.slot, []
    if slot == STRONG and kind in LIGHT_KINDS and (at_start or move.last in LIGHT_KINDS):
        laid.append(Move(move.places, STRONG_AFTER_TWO, first, at_start or move.joins, kind,
                         move.cost + PRICES["doubled weak place"], move.signs + "x",
                         (*move.licences, "doubled weak place"), move.violations))
    strong = slot in (STRONG, STRONG_AFTER_TWO, INVERTED_STRONG)
    cost = KINDS[kind].strong if strong else KINDS[kind].weak
    if slot == WEAK_AFTER_PAUSE: cost *= PAUSED
    licences = move.licences
    if slot == INVERTED_STRONG:
        cost, licences = cost + PRICES["inverted foot"], (*licences, "inverted foot")
    elif strong and not at_start:
        cost += fall(move.last, kind)
    following = {WEAK: STRONG, INVERTED_STRONG: INVERTED_WEAK, WEAK_AFTER_PAUSE: STRONG}.get(slot, WEAK)
    violations = move.violations
    if cost >= 1.0:
        violations = (*violations, f"{KINDS[kind].name} of {word!r} in a {'strong' if strong else 'weak'} place")
    laid.append(Move(move.places + 1, following, first, move.joins, kind, move.cost + cost,
                     move.signs + ("/" if strong else "x"), licences, violations))
    return laid


def fall(before: int, here: int) -> float:
    """Cost of a weak place with a syllable of kind `before` and then a strong place with a lighter one."""
    return FALL * max(0.0, KINDS[before].strength - KINDS[here].strength)


def scan(line: str) -> Scansion:
    tokens = _tokens(line)
    if not tokens or len(tokens) > MAX_WORDS:
        return _finish(line, 99.0, "", (), ("no words" if not tokens else "too long",))
    bad = [w for w, _ in tokens if not w.isascii() or any(c.isdigit() for c in w)]
    if bad:
        return _finish(line, 99.0, "", (), ("unreadable",))
    # (places filled, slot, last kind) -> (cost, entry before, move): the cheapest way to get there
    frontier = {(0, WEAK, _NO_FALL): (0.0, None, None)}
    for i, (word, pause) in enumerate(tokens):
        before_vowel = i + 1 < len(tokens) and _starts_with_vowel(tokens[i + 1][0])
        reached = {}
        for (places, slot, last), entry in frontier.items():
            starts = (slot,) if slot != WEAK or not (pause or i == 0) else (WEAK_AFTER_PAUSE, INVERTED_STRONG)
            for start in starts:
                for move in moves(word, before_vowel, start):
                    cost = entry[0] + move[5]
                    first = move[2]
                    if move[3]:
                        if last not in LIGHT_KINDS:
                            continue
                    elif first >= 0 and (start == STRONG or start == STRONG_AFTER_TWO):
                        cost += FALLS[last][first]
                    elif first < 0: 
                        move = move._replace(slot=slot, last=last)
                    key = (places + move[0], move[1], move[4] if move[1] in (1,2) or places+move[0]>=10 else -1)
                    known = reached.get(key)
                    if known is None or cost < known[0]:
                        reached[key] = (cost, entry, move)
        frontier = reached
    best = None
    for (places, slot, last), entry in frontier.items():
        c = entry[0]
        if places == 10: c += KINDS[last].tenth
        elif places == 11: c += PRICES["feminine ending"]
        else: c += LENGTH * (10 - places if places < 10 else places - 11) 
        if best is None or c < best[0]: best = (c, places, entry)
    c, places, entry = best
    signs, lic, vio = "", (), ()
    if places == 11: lic = ("feminine ending",)
    if places not in (10, 11): vio = (f"{places} places, not 10",)
    while entry[2] is not None:
        m = entry[2]; signs = m.signs + signs; lic = m.licences + lic; vio = m.violations + vio; entry = entry[1]
    if is_degenerate(line): c += REPEATED; vio += ("repeated",)
    return _finish(line, c, signs, lic, vio)

FALLS = [[0.0] * 9 for _ in range(10)]
def _falls():
    for a in range(9):
        for b in range(9): FALLS[a][b] = fall(a, b)
_falls()

def _finish(line, cost, signs, lic, vio):
    return Scansion(line, cost <= LIMIT, 2 ** (-cost / LIMIT), len(signs), signs, cost, vio, lic)


def scan_lines(text: str) -> list[Scansion]:
    """Scan every line of `text` that is not blank."""
    return [scan(line) for line in text.splitlines() if line.strip()]


def syllables(line: str) -> int:
    """Syllables as plainly spoken, no licence taken.

    >>> syllables("And Mara mends the nets along the wall.")
    10
    """
    return sum(_spoken_syllables(word) for word, _ in _tokens(line))


def accepted_share(lines: Iterable[str]) -> float:
    """Share of the lines that scan; blank lines do not count, no lines give 0."""
    scans = [scan(line).ok for line in lines if line.strip()]
    return sum(scans) / len(scans) if scans else 0.0


def is_degenerate(line: str) -> bool:
    """The same words over and over: fewer than half of the words differ, or a pair of words comes three times."""
    words = [w for w, _ in _tokens(line)]
    pairs = list(zip(words, words[1:]))
    return len(words) > 3 and (2 * len(set(words)) < len(words) or any(pairs.count(p) > 2 for p in set(pairs)))


def shuffled(line: str, generator: random.Random) -> str:
    """The control: the same words in another order (punctuation stays with its word)."""
    words = line.split()
    generator.shuffle(words)
    return " ".join(words)


def cut_at_ten(text: str) -> list[str]:
    """Prose as lines of exactly ten syllables: words in order; where no run ends at ten, the start moves one word on."""
    words = text.split()
    counts = [syllables(word) for word in words]
    lines, start = [], 0
    while start < len(words):
        end, total = start, 0
        while end < len(words) and total < 10:
            total, end = total + counts[end], end + 1
        if total == 10:
            lines.append(" ".join(words[start:end]))
        start = end if total == 10 else start + 1
    return lines


def _rimes(word):
    out = set()
    for ph in pronunciations(word):
        v = [i for i, p in enumerate(ph) if is_vowel(p)]
        if not v: continue
        main = max([i for i in v if ph[i][-1] == "1"], default=v[-1])
        starts = {main}
        if len(v) > 1 and (ph[v[-1]][-1] == "2" or ph[v[-1]][-1] == "0" and ph[v[-2]][-1] == "0"): starts.add(v[-1])
        for s in starts:
            on = s
            while on > 0 and not is_vowel(ph[on-1]): on -= 1
            out.add((ph[on:s], tuple(_same(p) for p in ph[s:])))
    return out
def _same(p):
    if p[-1] == "0" and p[:2] in ("IH", "AH", "EH"): return "AH"
    return {"AO": "AA"}.get(p.rstrip("012"), p.rstrip("012"))

def rhymes(a: str, b: str) -> bool:
    ta, tb = _tokens(a), _tokens(b)
    if not ta or not tb: return False
    return any(r1 == r2 and o1 != o2 for o1, r1 in _rimes(ta[-1][0]) for o2, r2 in _rimes(tb[-1][0]))
