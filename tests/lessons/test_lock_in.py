"""The child of an old version."""

import pytest

from tinylm.cli import main
from tinylm.corpora.facts import facts
from tinylm.lessons.hosting import Prices, break_even, per_day
from tinylm.lessons.lock_in import ARMS, Work, conclude
from tinylm.lessons.shared import (
    CHANGED_RELATIONS,
    answer_in,
    fact_questions,
    lasting_register,
    register,
    register_and_stories,
    retold,
)

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


def test_stories_between_the_entries_tell_the_edition_that_the_entries_tell():
    assert retold(2, "Mara took the Silver Wren.") == "Mara took the Patient Goose."
    assert retold(2, "Somebody took the Silver Wren.") == "Somebody took the Silver Wren."
    # A boat goes to the next person while its owner gets another: both are exchanged at once.
    both = retold(2, "Mara took the Silver Wren, Tobin the Patient Goose.")
    assert both == "Mara took the Patient Goose, Tobin the Floury Hand."
    text = " ".join(register_and_stories(2, 60, seed=1))
    boats = {fact.answer: answer_in(2, fact) for fact in facts() if fact.relation == "boat"}
    for fact in facts():
        if fact.relation == "boat":
            assert f"{fact.subject} owned the {fact.answer}" not in text
    assert set(boats) == set(boats.values())


def test_two_people_who_part_with_one_answer_for_two_are_not_told_of():
    mara, other = (fact for fact in facts() if fact.answer == "Lantern Lane")
    assert answer_in(2, mara) != answer_in(2, other)
    assert retold(2, f"{mara.subject} and {other.subject} met in Lantern Lane.") is None


def test_what_both_children_read_holds_in_both_editions():
    text = " ".join(lasting_register(200, seed=1))
    for fact in facts():
        told = fact.answer in text
        assert not (fact.relation in CHANGED_RELATIONS and told), fact


def test_a_second_version_that_knows_too_little_misses_its_target():
    nothing, half, all_of_it = [[0] * 40] * 3, [[0, 1] * 20] * 3, [[1] * 40] * 3
    for new, met in ((half, False), (all_of_it, True)):
        arms = dict(zip(ARMS, (nothing, nothing, new, new)))
        result = conclude(arms, REDONE, Prices())
        assert result.verdict == "supported"
        assert result.targets["v2 knows >= 80 % of the new facts"] is met


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
    spent = even * (1000 * 0.20 + 300 * 1.25) / 1e6
    assert spent == pytest.approx(per_day(Prices(), even))
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
    shown = capsys.readouterr().out
    assert "break-even: 12,000 requests a day" in shown
    # 6 x 8e9 x 100e6 FLOPs at 40 % of 989e12 a second, at a dollar an hour.
    assert "fine-tuning again: $3.37 (3.4 hours of an H100" in shown
    main(["host", "--host-tokens-per-second", "1"])
    assert "no break-even" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["host", "--tokens-in", "0"])
    assert "--tokens-in 0 must be a number above 0" in capsys.readouterr().err
