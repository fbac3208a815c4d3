"""Noisy verse: each kind spoils what it says, as much as it says, and the same way every time."""

from __future__ import annotations

import hashlib

import pytest

from tinylm.corpora.noise import KINDS, corrupt

POEMS = [
    f"The keeper trims her lamp at hour {n},\nAnd counts the boats that answer from the bay,\n"
    "Then hangs her coat above the iron stove\nAnd turns the page where last she closed the "
    "book.\n\n"
    "She sleeps at dawn."
    for n in range(40)
]
PROSE = ["Old Wessel sold rope by the yard.", "He never sold a knot."]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_exactly_the_share_of_poems_is_spoiled_and_the_rest_keep_their_places(
    kind: str, share: float
) -> None:
    out = corrupt(POEMS, kind, share, seed=3, prose=PROSE)
    assert len(out) == len(POEMS)
    changed = sum(old != new for old, new in zip(POEMS, out, strict=True))
    # with share 1 every poem becomes a copy of the first, which then is itself unchanged
    assert changed == round(share * len(POEMS)) - (kind == "duplicates" and share == 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_list_and_another_seed_another(kind: str) -> None:
    assert corrupt(POEMS, kind, 0.5, 7, PROSE) == corrupt(POEMS, kind, 0.5, 7, PROSE)
    assert corrupt(POEMS, kind, 0.5, 7, PROSE) != corrupt(POEMS, kind, 0.5, 8, PROSE)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "duplicates"])
def test_a_larger_share_spoils_the_same_poems_the_same_way_and_some_more(kind: str) -> None:
    some, more = corrupt(POEMS, kind, 0.25, 5, PROSE), corrupt(POEMS, kind, 0.5, 5, PROSE)
    spoiled = [i for i in range(len(POEMS)) if some[i] != POEMS[i]]
    assert len(spoiled) == 10 and all(some[i] == more[i] for i in spoiled)


def test_shuffled_words_and_wrong_line_breaks_keep_every_word() -> None:
    for kind in ("shuffle", "breaks"):
        for old, new in zip(POEMS, corrupt(POEMS, kind, 1.0, seed=1), strict=True):
            assert sorted(old.split()) == sorted(new.split())
            assert old.count("\n\n") == new.count("\n\n")
    for old, new in zip(POEMS, corrupt(POEMS, "breaks", 1.0, seed=1), strict=True):
        assert old.split() == new.split()  # the words stay in order, only the lines end elsewhere


def test_a_scan_misreads_some_letters_and_leaves_most() -> None:
    clean, noisy = "".join(POEMS), "".join(corrupt(POEMS, "ocr", 1.0, seed=1))
    digits = sum(sign in "015478" for sign in noisy) - sum(sign in "015478" for sign in clean)
    assert 0.005 < digits / len(clean) < 0.05


def test_duplicates_are_copies_of_poems_that_were_left_alone() -> None:
    out = corrupt(POEMS, "duplicates", 0.5, seed=2)
    assert set(out) <= set(POEMS) and len(set(out)) == 20


def test_prose_takes_the_place_of_a_poem_with_as_many_words() -> None:
    out = corrupt(POEMS, "prose", 1.0, seed=2, prose=PROSE)
    assert all(
        len(new.split()) == len(old.split()) and "\n" not in new
        for old, new in zip(POEMS, out, strict=True)
    )
    assert {word for text in out for word in text.split()} <= {
        word for text in PROSE for word in text.split()
    }


def test_the_bytes_of_every_kind_are_pinned() -> None:
    text = "\n".join(line for kind in KINDS for line in corrupt(POEMS, kind, 0.5, 11, PROSE))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "7a8f1cb4c6d9e575"


def test_mistakes_are_named() -> None:
    with pytest.raises(
        ValueError, match="no kind of noise is called 'ink'; there are: ocr, shuffle"
    ):
        corrupt(POEMS, "ink", 0.5, 1)
    with pytest.raises(ValueError, match="share: 50 is not between 0 and 1"):
        corrupt(POEMS, "ocr", 50, 1)
    with pytest.raises(ValueError, match='"prose" needs texts'):
        corrupt(POEMS, "prose", 0.5, 1)
    assert corrupt([], "ocr", 0.5, 1) == []
