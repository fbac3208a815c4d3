"""The ladder from guessing to the source of the text."""

import numpy as np

from tinylm.lessons.next_token import conclude, per_story
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer

LIVE = [{"prompt": "a", "tokens": ["b"], "probabilities": [[0.5, 0.6]]}]


def rungs(gpt):
    """A ladder of ten stories; the bits of the GPT are given, for two seeds."""
    fixed = {"uniform": 8.0, "unigram": 4.0, "n-gram": 1.0}
    noise = np.linspace(-0.1, 0.1, 10)
    return {
        "char": {name: [bits + noise] for name, bits in fixed.items()}
        | {"GPT": [gpt + noise, gpt + 0.01 - noise], "generator": [np.full(10, 0.1)]}
    }


def test_a_descending_ladder_supports_the_claim_and_a_gpt_above_the_n_gram_misses_its_target():
    assert conclude(rungs(gpt=0.5), {"char": 6, "bpe": 3}, LIVE).verdict == "supported"
    worse = conclude(rungs(gpt=1.5), {"char": 6, "bpe": 3}, LIVE)
    assert worse.verdict == "supported" and not any(worse.targets.values())
    assert "do not all descend (not char: n-gram to GPT)" in worse.sentence


def test_a_gpt_that_is_no_better_than_one_that_never_looks_back_refutes_the_claim():
    assert conclude(rungs(gpt=4.5), {"char": 6, "bpe": 3}, LIVE).verdict == "not supported"


def test_a_story_is_charged_for_its_own_tokens_and_not_for_its_beginning():
    tokenizer = CharTokenizer.train("abc", [DOCUMENT])
    begin, (a, b) = tokenizer.special_id(DOCUMENT), tokenizer.encode("ab")
    ids = np.array([begin, a, b, begin, a, a])
    # of each token after the first; 50 for the second beginning
    bits = np.array([1.0, 2.0, 50.0, 4.0, 5.0])
    assert per_story(bits, ids, tokenizer).tolist() == [3 / 2, 9 / 2]


def test_the_smoke_lesson_has_all_rungs_and_live_probabilities(smoke_lesson, lessons_folder):
    results = smoke_lesson("next-token")
    assert len(results["arms"]) == 10 and all(
        arm["unit"] == "bits/byte" for arm in results["arms"].values()
    )
    assert (
        results["arms"]["generator, characters"]["mean"]
        < results["arms"]["GPT, characters"]["mean"]
    )
    assert len(results["details"]["live"][0]["tokens"]) == 6
    assert all((lessons_folder / "next-token" / name).is_file() for name in results["figures"])
