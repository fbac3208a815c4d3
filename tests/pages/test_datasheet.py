"""The figures of the datasheet count what their names say."""

import csv
from collections import Counter

from tinylm.pages.datasheet import general_figures, verse_figures
from tinylm.recipes import shipped

REPEATED = "share of repeated sentences (8 words or more)"


def test_only_lines_with_a_letter_in_the_scheme_are_pairs():
    with (shipped("data") / "verse.csv").open(encoding="utf-8", newline="") as file:
        schemes = [Counter(row["rhyme"].replace(" ", "")) for row in csv.DictReader(file)]
    assert any("-" in scheme for scheme in schemes)
    pairs = sum(n - 1 for scheme in schemes for letter, n in scheme.items() if letter != "-")
    assert verse_figures(0)["rhyming pairs by the table"] == pairs


def test_short_sentences_may_come_again():
    short, long = "The sea rose.", "The sea rose and the old boats came home."
    assert general_figures([f"{short} {short}"])[REPEATED] == 0
    assert general_figures([f"{long} {long}"])[REPEATED] == 0.5
