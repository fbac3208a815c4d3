"""Good data and bad."""

from itertools import pairwise

import pytest

from tinylm.lessons.quality import FAULTS, SIZES_OF_DATA, conclude, size_name, slope, versions

POEMS = [f"The tide has {number} silver hands\nand none of them is mine" for number in range(32)]


def test_smaller_corpora_are_parts_of_larger_ones_and_faults_keep_the_number_of_poems():
    made = versions(POEMS, seed=1)
    for small, large in pairwise(SIZES_OF_DATA):
        assert set(made[size_name(small)]) < set(made[size_name(large)])
    assert all(len(made[arm]) == len(POEMS) for arm in FAULTS)
    assert len(set(made["duplicated"])) == 16
    assert sum(a != b for a, b in zip(made["shuffled"], POEMS)) == 16


def scores(per_doubling, harm):
    """Bits that change by so much with each doubling of the data, and with each fault; three
    seeds."""
    noise = [0.0, 0.001, -0.001]
    bits = {
        size_name(s): [2.0 + per_doubling * i + n for n in noise]
        for i, s in enumerate(SIZES_OF_DATA)
    }
    bits |= {arm: [bits["clean"][0] + harm + 2 * n for n in noise] for arm in FAULTS}
    return {"bits": bits, "metre": {arm: [0.3, 0.31, 0.32] for arm in bits}}


def test_the_slope_is_the_change_of_each_doubling():
    assert slope(scores(-0.1, 0.2)["bits"]).mean == pytest.approx(-0.1)


def test_the_verdict_follows_from_the_slope_and_from_every_fault():
    assert conclude(scores(-0.1, 0.2)).verdict == "supported"
    assert conclude(scores(-0.1, -0.2)).verdict == "not supported"
    assert conclude(scores(-0.1, 0.0)).verdict == "no measurable difference"


def test_the_smoke_lesson_has_five_sizes_and_three_faults(smoke_lesson):
    assert len(smoke_lesson("quality")["arms"]) == 2 * (len(SIZES_OF_DATA) + len(FAULTS))
