"""Training dialogues: drawn anew, true to their tools, masked so that only the model's own words
are learned."""

from itertools import islice

import pytest
import torch

from tinylm.assistant.conversation import (
    ASSISTANT,
    CALL,
    DONT_KNOW,
    PASSAGE,
    RESULT,
    ROLES,
    STEP,
    USER,
    Part,
    encode_dialogue,
    with_roles,
    with_rows,
)
from tinylm.assistant.dialogues import SORRY, calculation, cases, order, steps
from tinylm.assistant.fact_patterns import RELATIONS, fact
from tinylm.assistant.grading import same_answer
from tinylm.assistant.reading_practice import Practice, Reading, exchange
from tinylm.assistant.tools import ERROR, calculate
from tinylm.assistant.training import (
    assistant_cases,
    assistant_recipe,
    dialogue_corpus,
    handbook_practice,
    held_out,
    prepared,
    questions_held_out,
)
from tinylm.corpora.chance import Chance
from tinylm.corpora.handbook import questions
from tinylm.text.batches import IGNORE, Batches
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer
from tinylm.training.load import load_model


@pytest.fixture(scope="module")
def practice() -> Practice:
    return handbook_practice(1)


@pytest.fixture(scope="module")
def drawn() -> list:
    return assistant_cases(1, 600)


def test_the_same_seed_draws_the_same_cases_and_another_seed_others(drawn):
    assert assistant_cases(1, 20) == drawn[:20]
    assert [case.message for case in assistant_cases(2, 20)] != [
        case.message for case in drawn[:20]
    ]


def test_every_answer_stands_in_its_passage(practice):
    chance = Chance(5)
    drawn = [practice.reading(chance) for _ in range(500)]
    assert all(
        reading.answer in reading.passage or reading.answer == DONT_KNOW for reading in drawn
    )
    assert 0.02 < sum(reading.answer == DONT_KNOW for reading in drawn) / len(drawn) < 0.08


def test_practice_shows_no_true_price_and_asks_nothing_about_the_documents_held_out(drawn):
    told = " ".join(case.message for case in drawn)
    kept = [question for question in questions() if question.document in held_out(1)]
    assert not [question.question for question in kept if question.question in told]
    pay = [q for q in questions() if "crowns" in q.answer and q.document not in held_out(1)]
    assert pay and not [
        case
        for case in drawn
        for q in pay
        if case.message == q.question and q.answer in case.answer
    ]


def test_three_seeds_hold_every_question_out_once():
    asked = [question.id for seed in (1, 2, 3) for question in questions_held_out(seed)]
    assert sorted(asked) == sorted(question.id for question in questions())


def test_every_fact_of_the_table_is_said_with_its_answer_in_all_its_ways():
    chance = Chance(1)
    for relation in RELATIONS:
        for _ in range(20):
            made = fact(chance, relation)
            assert (
                made.answer in made.statement
                and made.question.endswith("?")
                and "{" not in made.statement
            )


def test_no_question_of_the_handbook_can_be_drawn_from_the_table():
    chance, asked = Chance(2), {question.question for question in questions()}
    assert not asked & {fact(chance).question for _ in range(5000)}


@pytest.mark.parametrize(
    "given, right, same",
    [("214 "
      "people.", "214", True), ("45", "45 "
                                      "tonnes", True), ("17 metres", "17 metres a second", False),
     ("the brass "
      "token", "brass token", False), ("", "9", False), ("I don't know.", DONT_KNOW, True),
     ("1", "18", False)],
)  # fmt: skip
def test_an_answer_may_leave_its_unit_out_and_nothing_else(given, right, same):
    assert same_answer(given, right) == same


def test_question_and_passage_are_exchanged_alike():
    reading = Reading(
        "A single ticket costs 3.40 crowns.", "What does a single ticket cost?", "3.40 crowns"
    )
    others = [exchange(reading, Chance(seed)) for seed in range(20)]
    assert len({other.answer for other in others}) > 15
    for other in others:
        assert other.answer in other.passage and "3.40" not in other.passage
        word = other.question.removesuffix(" cost?").split()[-1]
        assert word in other.passage


def test_sums_are_worked_rightly_step_by_step():
    for seed in range(50):
        case = steps(Chance(seed))
        worked = next(part.text for part in case.dialogue if part.role == STEP)
        for sum_, total in (step.split(" = ") for step in worked.split(", ")):
            assert calculate(sum_) == total
        assert case.answer.split()[0] == worked.split(" = ")[-1]


def test_a_calculation_is_what_the_calculator_says_or_an_apology():
    for seed in range(100):
        case = calculation(Chance(seed))
        call, result = (
            next(part.text for part in case.dialogue if part.role == role)
            for role in (CALL, RESULT)
        )
        if result.startswith(ERROR):
            assert case.answer == SORRY
        else:
            assert calculate(call.removeprefix("calculator ")) == result == case.answer[:-1]


