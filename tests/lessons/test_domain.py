"""An alien vocabulary."""

from tinylm.lessons.domain import ARMS, RULES, conclude, rule_questions


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


def test_alien_words_that_training_makes_familiar_support_the_claim():
    result = conclude(scores((3.0, 1.0, 1.3, 1.2), (5, 18, 15, 16)), words(4.0))
    assert result.verdict == "supported"
    assert "Base adapted reads" in str(result.figures["bits.png"].get_suptitle())


def test_familiar_words_or_a_base_that_gains_nothing_do_not():
    assert (
        conclude(scores((3.0, 1.0, 1.3, 1.2), (5, 18, 15, 16)), words(0.8)).verdict
        == "not supported"
    )
    assert (
        conclude(scores((1.0, 3.0, 1.3, 1.2), (5, 18, 15, 16)), words(4.0)).verdict
        == "not supported"
    )


def test_a_question_shows_the_heading_and_one_entry_and_offers_the_right_answer():
    for question in rule_questions(5):
        assert question.prompt.startswith("DROGLOG") and question.prompt.count("\n") == 1
        assert question.relation in RULES and len(question.options) >= 2


def test_the_smoke_lesson_compares_four_ways_of_reading(smoke_lesson):
    results = smoke_lesson("domain")
    assert len(results["arms"]) == 2 * len(ARMS) + 3
    log, story = (
        results["arms"][f"tokens: {name}, base's tokens"]["mean"] for name in ("logs", "stories")
    )
    assert log > story
