"""An alien vocabulary."""

from collections import Counter

from tinylm.lessons.domain import ARMS, RULES, Yardsticks, conclude, rule_questions

STORIES = Yardsticks(familiar=[0.2, 0.21, 0.22], guessing=0.17)


def scores(bits, right, seeds=3):
    return {
        arm: [
            {"bits": b + 0.01 * seed, "answers": [1] * r + [0] * (20 - r)} for seed in range(seeds)
        ]
        for arm, b, r in zip(ARMS, bits, right)
    }


def words(alien):
    return {
        "stories, base's tokens": [1.3, 1.4, 1.3],
        "logs, base's tokens": [alien, alien + 0.1, alien],
        "logs, own tokens": [1.9, 2.0, 1.9],
    }


def parts(bits, right, alien):
    return conclude(scores(bits, right), words(alien), STORIES).details["verdicts"]


def test_alien_words_that_training_makes_familiar_support_the_claim_in_all_three_measures():
    result = conclude(scores((3.0, 1.0, 1.3, 1.2), (5, 18, 15, 16)), words(4.0), STORIES)
    assert result.verdict == "supported" and set(result.figures) == {"domain.png"}
    assert set(result.details["verdicts"].values()) == {"supported"}
    assert "90 % instead of 25 %" in str(result.figures["domain.png"].get_suptitle())


def test_each_measure_has_a_verdict_of_its_own():
    alien, better = (3.0, 1.0, 1.3, 1.2), (5, 18, 15, 16)
    familiar_words = parts(alien, better, 0.8)
    assert familiar_words["tokens per word"] == "not supported"
    assert familiar_words["bits per byte"] == familiar_words["right answers"] == "supported"
    assert parts((1.0, 3.0, 1.3, 1.2), better, 4.0)["bits per byte"] == "not supported"
    # The base reads logs as easily as stories: nothing alien costs it anything.
    at_home = parts((0.2, 0.1, 0.1, 0.1), better, 4.0)
    assert at_home["bits per byte"] == "no measurable difference"
    assert parts(alien, (5, 5, 15, 16), 4.0)["right answers"] == "no measurable difference"
    assert conclude(scores(alien, (5, 5, 15, 16)), words(4.0), STORIES).verdict != "supported"


def test_arms_that_answer_alike_miss_the_target_that_they_can_be_told_apart():
    for right, met in (((5, 18, 18, 16), False), ((1, 7, 13, 20), True)):
        result = conclude(scores((3.0, 1.0, 1.3, 1.2), right), words(4.0), STORIES)
        assert list(result.targets.values()) == [met]
        assert len(result.details["right answers, one arm minus another"]) == 6


def test_a_question_shows_the_heading_and_one_entry_and_each_answer_is_right_equally_often():
    asked = rule_questions(30)
    for question in asked:
        assert question.prompt.startswith("DROGLOG") and question.prompt.count("\n") == 1
        assert question.relation in RULES and len(question.options) >= 2
    for rule in RULES:
        own = [question for question in asked if question.relation == rule]
        right = Counter(question.options[question.answer] for question in own)
        assert set(right) == set(own[0].options) and len(set(right.values())) == 1


def test_the_smoke_lesson_compares_four_ways_of_reading(smoke_lesson):
    results = smoke_lesson("domain")
    assert len(results["arms"]) == 2 * len(ARMS) + 4
    log, story = (
        results["arms"][f"tokens: {name}, base's tokens"]["mean"] for name in ("logs", "stories")
    )
    assert log > story
