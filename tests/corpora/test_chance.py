"""The code length of the generators, against toy grammars whose entropy is known in closed form."""

from math import log2

import pytest

from tinylm.corpora.chance import Chance


def geometric(chance: Chance, stop: float) -> str:
    """The grammar S -> "a" S | "b", which ends with probability ``stop`` at each step; no two rows
    give one text."""
    text = ""
    while not chance.happens(stop):
        text += "a"
    return text + "b"


def test_the_bits_of_an_unambiguous_text_are_minus_log2_of_its_probability():
    chance = Chance(seed=1)
    for _ in range(100):
        chance.bits = 0.0
        text = geometric(chance, stop=0.25)
        assert chance.bits == pytest.approx(-log2(0.25 * 0.75 ** text.count("a")))


@pytest.mark.parametrize("stop", [0.5, 0.1])
def test_the_mean_code_length_of_a_toy_grammar_is_its_entropy(stop):
    texts = 20_000
    chance = Chance(seed=2)
    for _ in range(texts):
        geometric(chance, stop)
    # of a geometric distribution, in bits
    entropy = (-stop * log2(stop) - (1 - stop) * log2(1 - stop)) / stop
    assert chance.bits / texts == pytest.approx(entropy, rel=0.02)


def test_a_uniform_choice_costs_log2_of_the_number_of_options():
    chance = Chance(seed=3)
    for count in (1, 2, 7, 100):
        before = chance.bits
        assert 0 <= chance.pick(range(count)) < count
        assert chance.bits - before == pytest.approx(log2(count))


def test_where_two_rows_of_choices_give_the_same_text_the_bits_are_an_upper_bound():
    chance = Chance(seed=4)
    chance.pick(["sea", "sea", "sea", "bay"])  # "sea" has probability 3/4, so 0.415 bits would do
    assert chance.bits == 2.0


def test_every_option_is_drawn_about_equally_often():
    chance = Chance(seed=5)
    drawn = [chance.pick("abcd") for _ in range(8000)]
    assert all(1850 < drawn.count(letter) < 2150 for letter in "abcd")


def test_the_same_seed_makes_the_same_choices():
    assert [Chance(6).pick(range(1000)) for _ in range(3)] == [Chance(6).pick(range(1000))] * 3
    assert [Chance(seed).pick(range(1000)) for seed in range(5)] == [844, 134, 956, 237, 236]
