"""Lessons: discovery, verdicts, results and the command."""

import pytest

from tinylm.cli import main
from tinylm.evaluation.statistics import Interval
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import (
    Arm,
    Lesson,
    Result,
    above,
    below,
    find_lesson,
    lessons,
    run_lesson,
    together,
)


def steps(experiment: Experiment):
    """A lesson of one measured number a seed."""
    values = []
    for seed in experiment.seeds:
        yield Progress("counting", seed, len(experiment.seeds))
        values.append(experiment.measure(f"number {seed}", seed, lambda seed=seed: 10.0 + seed))
    return Result(
        "supported",
        "Numbers grow.",
        [Arm("number", "units", values)],
        {},
        targets={"above 5": True},
    )


TOY = Lesson("toy", "Numbers grow.", "Do they?", "No growth.", minutes=1, base_minutes=0, run=steps)


def test_a_result_becomes_results_with_seeds_intervals_and_machine(tmp_path):
    *progress, last = run_lesson(TOY, "full", tmp_path)
    arm = last.results["arms"]["number"]
    assert [p.done for p in progress] == [1, 2, 3]
    assert arm["seeds"] == {"1": 11.0, "2": 12.0, "3": 13.0} and arm["mean"] == 12
    # Student t over three seeds is wider than their range
    assert arm["low"] < 11 and arm["high"] > 13
    assert last.results["verdict"] == "supported" and last.results["machine"]["cores"]
    assert (tmp_path / "results.json").is_file()


def test_a_smoke_run_concludes_nothing_and_says_so(tmp_path):
    *_, last = run_lesson(TOY, "smoke", tmp_path)
    assert last.results["verdict"] == "no measurable difference"
    assert "nothing can be concluded" in last.results["sentence"]


def test_verdicts_come_from_whole_intervals():
    low, middle, high = Interval(0.1, 0.0, 0.2), Interval(0.5, 0.4, 0.6), Interval(0.9, 0.8, 1.0)
    assert [above(i, 0.5) for i in (low, middle, high)] == [
        "not supported",
        "no measurable difference",
        "supported",
    ]
    assert [below(i, 0.5) for i in (low, middle, high)] == [
        "supported",
        "no measurable difference",
        "not supported",
    ]
    assert together("supported", "supported") == "supported"
    assert together("supported", "not supported", "no measurable difference") == "not supported"


def test_an_unknown_lesson_is_refused_with_the_closest_name():
    with pytest.raises(ValueError, match="next-token"):
        find_lesson("next-tokens")


def test_every_lesson_has_a_claim_a_question_and_takes_at_most_twelve_minutes():
    result = lessons()
    assert len({lesson.name for lesson in result}) == len(result)
    for lesson in result:
        assert find_lesson(lesson.name) is lesson
        assert lesson.claim.endswith(".") and lesson.question.endswith("?")
        assert lesson.minutes <= 12


def test_the_list_shows_every_lesson_with_its_minutes_and_its_control(capsys):
    main(["lesson", "--list"])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 * len(lessons()) and all(" min" in line for line in shown[::2])
    told = [line.split("control: ")[1] for line in shown[1::2]]
    assert told == [lesson.control for lesson in lessons()]


def test_the_command_prints_verdict_arms_and_targets(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tinylm.lessons.lesson.find_lesson", lambda name: TOY)
    main(["lesson", "toy", "--scale", "smoke", "--out", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "NO MEASURABLE DIFFERENCE" in shown and "number" in shown and "above 5" in shown
