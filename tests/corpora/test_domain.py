"""The pilots' log: every rule that ties its fields together holds, read back by a parser of its
own."""

from __future__ import annotations

import hashlib
import re
import time
from itertools import islice

import pytest

from tinylm.corpora.domain import (
    CLASSES,
    LAST_NAMES,
    STATIONS,
    WATCHES,
    code,
    documents,
    height,
    probes,
)

ENTRY = re.compile(
    r"(?P<time>\d{4}) (?P<watch>\w+), (?P<stream>\w+), vlod (?P<vlod>\d+), "
    r"blaest (?P<blaest>\d+) \w+\. "
    r"(?P<first>\w+) (?P<last>\w+) \((?P<sign>\w{4})\), (?P<kind>\w+) for (?P<berth>\w+): "
    r"sull (?P<sull>\d+), dypt (?P<dypt>\d+), dreft (?P<dreft>\d+), kelm (?P<kelm>-?\d+), "
    r"(?P<code>VAY|LENT|TUGG|HALD|STRYK)"
    r"(?: by (?P<tug>\w+)| at (?P<anchorage>[\w ]+) til (?P<until>\w+))?\. "
    r"(?P<light>pennants|lamps) (?P<signal>[A-Z]{3})\.(?: [A-Z][a-z].*[.])?"
)
HEADING = re.compile(r"DROGLOG (\w+) dag (\d+) stain (\d+) hiwater ((?:\d{4} ?)+)")


def minutes(clock: str) -> int:
    return 60 * int(clock[:2]) + int(clock[2:])


def logs(count: int, split: str = "train") -> list[tuple[re.Match[str], list[re.Match[str]]]]:
    """Each log as its heading and its entries; a line that does not fit the grammar fails the
    test."""
    parsed = []
    for log in islice(documents(seed=5, split=split), count):
        heading, *lines = log.splitlines()
        entries = [ENTRY.fullmatch(line) for line in lines]
        assert HEADING.fullmatch(heading) and all(entries), log
        parsed.append((HEADING.fullmatch(heading), entries))
    return parsed  # type: ignore[return-value]


