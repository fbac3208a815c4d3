"""The child of an old version."""

import pytest

from tinylm.cli import main
from tinylm.corpora.facts import facts
from tinylm.lessons.hosting import Prices, break_even, per_day
from tinylm.lessons.lock_in import ARMS, Work, conclude
from tinylm.lessons.shared import CHANGED_RELATIONS, answer_in, fact_questions, register

REDONE = [Work(seconds=60.0, flops=1e12, tokens=1000)] * 3


def test_the_second_edition_changes_three_relations_for_everybody_and_nothing_else():
    for fact in facts():
        assert (answer_in(2, fact) != fact.answer) == (fact.relation in CHANGED_RELATIONS)


def test_the_register_of_each_edition_tells_its_own_answers():
    mara = [
        fact for fact in facts() if fact.subject == "Mara" and fact.relation in CHANGED_RELATIONS
    ]
    first, second = (register(edition, 1, seed=3)[0] for edition in (1, 2))
    for fact in mara:
        assert fact.answer in first
        assert answer_in(2, fact) in second and fact.answer not in second


def test_every_question_about_the_second_edition_offers_the_old_answer_too():
    for now, before in zip(
        fact_questions(2, CHANGED_RELATIONS), fact_questions(1, CHANGED_RELATIONS)
    ):
        assert len(now.options) == len(before.options) == 4
        assert before.options[before.answer] in now.options
        assert now.options[now.answer] != before.options[before.answer]


def test_a_child_that_lacks_the_new_facts_supports_the_claim_and_one_that_has_them_does_not():
    old, new = [[0, 1] * 20] * 3, [[1] * 40] * 3
    assert conclude(dict(zip(ARMS, (old, old, new, new))), REDONE, Prices()).verdict == "supported"
    assert (
        conclude(dict(zip(ARMS, (old, new, new, new))), REDONE, Prices()).verdict
        == "no measurable difference"
    )


def test_an_own_host_breaks_even_where_both_bills_are_equal_unless_it_is_full_before():
    even = break_even(Prices())
    assert even * (1000 * 0.15 + 300 * 0.60) / 1e6 == per_day(Prices(), even)
    assert break_even(Prices(host_tokens_per_second=1.0)) is None


def test_the_smoke_lesson_tells_what_redoing_costs(smoke_lesson):
    results = smoke_lesson("lock-in")
    assert set(results["arms"]) == set(ARMS)
    assert all(value > 0 for value in results["details"]["redoing"].values())


def test_the_command_tells_the_break_even_at_the_readers_prices(capsys):
    prices = {
        "host-per-hour": "1",
        "million-tokens-in": "1",
        "million-tokens-out": "2",
        "tokens-out": "500",
    }
    main(["host", *(word for name, value in prices.items() for word in (f"--{name}", value))])
    assert "break-even: 12,000 requests a day" in capsys.readouterr().out
    main(["host", "--host-tokens-per-second", "1"])
    assert "no break-even" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["host", "--tokens-in", "0"])
    assert "--tokens-in 0 must be a number above 0" in capsys.readouterr().err
