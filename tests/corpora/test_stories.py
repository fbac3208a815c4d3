"""The stories: the same bytes everywhere, varied, consistent, and split without overlap."""

import random
import re
from hashlib import sha256
from itertools import islice

import pytest

from tinylm.corpora import stories, world
from tinylm.corpora.chance import Chance
from tinylm.corpora.plots import plots
from tinylm.corpora.story_checks import consistency, frame, measure, sentences, words_of

# Of seed 0; any change to a wording or a table changes it.
FIRST_100_KB = "9212826a309dd67f70e5c4a24d492301b9eb85537b86fe92b4e90a2265a94a3c"


@pytest.fixture(scope="module")
def told() -> list[stories.Story]:
    """The stories of the first megabyte of seed 0."""
    found, size = [], 0
    for story in stories.stories():
        found.append(story)
        size += len(story.text) + 2
        if size >= 1_000_000:
            return found
    raise AssertionError("the stream of stories is endless")


def test_seed_0_gives_the_recorded_bytes():
    text = "\n\n".join(stories.text(100_000))
    assert sha256(text.encode()).hexdigest() == FIRST_100_KB


def test_the_same_seed_tells_the_same_stories_and_another_seed_others():
    first, again, other = (list(islice(stories.stories(seed), 20)) for seed in (5, 5, 6))
    assert first == again
    assert not {story.text for story in first} & {story.text for story in other}


def test_a_larger_corpus_begins_with_the_smaller_one():
    small, large = list(stories.text(20_000)), list(stories.text(50_000))
    assert large[: len(small)] == small and len(large) > len(small)


def test_text_ends_with_the_document_that_reaches_the_size():
    *before, last = stories.text(20_000)
    size = len("\n\n".join(before).encode())
    assert size < 20_000 <= size + 2 + len(last.encode()) + 2


def test_validation_stories_share_no_cast_with_training_stories(told):
    def casts(found):
        return {(story.plot, story.hero, story.friend, story.place, story.thing) for story in found}

    valid = list(islice(stories.stories(split="valid"), 150))
    assert not casts(valid) & casts(told)
    assert not {story.text for story in valid} & {story.text for story in told}


def test_an_unknown_split_is_named_with_the_ones_there_are():
    with pytest.raises(ValueError, match="no split 'test'; there are train and valid"):
        next(stories.stories(split="test"))


def test_both_splits_use_every_plot(told):
    valid = list(islice(stories.stories(split="valid"), 400))
    assert (
        {story.plot for story in valid}
        == {story.plot for story in told}
        == {plot.name for plot in plots()}
    )


def test_there_are_24_plots_with_branches():
    assert len(plots()) >= 24
    assert all(len(plot.branches) >= 3 for plot in plots())


def test_stories_have_60_to_180_words_in_plain_ascii_paragraphs(told):
    for story in told:
        assert 60 <= len(story.text.split()) <= 180
        assert re.fullmatch(r"""[A-Za-z ,.?!'"\n-]+""", story.text)
        assert "\n\n" not in story.text and "  " not in story.text


def test_a_megabyte_is_varied(told):
    figures = measure([story.text for story in told])
    assert figures["distinct_words"] >= 1500
    assert figures["largest_frame_share"] <= 0.01
    assert figures["duplicate_share"] < 0.005


def test_every_field_of_every_wording_can_be_filled():
    known = set(stories._fields(stories._draw_cast(Chance(0))))
    for plot in plots():
        for beat in plot.beats:
            for wording in (wording for options in beat.wordings.values() for wording in options):
                assert set(re.findall(r"\{(\w+)\}", wording)) <= known, wording


def test_every_branch_of_a_plot_changes_what_is_told():
    for plot in plots():
        labels = {label for beat in plot.beats for label in beat.wordings}
        assert set(plot.branches) <= labels, plot.name


