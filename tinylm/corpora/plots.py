"""Reads the plots of the stories: ``data/stories/*.txt``, one file per plot, written to be read and
edited.

A file opens with a header of ``key: values`` lines and goes on with beats, separated by blank
lines. A beat is what happens next, in several wordings of which a story uses one:

    branches: gull, tide            <- header: one of these is drawn for each story
    weather: wind, storm            <- optional, like places (shore, sea, land), things and times

    use opening                     <- a beat shared by all plots, from shared.txt

    - {hero} looked for {his} {thing} {where}.       <- "-" fits every story
    - But where was the {thing}?

    paragraph                       <- this beat begins a new paragraph
    gull: A gull flew up with it.   <- only in the branch "gull"; other labels: the weather, the
      time of day,
    tide: The tide had taken it.       the friend (kin, neighbour, other), the place (shore, sea,
                                       land) and the group of the thing; the first that fits, in
                                       this order

    maybe                           <- this beat is told in half of the stories
    fact hero pet boat              <- one of the hero's facts about pet or boat, worded by
      ``facts``

A beat whose labels all miss is skipped. Fields in braces are filled in by ``stories``; a "2" after
the field means the friend, a "3" a third person. Trade-off: wordings are picked, not composed, so
the variety is what was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinylm.corpora import facts, world
from tinylm.recipes import shipped

ANY = "-"


@dataclass(frozen=True)
class Beat:
    """One beat of a plot. Either ``wordings`` (label -> alternatives) or, for a fact, whose and
    which relations."""

    wordings: dict[str, tuple[str, ...]]
    paragraph: bool = False
    maybe: bool = False
    fact_of: str = ""
    relations: tuple[str, ...] = ()

    def options(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The wordings under the first of ``labels`` that this beat knows, else those for any story
        (maybe none)."""
        if len(self.wordings) > 1 or ANY not in self.wordings:
            for label in labels:
                if label in self.wordings:
                    return self.wordings[label]
        return self.wordings.get(ANY, ())


@dataclass(frozen=True)
class Plot:
    """A plot: its branches, its beats, and what its cast is drawn from."""

    name: str
    branches: tuple[str, ...]
    beats: tuple[Beat, ...]
    weathers: tuple[world.Weather, ...]
    times: tuple[str, ...]
    places: tuple[world.Place, ...]
    things: tuple[world.Thing, ...]


def _beat(block: str, shared: dict[str, Beat], source: str) -> Beat:
    """Read one block of lines."""
    lines = block.splitlines()
    marks = {line for line in lines if line in ("maybe", "paragraph")}
    maybe, paragraph = "maybe" in marks, "paragraph" in marks
    lines = [line for line in lines if line not in marks]
    command, *words = lines[0].split()
    if command == "use":
        return Beat(shared[words[0]].wordings, paragraph, maybe)
    if command == "fact":
        relations = tuple(word.replace("_", " ") for word in words[1:])
        assert set(relations) <= set(facts.RELATIONS), f"{source}: {relations}"
        return Beat({}, paragraph, maybe, words[0], relations)
    wordings: dict[str, list[str]] = {}
    for line in lines:
        label, _, wording = line.partition(" ")
        wordings.setdefault(label.rstrip(":"), []).append(wording)
    return Beat({label: tuple(options) for label, options in wordings.items()}, paragraph, maybe)


def _blocks(path: Path) -> list[str]:
    return [block.strip() for block in path.read_text(encoding="utf-8").strip().split("\n\n")]


def _plot(path: Path, shared: dict[str, Beat]) -> Plot:
    """Read one plot file."""
    head, *blocks = _blocks(path)
    header = dict(line.split(": ", 1) for line in head.splitlines())
    drawn = {key: set(value.split(", ")) for key, value in header.items()}
    return Plot(
        name=path.stem,
        branches=tuple(header["branches"].split(", ")),
        beats=tuple(_beat(block, shared, path.name) for block in blocks),
        weathers=tuple(w for w in world.WEATHERS if w.label in drawn.get("weather", {w.label})),
        times=tuple(t for t in world.TIMES if t in drawn.get("times", {t})),
        places=tuple(p for p in world.PLACES if p.side in drawn.get("places", {p.side})),
        things=tuple(t for t in world.THINGS if t.group in drawn.get("things", {t.group})),
    )


@cache
def plots() -> tuple[Plot, ...]:
    """All plots, in the order of their file names."""
    folder = shipped("data") / "stories"
    shared = {}
    for block in _blocks(folder / "shared.txt"):
        name, _, beat = block.partition("\n")
        shared[name.removeprefix("beat ")] = _beat(beat, {}, "shared.txt")
    return tuple(
        _plot(path, shared) for path in sorted(folder.glob("*.txt")) if path.stem != "shared"
    )
