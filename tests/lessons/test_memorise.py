"""How much is copied, and how much is learned."""

import numpy as np

from tinylm.lessons.memorise import Reading, conclude, documents
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer

FEWER, OFTEN, SELDOM = Reading(60, 50), Reading(60, 400), Reading(7500, 400)


def measured(copied_seldom=0.5, unseen_seldom=0.6):
    """Three arms of three seeds; the author's own text repeats half of its spans."""

    def arm(copied, unseen, epochs):
        return [
            {
                "copied": copied + noise,
                "author": 0.5,
                "unseen": unseen + noise,
                "read": 0.4,
                "epochs": epochs,
            }
            for noise in (-0.01, 0.0, 0.01)
        ]

    return {
        FEWER: arm(0.3, 2.0, 8),
        OFTEN: arm(0.9, 1.5, 60),
        SELDOM: arm(copied_seldom, unseen_seldom, 0.5),
    }


def test_copying_that_ends_with_more_text_supports_the_claim():
    result = conclude(measured())
    assert result.verdict == "supported" and all(result.targets.values())
    assert "90 %" in result.sentence


def test_a_model_that_copies_a_large_corpus_too_refutes_it():
    result = conclude(measured(copied_seldom=0.8))
    assert result.verdict == "not supported"
    assert not next(met for bar, met in result.targets.items() if bar.startswith("generalisation"))


def test_a_model_that_predicts_unseen_text_no_better_refutes_it():
    assert conclude(measured(unseen_seldom=1.6)).verdict == "not supported"


def test_documents_keep_their_beginnings_and_lose_no_token():
    tokenizer = CharTokenizer.train("ab", [DOCUMENT])
    begin = tokenizer.special_id(DOCUMENT)
    parts = documents(np.array([begin, 0, 1, begin, 1]), tokenizer)
    assert [part.tolist() for part in parts] == [[begin, 0, 1], [begin, 1]]


def test_the_smoke_lesson_measures_every_corpus_with_every_seed(smoke_lesson):
    arms = smoke_lesson("memorise")["details"]["arms"]
    assert [arm["stories"] for arm in arms] == [4, 4, 16]
    assert all(
        0 <= one["copied"] <= 1 and one["unseen"] > 0 for arm in arms for one in arm["seeds"]
    )
    assert arms[1]["seeds"][0]["epochs"] > arms[2]["seeds"][0]["epochs"]
