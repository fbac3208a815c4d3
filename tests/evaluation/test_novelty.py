"""Copied text is found exactly: against a slow search, and where it was planted."""

import random
import re

import numpy as np
import pytest

from tinylm.evaluation.novelty import copied_lengths, cut_like, novelty


def searched_lengths(text: str, training: str) -> list[int]:
    """The same as `copied_lengths` for one text, by looking for every span."""
    return [
        max(
            length
            for length in range(len(text) - start + 1)
            if text[start : start + length] in training
        )
        for start in range(len(text))
    ]


def sentence(rng: random.Random, words: int) -> str:
    return " ".join(
        rng.choice(["sea", "seal", "see", "lamp", "lame", "a", "net", "nettle"])
        for _ in range(words)
    )


@pytest.mark.parametrize("seed", range(8))
def test_every_copied_length_is_the_one_of_a_slow_search(seed: int) -> None:
    rng = random.Random(seed)
    training = sentence(rng, 300)
    texts = [sentence(rng, rng.randint(1, 40)) for _ in range(6)] + [
        training[50:400],
        training[-30:],
        "",
        "zzz",
    ]
    for text, lengths in zip(texts, copied_lengths(texts, training)):
        assert lengths.tolist() == searched_lengths(text, training)


@pytest.mark.parametrize(
    "alphabet", ["ab", "a", "aé漢🌊 \n\0", "".join(map(chr, range(0x4E00, 0x5E00)))]
)
def test_copied_lengths_are_exact_in_any_alphabet(alphabet: str) -> None:
    rng = random.Random(0)
    training = "".join(rng.choices(alphabet, k=600))
    texts = [
        "".join(rng.choices(alphabet, k=90)),
        training[100:300] + "b",
        training,
        training + training[:9],
        "ab" * 9,
    ]
    for text, lengths in zip(texts, copied_lengths(texts, training)):
        assert lengths.tolist() == searched_lengths(text, training)


def test_a_span_that_only_another_sample_has_is_no_copy() -> None:
    first, second = copied_lengths(["the lighthouse", "the lighthouse"], "the land")
    assert first.max() == second.max() == 5


def test_a_sample_lifted_from_the_training_text_is_copied_whole_and_a_new_one_is_not() -> None:
    rng = random.Random(0)
    training = "\n".join(sentence(rng, 12) for _ in range(400))
    lifted = training.splitlines()[17]
    found = novelty(
        training,
        {"lifted": [lifted], "new": ["quite other words that nobody put in there at any time"]},
    )
    assert found["lifted"].longest == (len(lifted),)
    assert all(
        share.mean == 1
        for share in [*found["lifted"].spans.values(), *found["lifted"].word_grams.values()]
    )
    assert found["lifted"].copied_lines.mean == 1
    assert found["new"].longest[0] < 8
    assert all(
        share.mean == 0
        for share in [*found["new"].spans.values(), *found["new"].word_grams.values()]
    )
    assert found["new"].copied_lines.mean == 0


def test_word_grams_ignore_case_and_punctuation_and_count_every_run() -> None:
    training = "Mara mends the nets; Tobin's goat looks on."
    found = novelty(
        training, {"a": ["MARA mends the nets Tobin’s goat", "mara mends the nets, Tobin's cat"]}
    )["a"]
    # 3 runs of four words each; ' and ’ differ, so of the first only one is copied, of the second
    # two.
    assert found.word_grams[4].mean == pytest.approx(3 / 6)
    assert 8 not in found.word_grams


def test_shares_of_spans_divide_all_copied_windows_by_all_windows() -> None:
    training = "abcdefghijklmnopqrstuvwxyz"
    samples = ["abcdefghijklmnopqrst" + "!" * 5, "#" * 16]
    copied = sum(
        sample[i : i + 16] in training for sample in samples for i in range(len(sample) - 15)
    )
    assert novelty(training, {"a": samples})["a"].spans[16].mean == copied / 11


def test_lines_are_compared_whole_and_repeated_ones_are_counted() -> None:
    training = "the tide comes in\nand lays its silver down\n"
    samples = ["  the tide comes in\n\nthe tide comes\n", "the tide comes\nthe tide comes"]
    found = novelty(training, {"a": samples})["a"]
    assert found.copied_lines.mean == 1 / 4
    assert found.distinct_lines == 2 / 4


def test_groups_do_not_change_one_another() -> None:
    rng = random.Random(3)
    training = sentence(rng, 500)
    a, b = [sentence(rng, 30) for _ in range(4)], [sentence(rng, 60) for _ in range(3)]
    together = novelty(training, {"a": a, "b": b})
    assert together == {**novelty(training, {"a": a}), **novelty(training, {"b": b})}


def test_reference_pieces_are_as_long_as_the_samples_and_begin_with_a_line() -> None:
    rng = random.Random(1)
    text = "\n".join(sentence(rng, 9) for _ in range(60))
    samples = ["x" * length for length in (100, 30, 250)]
    pieces = cut_like(text, samples)
    assert [len(piece) for piece in pieces] == [100, 30, 250]
    assert all(re.search(rf"(\A|\n){re.escape(piece)}", text) for piece in pieces)
    assert cut_like("short", ["x" * 6]) == []


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="group 'tuned' holds no text"):
        novelty("training", {"tuned": ["", " \n"]})
    with pytest.raises(ValueError, match="training text"):
        copied_lengths(["a"], "")


def test_a_megabyte_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(3000)])
    training = " ".join(words[rng.zipf(1.3, 160_000) % 3000])
    assert len(training) > 500_000
    samples = [training[start : start + 400] + "?" for start in range(0, 20_000, 400)]
    assert {int(lengths.max()) for lengths in copied_lengths(samples, training)} == {400}
