"""Abilities nobody programmed: when does each appear, as one model reads more and more?

A small model learns from stories and from short portraits of the people in them. Along the way, at
steps that double or so, it is asked what it can do, and the tokens seen by then are noted:

    spelling   share of real words among the words it writes (chance: what random tokens spell)
    grammar    share of sentences it finds likelier than the same one with two neighbouring words
      exchanged (chance 1/2)
    copying    nats saved on a person's name when it comes again, in unseen stories whose hero was
      given another name:
               only looking back can tell it (chance 0). A mild form of the test of Olsson et al.
               2022
    facts      share of four-way questions on the people, in wordings it never read of them (chance
      1/4)

An ability's onset is where it has come half of the way from the untrained model to the finished
one: tokens seen, for each seed. It is located only if the rise itself is beyond chance over the
seeds.

Trade-offs: half way is a convention; it needs no threshold chosen by eye, but moves with the length
of the run. Olsson et al. repeat rows of random tokens; models of this size and schooling never copy
those (finished ones lose 0.9 to 1.6 nats a token on them the second time), so names, which stories
do repeat, stand in. The portraits make facts learnable in minutes: stories alone tell each one too
seldom (see the demo's scoreboard).
"""

import random
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.corpora.build import endless
from tinylm.corpora.facts import RELATIONS, facts, story_lines
from tinylm.corpora.stories import stories, vocabulary
from tinylm.corpora.world import PEOPLE
from tinylm.evaluation.knowledge import Question, probe
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.evaluation.surprisal import continuation_nats, sequence_nats
from tinylm.generation import Request, generate
from tinylm.lessons.experiment import Experiment, Progress, WithProgress, open_trainer, progress_of
from tinylm.lessons.lesson import Arm, Lesson, Result, above, band, logarithmic, together
from tinylm.model.gpt import GPT
from tinylm.pages.figures import canvas, colour
from tinylm.runs import open_run
from tinylm.text.batches import Corpus
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer


@dataclass(frozen=True)
class Sizes:
    vocab_size: int
    story_bytes: int
    portraits: int
    steps: tuple[int, ...]  # at which abilities are looked at; the last one ends the run
    questions: int
    renamed: int  # stories
    samples: int


