"""Abilities nobody programmed: when does each appear, as one model reads more and more?

Design. A small model learns from stories and from short portraits of the people in them. At steps
that double or so it is asked what it can do, and the tokens seen by then are noted.

    manipulated     the tokens seen, from none to the end of the run
    constant        one model and one run for each seed; the questions, sentences and stories asked
    effect          the rise of each ability, last look minus the untrained model:
                      spelling   share of real words among the words that it writes
                      grammar    share of sentences that are likelier than the same one with two
                                 neighbouring words exchanged (chance 1/2)
                      copying    nats saved on a name when it comes again, in unseen stories whose
                                 hero was given another name (chance 0)
                      facts      share of four-way questions on the people, in wordings that it
                                 never read of them (chance 1/4)
    null            a rise of 0 in any of the four: the verdict needs all of them. Less than
                    chance counts as chance
    control         the untrained model, at the first look: the same network and questions without
                    the training
    price           a look takes time from the training minutes, so there are a dozen of them
    seeds           three: weights, order of the text and samples
    control run     the tokens of the text, and of the validation text, stand in random order: as
                    much training, on the same words, without anything to practise but how often
                    each occurs. What is asked stays. Expected: grammar, copying and facts do not
                    rise. Spelling does, since many tokens are whole words, so it alone would say
                    nothing about emergence

Where an ability appears is its onset: the tokens seen when it has come half of the way from the
first to the last look. Targets: all four onsets can be located.

Tried before. Olsson et al. (2022) repeat rows of random tokens. Models of this size and schooling
never copy those: finished ones lose 0.9 to 1.6 nats a token the second time. Names, which stories
do repeat, take their place. From stories alone a fact is read too seldom to be known (see the
demo's scoreboard). The portraits make facts learnable in minutes.

Rises counted from the first look alone until the control was first run. There, facts rose from 2 %
to 25 %, which is guessing: to an untrained model many options are equally likely, and a tie counts
as wrong. Its verdict was right all the same, since no other ability rose. An onset is still half
way between the two looks, so that of facts lies a little early.

Trade-offs. Half way is a convention. It needs no threshold chosen by eye, but it moves with the
length of the run. An ability that jumps in one measure may rise smoothly in another (Schaeffer et
al. 2023): grammar and facts count right answers, copying counts nats.
"""

import math
import random
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.corpora.build import endless
from tinylm.corpora.facts import RELATIONS, story_lines
from tinylm.corpora.world import PEOPLE
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.generation import Request, generate
from tinylm.lessons.abilities import copying, facts_known, grammar, spelling
from tinylm.lessons.experiment import Experiment, Progress, WithProgress, open_trainer, progress_of
from tinylm.lessons.lesson import Arm, Lesson, Result, above, band, logarithmic, together
from tinylm.lessons.shared import interval_json, shuffled_tokens
from tinylm.model.gpt import GPT
from tinylm.pages.figures import canvas, colour
from tinylm.runs import open_run
from tinylm.text.batches import Corpus
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer


