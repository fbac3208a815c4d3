"""Byte-pair encoding: the fast trainer and encoder against the slow ones, by hand-worked examples
and any strings."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinylm.text import bpe, bpe_training
from tinylm.text.explain import merge_steps

# for slow machines; same strings each time
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

# Few letters and signs, so that pairs repeat, blanks meet and words of one letter grow long.
repetitive = st.text(alphabet="aab \n'se1é", max_size=120)
any_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


def encode(text: str, merges: list[bpe.Pair]) -> list[int]:
    encoder = bpe.WordEncoder(merges, "I")
    return [id for word in bpe.split_words(text) for id in encoder.merge(word.encode())]


def test_the_wikipedia_example_gives_the_three_merges_worked_out_by_hand() -> None:
    # aaabdaaabac: Z=aa -> ZabdZabac, Y=ab -> ZYdZYac, X=ZY -> XdXac, and no pair is left that
    # occurs twice.
    by_hand = [(ord("a"), ord("a")), (ord("a"), ord("b")), (256, 257)]
    assert (
        bpe_training.train_bpe("aaabdaaabac", 20)
        == bpe_training.train_bpe_reference("aaabdaaabac", 20)
        == by_hand
    )
    assert encode("aaabdaaabac", by_hand) == [258, ord("d"), 258, ord("a"), ord("c")]


def test_the_highest_count_wins_then_the_smallest_pair() -> None:
    assert bpe_training.train_bpe("xy xy ab ab xy", 1) == [(ord("x"), ord("y"))]
    assert bpe_training.train_bpe("xy,xy,ab,ab", 1) == [(ord("a"), ord("b"))]


@given(repetitive)
def test_no_two_merges_spell_the_same_token(text: str) -> None:
    tokens = bpe.spell_tokens(bpe_training.train_bpe(text, 60))  # would raise ValueError
    assert len(set(tokens)) == len(tokens)


@given(st.one_of(repetitive, any_text), st.integers(0, 40))
def test_the_fast_trainer_learns_what_the_reference_learns(text: str, n_merges: int) -> None:
    assert bpe_training.train_bpe(text, n_merges) == bpe_training.train_bpe_reference(
        text, n_merges
    )


def test_words_never_cross_from_one_document_to_the_next() -> None:
    assert bpe_training.train_bpe(["ab"] * 4, 10) == [(97, 98)]
    assert bpe_training.train_bpe(iter(["ab"] * 4), 10) == [(97, 98)]
    assert bpe_training.train_bpe("ab" * 4, 10) == [(97, 98), (256, 256)]


@given(repetitive, repetitive)
def test_both_encoders_do_the_steps_of_the_slow_one(corpus: str, text: str) -> None:
    encoder = bpe.WordEncoder(bpe_training.train_bpe(corpus, 40), "I")
    for word in map(str.encode, bpe.split_words(text)):
        steps = [list(word), *(ids for _rank, ids in merge_steps(word, encoder.ranks))]
        assert encoder.merge(word) == encoder.merge_long(word) == steps[-1]


@given(any_text)
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(bpe.split_words(text)) == text


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_the_pattern_for_plain_ascii_finds_the_words_of_the_full_one(text: str) -> None:
    assert bpe.ASCII_WORD.findall(text) == bpe.WORD.findall(text)


def test_both_patterns_put_every_ascii_sign_into_the_same_class() -> None:
    for sign in map(chr, range(128)):
        text = f"a{sign}a 1{sign}1 .{sign}. {sign}{sign}x  {sign} '{sign}"
        assert bpe.ASCII_WORD.findall(text) == bpe.WORD.findall(text)


@given(st.text(alphabet="ab' \n\t\x1c\u3000é", max_size=80), st.integers(1, 10))
def test_stretches_have_the_words_of_the_whole(text: str, size: int) -> None:
    parts = list(bpe.stretches(text, size))
    assert [word for part in parts for word in bpe.split_words(part)] == bpe.split_words(text)


def test_stretches_bound_the_memory_of_a_text_with_white_space() -> None:
    assert max(map(len, bpe.stretches("a word or two " * 1000, size=100))) < 120


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The slots at which `join` was called: the work of trainer and encoder, counted without a
    clock."""
    places: list[int] = []
    real = bpe.join

    def counted(slots, tokens, start, pair, new):  # type: ignore[no-untyped-def]
        places.append(start)
        return real(slots, tokens, start, pair, new)

    monkeypatch.setattr(bpe, "join", counted)
    monkeypatch.setattr(bpe_training, "join", counted)
    return places


@pytest.mark.parametrize("letters", ["a", "ab", "acgt"])
def test_work_on_one_endless_word_grows_with_its_length_not_its_square(
    letters: str, joins: list[int]
) -> None:
    word = "".join(random.Random(0).choices(letters, k=40_000))
    merges = bpe_training.train_bpe(word, 200)
    assert 0 < len(joins) <= 3 * len(word)
    joins.clear()
    assert len(encode(word, merges)) < len(word) / 2
    assert 0 < len(joins) <= 3 * len(word)


def test_one_letter_for_pages_is_learnt_and_encoded() -> None:
    text = "a" * 2**17
    merges = bpe_training.train_bpe(text, 1000)
    assert len(merges) == 16  # 2, 4, 8, ... 2**16 letters; the whole text occurs only once
    assert encode(text, merges) == [271, 271]


@pytest.mark.parametrize("text", ["", "a", " ", "\n\n\n", "   \t"])
def test_tiny_and_blank_texts_end_in_a_result(text: str) -> None:
    merges = bpe_training.train_bpe(text, 10)
    assert merges == bpe_training.train_bpe_reference(text, 10)
    assert b"".join(bpe.spell_tokens(merges)[id] for id in encode(text, merges)).decode() == text


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(97, 256)], "merge 0 joins ids 97 and 256; before it 0 to 255 exist"),
        ([(97, 98), (-1, 98)], "merge 1 joins ids -1 and 98"),
        ([(97, 98), (97, 98)], "merge 1 spells a token that exists already: b'ab'"),
        ([(97, 98), (98, 99), (256, 99), (97, 257)], "merge 3 spells a token"),
        ([(97, 97), *((n, n) for n in range(256, 330))], "tokens grow beyond"),
    ],
)
def test_impossible_merges_are_refused_with_their_number(
    merges: list[bpe.Pair], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bpe.spell_tokens(merges)


def test_the_store_of_words_is_bounded_and_keeps_no_long_words() -> None:
    encoder = bpe.WordEncoder([], "H")
    for number in range(encoder.WORDS + 10):
        encoder[str(number)]
    assert len(encoder) == 10
    assert len(encoder["x" * 1000]) == 2000  # 16 bits an id
    assert "x" * 1000 not in encoder
