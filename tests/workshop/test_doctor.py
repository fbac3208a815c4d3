"""The doctor finds what is there, says what is missing, and tells the minutes that follow from a
step's time."""

from importlib import metadata

import pytest

from tinylm import cli
from tinylm.recipes import load_recipe
from tinylm.workshop import doctor
from tinylm.workshop.doctor import checks, disk, enough, fits, memory, speed


def test_this_machine_is_fit_and_every_line_says_so(tmp_path, monkeypatch, capsys):
    # the step itself is timed in the next test
    monkeypatch.setattr(doctor, "step_seconds", lambda: 0.2)
    cli.main(["doctor", str(tmp_path)])
    told = capsys.readouterr()
    for name in (
        "Python",
        "packages",
        "notebooks",
        "cores",
        "memory",
        "disk",
        "products",
        "speed",
        "demo",
        "real model",
    ):
        assert f" {name} " in told.out
    assert told.err == "ready\n"


def test_a_problem_ends_with_exit_code_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "MEMORY", 1e9)  # GB
    monkeypatch.setattr(doctor, "step_seconds", lambda: 0.2)
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor", str(tmp_path)])
    assert stop.value.code == 1 and "problem  memory" in capsys.readouterr().out


def test_a_step_of_the_demo_is_timed():
    assert 0.001 < doctor.step_seconds() < 30


def test_a_package_that_is_missing_or_too_old_is_a_problem_with_its_remedy(monkeypatch):
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: ["torch>=99", "no-such-thing>=1", 'pytest; extra == "dev"'],
    )
    (found,) = doctor.required()
    assert found.state == "problem" and "pip install" in found.text
    assert (
        "torch" in found.text
        and "no-such-thing is missing" in found.text
        and "pytest" not in found.text
    )


def test_versions_are_compared_as_numbers():
    assert fits("2.10", "torch>=2.9,<2.14") and not fits("2.9", "torch>=2.10") and fits("5", "x")


def test_memory_is_that_of_a_computer():
    assert 2**29 < memory() < 2**45


def test_too_little_room_is_a_problem_and_hardly_enough_a_note(tmp_path):
    assert [enough("disk", gb, 1.0, "free some").state for gb in (0.5, 1.5, 3.0)] == [
        "problem",
        "note",
        "ok",
    ]
    assert disk(tmp_path).state in ("ok", "note") and disk(tmp_path / "nowhere").state == "problem"


def test_minutes_follow_from_the_reference_and_a_slow_machine_is_told_what_to_do():
    reference = {"step_seconds": 0.1, "machine": "two cores", "minutes": {"01_tokens": 2.0}}
    first, demo, notebook = speed(0.2, reference)
    assert first.state == "ok" and "2.0 x" in first.text and "about 4.0 minutes" in notebook.text
    assert speed(0.4, reference).__next__().state == "note"
    assert [check.name for check in speed(0.2, None)] == ["speed", "demo"]
    assert "problem" not in {check.state for check in (first, demo, notebook)}
    steps = sum(load_recipe(name).train.steps for name in ("demo-base", "demo-verse"))
    assert demo.text == f"about {0.2 * steps / 60 + 1:.0f} minutes"


def test_slow_checks_come_last(tmp_path):
    assert next(iter(checks(tmp_path))).name == "Python"


def test_the_real_model_is_there_or_missing_and_its_minutes_follow_from_the_speed(tmp_path):
    here = tmp_path / "model.gguf"
    missing = doctor.real_model(here, 0.1)
    assert missing.state == "note" and "tinylm fetch smollm2" in missing.text
    here.write_bytes(b"")
    found = doctor.real_model(here, 0.1)
    assert found.state == "ok" and "SmolLM2 is here" in found.text
    minutes = doctor.FOUNDATION_MINUTES
    assert f"about {0.1 * minutes:.0f} minutes" in found.text
    assert f"about {0.3 * minutes:.0f} minutes" in doctor.real_model(here, 0.3).text
