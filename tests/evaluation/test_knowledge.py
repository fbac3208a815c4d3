"""Probes find what a scorer knows, leave out what it merely likes, and say how sure that is."""

import numpy as np
import pytest

from tinylm.evaluation.knowledge import Question, probe
from tinylm.evaluation.ngram import NgramModel
from tinylm.evaluation.statistics import paired_difference, verdict

PLACES = (" the mill", " the sea", " the hill", " the old harbour")
NAMES = [f"Person{number}" for number in range(40)]


def questions(relation: str = "lives") -> list[Question]:
    return [
        Question(f"{name} lives by", PLACES, i % 4, "Someone lives by", relation)
        for i, name in enumerate(NAMES)
    ]


class Reader:
    """Prefers some places whatever is asked, and adds what it knows about some of the people."""

    def __init__(self, knows: int, taste: tuple[float, ...] = (0.0, 3.0, 6.0, 9.0)) -> None:
        self.home = {f"{name} lives by": PLACES[i % 4] for i, name in enumerate(NAMES[:knows])}
        self.taste = dict(zip(PLACES, taste))
        self.asked: list[tuple[str, str]] = []

    def __call__(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        self.asked += pairs
        return np.array(
            [20 + self.taste[place] - (self.home.get(prompt) == place) for prompt, place in pairs]
        )


def test_calibration_finds_knowledge_under_a_strong_taste() -> None:
    result = probe(questions(), Reader(knows=40))
    assert result.accuracy.mean == 0.25  # by taste alone, always the first place
    assert result.calibrated_accuracy.mean == 1
    assert result.calibrated_correct == (True,) * 40
    assert 0.9 < result.calibrated_accuracy.low < 1


def test_a_reader_that_knows_nothing_is_at_chance_by_taste_and_right_nowhere_once_calibrated() -> (
    None
):
    result = probe(questions(), Reader(knows=0))
    assert result.chance == 0.25
    assert result.accuracy.low < result.chance < result.accuracy.high
    assert result.calibrated_accuracy.mean == 0  # every option ties, and a tie is not knowledge


def test_right_and_wrong_are_told_for_each_question_and_each_relation() -> None:
    asked = questions("lives")[:20] + questions("works")[20:]
    result = probe(asked, Reader(knows=10, taste=(0, 0, 0, 0)))
    assert result.correct == (True,) * 10 + (False,) * 30
    assert {name: (row.questions, row.accuracy.mean) for name, row in result.relations.items()} == {
        "lives": (20, 0.5),
        "works": (20, 0.0),
    }


def test_two_models_are_compared_on_the_same_questions() -> None:
    many, few, other = (probe(questions(), Reader(knows)) for knows in (30, 10, 29))
    assert verdict(paired_difference(many.calibrated_correct, few.calibrated_correct)) == "higher"
    assert (
        verdict(paired_difference(other.calibrated_correct, many.calibrated_correct))
        == "no measurable difference"
    )


def test_each_pair_is_scored_once_in_one_batch() -> None:
    reader = Reader(knows=5)
    probe(questions(), reader)
    # 40 prompts and one neutral prompt
    assert len(reader.asked) == len(set(reader.asked)) == 41 * 4


def test_an_ngram_model_is_probed_as_any_model_is() -> None:
    text = "Ann has a red hat. Bob has a big dog. " * 50
    symbols = sorted(set(text))
    model = NgramModel.fit(np.array([symbols.index(sign) for sign in text]), 6, len(symbols))

    def score(pairs: list[tuple[str, str]]) -> np.ndarray:
        nats = [
            model.score(np.array([symbols.index(sign) for sign in prompt + rest]))
            for prompt, rest in pairs
        ]
        return np.array([part[-len(rest) :].sum() for part, (_, rest) in zip(nats, pairs)])

    near = Question("a red", (" hat", " dog"), 0, "a", "near")
    far = Question("Bob has a", (" red", " big"), 1, "hat has a", "beyond five characters")
    result = probe([near, far], score)
    assert result.relations["near"].accuracy.mean == 1
    assert result.relations["beyond five characters"].calibrated_accuracy.mean == 0


def test_questions_that_cannot_be_asked_are_refused() -> None:
    with pytest.raises(ValueError, match="two or more different options"):
        Question("Where?", (" here", " here"), 0, "")
    with pytest.raises(ValueError, match="no option 2"):
        Question("Where?", (" here", " there"), 2, "")
    with pytest.raises(ValueError, match="at least one question"):
        probe([], Reader(0))
    with pytest.raises(ValueError, match="one number for each"):
        probe(questions(), lambda pairs: np.zeros(3))
    with pytest.raises(ValueError, match="log probabilities"):
        probe(questions(), lambda pairs: -Reader(0)(pairs))


def test_guessing_is_right_in_the_mean_of_the_shares_that_the_options_leave() -> None:
    two = Question("Ann lives by", PLACES[:2], 0, "Someone lives by", "lives")
    four = Question("Bob lives by", PLACES, 0, "Someone lives by", "lives")
    assert probe([two, four], Reader(knows=0)).chance == 0.375  # (1/2 + 1/4) / 2, not 1/3
