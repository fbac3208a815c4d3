"""How well the metre scorer tells verse from prose: the figures behind the table in `meter.py`,
measured again.

A scorer is worth what it says about texts that everyone agrees on: real sonnets and blank verse
should scan; prose cut into lines of ten syllables, the same sonnets with the words of each line
shuffled, and verse in another metre should not. `tinylm bench meter --texts FOLDER` prints what
`meter_report(FOLDER)` returns.

Trade-offs: neighbouring lines of one poet are taken for independent, so intervals are a little
narrow; speed and first call are those of this machine at this moment, the speed by processor time.
"""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tinylm.evaluation.meter import cut_at_ten, rhymes, scan, shuffled
from tinylm.evaluation.statistics import auc, interval

# Name in the report -> file, in the folder of texts
TEXTS = {
    "sonnets": "sonnets-1-60.txt",
    "blank verse": "paradise-lost-first-half.txt",
    "trochaic tetrameter": "hiawatha-first-half.txt",
    "prose": "shakespeare-prose-first-half.txt",
}
# Row of the report -> which way is good, and how far it has to go
BARS: dict[str, tuple[str, float]] = {
    "accepted: sonnets": (">=", 0.92),
    "accepted: blank verse": (">=", 0.88),
    "accepted: prose cut at ten syllables": ("<=", 0.28),
    "accepted: sonnets, words shuffled": ("<=", 0.30),
    "accepted: trochaic tetrameter": ("<=", 0.02),
    "AUC: sonnets against prose": (">=", 0.90),
    "rhyme: pairs of the sonnets' scheme": (">=", 0.78),
    "rhyme: other pairs of a sonnet": ("<=", 0.02),
    "lines per second": (">=", 10_000.0),
    "seconds of the first call": ("<=", 1.0),
}
SCHEME = "ababcdcdefefgg"  # the English sonnet: lines with the same letter rhyme
SHUFFLES = 3  # each line is shuffled this often
PASSES = 3  # the speed is the median of this many passes

Row = dict[str, float | str | bool]


def meter_report(folder: Path) -> dict[str, Row]:
    """All figures for the four texts of `TEXTS` in `folder`; about five seconds.

    Each row has value, low and high (95 % interval; equal to the value for a time), count (of lines
    or pairs), bar and met. Shares lie between 0 and 1. ValueError when a text is missing.
    """
    lines = {name: _lines(folder / file) for name, file in TEXTS.items()}
    scans = {name: [scan(line) for line in sample] for name, sample in _samples(lines).items()}
    report = {
        name: _share_row(name, [scansion.ok for scansion in found]) for name, found in scans.items()
    }
    # The area needs no threshold: it compares the scores of every line with every cut.
    verse, prose = scans["accepted: sonnets"], scans["accepted: prose cut at ten syllables"]
    name = "AUC: sonnets against prose"
    area = auc([scansion.score for scansion in verse], [scansion.score for scansion in prose])
    report[name] = _row(name, area.mean, area.low, area.high, len(verse) + len(prose))
    return (
        report | _rhyme_rows(lines["sonnets"]) | _time_rows(lines["sonnets"] + lines["blank verse"])
    )


def _samples(lines: dict[str, list[str]]) -> dict[str, list[str]]:
    """The lines that are scanned, by the name of their row: verse, and its controls."""
    generator = random.Random(0)  # the same shuffles in every report
    return {
        "accepted: sonnets": lines["sonnets"],
        "accepted: blank verse": lines["blank verse"],
        # As many syllables as a pentameter: what scans here scans by chance.
        "accepted: prose cut at ten syllables": [
            cut for speech in lines["prose"] for cut in cut_at_ten(speech)
        ],
        # The poet's own words without their order: what easy words alone would scan.
        "accepted: sonnets, words shuffled": [
            shuffled(line, generator) for line in lines["sonnets"] * SHUFFLES
        ],
        "accepted: trochaic tetrameter": lines["trochaic tetrameter"],
    }


def _rhyme_rows(sonnets: list[str]) -> dict[str, Row]:
    """How many pairs of lines rhyme: those that the scheme asks to, and the others."""
    # A scorer that calls everything a rhyme would pass the first row, and fail the second.
    pairs = list(_pairs(sonnets))
    names = {"rhyme: pairs of the sonnets' scheme": True, "rhyme: other pairs of a sonnet": False}
    return {
        name: _share_row(name, [rhymes(a, b) for a, b, same in pairs if same == same_letter])
        for name, same_letter in names.items()
    }


def _time_rows(lines: list[str]) -> dict[str, Row]:
    """How fast lines are scanned, and how long the first one takes."""
    # One number each, without a spread: low and high repeat it.
    speed, first = _lines_per_second(lines), _first_call()
    return {
        "lines per second": _row("lines per second", speed, speed, speed, len(lines)),
        "seconds of the first call": _row("seconds of the first call", first, first, first, 1),
    }


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise ValueError(
            f"{file} is missing: the report needs a folder with {', '.join(TEXTS.values())}"
        )
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _row(name: str, value: float, low: float, high: float, count: int) -> Row:
    # The mean is held against the bar; the interval stands beside it for the reader.
    direction, bar = BARS[name]
    met = value >= bar if direction == ">=" else value <= bar
    return {
        "value": value,
        "low": low,
        "high": high,
        "count": count,
        "bar": f"{direction} {bar:g}",
        "met": met,
    }


def _share_row(name: str, hits: list[bool]) -> Row:
    share = interval(hits)
    return _row(name, share.mean, share.low, share.high, len(hits))


def _pairs(sonnets: list[str]) -> Iterator[tuple[str, str, bool]]:
    """All pairs of lines within each sonnet, and whether the scheme makes them rhyme. Lines stand
    without blanks."""
    # Sonnet after sonnet: a rest of fewer than 14 lines is left out.
    for start in range(0, len(sonnets) - len(SCHEME) + 1, len(SCHEME)):
        for i in range(len(SCHEME)):
            for j in range(i):  # each pair once: 91 a sonnet, of which 7 rhyme
                yield sonnets[start + j], sonnets[start + i], SCHEME[i] == SCHEME[j]


def _lines_per_second(lines: list[str]) -> float:
    """Lines per second of processor time, one core, words already known: the median of `PASSES`
    passes."""
    rates = []
    for _ in range(PASSES):
        # not the wall clock: other programs on the machine are not the scanner's fault
        began = time.process_time()
        for line in lines:
            scan(line)
        rates.append(len(lines) / (time.process_time() - began))
    return statistics.median(rates)


def _first_call() -> float:
    """Import and first line in a fresh process, the dictionary read from disk."""
    # In a process of its own: here the dictionary is in memory already.
    code = (
        "import time; began = time.perf_counter(); from tinylm.evaluation.meter import scan; "
        "scan('The tide comes in and lays its silver down'); print(time.perf_counter() - began)"
    )
    package_root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=package_root
    )
    return float(done.stdout)
