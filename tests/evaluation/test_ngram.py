"""The n-gram baseline against a slow dictionary implementation, and what its probabilities must
obey."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from tinylm.evaluation.ngram import FALLBACK, NgramModel, discounts, ladder

VOCAB = 7


@pytest.fixture
def text() -> np.ndarray:
    """1,000 ids of a chain in which the next id is mostly the last one plus one; id 6 never
    occurs."""
    rng = np.random.default_rng(0)
    return np.cumsum(rng.choice([1, 1, 1, 2, 3], 1000)) % (VOCAB - 1)


class DictionaryNgram:
    """The same model written as the formula reads, one dictionary of counts for each order: slow
    and clear."""

    def __init__(self, ids: list[int], order: int, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.counts: list[Counter[tuple[int, ...]]] = []
        for n in range(1, order + 1):
            if n == order:
                self.counts.append(Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)))
                continue
            # gram -> the tokens that stand before it; None is the beginning of the text
            before = defaultdict(set)
            for i in range(len(ids) - n + 1):
                before[tuple(ids[i : i + n])].add(ids[i - 1] if i else None)
            self.counts.append(Counter({gram: len(tokens) for gram, tokens in before.items()}))
        self.discounts = [
            (0.0, *discounts(np.array(list(counts.values())))) for counts in self.counts
        ]

    def probability(self, context: tuple[int, ...], token: int) -> float:
        n = len(context) + 1
        shorter = self.probability(context[1:], token) if context else 1 / self.vocab_size
        counts, taken = self.counts[n - 1], self.discounts[n - 1]
        followers = {gram: c for gram, c in counts.items() if gram[:-1] == context}
        if not followers:
            return shorter
        total = sum(followers.values())
        count = followers.get((*context, token), 0)
        held_back = sum(taken[min(c, 3)] for c in followers.values()) / total
        return (count - taken[min(count, 3)]) / total + held_back * shorter


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_every_score_is_the_one_of_the_dictionary_implementation(
    text: np.ndarray, order: int
) -> None:
    train, other = text[:300], np.append(text[300:340], VOCAB - 1)
    slow = DictionaryNgram(train.tolist(), order, VOCAB)
    past = [tuple(other[max(0, i - order + 1) : i].tolist()) for i in range(1, len(other))]
    expected = [
        -np.log(slow.probability(context, int(token))) for context, token in zip(past, other[1:])
    ]
    np.testing.assert_allclose(
        NgramModel.fit(train, order, VOCAB).score(other), expected, rtol=1e-12
    )


@pytest.mark.parametrize("order", [1, 2, 5])
def test_the_distribution_sums_to_one_after_seen_and_unseen_contexts(
    text: np.ndarray, order: int
) -> None:
    model = NgramModel.fit(text, order, VOCAB)
    for context in (
        [],
        [0],
        text[:4].tolist(),
        text[-4:].tolist(),
        [6, 6, 6, 6],
        [0, 6, 1, 2],
        [5, 5, 5, 5, 5, 5],
    ):
        probability = model.distribution(context)
        assert probability.shape == (VOCAB,)
        assert probability.min() > 0
        assert probability.sum() == pytest.approx(1, abs=1e-12)


def test_score_and_distribution_tell_the_same_probability(text: np.ndarray) -> None:
    model = NgramModel.fit(text[:500], 4, VOCAB)
    passage = text[500:520]
    told = [-np.log(model.distribution(passage[:i])[passage[i]]) for i in range(1, len(passage))]
    np.testing.assert_allclose(model.score(passage), told)


def test_a_gram_that_follows_one_token_only_is_expected_less_than_its_frequency_suggests() -> None:
    # 1 always follows 0; 2 is as frequent but follows 3, 4, 5 and itself. After the unseen context
    # 6, 2 is likelier.
    ids = np.array([0, 1, 0, 1, 0, 1, 0, 1, 3, 2, 4, 2, 5, 2, 2])
    probability = NgramModel.fit(ids, 2, VOCAB).distribution([6])
    assert probability[2] > 1.5 * probability[1]


def test_a_longer_memory_predicts_held_out_text_better(text: np.ndarray) -> None:
    rungs = ladder(text[:900], text[900:], VOCAB, highest=2)
    assert list(rungs) == ["uniform", "unigram", "2-gram"]
    assert rungs["uniform"] == pytest.approx(np.log(VOCAB))
    assert rungs["2-gram"] < rungs["unigram"] - 0.5 < rungs["uniform"]


def test_held_out_scores_are_near_the_entropy_of_the_source() -> None:
    rng = np.random.default_rng(1)
    ids = np.cumsum(rng.choice([1, 2], 60_000, p=[0.9, 0.1])) % VOCAB
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    score = NgramModel.fit(ids[:50_000], 4, VOCAB).score(ids[50_000:])
    assert entropy - 0.02 < score.mean() < entropy + 0.02


def test_large_vocabularies_do_not_overflow_the_keys() -> None:
    ids = np.random.default_rng(0).integers(0, 150_000, 5000)
    model = NgramModel.fit(np.concatenate([ids, ids]), 6, 150_000)
    assert model.score(ids)[10:].max() < np.log(150_000) / 2  # every gram of six was seen twice


def test_discounts_fall_back_where_the_counts_of_counts_are_empty_or_senseless() -> None:
    assert discounts(np.array([5, 9, 100])) == FALLBACK
    # a negative discount
    assert discounts(np.array([1] * 50 + [2] * 5 + [3] + [4] * 50)) == FALLBACK
    assert discounts(np.array([1] * 50 + [2] * 20 + [3] * 10 + [4] * 6)) != FALLBACK


def test_samples_repeat_a_text_that_has_one_continuation() -> None:
    model = NgramModel.fit(np.array([0, 1, 2, 3] * 200), 3, VOCAB)
    sample = model.sample([0, 1], 12, np.random.default_rng(0))
    assert len(sample) == 12
    assert sample == model.sample([0, 1], 12, np.random.default_rng(0))
    assert sample[:4] == [2, 3, 0, 1]


def test_wrong_ids_and_orders_are_refused(text: np.ndarray) -> None:
    with pytest.raises(ValueError, match="from 0 to 2"):
        NgramModel.fit(text, 2, 3)
    with pytest.raises(ValueError, match="order must lie between 1 and"):
        NgramModel.fit(text, 0, VOCAB)
    with pytest.raises(ValueError, match="token ids"):
        NgramModel.fit(text, 2, VOCAB).score(np.array([VOCAB]))


@pytest.mark.parametrize("module", ["statistics", "ngram", "novelty", "knowledge"])
def test_measures_that_need_no_network_import_no_torch(module: str) -> None:
    code = f"import sys, tinylm.evaluation.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(
    "TINYLM_TEXTS" not in os.environ, reason="TINYLM_TEXTS names no folder of texts"
)
def test_six_characters_of_shakespeare_are_worth_half_the_unigram_loss() -> None:
    text = (Path(os.environ["TINYLM_TEXTS"]) / "tinyshakespeare.txt").read_text(encoding="utf-8")
    symbols, ids = np.unique(
        np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True
    )
    cut = int(0.9 * len(ids))
    rungs = ladder(ids[:cut], ids[cut:], len(symbols))
    losses = list(rungs.values())
    assert losses == sorted(losses, reverse=True)
    assert rungs["6-gram"] < 0.5 * rungs["unigram"]
