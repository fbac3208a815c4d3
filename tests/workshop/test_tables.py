"""The results that the guides' tables are made from are taken over from folders, never typed."""

import json

import pytest

from tinylm.workshop import tables


def test_a_lesson_is_taken_over_with_its_misses_and_stays_in_its_place(tmp_path, monkeypatch):
    known = json.loads(tables.LESSONS.read_text(encoding="utf-8"))["lessons"]
    monkeypatch.setattr(tables, "LESSONS", tmp_path / "kept.json")
    tables.LESSONS.write_text(json.dumps({"lessons": known}), encoding="utf-8")
    results = {
        "lesson": "lock-in", "claim": "A claim.", "verdict": "supported", "sentence": "Much.",
        "bars": {"much": True, "more": False}, "minutes": 3.0, "arms": {}, "scale": "full",
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    tables.take_over_lesson(tmp_path)
    kept = json.loads(tables.LESSONS.read_text(encoding="utf-8"))["lessons"]
    assert [own["lesson"] for own in kept] == [own["lesson"] for own in known]
    (new,) = (own for own in kept if own["lesson"] == "lock-in")
    assert new["measured"] == "Much. **Missed**: more." and new["verdict"] == "supported"
    assert [own for own in kept if own != new] == [k for k in known if k["lesson"] != "lock-in"]


def test_a_control_stands_beside_its_lesson_and_a_supported_one_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LESSONS", tmp_path / "kept.json")
    lesson = {"lesson": "tools", "claim": "Help.", "verdict": "supported", "measured": "They do."}
    others = [lesson | {"lesson": name} for name in ("retrieval", "assistant")]
    tables.LESSONS.write_text(json.dumps({"lessons": [*others, lesson]}), encoding="utf-8")
    control = {
        "lesson": "tools", "claim": "Help.", "verdict": "supported", "bars": {"much": False},
        "sentence": "Control: None. 5 %.", "minutes": 3.0, "arms": {}, "scale": "full",
        "control": True, "control_takes_away": "None.",
    }  # fmt: skip
    write_and_take_over(tmp_path, control)
    *_, row, _ = tables.lessons_table().splitlines()
    assert row == "| `tools` | Help. | supported | PROBLEM: supported | They do. |"
    (row,) = (line for line in tables.controls_table().splitlines() if "`tools`" in line)
    assert row.endswith("| PROBLEM: supported | 5 %. |")
    # The lesson anew: its control stays.
    write_and_take_over(tmp_path, control | {"control": False, "sentence": "Now.", "bars": {}})
    (row,) = (line for line in tables.lessons_table().splitlines() if "`tools`" in line)
    assert row == "| `tools` | Help. | supported | PROBLEM: supported | Now. |"
    assert tables.lessons_table().count("not run") == 2
    with pytest.raises(ValueError, match="take the lesson over first"):
        write_and_take_over(tmp_path, control | {"lesson": "style"})


def write_and_take_over(folder, results):
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    tables.take_over_lesson(folder)


def test_what_a_smoke_run_measured_is_not_taken_over(tmp_path):
    (tmp_path / "results.json").write_text('{"scale": "smoke"}', encoding="utf-8")
    with pytest.raises(ValueError, match="concludes nothing"):
        tables.take_over_lesson(tmp_path)