def test_depth_keel_code_and_signal_follow_from_the_fields_before_them() -> None:
    codes = set()
    for _, entries in logs(100):
        for e in entries:
            assert int(e["dypt"]) == int(e["sull"]) + int(e["vlod"])
            assert int(e["kelm"]) == int(e["dypt"]) - int(e["dreft"])
            assert e["code"] == code(int(e["kelm"]), int(e["blaest"]))
            assert e["signal"] == e["kind"][0].upper() + e["berth"][0] + e["code"][0]
            assert e["light"] == ("pennants" if 6 <= int(e["time"][:2]) < 18 else "lamps")
            assert e["watch"] == WATCHES[int(e["time"][:2]) // 4]
            codes.add(e["code"])
    assert codes == {"VAY", "LENT", "TUGG", "HALD", "STRYK"}


def test_a_draught_above_the_depth_forces_a_hold_in_every_wind_below_nine() -> None:
    assert all(code(kelm, blaest) == "HALD" for kelm in range(-50, 0) for blaest in range(9))


def test_ships_and_berths_keep_what_belongs_to_them() -> None:
    for heading, entries in logs(50):
        berths = {berth.name: berth for berth in STATIONS[heading[1]]}
        for e in entries:
            berth = berths[e["berth"]]
            assert int(e["sull"]) == berth.sill
            assert e["tug"] in (None, berth.tug) and e["anchorage"] in (None, berth.anchorage)
            assert e["sign"] == e["first"][:2] + e["last"][:2]
            assert e["kind"] == list(CLASSES)[LAST_NAMES.index(e["last"]) % 4]
            assert int(e["dreft"]) in range(*CLASSES[e["kind"]])


def test_the_tide_is_highest_at_high_water_and_turns_where_the_stream_does() -> None:
    for heading, entries in logs(50):
        highs = [minutes(clock) for clock in heading[4].split()]
        highest = 4 + int(heading[3])
        for high in highs:
            assert height(int(heading[2]), high, int(heading[3])) == highest
        for e in entries:
            now = minutes(e["time"])
            assert 4 <= int(e["vlod"]) <= highest
            from_high = min(abs(now - high - k * 744) for high in highs for k in (-2, -1, 0, 1, 2))
            assert (e["stream"] == "stillern") == (from_high < 30 or from_high > 372 - 30)
            before, after = (
                height(int(heading[2]), now + step, int(heading[3])) for step in (-20, 20)
            )
            if e["stream"] != "stillern":
                assert (e["stream"] == "inflooth") == (after > before)


def test_the_tide_rises_by_the_rule_of_twelfths() -> None:
    low = (-100 * 1440) % 744  # a minute of day 100 at which the water is lowest
    assert [height(100, low + 62 * span, 24) - 4 for span in range(13)] == [
        0, 2, 6, 12, 18, 22, 24, 22, 18, 12, 6, 2, 0,
    ]  # fmt: skip


def test_high_water_moves_on_by_744_minutes_from_day_to_day() -> None:
    heads = {int(head[2]): [minutes(clock) for clock in head[4].split()] for head, _ in logs(300)}
    pairs = [(heads[day], heads[day + 1]) for day in heads if day + 1 in heads]
    assert len(pairs) > 20
    assert all((tomorrow[0] + 1440 - today[0]) % 744 == 0 for today, tomorrow in pairs)


def test_a_held_ship_asks_again_only_when_the_tide_carries_her() -> None:
    returned = 0
    for heading, entries in logs(100):
        until: dict[str, int] = {}
        for e in entries:
            ship = e["first"] + e["last"]
            if ship in until and e["time"] >= f"{until[ship] // 60:02d}{until[ship] % 60:02d}":
                returned += 1
            if e["until"] and e["until"] != "morrowtide":
                day, stain = int(heading[2]), int(heading[3])
                until[ship] = minutes(e["until"])
                needed = int(e["dreft"]) - int(e["sull"])
                assert (
                    height(day, until[ship], stain) >= needed > height(day, until[ship] - 1, stain)
                )
    assert returned > 50


def test_the_same_seed_gives_the_same_bytes_and_these_are_pinned() -> None:
    text = "".join(islice(documents(seed=0), 50))
    assert text == "".join(islice(documents(seed=0), 50)) != "".join(islice(documents(seed=1), 50))
    assert hashlib.sha256(text.encode("ascii")).hexdigest()[:16] == "bc017af17af2bef6"


def test_training_and_validation_logs_are_of_different_days() -> None:
    days = {split: {int(head[2]) for head, _ in logs(400, split)} for split in ("train", "valid")}
    assert not days["train"] & days["valid"]
    with pytest.raises(ValueError, match="'test' is neither"):
        next(documents(split="test"))


@pytest.mark.parametrize(
    "rule", ["code", "keel", "signal", "watch", "tug", "anchorage", "class", "stream", "light"]
)
def test_a_probe_is_cut_where_its_answer_follows_from_what_stands_before(rule: str) -> None:
    training = "".join(islice(documents(seed=0), 200))
    for prompt, answer in probes(seed=1, n=50, rule=rule):
        assert not prompt.endswith(" ") and " " not in answer
        assert prompt not in training
        line = prompt.splitlines()[-1]
        numbers = {name: int(value) for name, value in re.findall(r"(\w+) (-?\d+)", line)}
        if rule == "code":
            expected = code(numbers["kelm"], numbers["blaest"])
        elif rule == "keel":
            expected = str(numbers["dypt"] - numbers["dreft"])
        elif rule == "watch":
            expected = WATCHES[int(line[:2]) // 4]
        elif rule == "signal":
            expected = re.sub(
                r".*, (\w)\w+ for (\w)\w+:.*kelm -?\d+, (\w).*", r"\1\2\3", line
            ).upper()
        else:
            expected = follows(rule, prompt.split("DROGLOG")[-1], line)
        assert answer == expected


def follows(rule: str, log: str, line: str) -> str:
    """What a rule says of an entry that is cut before its answer."""
    minute = 60 * int(line[:2]) + int(line[2:4])
    if rule == "class":
        last = re.search(r"(\w+) \(", line)[1]
        return list(CLASSES)[LAST_NAMES.index(last) % len(CLASSES)]
    if rule == "light":
        return "pennants" if 6 * 60 <= minute < 18 * 60 else "lamps"
    if rule == "stream":
        high = re.search(r"hiwater (\d\d)(\d\d)", log)
        since = (minute - 60 * int(high[1]) - int(high[2])) % 744  # minutes since high water
        # Within half an hour of high or low water the tide turns.
        turns = min(since % 372, -since % 372) < 30
        return "stillern" if turns else "outreeve" if since < 372 else "inflooth"
    berth = next(b for bs in STATIONS.values() for b in bs if f" for {b.name}:" in line)
    return berth.tug if rule == "tug" else berth.anchorage.split()[0]


def test_probes_repeat_for_a_seed_and_an_unknown_rule_is_named() -> None:
    assert probes(3, 20) == probes(3, 20) != probes(4, 20)
    with pytest.raises(ValueError, match="no rule is called 'tide'; there are: code, keel"):
        probes(0, 1, "tide")


def test_the_generator_writes_at_least_two_megabytes_a_second() -> None:
    start = time.process_time()
    size = sum(len(log) for log in islice(documents(seed=9), 1000))
    assert size / (time.process_time() - start) > 2e6
