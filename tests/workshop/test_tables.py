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


def test_what_a_smoke_run_measured_is_not_taken_over(tmp_path):
    (tmp_path / "results.json").write_text('{"scale": "smoke"}', encoding="utf-8")
    with pytest.raises(ValueError, match="concludes nothing"):
        tables.take_over_lesson(tmp_path)
