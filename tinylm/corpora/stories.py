"""Short stories from Pufferfish Bay, generated: plain enough for a small model to learn, rich
enough to read.

A story is told in two steps. First a *cast* is drawn: plot, branch, hero, friend, a third person,
place, thing, weather and time of day. Then the plot's beats are told in order, each in one of its
wordings. Everything else (who keeps which pet, what colour the boat has, what was lost and must
therefore be found) follows from the cast. So most of a story's information is spent early and comes
back later: what a model must learn here is to look far back.

Training and validation stories are disjoint: the cast without weather and time decides, by a hash,
to which split a story belongs (1 in 16 is for validation), so no validation story shares plot,
people, place and thing with a training story, while both splits follow the same distribution.

Trade-off: the wordings are hand-written and finite. The text is far more regular than a natural
one; its ``bits`` say by how much. All of it is original.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from zlib import crc32

from tinylm.corpora import facts, world
from tinylm.corpora.chance import Chance
from tinylm.corpora.plots import Plot, plots
from tinylm.corpora.story_checks import consistency, measure, words_of

__all__ = ["Story", "consistency", "stats", "stories", "text", "vocabulary"]

Split = Literal["train", "valid"]
SPLITS = ("train", "valid")
_TIES = ("kin", "neighbour", *("other",) * 10)  # how friend and hero know each other
LONGEST = 180  # words in a story
VALID_SHARE = 16  # one cast in 16 belongs to the validation split


@dataclass(frozen=True)
class Story:
    """A story, its code length in bits, and who and what it is about (for checks)."""

    text: str
    bits: float
    plot: str
    hero: str
    friend: str
    place: str
    thing: str


@dataclass(frozen=True, slots=True)
class _Cast:
    """Everything drawn before the first word."""

    plot: Plot
    branch: str
    people: tuple[world.Person, world.Person, world.Person]
    tie: str
    place: world.Place
    thing: world.Thing
    other_thing: world.Thing
    weather: world.Weather
    adjective: str
    time: str

    @property
    def split(self) -> Split:
        """The split this cast belongs to, by a hash that is the same on every platform."""
        key = (
            self.plot.name,
            self.branch,
            *(person.name for person in self.people),
            self.place.name,
            self.thing.name,
        )
        return "valid" if crc32("|".join(key).encode()) % VALID_SHARE == 0 else "train"


def _draw_people(chance: Chance) -> tuple[tuple[world.Person, world.Person, world.Person], str]:
    """Three different people and how the second is tied to the first: kin, neighbour or other."""
    hero = chance.pick(world.PEOPLE)
    tie = chance.pick(_TIES)
    if tie == "other":
        friend = chance.pick(
            [p for p in world.PEOPLE if p.name not in (hero.name, hero.kin, hero.neighbour)]
        )
    else:
        friend = world.PERSON[hero.kin if tie == "kin" else hero.neighbour]
    third = chance.pick([p for p in world.PEOPLE if p.name not in (hero.name, friend.name)])
    return (hero, friend, third), tie


@cache
def _things_outside(group: str) -> tuple[world.Thing, ...]:
    return tuple(thing for thing in world.THINGS if thing.group != group)


def _draw_cast(chance: Chance) -> _Cast:
    """Draw a plot and everything it needs."""
    plot = chance.pick(plots())
    people, tie = _draw_people(chance)
    thing = chance.pick(plot.things)
    weather = chance.pick(plot.weathers)
    clock = chance.pick(plot.times)
    return _Cast(
        plot=plot,
        branch=chance.pick(plot.branches),
        people=people,
        tie=tie,
        place=chance.pick(plot.places),
        thing=thing,
        other_thing=chance.pick(_things_outside(thing.group)),
        weather=weather,
        adjective=chance.pick(weather.night if clock == "night" else weather.day),
        time=clock,
    )


@cache
def _person_fields(person: world.Person, mark: str) -> dict[str, str]:
    """The fields of a person, each name followed by ``mark`` ("" for the hero, "2" and "3" for the
    others)."""
    trade, pet = person.trade, person.pet
    fields = {
        "hero": person.name,
        "he": person.he,
        "him": person.him,
        "his": person.his,
        "He": person.he.capitalize(),
        "His": person.his.capitalize(),
        "himself": f"{person.him}self",
        "hers": "hers" if person.he == "she" else "his",
        "trade": trade.name,
        "a_trade": world.with_article(trade.name),
        "base": trade.base,
        "past": trade.past,
        "ing": trade.ing,
        "work": trade.work,
        "tool": trade.tool,
        "a_tool": world.with_article(trade.tool),
        "home": person.home,
        "boat": person.boat,
        "colour": person.boat_colour,
        "kind": pet.kind,
        "pet": pet.name,
        "cry": pet.cry,
        "move": pet.move,
        "part": pet.part,
        "likes": pet.likes,
        "food": person.food,
        "meal": f"{person.serving} {person.food}",
        "kin_word": person.kin_word,
    }
    return {name + mark: value for name, value in fields.items()}


@cache
def _thing_fields(thing: world.Thing, mark: str) -> dict[str, str]:
    """The fields of a thing: "blue ladle", "a blue ladle", and "ladle" once it is known which."""
    a_noun = world.with_article(thing.noun)
    return {
        f"{mark}thing": thing.name,
        f"a_{mark}thing": world.with_article(thing.name),
        f"{mark}noun": thing.noun,
        f"a_{mark}noun": a_noun,
        f"A_{mark}noun": a_noun.capitalize(),
    }


def _fields(cast: _Cast) -> dict[str, str]:
    """What the braces in a wording stand for in this story."""
    hero, friend, third = cast.people
    place, weather = cast.place, cast.weather
    return {
        **_person_fields(hero, ""),
        **_person_fields(friend, "2"),
        **_person_fields(third, "3"),
        "friend": friend.name,
        "third": third.name,
        **_thing_fields(cast.thing, ""),
        **_thing_fields(cast.other_thing, "other_"),
        "place": place.name,
        "where": place.where,
        "nook": place.nook,
        "sight": place.sight,
        "weather": cast.adjective,
        "does": weather.night_does if cast.time == "night" else weather.day_does,
        "time": cast.time,
        "later": world.LATER[cast.time],
    }


def _tell(cast: _Cast, chance: Chance) -> str:
    """Tell the beats of the plot in order, each in one of its wordings."""
    fields = _fields(cast)
    labels = (
        cast.branch,
        cast.tie,
        cast.weather.label,
        cast.time,
        cast.place.side,
        cast.thing.group,
    )
    parts: list[str] = []
    for beat in cast.plot.beats:
        if beat.maybe and not chance.happens(0.5):
            continue
        if beat.fact_of:
            person = cast.people[0 if beat.fact_of == "hero" else 1]
            line = chance.pick(facts.story_lines(person, chance.pick(beat.relations)))
        elif options := beat.options(labels):
            line = chance.pick(options).format_map(fields)
            line = line if line[0] == '"' or line[0].isupper() else line[0].upper() + line[1:]
        else:
            continue
        parts.append(("\n" if beat.paragraph else " ") + line if parts else line)
    return "".join(parts)


def stories(seed: int = 0, split: Split = "train") -> Iterator[Story]:
    """An endless stream of stories: the same for the same ``seed`` and ``split`` on every platform.

    ``Story.bits`` is the code length of the story in the unsplit source. Knowing the split as well
    would save 0.09 bits a training story and 4 bits a validation story; a model does not know it.
    """
    if split not in SPLITS:
        raise ValueError(f"the stories have no split '{split}'; there are {' and '.join(SPLITS)}")
    chance = Chance(seed)
    while True:
        chance.bits = 0.0
        cast = _draw_cast(chance)
        if cast.split == split:
            story = _tell(cast, chance)
            # rare; told again from a new cast, so its bits stay an upper bound
            if len(story.split()) > LONGEST:
                continue
            hero, friend, _ = cast.people
            yield Story(
                story,
                chance.bits,
                cast.plot.name,
                hero.name,
                friend.name,
                cast.place.name,
                cast.thing.name,
            )


def text(n_bytes: int, seed: int = 0, split: Split = "train") -> Iterator[str]:
    """Stories until ``n_bytes`` bytes are reached, blank lines between them counted; the last story
    is whole."""
    size = 0
    for story in stories(seed, split):
        yield story.text
        size += len(story.text) + 2  # the text is ASCII: characters are bytes
        if size >= n_bytes:
            return


@cache
def vocabulary() -> frozenset[str]:
    """Every word the stories can use, in lower case: those of all wordings and all that can fill
    their fields."""
    words: set[str] = set()
    for plot in plots():
        for beat in plot.beats:
            for wording in (w for options in beat.wordings.values() for w in options):
                words |= words_of(re.sub(r"\{\w+\}", " ", wording))
    for person in world.PEOPLE:
        words |= words_of(" ".join(_person_fields(person, "").values()))
        words |= {
            word
            for r in facts.RELATIONS
            for line in facts.story_lines(person, r)
            for word in words_of(line)
        }
    for thing in world.THINGS:
        words |= words_of(world.with_article(thing.name))
    for place in world.PLACES:
        words |= words_of(f"{place.where} {place.nook} {place.sight}")
    for weather in world.WEATHERS:
        words |= words_of(
            " ".join((*weather.day, *weather.night, weather.day_does, weather.night_does))
        )
    return frozenset(words | set(world.TIMES) | set(world.LATER.values()))


def stats(n_bytes: int = 1_000_000, seed: int = 0, split: Split = "train") -> dict[str, Any]:
    """Figures about ``n_bytes`` of stories: speed, variety, length and the source's bits per
    byte."""
    start = time.perf_counter()
    texts, size = [], 0
    for story in stories(seed, split):
        texts.append(story)
        size += len(story.text) + 2
        if size >= n_bytes:
            break
    seconds = time.perf_counter() - start
    return {
        "stories": len(texts),
        "bytes": size,
        "megabytes_per_second": size / 1e6 / seconds,
        "source_bits_per_byte": sum(story.bits for story in texts) / size,
        "vocabulary": len(vocabulary()),
        **measure([story.text for story in texts]),
    }