def test_an_order_is_answered_out_of_its_result():
    for seed in range(30):
        case = order(Chance(seed), 4821, "12 lamps for Mara, ready on Friday")
        assert case.answer[:-1].lower() in "12 lamps for mara, ready on friday"


def test_all_kinds_of_decisions_are_practised(drawn):
    assert {case.decision for case in drawn} == {
        "answer",
        "step",
        "search",
        "calculator",
        "order",
        "book",
    }
    assert any(case.answer == DONT_KNOW for case in drawn) and any(
        case.answer == SORRY for case in drawn
    )


def test_only_what_the_model_says_is_learned():
    tokenizer = with_roles(CharTokenizer(" abcdefghij"))
    called = (
        Part(USER, "ab"),
        Part(ASSISTANT),
        Part(CALL, "c d"),
        Part(RESULT),
        Part(PASSAGE, "ef"),
    )
    dialogue = (*called, Part(ASSISTANT, "g"))
    ids, mask = encode_dialogue(dialogue, tokenizer)
    learned = [int(id) for id, flag in zip(ids, mask) if flag]
    special = tokenizer.special_id
    # every part's text begins with a blank
    said = [tokenizer.encode(text) for text in (" c d", " g")]
    assert learned == [special(CALL), *said[0], special(RESULT), *said[1], special(USER)]


def test_a_vocabulary_of_more_ids_than_two_bytes_count_can_hold_conversations():
    letters = "".join(map(chr, (*range(0x20, 0xD800), *range(0xE000, 0x13000))))
    tokenizer = with_roles(CharTokenizer(letters))
    assert tokenizer.vocab_size > 2**16
    ids, mask = encode_dialogue((Part(USER, "a"), Part(ASSISTANT, "b")), tokenizer)
    assert ids[0] == tokenizer.special_id(DOCUMENT) > 2**16 and ids[-1] == tokenizer.special_id(
        USER
    )
    assert len(ids) == len(mask)


def test_masks_reach_the_batches():
    tokenizer = with_roles(CharTokenizer(" abc"))
    dialogues = [(Part(USER, "abc" * 5), Part(ASSISTANT, "c"))] * 12
    corpus = dialogue_corpus(tokenizer, dialogues, "x", valid=2)
    targets = Batches(corpus, 16, 2, seed=1)[0].targets
    assert set(targets.flatten().tolist()) <= {
        IGNORE,
        *tokenizer.encode(" c"),
        tokenizer.special_id(USER),
    }


def test_new_rows_change_nothing_that_the_base_knew(base_run):
    model, tokenizer, _ = load_model(base_run)
    more = with_roles(tokenizer)
    assert more.specials == (*tokenizer.specials, DOCUMENT, *ROLES)
    assert more.encode("the net") == tokenizer.encode("the net")
    grown = with_rows(model, more.vocab_size, torch.Generator().manual_seed(1))
    ids = torch.tensor([tokenizer.encode("the net and")])
    assert torch.allclose(grown(ids)[..., : tokenizer.vocab_size], model(ids), atol=1e-6)


def test_a_prepared_base_is_a_run_that_a_fine_tune_starts_from(base_run, tmp_path):
    parent = prepared(base_run, tmp_path / "prepared")
    assert prepared(base_run, tmp_path / "prepared").fingerprint == parent.fingerprint
    model, tokenizer, _ = load_model(parent)
    assert (
        model.config.vocab_size
        == tokenizer.vocab_size
        == load_model(base_run).model.config.vocab_size + 7
    )
    recipe = assistant_recipe(base_run.recipe, parent, seed=3, steps=8)
    assert (recipe.start_from, recipe.train.steps, recipe.train.seed) == (str(parent.folder), 8, 3)
    assert assistant_recipe(base_run.recipe, None, seed=3, steps=8).start_from is None


def test_the_shares_of_kinds_can_be_chosen(practice):
    assert {case.decision for case in islice(cases(practice, 1, (("order", 1.0),)), 20)} == {
        "order"
    }


def test_no_dialogue_that_is_kept_aside_is_learned_from():
    tokenizer = with_roles(CharTokenizer(" abc"))
    known = [(Part(USER, "ab"), Part(ASSISTANT, "a"))] * 3
    aside = [(Part(USER, "c"), Part(ASSISTANT, "c"))] * 2
    corpus = dialogue_corpus(tokenizer, known + aside, "x", valid=2)
    only_aside = tokenizer.encode("c")[0]
    assert only_aside not in corpus.train and only_aside in corpus.valid