SIZES = {
    "smoke": Sizes(300, 40_000, 48, (0, 2, 4), questions=6, renamed=6, samples=2),
    "full": Sizes(
        512,
        4_000_000,
        6_000,
        (0, 10, 20, 40, 80, 150, 250, 400, 600, 900, 1200, 1500),
        216,
        60,
        samples=24,
    ),
}
ABILITIES = {
    "spelling": "share of words",
    "grammar": "share of sentences",
    "copying": "nats saved per name",
    "facts": "share of questions",
}
WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Train with every seed, looking at the abilities on the way."""
    sizes = SIZES[experiment.scale]
    yield Progress("the text", 0, 1)
    corpus, sentences = build(sizes)
    seen: dict[int, list[dict[str, Any]]] = {}  # seed -> a look at each of the steps
    for seed in experiment.seeds:
        seen[seed] = yield from along(
            experiment, seed, corpus, partial(abilities, sentences=sentences, sizes=sizes)
        )
    return conclude(seen)


def along(
    experiment: Experiment, seed: int, corpus: Corpus, look: "partial[dict[str, Any]]"
) -> WithProgress:
    """Train one model; returns what `look` found at each of the steps, and the tokens seen by
    then."""
    steps = SIZES[experiment.scale].steps
    fields = {
        "train.steps": steps[-1],
        "train.evaluate_every": max(1, steps[-1] // 5),
        "sample.prompts": [],
    }
    recipe = experiment.base_recipe(seed, **{key: str(value) for key, value in fields.items()})
    name = f"stories and portraits, seed {seed}"
    folder = experiment.run_folder(name, recipe, corpus)
    trainer = open_trainer(folder, recipe, corpus)
    points = []

    def note(step: int) -> None:
        points.append(experiment.measure(
            f"abilities, seed {seed}, step {step}", folder.name,
            lambda: {"tokens": trainer.tokens, **look(trainer.model, corpus.tokenizer)},
        ))  # fmt: skip

    for step in (step for step in steps if step < trainer.step):  # of an earlier try: kept already
        note(step)
    for progress in chain([None], progress_of(trainer, name)):
        if trainer.step in steps:
            note(trainer.step)
        if progress:
            yield progress
    experiment.seconds += open_run(folder).manifest["seconds"]
    return points


# -- the data -------------------------------------------------------------------------------------


def build(sizes: Sizes) -> tuple[Corpus, list[str]]:
    """Stories with portraits between them, and validation sentences for the grammar test."""
    stories_read = list(endless("stories", "train", sizes.story_bytes, seed=0))
    chance = random.Random(0)
    texts = stories_read + [portrait(chance) for _ in range(sizes.portraits)]
    chance.shuffle(texts)
    unseen = list(endless("stories", "valid", max(2000, sizes.story_bytes // 100), seed=0))
    tokenizer = train_bpe_tokenizer((text + "\n\n" for text in texts), sizes.vocab_size, [DOCUMENT])
    train, valid = (marked(documents, tokenizer) for documents in (texts, unseen))
    sentences = [
        s for text in unseen for s in re.split(r"(?<=[.!?])\s+", text) if 5 <= len(s.split()) <= 20
    ]
    return Corpus(tokenizer, train, valid, sha256="stories and portraits"), sentences


def portrait(chance: random.Random, lines: int = 6) -> str:
    """What the stories would tell of one person, in chance order.

    >>> portrait(random.Random(0), lines=1)
    'Flora trusted her cousin Abel.'
    """
    person = chance.choice(PEOPLE)
    every = [line for relation in RELATIONS for line in story_lines(person, relation)]
    return " ".join(chance.sample(every, lines))


def marked(documents: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """Ids of all documents, each behind the document token."""
    begin = np.array([tokenizer.special_id(DOCUMENT)], dtype=np.uint16)
    return np.concatenate(
        [part for text in documents for part in (begin, tokenizer.encode_array(text))]
    )


# -- the abilities --------------------------------------------------------------------------------


def abilities(
    model: GPT, tokenizer: Tokenizer, sentences: Sequence[str], sizes: Sizes
) -> dict[str, Any]:
    """Everything that is looked at, with one sample to read."""
    request = Request("", 60, count=sizes.samples, begin=DOCUMENT)
    texts = [row.text for row in generate(model, tokenizer, request)]
    model.train()
    return {
        "spelling": spelling(texts),
        "grammar": grammar(model, tokenizer, sentences[: sizes.questions]),
        "copying": copying(model, tokenizer, sizes.renamed),
        "facts": facts_known(model, tokenizer, sizes.questions),
        "sample": texts[0][:200],
    }


def spelling(texts: Sequence[str]) -> float:
    """Share of real words; the first and last of a text may be cut off and do not count.

    >>> spelling(["x the lantern xqz y"])
    0.6666666666666666
    """
    words = [
        word for text in texts for word in WORD.findall(re.sub(r"'s\b", "", text.lower()))[1:-1]
    ]
    return sum(word in vocabulary() for word in words) / max(1, len(words))


def grammar(model: GPT, tokenizer: Tokenizer, sentences: Sequence[str]) -> float:
    """Share of sentences that are likelier than themselves with two neighbouring words
    exchanged."""
    begin = [tokenizer.special_id(DOCUMENT)]
    pairs = [text for sentence in sentences for text in (sentence, exchanged(sentence))]
    nats = [
        own.sum()
        for own in sequence_nats(model, [begin + tokenizer.encode(text) for text in pairs])
    ]
    return float(np.mean(np.array(nats[::2]) < np.array(nats[1::2])))


def exchanged(sentence: str) -> str:
    """The sentence with two neighbouring words exchanged, never the first or the last one; always
    the same two.

    >>> exchanged("Mara went to the sea.")
    'Mara went the to sea.'
    """
    words = sentence.split()
    places = [i for i in range(1, len(words) - 2) if words[i] != words[i + 1]] or [1]
    i = random.Random(sentence).choice(places)
    return " ".join([*words[:i], words[i + 1], words[i], *words[i + 2 :]])


def copying(model: GPT, tokenizer: Tokenizer, count: int) -> float:
    """Nats that the later mentions of a hero's name cost less than the first one, on average over
    `count` stories."""
    texts = renamed(count)
    begin, sizes = [tokenizer.special_id(DOCUMENT)], tokenizer.bytes_per_token()
    rows = [tokenizer.encode(text) for text, _ in texts]
    first: list[float] = []
    later: list[float] = []
    for (text, name), ids, nats in zip(
        texts, rows, sequence_nats(model, [begin + ids for ids in rows])
    ):
        ends = np.cumsum(sizes[ids])  # in bytes, which are characters here: the stories are ASCII
        for number, place in enumerate(re.finditer(rf"\b{name}\b", text)):
            inside = (ends > place.start()) & (ends - sizes[ids] < place.end())
            (later if number else first).append(nats[inside].sum())
    return float(np.mean(first) - np.mean(later))


@cache
def renamed(count: int) -> list[tuple[str, str]]:
    """Unseen stories that name their hero three times or more, with another person's name for it:
    (text, name)."""
    chance, names = random.Random(0), [person.name for person in PEOPLE]
    texts: list[tuple[str, str]] = []
    for text in (story.text for story in stories(0, "valid")):
        hero = max(names, key=lambda name: len(re.findall(rf"\b{name}\b", text)))
        if len(re.findall(rf"\b{hero}\b", text)) >= 3 and text.isascii():
            other = chance.choice([name for name in names if name not in text])
            texts.append((re.sub(rf"\b{hero}\b", other, text), other))
        if len(texts) == count:
            return texts
    return texts


def facts_known(model: GPT, tokenizer: Tokenizer, count: int) -> float:
    """Share of four-way questions answered rightly, what an answer costs without the question taken
    off."""
    every = facts()
    questions = [
        Question(
            f.prompts[0],
            tuple(f" {option}" for option in f.options),
            f.options.index(f.answer),
            f.prompts[0].replace(f.subject, "Somebody"),
            f.relation,
        )
        for f in every[:: max(1, len(every) // count)]
    ]
    return probe(
        questions, lambda pairs: continuation_nats(model, tokenizer, pairs, True)
    ).calibrated_accuracy.mean


# -- what follows ---------------------------------------------------------------------------------


def onset(tokens: Sequence[int], values: Sequence[float]) -> float:
    """Tokens seen where a curve first stands half way between its first and its last value, between
    points in a line.

    >>> onset([0, 100, 200], [0.0, 0.2, 1.0])
    137.5
    """
    half = (values[0] + values[-1]) / 2
    sign = 1 if values[-1] >= values[0] else -1
    i = next(i for i in range(1, len(values)) if sign * values[i] >= sign * half)
    share = (
        (half - values[i - 1]) / (values[i] - values[i - 1]) if values[i] != values[i - 1] else 1.0
    )
    return tokens[i - 1] + share * (tokens[i] - tokens[i - 1])


def conclude(seen: dict[int, list[dict[str, Any]]]) -> Result:
    """An ability has emerged if it rises measurably over the seeds; it is located by the interval
    of its onset."""
    # seeds differ: so do batches
    read = [[look["tokens"] for look in own] for own in seen.values()]
    tokens = [float(np.mean(at)) for at in zip(*read)]
    curves = {name: [[look[name] for look in own] for own in seen.values()] for name in ABILITIES}
    onsets = {}
    for name, seeds in curves.items():
        onset_values = list(map(onset, read, seeds))
        onsets[name] = Arm(f"onset of {name}", "tokens", onset_values, on_log_scale(onset_values))
    rises = {name: rise(seeds) for name, seeds in curves.items()}
    verdict = together(*map(above, rises.values()))
    risen = [name for name in ABILITIES if above(rises[name]) == "supported"]
    order = sorted(risen, key=lambda name: onsets[name].interval.mean)
    absent = [name for name in ABILITIES if name not in order]
    sentence = (
        ", ".join(f"{name} after {in_thousands(onsets[name].interval)}" for name in order) or "none"
    )
    title = f"Abilities in the order in which they appear, in thousand tokens: {sentence}"
    sentence += f"; not measurably risen: {', '.join(absent)}" if absent else ""
    ends = [
        Arm(f"{name} at the end", ABILITIES[name], [own[-1] for own in seeds])
        for name, seeds in curves.items()
    ]
    return Result(
        verdict,
        f"Half of each ability is there, in thousand tokens seen: {sentence}.",
        [*onsets.values(), *ends],
        {"abilities.png": pictures(title, tokens, curves, {name: onsets[name] for name in order})},
        targets={f"the onset of {name} is located": name in order for name in ABILITIES},
        details={
            "tokens": tokens,
            "curves": curves,
            "samples": {look["tokens"]: look["sample"] for look in seen[1]},
            "rises": {name: [r.mean, r.low, r.high] for name, r in rises.items()},
        },
    )


def rise(seeds: Sequence[Sequence[float]]) -> Interval:
    """How far an ability has come from the untrained model to the last look, seed by seed."""
    return paired_difference(
        [own[-1] for own in seeds], [own[0] for own in seeds], groups=range(len(seeds))
    )


def on_log_scale(values: Sequence[float]) -> Interval:
    """Geometric mean and its interval: what spreads by factors has no business below 0."""
    logs = interval(np.log(np.maximum(values, 1.0)), groups=range(len(values)))
    return Interval(*(float(np.exp(value)) for value in (logs.mean, logs.low, logs.high)))


def in_thousands(value: Interval) -> str:
    spread = (
        f" ({value.low / 1e3:.0f} to {value.high / 1e3:.0f})"
        if np.isfinite(value.low + value.high)
        else ""
    )
    return f"{value.mean / 1e3:.0f}{spread}"


def pictures(
    title: str,
    tokens: Sequence[float],
    curves: dict[str, list[list[float]]],
    onsets: dict[str, Arm],
) -> Figure:
    """A panel for each ability against tokens seen, its onset marked where it has one."""
    with canvas(title, (9.2, 6.2)) as figure:
        for place, (axes, (name, seeds)) in enumerate(
            zip(figure.subplots(2, 2).flat, curves.items())
        ):
            # the untrained model stands at the left edge
            x = [max(t, tokens[1] / 3) / 1e3 for t in tokens]
            band(axes, x, [interval(at, groups=range(len(at))) for at in zip(*seeds)], place)
            for value in onsets[name].values if name in onsets else ():
                axes.axvline(
                    max(value, tokens[1] / 3) / 1e3,
                    color=colour(place),
                    linewidth=1.2,
                    linestyle=(0, (4, 3)),
                )
            unit = ABILITIES[name]
            axes.set(
                xlabel="thousand tokens seen",
                ylabel=unit,
                ylim=(0, 1.02) if "share" in unit else (None, None),
            )
            axes.set_title(name, loc="left", fontsize=12.5, fontweight="bold")
            logarithmic(axes.xaxis)
    return figure


LESSON = Lesson(
    name="emergence",
    claim="Abilities are not programmed into a model: they emerge from training.",
    question="When do spelling, grammar, copying and facts appear as one model reads more and "
    "more?",
    minutes=11,
    base_minutes=0,
    run=run,
)
