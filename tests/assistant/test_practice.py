"""Practice for imported models: what it asks, what it teaches, and what it never shows."""

import re
from itertools import islice

import pytest

from tests.assistant.chat_model import chat_tokenizer
from tinylm.assistant.conversation import DONT_KNOW, PASSAGE
from tinylm.assistant.practice import (
    MAKERS,
    SHARES,
    Drill,
    Reading,
    encode,
    following,
    pieces,
    reading,
)
from tinylm.assistant.practice_tables import look_up
from tinylm.assistant.practice_texts import fact, follow_up, kind_of, templates
from tinylm.assistant.practice_values import DRAWN, LISTS
from tinylm.assistant.protocol import ChatTokens
from tinylm.corpora.chance import Chance
from tinylm.corpora.handbook import questions

TOKENS = ChatTokens(chat_tokenizer())


def test_every_gap_of_every_template_can_be_filled_and_asked_for():
    chance = Chance(1)
    for template in templates():
        known = fact(chance, template)
        for gap, wordings in template.questions.items():
            for wording in wordings:
                asked = known.asked_for(gap, wording)
                assert not set("{}[]|") & set(asked.question + known.statement), wording
                assert asked.answer.lower() in known.statement.lower()
                assert asked.answer.lower() not in asked.question.lower(), wording


def test_practice_is_of_many_kinds():
    wordings = [w for template in templates() for ws in template.questions.values() for w in ws]
    assert len({template.section for template in templates()}) >= 8
    assert len(templates()) >= 140 and len(set(wordings)) >= 650
    assert len(LISTS) + len(DRAWN) >= 60


def test_two_gaps_of_one_kind_hold_different_values():
    chance = Chance(2)
    for _ in range(300):
        known = fact(chance)
        pairs = [(kind_of(gap), value) for gap, value in known.values.items()]
        assert len(set(pairs)) == len(pairs)


def test_the_answer_stands_in_a_passage_or_is_that_nobody_knows():
    chance, unknown, all_asked = Chance(3), 0, 0
    for _ in range(300):
        made = reading(chance)
        texts = " ".join(excerpt.text for excerpt in made.excerpts)
        assert 1 <= len(made.excerpts) <= 3
        for asked in made.asked:
            all_asked += 1
            unknown += asked.answer == DONT_KNOW
            assert asked.answer == DONT_KNOW or asked.answer.lower() in texts.lower()
    assert 0.1 < unknown / all_asked < 0.3


def test_a_follow_up_leaves_out_what_its_meaning_says():
    chance, shorter = Chance(4), 0
    for _ in range(300):
        made = follow_up(chance)
        assert made.message != made.meaning != made.first.question
        shorter += len(made.message) < len(made.meaning)
    assert shorter > 270


def test_the_same_seed_draws_the_same_practice_and_another_seed_another():
    first, again, other = (list(islice(pieces(seed), 40)) for seed in (1, 1, 2))
    assert first == again != other
    assert {name for name, _ in SHARES} == {"reading", *MAKERS}


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_kind_of_drill_ends_with_the_models_own_words(name):
    chance = Chance(5)
    for _ in range(20):
        ids, mask = encode(MAKERS[name](chance), TOKENS)
        assert len(ids) == len(mask) and mask[-1] == 1 and mask[0] == 0


def learned_text(piece: Drill | Reading) -> str:
    """What the model learns of a piece."""
    ids, mask = encode(piece, TOKENS)
    return TOKENS.tokenizer.decode([id for id, bit in zip(ids, mask) if bit])


def test_of_a_reading_the_answers_alone_are_learned():
    made = reading(Chance(6))
    assert learned_text(made) == "".join(f" {asked.answer}" for asked in made.asked)


def test_what_was_said_before_is_read_and_not_learned():
    chance = Chance(7)
    for _ in range(50):
        drill = following(chance)
        call = drill.dialogue[-1].text
        assert call.startswith("search ") and learned_text(drill) == f" {call}"


def test_a_passage_is_marked_by_a_special_token_and_holds_none():
    made = reading(Chance(8))
    framed = TOKENS.passages(made.excerpts, "Who?", 10**6)
    assert framed.ids.count(TOKENS.ids[PASSAGE]) == len(made.excerpts)
    for excerpt, place in zip(made.excerpts, framed.passages):
        ids = framed.ids[place.start : place.stop]
        assert TOKENS.tokenizer.decode(ids) == f" {excerpt.text}"


def test_nothing_of_the_handbook_is_practised():
    sentences = {question.evidence for question in questions()}
    names = {question.answer for question in questions() if question.question.startswith("Who")}
    drawn = " ".join(
        " ".join(excerpt.text for excerpt in piece.excerpts)
        + " ".join(asked.question for asked in piece.asked)
        for piece in islice(pieces(9), 400) if isinstance(piece, Reading)
    )  # fmt: skip
    assert not [text for text in (*sentences, *names) if text in drawn]
    assert not {question.question for question in questions()} & {
        asked.question for piece in islice(pieces(9), 400) if isinstance(piece, Reading)
        for asked in piece.asked
    }  # fmt: skip


def test_a_look_up_names_a_table_and_a_column_of_the_schema_before_it():
    chance = Chance(10)
    for _ in range(200):
        made = look_up(chance)
        verb, table, column, sign, _ = made.call.split(maxsplit=4)
        (line,) = [line for line in made.schema.splitlines() if line.startswith(f"{table} (")]
        assert (verb, sign) == ("lookup", "=") and column in re.findall(r"\w+", line)
        assert made.answer.split(", ")[0] in made.result