@dataclass(frozen=True)
class Sizes:
    """What the watched run reads, and what it is asked at each look, at one scale."""

    vocab_size: int
    story_bytes: int  # of training text
    portraits: int  # between the stories
    steps: tuple[int, ...]  # at which abilities are looked at; the last one ends the run
    questions: int  # about facts, and sentences for the grammar
    renamed: int  # stories
    samples: int  # texts whose spelling is looked at


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
# What guessing gets, where answers count. An untrained model may score less: a tie is wrong.
CHANCE = {"grammar": 1 / 2, "facts": 1 / 4}
ABILITIES = {
    "spelling": "share of words",
    "grammar": "share of sentences",
    "copying": "nats saved per name",
    "facts": "share of questions",
}


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Train with every seed, looking at the abilities on the way."""
    sizes = SIZES[experiment.scale]
    # Made once and shared by all seeds: the tokenizer is trained on it as well.
    yield Progress("the text", 0, 1)
    corpus, sentences = build(sizes)
    if experiment.control:
        corpus = shuffled_tokens(corpus)
    looks: dict[int, list[dict[str, Any]]] = {}  # seed -> a look at each of the steps
    for seed in experiment.seeds:
        looks[seed] = yield from along(
            experiment, seed, corpus, partial(abilities, sentences=sentences, sizes=sizes)
        )
    return conclude(looks)


def along(
    experiment: Experiment, seed: int, corpus: Corpus, look: "partial[dict[str, Any]]"
) -> WithProgress:
    """Train one model; returns what `look` measured at each of the steps, and the tokens seen by
    then."""
    steps = SIZES[experiment.scale].steps
    # The validation loss is only looked at: nothing about these runs is chosen by it.
    fields = {
        "train.steps": steps[-1],
        "train.evaluate_every": max(1, steps[-1] // 5),
        "sample.prompts": [],
    }
    recipe = experiment.base_recipe(seed, **{key: str(value) for key, value in fields.items()})
    name = f"stories and portraits, seed {seed}"
    # The trainer is opened here and not in the experiment: the model is looked at on its way.
    folder = experiment.run_folder(name, recipe, corpus)
    trainer = open_trainer(folder, recipe, corpus)
    points = []

    def note(step: int) -> None:
        # The folder's name holds the hash of all settings, so it stands for the weights at a step.
        points.append(experiment.measure(
            f"abilities, seed {seed}, step {step}", folder.name,
            lambda: {"tokens": trainer.tokens, **look(trainer.model, corpus.tokenizer)},
        ))  # fmt: skip

    # A run that was interrupted goes on behind these steps; their looks were kept.
    for step in steps:
        if step < trainer.step:
            note(step)
    # None stands for the state before the first step of this call: the untrained model, or the one
    # that an earlier try left behind.
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
    # Seed 0, whatever the seed of a run.
    stories_read = list(endless("stories", "train", sizes.story_bytes, seed=0))
    # One text for all seeds: they differ in weights and order, not in what there is to read.
    chance = random.Random(0)
    texts = stories_read + [portrait(chance) for _ in range(sizes.portraits)]
    chance.shuffle(texts)
    # At least 2,000 bytes, so that there are sentences to exchange words in at smoke scale.
    unseen = list(endless("stories", "valid", max(2000, sizes.story_bytes // 100), seed=0))
    # A small vocabulary: common words are one token early, and spelling can still be seen.
    tokenizer = train_bpe_tokenizer((text + "\n\n" for text in texts), sizes.vocab_size, [DOCUMENT])
    train, valid = (marked(documents, tokenizer) for documents in (texts, unseen))
    sentences = []
    for text in unseen:
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            # Shorter ones leave no two words to exchange; longer ones are several clauses.
            if 5 <= len(sentence.split()) <= 20:
                sentences.append(sentence)
    return Corpus(tokenizer, train, valid, sha256="stories and portraits"), sentences


def portrait(chance: random.Random, lines: int = 6) -> str:
    """What the stories would tell of one person, in chance order.

    >>> portrait(random.Random(0), lines=1)
    'Flora trusted her cousin Abel.'
    """
    person = chance.choice(PEOPLE)
    # The stories' own sentences, so that a fact is told in the same words in both.
    every = [line for relation in RELATIONS for line in story_lines(person, relation)]
    return " ".join(chance.sample(every, lines))


def marked(documents: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """Ids of all documents, each behind the document token."""
    # Told apart by a token of their own: without it a document would predict the next one.
    begin = np.array([tokenizer.special_id(DOCUMENT)], dtype=np.uint16)
    parts: list[np.ndarray] = []
    for text in documents:
        parts += [begin, tokenizer.encode_array(text)]
    return np.concatenate(parts)


# -- the abilities --------------------------------------------------------------------------------


def abilities(
    model: GPT, tokenizer: Tokenizer, sentences: Sequence[str], sizes: Sizes
) -> dict[str, Any]:
    """Everything that is looked at, with one sample to read."""
    # From the document token alone: what the model says when left alone.
    # Sixty tokens are enough to tell words from letters.
    request = Request("", 60, count=sizes.samples, begin=DOCUMENT)
    texts = [row.text for row in generate(model, tokenizer, request)]
    model.train()  # sampling has put it into evaluation mode, and training goes on
    return {
        "spelling": spelling(texts),
        # Sentences of unseen stories: a sentence read before would be known by heart.
        "grammar": grammar(model, tokenizer, sentences[: sizes.questions]),
        "copying": copying(model, tokenizer, sizes.renamed),
        "facts": facts_known(model, tokenizer, sizes.questions),
        "sample": texts[0][:200],
    }


# -- what follows ---------------------------------------------------------------------------------


def onset(tokens: Sequence[int], values: Sequence[float]) -> float:
    """Tokens seen where a curve first stands half way between its first and its last value, between
    points in a line.

    >>> onset([0, 100, 200], [0.0, 0.2, 1.0])
    137.5
    """
    # Half way between its own two ends: no threshold has to be chosen for each ability.
    half = (values[0] + values[-1]) / 2
    # A curve that falls from first to last is looked at upside down.
    sign = 1 if values[-1] >= values[0] else -1
    # The first point at or beyond the middle. The last one always is.
    i = next(i for i in range(1, len(values)) if sign * values[i] >= sign * half)
    step = values[i] - values[i - 1]
    way = (half - values[i - 1]) / step if step else 1.0  # from the point before it to point i
    return tokens[i - 1] + way * (tokens[i] - tokens[i - 1])


def conclude(looks: dict[int, list[dict[str, Any]]]) -> Result:
    """An ability has emerged if it rises measurably over the seeds; it is located by the interval
    of its onset. `looks` are those along the run of each seed."""
    # Batches hold different numbers of tokens, so each seed has a scale of its own.
    tokens_of_seeds = [[look["tokens"] for look in own] for own in looks.values()]
    # For the horizontal axis only; each onset is read off its own seed's tokens.
    tokens = [float(np.mean(at)) for at in zip(*tokens_of_seeds)]
    curves: dict[str, list[list[float]]] = {}  # ability -> a curve for each seed
    for name in ABILITIES:
        curves[name] = [[look[name] for look in own] for own in looks.values()]
    onsets = {name: onset_arm(name, tokens_of_seeds, seeds) for name, seeds in curves.items()}
    rises = {name: rise(seeds, CHANCE.get(name, -math.inf)) for name, seeds in curves.items()}
    # An onset without a rise would be noise that crosses its own middle.
    risen = [name for name in ABILITIES if above(rises[name]) == "supported"]
    # The order in which they appear is a result, so it is not set anywhere.
    order = sorted(risen, key=lambda name: onsets[name].interval.mean)
    absent = [name for name in ABILITIES if name not in order]
    listing = ", ".join(f"{name} after {in_thousands(onsets[name].interval)}" for name in order)
    title = f"Abilities in the order in which they appear, in thousand tokens: {listing or 'none'}"
    sentence = f"Half of each ability is there, in thousand tokens seen: {listing or 'none'}"
    if absent:
        sentence += f"; not measurably risen: {', '.join(absent)}"
    # How far each ability comes, beside when: an early onset of little is little.
    last_values = [
        Arm(f"{name} at the end", ABILITIES[name], [own[-1] for own in seeds])
        for name, seeds in curves.items()
    ]
    return Result(
        together(*map(above, rises.values())),
        f"{sentence}.",
        [*onsets.values(), *last_values],
        {"abilities.png": pictures(title, tokens, curves, {name: onsets[name] for name in order})},
        targets={f"the onset of {name} is located": name in order for name in ABILITIES},
        details={
            "tokens": tokens,
            "curves": curves,
            "samples": {look["tokens"]: look["sample"] for look in looks[1]},
            "rises": {name: interval_json(value) for name, value in rises.items()},
        },
    )


def onset_arm(name: str, tokens: Sequence[Sequence[int]], curves: Sequence[Sequence[float]]) -> Arm:
    """The onset of an ability, for each seed's tokens and curve."""
    values = [onset(own_tokens, own) for own_tokens, own in zip(tokens, curves)]
    return Arm(f"onset of {name}", "tokens", values, on_log_scale(values))


