"""A specialised domain: the tide-and-signal log of the harbour pilots, in a language of its own.

Hospitals, law courts and power stations write texts full of words that a general model has never
seen, held together by rules that it has never learnt. This generator makes such a text in
miniature. Its words are alien, so a general tokenizer breaks them into crumbs; its fields are tied
together, so a model that learns the rules predicts well, and the rules can be probed with questions
that have one right answer (`probes`).

One document is one day of one station:

    DROGLOG OSTERKOG dag 277 stain 23 hiwater 0436 1700 0040 dorn, inflooth, vlod 10, blaest 3 suur.
    ORLAND QUENDRY (ORQU), mestrel for Lobbendal: sull 34, dypt 44, dreft 46, kelm -2, HALD at Nibon
    til 0053. lamps MLH.

(the entry is one line). These rules hold in every entry:
- hiwater: high water comes every 744 minutes, so the times of one day give those of the next.
- vlod, the height of the tide in decimetres, follows from the time by the seamen's rule of
  twelfths: between low
  and high water it rises 1, 2, 3, 3, 2 and 1 twelfths of stain (the range) in six equal spans.
  inflooth means that it rises, outreeve that it falls, stillern that high or low water is less than
  half an hour away.
- dypt, the depth at the berth, is sull + vlod; sull, the depth at datum, belongs to the berth.
- kelm, the water under the keel, is dypt - dreft (the ship's draught). The code follows from it:
  VAY from 10 on,
  LENT from 5, TUGG from 0, HALD below. A blaest (wind) of 9 or more makes it STRYK, whatever the
  water.
- HALD names the berth's anchorage and the minute from which the tide is high enough (morrowtide:
  not today);
  after it the ship asks again. TUGG names the berth's tug.
- The signal is the initials of class, berth and code: pennants by day (0600 to 1759), lamps by
  night. The call
  sign is the first two letters of each of the ship's names. The watch changes every four hours.

Trade-off: a real log has slips of the pen and silences. This one is always right, so that what a
model gets wrong is the model's. Tides by the rule of twelfths are off by a few per cent; they need
whole numbers only, which makes the bytes the same on every platform.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

from tinylm.corpora.chance import Chance

SPAN = 62  # minutes; six spans from low to high water, twelve in a full tide
TIDE = 12 * SPAN  # 744 minutes; the moon's is 745.2, the difference keeps all times whole
DAY = 24 * 60
LOWEST = 4  # decimetres at low water above datum

# four hours each, from midnight
WATCHES = ("dorn", "ulkva", "primst", "sestern", "noltek", "veskar")
WINDS = ("nuur", "nuwest", "wesk", "suwesk", "suur", "suost", "ostrek", "nuost")
# draughts, in dm
CLASSES = {"kolligar": (52, 80), "mestrel": (40, 62), "rundvar": (26, 46), "ferskel": (14, 30)}
_STATIONS = {
    "SKELMAR": "Brathole, Oxgrund, Tjaldvik, Fennigost",
    "ONDWICK": "Haskeld, Murrenoe, Quernstad, Vleethol",
    "THARNSUND": "Driskay, Ulvasund, Jarrowick, Ektenfor",
    "QUOYLENESS": "Skarnoe, Bolvering, Wraithgat, Nessagost",
    "VEERHAVN": "Ramsholt, Cruddick, Itherey, Zwartoe",
    "LUNNASTING": "Gorvik, Peltrand, Ashkerry, Yoldhavn",
    "OSTERKOG": "Kvittern, Lobbendal, Hjelmerud, Skrae",
    "DUNROSSICK": "Farravoe, Twattick, Eyrskeld, Mjanes",
}
_TUGS = ("Brusk", "Thole", "Groffa", "Stempel", "Knarr", "Vrang", "Ulfsark")
_ANCHORAGES = (
    "Selgrund",
    "Vomb",
    "Haafdeep",
    "Krossrost",
    "Tangle Roe",
    "Brimfold",
    "Stourgat",
    "Nibon",
    "Wick Voe",
)
FIRST_NAMES = (
    "ONDRAK", "SKARNWYL", "BRAEGA", "TJORVE", "MUSKETH", "ELDVAR", "QUILLAN", "HROSSA", "VEMUND",
    "DRAGLE", "ULFRIKE",
    "KESTVIG", "ORLAND", "PRAEST", "ISBRAND", "NJOLGA", "FRETTIR", "GUDVEIG", "WRECKAN", "YMIRSK",
    "LODVIG", "AEGILD",
    "SNORRVA", "CRANOCH", "ZEVRIN", "RUNHILD", "THRENDA", "JOKULL", "BOLSTER", "HEKLA", "UMBROG",
    "MAELSTA",
)  # fmt: skip
LAST_NAMES = (
    "VEYL", "STROMAK", "AINSKERRY", "DROVE", "HALGAR", "OXMUIR", "TIRVAL", "BJARG", "KNOTTING",
    "ULSTAN", "FJORDA",
    "PELAGH", "SKOLD", "WYRNE", "GRIMSA", "ESKVALD", "MORROCK", "CALDRA", "NORVIK", "IVELLE",
    "ROSTVAR", "LYNGOR",
    "HAVERSK", "ZOLDER", "TROLLAS", "QUENDRY", "BROMSA", "AUSKER", "YARROWE", "DELVANG", "SIGURN",
    "FOLDRA",
)  # fmt: skip
GANGS = (
    "drossels",
    "kabbelmen",
    "quayrels",
    "vindlers",
    "oxbeards",
    "lodderans",
    "prikkers",
    "haulmers",
)
DEEDS = (
    "unshackled", "overgrabbled", "restoppered", "clewfasted", "beswifted", "outflensed",
    "twicewormed", "gripened",
    "backspilled", "handkedged", "lowmarled", "undertrussed",
)  # fmt: skip
GEAR = (
    "vangspool", "thrumrope", "skegpin", "fairgat", "kedgestaff", "bollardine", "quernlight",
    "sternwhelk",
    "hawsepan", "drogueling", "capstrake", "fendrel", "mudspoor", "slipjaw", "grundle", "topchock",
)  # fmt: skip
STATES = (
    "frayt", "siltful", "brinefast", "crank", "wellhitched", "gronnel", "slubbed", "tarsweet",
    "loosel", "overbitten",
)  # fmt: skip
GROUNDS = (
    "skarnweed", "blue "
                 "sklet", "kittlestone", "brown "
                                         "murm", "shellgrut", "ooze and "
                                                              "pibble", "hard rauk", "limmer",
)  # fmt: skip

# what stands before an answer, and the answer in brackets; a space parts the two
_RULES = {
    "code": re.compile(r"kelm -?\d+, ([A-Z]+)"),
    "keel": re.compile(r"kelm (-?\d+)"),
    "signal": re.compile(r"(?:pennants|lamps) ([A-Z]+)"),
    "watch": re.compile(r"^\d{4} (\w+)", re.MULTILINE),
    "tug": re.compile(r"TUGG by (\w+)"),
    "anchorage": re.compile(r"HALD at (\w+)"),
    "class": re.compile(r"\(\w{4}\), (\w+) for"),
    "stream": re.compile(r"^\d{4} \w+, (\w+)", re.MULTILINE),
    "light": re.compile(r"\. (pennants|lamps) [A-Z]"),
}


@dataclass(frozen=True)
class Berth:
    """A place to moor, with what belongs to it for ever: depth at datum in decimetres, tug and
    anchorage."""

    name: str
    sill: int
    tug: str
    anchorage: str


@dataclass(frozen=True)
class Call:
    """A ship that wants to come in: her name, call sign, class, draught in decimetres, and her
    berth."""

    name: str
    sign: str
    kind: str
    draught: int
    berth: Berth


def documents(seed: int = 0, split: str = "train") -> Iterator[str]:
    """Yield logs without end, one day of one station each (about 2 kB), the same for the same seed
    everywhere.

    `split` is "train" or "valid"; every tenth day of the year belongs to "valid", so no log stands
    in both.

    >>> print(next(documents()).splitlines()[0])
    DROGLOG OSTERKOG dag 277 stain 23 hiwater 0436 1700
    """
    if split not in ("train", "valid"):
        raise ValueError(f'split: {split!r} is neither "train" nor "valid"')
    chance = Chance(2 * seed + (split == "valid"))
    days = [day for day in range(1, 366) if (day % 10 == 0) == (split == "valid")]
    stations = list(STATIONS)
    while True:
        yield _log(chance, chance.pick(stations), chance.pick(days))


def probes(seed: int, n: int, rule: str = "code") -> list[tuple[str, str]]:
    """`n` questions whose one right answer follows from a rule: (text up to the answer, the
    answer).

    The prompt is a log of the "valid" split, cut inside one of its entries; the answer is the word
    that follows it after a space. Rules: "code" (from kelm and blaest), "keel" (kelm, from dypt and
    dreft), "signal" (from class, berth and code), "watch" (from the time), "tug" (from the berth),
    "anchorage" (its first word, from the berth), "class" (from the ship's last name), "stream"
    (from the time and the high waters of the day), "light" (pennants or lamps, from the time).

    >>> prompt, answer = probes(seed=0, n=1)[0]
    >>> prompt[-40:], answer
    ('s: sull 42, dypt 63, dreft 77, kelm -14,', 'HALD')
    """
    if rule not in _RULES:
        raise ValueError(f"no rule is called {rule!r}; there are: {', '.join(_RULES)}")
    return list(islice(_probes(seed, _RULES[rule]), n))


def height(day: int, minute: int, stain: int) -> int:
    """The tide above datum in decimetres, at a minute of a day of the year, when its range is
    `stain` decimetres."""
    return _curve(stain)[(day * DAY + minute) % TIDE]


def code(kelm: int, blaest: int) -> str:
    """The harbour's order to a ship, from the water under her keel (decimetres) and the wind
    (Beaufort).

    >>> [code(kelm, blaest=4) for kelm in (12, 10, 9, 4, 0, -1)], code(12, blaest=9)
    (['VAY', 'VAY', 'LENT', 'TUGG', 'TUGG', 'HALD'], 'STRYK')
    """
    if blaest >= 9:
        return "STRYK"
    return "VAY" if kelm >= 10 else "LENT" if kelm >= 5 else "TUGG" if kelm >= 0 else "HALD"


@cache
def _curve(stain: int) -> tuple[int, ...]:
    """The tide's height at each of its 744 minutes, from low water on: the rule of twelfths, in
    whole numbers."""
    rising = []
    risen = 0  # twelfths
    for twelfths in (1, 2, 3, 3, 2, 1):
        # risen/12 of the range so far, plus the part of this span's twelfths that its minutes have
        # brought
        rising += [
            LOWEST + stain * (risen * SPAN + twelfths * m) // (12 * SPAN) for m in range(SPAN)
        ]
        risen += twelfths
    falling = [2 * LOWEST + stain - level for level in rising]
    return (*rising, *falling)


def _stain(day: int) -> int:
    """The range of the tide in decimetres: 44 at springs, 23 at neaps, from one to the other in
    about a week."""
    return 44 - 3 * min(day % 15, 15 - day % 15)


def _log(chance: Chance, station: str, day: int) -> str:
    """One day of one station: a heading, then an entry for every ship that asks or returns."""
    stain = _stain(day)
    # `_curve` begins at low water, so high water is half a tide later
    first_high = (TIDE // 2 - day * DAY) % TIDE
    highs = " ".join(_clock(minute) for minute in range(first_high, DAY, TIDE))
    lines = [f"DROGLOG {station} dag {day} stain {stain} hiwater {highs}"]
    # ships at anchor, with the minute at which there is water enough
    held: list[tuple[int, Call]] = []
    blaest = chance.pick(range(1, 8))
    minute = chance.pick(range(20, 100))
    while minute < DAY:
        blaest = max(1, min(11, blaest + chance.pick((-1, -1, 0, 0, 0, 1, 1))))
        call = next((ship for until, ship in held if until <= minute), None)
        if call is None:
            call = _call(chance, station)
        else:  # a ship that waited comes before a new one
            held = [(until, ship) for until, ship in held if ship is not call]
        entry, until = _entry(chance, call, day, minute, blaest)
        if until:
            held.append((until, call))
        lines.append(entry)
        minute += chance.pick(range(40, 200))
    return "\n".join(lines) + "\n"


def _call(chance: Chance, station: str) -> Call:
    """A ship out of 1,024; her class follows from her last name, her draught today from class and
    cargo."""
    first, last = chance.pick(FIRST_NAMES), chance.pick(LAST_NAMES)
    kind = list(CLASSES)[LAST_NAMES.index(last) % len(CLASSES)]
    draught = chance.pick(range(*CLASSES[kind]))
    return Call(
        f"{first} {last}", first[:2] + last[:2], kind, draught, chance.pick(STATIONS[station])
    )


def _entry(chance: Chance, call: Call, day: int, minute: int, blaest: int) -> tuple[str, int]:
    """One entry, and the minute at which a held ship may try again (0 where she is not held, or not
    today)."""
    stain = _stain(day)
    level = height(day, minute, stain)
    depth = call.berth.sill + level
    kelm = depth - call.draught
    order = code(kelm, blaest)
    signal = call.kind[0].upper() + call.berth.name[0] + order[0]
    until = _water_enough(day, minute, call) if order == "HALD" else 0
    order_given = {
        "TUGG": f"TUGG by {call.berth.tug}",
        "HALD": f"HALD at {call.berth.anchorage} "
        + (f"til {_clock(until)}" if until else "til morrowtide"),
    }.get(order, order)
    text = (
        f"{_clock(minute)} {WATCHES[minute // 240]}, {_stream(day, minute)}, vlod {level}, blaest "
        f"{blaest} {chance.pick(WINDS)}. {call.name} ({call.sign}), {call.kind} for "
        f"{call.berth.name}: sull {call.berth.sill}, dypt {depth}, dreft {call.draught}, kelm "
        f"{kelm}, {order_given}. {'pennants' if 360 <= minute < 1080 else 'lamps'} {signal}."
    )
    return (f"{text} {_remark(chance, call)}" if chance.happens(0.6) else text), until


def _water_enough(day: int, minute: int, call: Call) -> int:
    """The first minute of the day after `minute` at which the ship floats at her berth; 0 if there
    is none."""
    curve = _curve(_stain(day))
    needed = call.draught - call.berth.sill
    if needed > LOWEST + _stain(day):
        return 0  # not even at high water
    start = day * DAY
    return next(
        (later for later in range(minute, DAY) if curve[(start + later) % TIDE] >= needed), 0
    )


def _stream(day: int, minute: int) -> str:
    """Which way the water runs: stillern within half an hour of high or low water."""
    phase = (day * DAY + minute) % TIDE  # low water at 0, high water in the middle
    if min(phase % (TIDE // 2), -phase % (TIDE // 2)) < 30:
        return "stillern"
    return "inflooth" if phase < TIDE // 2 else "outreeve"


def _remark(chance: Chance, call: Call) -> str:
    """What else the watch wrote down, in the words of the trade; the grammar is regular, the words
    are its own."""
    gang, deed, gear = chance.pick(GANGS), chance.pick(DEEDS), chance.pick(GEAR)
    shape = chance.pick(range(5))
    if shape == 0:
        return f"The {gang} {deed} her {gear}, {chance.pick(STATES)} since {chance.pick(WATCHES)}."
    if shape == 1:
        return (
            f"Lead armed with {chance.pick(GROUNDS)} off {call.berth.anchorage}; {gear} "
            f"{chance.pick(STATES)}."
        )
    if shape == 2:
        return (
            f"{gang.capitalize()} {deed} the {gear} and {chance.pick(DEEDS)} the "
            f"{chance.pick(GEAR)}."
        )
    if shape == 3:
        return (
            f"Her {gear} {chance.pick(STATES)}, her {chance.pick(GEAR)} {chance.pick(STATES)}: "
            f"{gang} warned."
        )
    return (
        f"{call.berth.name} {gear} {deed} by {chance.pick(GANGS)}, ground {chance.pick(GROUNDS)}."
    )


def _probes(seed: int, rule: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Cut one log after another of the valid split where an answer to the rule begins."""
    chance = Chance(seed)
    # far from the seeds that people choose for validation texts
    for log in documents(seed + 1_000_003, "valid"):
        if matches := list(rule.finditer(log)):  # on some days no ship needs a tug
            answer = chance.pick(matches)
            yield log[: answer.start(1) - 1], answer.group(1)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}{minute % 60:02d}"


def _stations() -> dict[str, tuple[Berth, ...]]:
    """Every station with its berths: depths from 20 to 48 dm, tugs and anchorages dealt out in
    turn."""
    stations, dealt = {}, 0
    for station, names in _STATIONS.items():
        berths = []
        for name in names.split(", "):
            # 11 and 29 share no factor, so the depths of neighbours lie far apart
            sill = 20 + 11 * dealt % 29
            berths.append(
                Berth(name, sill, _TUGS[dealt % len(_TUGS)], _ANCHORAGES[dealt % len(_ANCHORAGES)])
            )
            dealt += 1
        stations[station] = tuple(berths)
    return stations


STATIONS: dict[str, tuple[Berth, ...]] = _stations()
