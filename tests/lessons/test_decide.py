"""The decision page: only what was run is decided."""

import pytest

from tinylm.lessons.decide import ROWS, conclude, decision, page, run
from tinylm.lessons.experiment import Experiment
from tinylm.runs import write_json


def results(verdict: str = "supported", scale: str = "full") -> dict:
    arm = {"unit": "% of questions", "mean": 87.25, "low": 84.0, "high": None}
    return {
        "verdict": verdict,
        "scale": scale,
        "sentence": "It was <measured>.",
        "arms": {"retrieved": arm},
        "bars": {"retrieved >= 85 %": True, "closed <= 10 %": False},
        "minutes": 1.0,
        "base_minutes": 2.0,
    }


def test_nothing_is_decided_where_nothing_was_run(tmp_path):
    with pytest.raises(ValueError, match="nothing to decide on"):
        list(run(Experiment("full", tmp_path / "decide")))


def test_a_lesson_that_was_not_run_leaves_its_row_open(tmp_path):
    write_json_at(tmp_path / "retrieval", results())
    experiment = Experiment("full", tmp_path / "decide")
    result = exhaust(run(experiment))
    assert result.verdict == "no measurable difference" and "tools" in result.sentence
    decisions = list(result.details["decisions"].values())
    assert decisions[0] == ROWS[0].supported
    assert (
        set(decisions[1:]) == {f"Not decided. Run: tinylm lesson {row.lesson}" for row in ROWS[1:]}
        or len(ROWS) > 2
    )
    assert "Not decided. Run: tinylm lesson tools" in (experiment.out / "decision.html").read_text(
        encoding="utf-8"
    )


def test_results_of_another_scale_decide_nothing(tmp_path):
    write_json_at(tmp_path / "retrieval", results(scale="smoke"))
    with pytest.raises(ValueError, match="nothing to decide on"):
        list(run(Experiment("full", tmp_path / "decide")))


@pytest.mark.parametrize("verdict, "
                         "words", [("supported", ROWS[0].supported), ("not "
                                                                      "supported",
                                                                      ROWS[0].not_supported),
                                            ("no measurable difference", "Undecided")])  # fmt: skip
def test_the_advice_follows_the_verdict(verdict, words):
    assert decision(ROWS[0], results(verdict)).startswith(words)


def test_everything_supported_supports_the_claim_and_one_refuted_row_does_not():
    everything = {row.lesson: results() for row in ROWS}
    assert conclude(everything).verdict == "supported"
    assert conclude(everything | {"tools": results("not supported")}).verdict == "not supported"


def test_the_page_shows_misses_and_escapes_what_it_quotes():
    html = page({row.lesson: None for row in ROWS} | {"retrieval": results()})
    assert "closed &lt;= 10 %: missed" in html and "It was &lt;measured&gt;." in html
    assert "87.2 % of questions" in html


def write_json_at(folder, value):
    folder.mkdir()
    write_json(folder / "results.json", value)


def exhaust(generator):
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value