def test_articles_sentence_starts_and_braces_are_right(told):
    text = "\n".join(story.text for story in told)
    assert re.findall(r"\b[Aa] [aeiou]\w*", text) == []
    assert set(re.findall(r"\b[Aa]n [^aeiou\s]\w*", text)) <= {"an hour", "An hour"}
    assert re.findall(r"""(?:^|[.?!] )"?[a-z]\w*""", text, flags=re.MULTILINE) == []


def test_no_fact_is_ever_contradicted(told):
    by_name = world.PERSON
    owner = {person.pet.name: person for person in world.PEOPLE}
    captain = {person.boat: person for person in world.PEOPLE}
    names, pets, kinds, trades, boats = (
        "|".join(sorted(found, key=len, reverse=True))
        for found in (
            by_name,
            owner,
            {p.pet.kind for p in world.PEOPLE},
            {p.trade.name for p in world.PEOPLE},
            captain,
        )
    )
    text = "\n".join(story.text for story in told)
    checked = 0
    for pet, kind in re.findall(rf"\b({pets}) the ({kinds})\b", text):
        assert owner[pet].pet.kind == kind
        checked += 1
    for name, trade in re.findall(rf"\b({names}) the ({trades})\b", text):
        assert by_name[name].trade.name == trade
        checked += 1
    for name, kind in re.findall(rf"\b({names})'s ({kinds})\b", text):
        assert by_name[name].pet.kind == kind
        checked += 1
    for name, boat in re.findall(
        rf"\b({names}) (?:sailed|owned|was captain of|fished from) the ({boats})\b", text
    ):
        assert captain[boat].name == name
        checked += 1
    for name, home in re.findall(rf"\b({names}) (?:lived|slept|had a house) in (\w+ \w+)", text):
        assert by_name[name].home == home
        checked += 1
    assert checked > 2500


def test_the_code_length_is_far_below_the_text_and_above_its_cast(told):
    bits_per_byte = sum(story.bits for story in told) / sum(len(story.text) + 2 for story in told)
    assert 0.05 < bits_per_byte < 0.3
    # plot, three people, a place and two things are worth more
    assert all(story.bits > 40 for story in told)


def test_the_parser_finds_the_generators_own_stories_consistent(told):
    scores = [consistency(story.text).score for story in told]
    assert sum(scores) / len(scores) > 0.98


def test_the_parser_finds_sentences_thrown_together_inconsistent(told):
    every = [sentence for story in told for sentence in sentences(story.text)]
    shuffle = random.Random(0)
    scores = [consistency(" ".join(shuffle.sample(every, 16))).score for _ in range(200)]
    assert sum(scores) / len(scores) < 0.3


def test_the_parser_sees_a_changed_hero_pet_or_place(told):
    story = (
        "Mara sat on the old pier with Thimble the cat. Mara slept. {} The cat slept on the "
        "old pier."
    )
    assert consistency(story.format("Mara woke.")).score == 1.0
    assert consistency(story.format("Mara and Pepper woke.")).pet is False
    assert consistency(story.format("Mara woke on Gull Rock.")).place is False
    assert (
        consistency("Mara sat by the sea with her net. Tobin slept. Greta sang. Otto slept.").person
        is False
    )
    assert consistency("Nobody was there.").score == 0.0


def test_frames_blank_names_things_and_numbers():
    frames = {frame("Mara lost two keys on Gull Rock."), frame("Tom lost nine keys in the dunes.")}
    assert frames == {"_ lost _ keys _."}


def test_the_vocabulary_holds_every_word_of_the_stories(told):
    text = "\n".join(story.text for story in told)
    assert words_of(text) <= stories.vocabulary()
    assert len(stories.vocabulary() - words_of(text)) < 0.1 * len(stories.vocabulary())


def test_stats_tell_speed_variety_and_code_length():
    figures = stories.stats(n_bytes=50_000)
    assert figures["megabytes_per_second"] > 0 and figures["bytes"] >= 50_000
    assert {
        "source_bits_per_byte",
        "distinct_words",
        "duplicate_share",
        "largest_frame_share",
    } <= set(figures)