def rise(seeds: Sequence[Sequence[float]], chance: float = -math.inf) -> Interval:
    """How far an ability has come from the untrained model to the last look, seed by seed; what
    lies below `chance` counts as chance."""
    # Two looks at one model: what its seed brings along stands on both sides.
    begin, end = ([max(own[place], chance) for own in seeds] for place in (0, -1))
    return paired_difference(end, begin, groups=range(len(seeds)))


def on_log_scale(values: Sequence[float]) -> Interval:
    """Geometric mean and its interval: what spreads by factors cannot lie below 0."""
    # Seeds 2 and 3 may differ by a factor: on this scale that is a distance.
    logs = interval(np.log(np.maximum(values, 1.0)), groups=range(len(values)))
    # Back to tokens: the ends lie at equal ratios around the mean.
    return Interval(*(float(np.exp(value)) for value in (logs.mean, logs.low, logs.high)))


def in_thousands(value: Interval) -> str:
    """A number of tokens with its interval, for people."""
    mean, low, high = (end / 1e3 for end in (value.mean, value.low, value.high))
    # One seed has no interval.
    return f"{mean:.0f} ({low:.0f} to {high:.0f})" if np.isfinite(low + high) else f"{mean:.0f}"


def pictures(
    title: str,
    tokens: Sequence[float],
    curves: dict[str, list[list[float]]],
    onsets: dict[str, Arm],
) -> Figure:
    """A panel for each ability against tokens seen, its onset marked where it has one."""
    # A logarithmic axis has no 0: the untrained model stands at its left edge.
    edge = tokens[1] / 3
    x = [max(seen, edge) / 1e3 for seen in tokens]
    with canvas(title, (9.2, 6.2)) as figure:
        panels = zip(figure.subplots(2, 2).flat, curves.items())
        for place, (axes, (name, seeds)) in enumerate(panels):
            band(axes, x, [interval(at, groups=range(len(at))) for at in zip(*seeds)], place)
            # One line for each seed's onset: their distance is its spread.
            for value in onsets[name].values if name in onsets else ():
                dashes = (0, (4, 3))
                at = max(value, edge) / 1e3
                axes.axvline(at, color=colour(place), linewidth=1.2, linestyle=dashes)
            unit = ABILITIES[name]
            # Shares are drawn on their whole range, so that heights compare between panels.
            limits = (0, 1.02) if "share" in unit else (None, None)
            axes.set(xlabel="thousand tokens seen", ylabel=unit, ylim=limits)
            axes.set_title(name, loc="left", fontsize=12.5, fontweight="bold")
            logarithmic(axes.xaxis)
    return figure


LESSON = Lesson(
    name="emergence",
    claim="Abilities are not programmed into a model: they emerge from training.",
    question="When do spelling, grammar, copying and facts appear as one model reads more and "
    "more?",
    control="The tokens of the training text stand in random order: only their shares are left.",
    minutes=11,
    base_minutes=0,
    run=run,
)
