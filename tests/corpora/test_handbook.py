"""The handbook: every answer can be found, in one place, in the edition it belongs to."""

from __future__ import annotations

import json
import re

import pytest

from tinylm.assistant.retrieval import stems
from tinylm.corpora.handbook import handbook, paraphrases, questions
from tinylm.corpora.world import PEOPLE
from tinylm.recipes import shipped

FIRST, SECOND, QUESTIONS = handbook(1), handbook(2), questions()
PARAPHRASES = paraphrases() + paraphrases(tuning=True)
CHANGES = json.loads(
    (shipped("data") / "handbook" / "second-edition.json").read_text(encoding="utf-8")
)


def stands_in(answer: str, text: str) -> int:
    """How often the answer stands in the text as whole words and numbers ("5" is not in "15", "2.5"
    or "5:20")."""
    return len(re.findall(rf"(?<![\w.,:]){re.escape(answer)}(?!\w|[.,:]\d)", text))


def test_the_handbook_is_as_large_as_promised() -> None:
    assert len(FIRST) >= 15
    assert len(QUESTIONS) >= 220
    assert len({question.evidence for question in QUESTIONS}) >= 200
    assert len(CHANGES) >= 40


def test_ids_and_questions_are_unique_and_answers_short() -> None:
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)
    assert len({question.question for question in QUESTIONS}) == len(QUESTIONS)
    assert all(1 <= len(question.answer.split()) <= 5 for question in QUESTIONS)
    assert all(question.question.endswith("?") for question in QUESTIONS)


def test_every_answer_stands_once_in_its_evidence_and_the_evidence_in_one_document_only() -> None:
    for question in QUESTIONS:
        assert stands_in(question.answer, question.evidence) == 1, question
        assert [name for name, text in FIRST.items() if question.evidence in text] == [
            question.document
        ], question
        assert FIRST[question.document].count(question.evidence) == 1, question


def test_no_question_gives_its_own_answer_away() -> None:
    assert [q.question for q in QUESTIONS if stands_in(q.answer.lower(), q.question.lower())] == []


def test_the_second_edition_differs_in_the_changed_sentences_and_nowhere_else() -> None:
    assert FIRST.keys() == SECOND.keys()
    for name, text in FIRST.items():
        changes = [change for change in CHANGES if change["document"] == name]
        sentences = set(re.split(r"(?<=[.!?])\s+|\n+", text))
        new_sentences = set(re.split(r"(?<=[.!?])\s+|\n+", SECOND[name]))
        assert len(sentences - new_sentences) == len(new_sentences - sentences) == len(changes)
        for change in changes:
            assert text.count(change["old"]) == 1 and change["old"] not in SECOND[name]
            assert SECOND[name].count(change["new"]) == 1 and change["new"] not in text


def test_every_change_has_one_question_whose_new_answer_stands_in_the_new_sentence() -> None:
    changed = {
        question.evidence: question for question in QUESTIONS if question.new_answer is not None
    }
    assert changed.keys() == {change["old"] for change in CHANGES}
    for change in CHANGES:
        question = changed[change["old"]]
        assert stands_in(question.answer_in(2), change["new"]) == 1
        assert stands_in(question.answer_in(1), change["new"]) == 0
        assert question.answer_in(1) != question.answer_in(2)


def test_what_did_not_change_is_still_true_in_the_second_edition() -> None:
    for question in QUESTIONS:
        if question.new_answer is None:
            assert question.evidence in SECOND[question.document], question
            assert question.answer_in(2) == question.answer_in(1)


def test_nobody_from_the_stories_appears_so_that_no_story_can_answer() -> None:
    words = {
        word for text in [*FIRST.values(), *SECOND.values()] for word in re.findall(r"\w+", text)
    }
    assert not words & {person.name for person in PEOPLE}
    whole = " ".join([*FIRST.values(), *SECOND.values()])
    assert not [person.boat for person in PEOPLE if f"the {person.boat}" in whole]


def test_another_edition_is_refused() -> None:
    with pytest.raises(ValueError, match="editions 1 and 2, not 3"):
        handbook(3)


def test_no_paraphrase_shares_a_content_word_with_the_sentence_that_answers_it() -> None:
    assert len(paraphrases()) == 100 and len(paraphrases(tuning=True)) == 61
    assert [q for q in PARAPHRASES if set(stems(q.question)) & set(stems(q.evidence))] == []


def test_paraphrases_are_about_other_sentences_each_and_can_be_graded() -> None:
    for field in ("id", "question", "evidence"):
        assert len({getattr(question, field) for question in PARAPHRASES}) == len(PARAPHRASES)
    for question in PARAPHRASES:
        assert 1 <= len(question.answer.split()) <= 5 and question.question.endswith("?")
        assert stands_in(question.answer, question.evidence) == 1, question
        assert FIRST[question.document].count(question.evidence) == 1, question
        assert not stands_in(question.answer.lower(), question.question.lower()), question


def test_the_second_edition_answers_the_paraphrases_too() -> None:
    for question in PARAPHRASES:
        if question.new_answer is None:
            held = question.evidence in SECOND[question.document]
            new = [c["new"] for c in CHANGES if c["old"] == question.evidence]
            assert held or stands_in(question.answer, new[0]) == 1, question
        else:
            (new,) = [c["new"] for c in CHANGES if c["old"] == question.evidence]
            assert stands_in(question.new_answer, new) == 1, question
