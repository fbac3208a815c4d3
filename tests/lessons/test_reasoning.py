"""Direct answers against worked steps."""

import random

from tinylm.lessons.reasoning import KINDS, SIZES, TOKENIZER, chain, conclude, encoded, problems
from tinylm.text.tokenizers import DOCUMENT


def test_every_step_of_a_chain_is_right_and_stays_between_1_and_99():
    for seed in range(50):
        problem = chain(random.Random(seed), 1 + seed % 8)
        results = [result for *_, result in problem.steps]
        assert all(
            eval_of(left, sign, right) == result for left, sign, right, result in problem.steps
        )
        assert all(1 <= result <= 99 for result in results)
        assert [left for left, *_ in problem.steps][1:] == results[:-1]


def eval_of(left, sign, right):
    return {"+": left + right, "-": left - right, "*": left * right}[sign]


def test_no_tested_problem_is_learned_from_and_all_lengths_are_tested_alike():
    train, tested = problems(SIZES["smoke"])
    assert not set(train) & set(tested)
    lengths = [len(problem.steps) for problem in tested]
    assert {lengths.count(length) for length in range(1, 9)} == {SIZES["smoke"].tested}


def test_loss_falls_on_the_answer_only_and_both_arms_read_the_same_question():
    problem = chain(random.Random(1), 5)
    begins = []
    for kind in KINDS:
        ids, mask = encoded(problem, kind)
        answer = [id for id, told in zip(ids, mask) if told]
        assert TOKENIZER.decode(answer) == problem.answer(kind)
        begins.append([id for id, told in zip(ids, mask) if not told])
    assert begins[0] == begins[1]
    assert begins[0][0] == TOKENIZER.special_id(DOCUMENT)


def test_the_verdict_follows_from_the_gap():
    none, all_right = [[0] * 80] * 3, [[1] * 80] * 3
    lengths = [1, 2, 3, 4] * 20
    better = conclude({"direct answer": none, "worked steps": all_right}, lengths)
    assert better.verdict == "supported" and all(better.targets.values())
    equal = conclude({"direct answer": all_right, "worked steps": all_right}, lengths)
    assert equal.verdict == "no measurable difference" and not all(equal.targets.values())
    assert (
        conclude({"direct answer": all_right, "worked steps": none}, lengths).verdict
        == "not supported"
    )


def test_the_smoke_lesson_has_both_arms_with_the_same_search(smoke_lesson, lessons_folder):
    results = smoke_lesson("reasoning")
    assert set(results["arms"]) == set(KINDS) == set(results["learning_rate_search"])
    assert results["details"]["operations"] == list(range(1, 9))
    assert (lessons_folder / "reasoning" / "accuracy.png").is_file()
