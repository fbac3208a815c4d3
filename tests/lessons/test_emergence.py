"""When abilities appear."""

import re
from itertools import islice

import pytest
import torch

from tinylm.corpora.stories import stories
from tinylm.corpora.world import PEOPLE
from tinylm.lessons import abilities, emergence
from tinylm.lessons.abilities import exchanged, spelling
from tinylm.lessons.emergence import ABILITIES, conclude, onset
from tinylm.model.gpt import GPT
from tinylm.runs import open_run
from tinylm.training.load import load_model


def looks(**ends):
    """Abilities of two seeds at three points, all rising but those whose last value is given."""
    last = {name: 1.0 for name in ABILITIES} | ends
    return {
        seed: [
            {
                "tokens": tokens * seed,
                "sample": "",
                **{name: share * last[name] + 0.001 * seed for name in ABILITIES},
            }
            for tokens, share in ((0, 0.0), (1000, 0.2), (2000, 1.0))
        ]
        for seed in (1, 2)
    }


def test_abilities_that_rise_are_located_and_one_that_does_not_is_named():
    every = conclude(looks())
    assert every.verdict == "supported" and all(every.targets.values())
    first, second = next(arm.values for arm in every.arms if arm.name == "onset of spelling")
    # each seed's own tokens count: its batches hold as many as they hold
    assert second == pytest.approx(2 * first)
    some = conclude(looks(facts=0.0))
    assert some.verdict == "no measurable difference"
    assert (
        not some.targets["the onset of facts is located"]
        and "not measurably risen: facts" in some.sentence
    )


@pytest.mark.parametrize(("ability", "chance"), [("facts", 0.25), ("grammar", 0.5)])
def test_an_ability_that_comes_from_nothing_to_guessing_has_not_emerged(ability, chance):
    # an untrained model likes all options alike, and a tie is no answer: it starts at 0
    guessing = conclude(looks(**{ability: chance - 0.01}))
    assert guessing.verdict != "supported"
    assert f"not measurably risen: {ability}" in guessing.sentence
    assert conclude(looks(**{ability: chance + 0.1})).verdict == "supported"


def test_an_onset_lies_half_of_the_way_up_whatever_the_scale():
    assert onset([0, 100, 200], [0.25, 0.25, 0.75]) == onset([0, 100, 200], [0, 0, 8]) == 150


def test_spelling_counts_words_of_the_world_only():
    assert spelling(["x Mara mended the net y"]) == 1.0
    assert spelling(["x qlorp zzt the y"]) == pytest.approx(1 / 3)


def test_two_words_change_places_and_none_is_lost():
    sentence = "The old ferryman went down to the sea."
    assert exchanged(sentence) != sentence
    assert sorted(exchanged(sentence).split()) == sorted(sentence.split())


def test_a_model_that_never_read_anything_copies_nothing(smoke_lesson, lessons_folder):
    smoke_lesson("emergence")
    base = next((lessons_folder / "emergence" / "runs").glob("*/manifest.json")).parent
    loaded = load_model(open_run(base))
    fresh = GPT(loaded.model.config)
    fresh.initialise(torch.Generator().manual_seed(0))
    assert abs(abilities.copying(fresh, loaded.tokenizer, 6)) < 0.2
    assert 0 <= abilities.facts_known(fresh, loaded.tokenizer, 20) <= 0.6
    assert 0 <= abilities.grammar(fresh, loaded.tokenizer, ["Mara went to the sea."] * 2) <= 1


def test_the_renamed_heroes_come_again_and_were_not_there_before():
    told = abilities.renamed(6)
    originals = [story.text for story in islice(stories(0, "valid"), 100)]
    assert len(told) == 6 and all(text.count(name) >= 3 for text, name in told)
    assert all(
        sum(re.sub(rf"\b{name}\b", hero.name, text) in originals for hero in PEOPLE) == 1
        for text, name in told
    )


def test_the_smoke_lesson_looks_at_every_step_asked_for(smoke_lesson):
    results = smoke_lesson("emergence")
    assert len(results["details"]["tokens"]) == len(emergence.SIZES["smoke"].steps)
    assert all(
        len(seeds) == len(results["seeds"]) for seeds in results["details"]["curves"].values()
    )
    assert results["details"]["samples"]
