"""The facts: told in one way only, asked in words that the stories never use for that person."""

from collections import Counter

import pytest

from tinylm.corpora import facts, stories, world


@pytest.fixture(scope="module")
def corpus() -> str:
    return "\n\n".join(stories.text(1_000_000))


def test_the_world_is_as_large_as_promised():
    assert len(world.PEOPLE) >= 48 and len({person.name for person in world.PEOPLE}) == len(
        world.PEOPLE
    )
    assert len(world.PLACES) >= 24
    assert len({thing.noun for thing in world.THINGS}) >= 150


def test_every_person_has_a_boat_a_pet_name_and_a_trade_of_their_own():
    for own in ("boat", "habit"):
        assert len({getattr(person, own) for person in world.PEOPLE}) == len(world.PEOPLE)
    assert len({person.pet.name for person in world.PEOPLE}) == len(world.PEOPLE)
    assert len({person.trade.name for person in world.PEOPLE}) == len(world.PEOPLE)


def test_relatives_and_neighbours_are_mutual():
    for person in world.PEOPLE:
        assert world.PERSON[person.kin].kin == person.name
        assert world.PERSON[person.neighbour].neighbour == person.name


def test_there_is_one_fact_for_each_person_and_relation():
    pairs = [(fact.subject, fact.relation) for fact in facts.facts()]
    assert len(pairs) == len(set(pairs)) == len(world.PEOPLE) * len(facts.RELATIONS)


def test_options_are_four_different_answers_and_the_right_one_is_among_them():
    for fact in facts.facts():
        assert len(set(fact.options)) == 4 and fact.answer in fact.options


def test_the_right_option_stands_at_each_place_about_equally_often():
    places = Counter(fact.options.index(fact.answer) for fact in facts.facts())
    assert all(0.18 < places[place] / len(facts.facts()) < 0.32 for place in range(4))


def test_every_answer_is_a_wrong_option_elsewhere_so_that_no_option_gives_itself_away():
    for relation in facts.RELATIONS:
        asked = [fact for fact in facts.facts() if fact.relation == relation]
        wrong = {option for fact in asked for option in fact.options if option != fact.answer}
        assert len(wrong) > 0.8 * len({fact.answer for fact in asked})


def test_no_prompt_stands_in_the_training_text(corpus):
    assert [
        prompt
        for fact in facts.facts()
        for prompt in fact.prompts
        if prompt.split(". ")[1] in corpus
    ] == []


def test_each_wording_asked_for_one_person_is_told_for_others(corpus):
    for relation in facts.RELATIONS:
        prompts = {
            fact.prompts[0].replace(fact.subject, "_")
            for fact in facts.facts()
            if fact.relation == relation
        }
        assert len(prompts) >= 5  # every wording is somebody's prompt


def test_every_fact_is_told_in_several_wordings_in_the_corpus(corpus):
    told = [
        sum(line in corpus for line in facts.story_lines(person, relation))
        for person in world.PEOPLE
        for relation in facts.RELATIONS
    ]
    assert sum(count >= 2 for count in told) > 0.85 * len(told)  # in 1 MB; larger corpora tell all
    assert min(len(facts.story_lines(person, "trade")) for person in world.PEOPLE) >= 3


def test_nobody_is_an_option_of_a_question_about_themselves():
    assert not any(fact.subject in fact.options for fact in facts.facts())
