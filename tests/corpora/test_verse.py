"""The shipped verse: what data/README.md promises of it."""

import csv
import re
from collections import Counter
from itertools import pairwise

import pytest

from tinylm.corpora import stories
from tinylm.corpora.build import verse_poems
from tinylm.evaluation.meter import accepted_share, rhymes
from tinylm.recipes import shipped

TEXT = (shipped("data") / "verse.txt").read_text(encoding="utf-8")
LINES = [line for line in TEXT.split("\n") if line]


def table() -> list[dict[str, str]]:
    with (shipped("data") / "verse.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_are_two_thousand_lines_and_no_line_stands_twice():
    assert len(LINES) >= 2000
    assert [
        line for line, times in Counter(line.lower() for line in LINES).items() if times > 1
    ] == []


def test_the_table_names_every_poem_where_it_stands():
    lines = TEXT.split("\n")
    assert len(table()) == len(verse_poems())
    for row, poem in zip(table(), verse_poems()):
        first = int(row["first_line"]) - 1
        assert lines[first] == poem.split("\n")[0]
        assert len([line for line in poem.split("\n") if line]) == int(row["lines"])
    assert sum(row["form"] == "sonnet" for row in table()) >= 40
    assert all(row["lines"] == "14" for row in table() if row["form"] == "sonnet")
    assert {row["form"] for row in table()} == {"sonnet", "blank", "couplets", "quatrains"}


def test_ninety_seven_percent_of_the_lines_scan():
    assert accepted_share(LINES) >= 0.97


def test_the_rhymes_are_those_of_the_table():
    hits = pairs = 0
    for row, poem in zip(table(), verse_poems()):
        if row["form"] != "sonnet":
            continue
        letters = row["rhyme"].replace(" ", "")
        lines = poem.split("\n")
        for letter in set(letters):
            same = [lines[i] for i in range(14) if letters[i] == letter]
            pairs += len(same) - 1
            hits += sum(bool(rhymes(a, b)) for a, b in pairwise(same))
    assert pairs >= 280 and hits / pairs >= 0.95


def test_most_words_are_those_of_the_stories():
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", re.sub(r"'s\b", "", TEXT.lower()))
    known = stories.vocabulary()
    assert sum(word in known for word in words) / len(words) >= 0.85


@pytest.mark.parametrize("line", LINES[::97])
def test_lines_are_plain_text(line):
    assert line.isascii() and line[0] in "ABCDEFGHIJKLMNOPQRSTUVWXYZ\"'" and line == line.strip()
