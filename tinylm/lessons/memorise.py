"""Patterns or memory: how much of what a model writes stands word for word in its training text?

Design. The same model is trained on more and more different stories.

    manipulated     the number of stories in the training text, at equal steps: each is read very
                    often (few stories) or hardly once (many). One more arm reads the fewest stories
                    in fewer steps
    constant        network, tokenizer (that of the largest corpus), steps, tokens a step, prompts,
                    unseen stories
    effect          copying: share of the 32-character spans of a model's samples that stand in its
                    own training text, minus the same share for unseen stories of equal length, as
                    one author's stories repeat each other too; and bits per byte of unseen stories,
                    fewest minus most
    null            copying with most stories: 10 points above the author. A claim that something is
                    absent needs such a margin (an equivalence test, Schuirmann 1987); it was fixed
                    beforehand. Bits per byte: 0, many stories predict unseen text no better
    control         the fewest stories, read over and over: they must be copied, or the measure
                    could not see memory where there is some; and fewer readings of them
    price           none in steps: every size costs the same. Many stories have to be had first
    seeds           three
    control run     sizes alike: every arm reads as many stories as the largest has, but for at
                    most three, so that none reads its text over and over. Steps and all else stay.
                    Expected: no arm copies beyond the author, and unseen text costs all the same

A model that only memorises copies far more than the author repeats itself. One that has learned
patterns writes text that it never read and predicts text that it never read.

Trade-offs. Spans are looked for character by character, so a copy with one changed name counts as
two shorter ones (Carlini et al. 2023 measure the same in tokens). The weights at the end are
judged, not those that validate best: stopping early would hide what is to be seen.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.config import Recipe
from tinylm.evaluation.novelty import cut_like, novelty
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.evaluation.surprisal import document_bits
from tinylm.generation import Request, generate
from tinylm.lessons.experiment import Experiment, Progress, final_model
from tinylm.lessons.lesson import Arm, Lesson, Result, above, band, below, together
from tinylm.pages.figures import canvas, percent
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model, token_file

# Characters, about six words: shorter spans are phrases that anybody repeats.
SPAN = 32
# So far above the author's own repetition still counts as learned, not copied.
MARGIN = 0.10


@dataclass(frozen=True)
class Sizes:
    """How much is read, written and scored at one scale, for each seed."""

    stories: tuple[int, ...]  # in the training text of each run
    # of all runs but one
    steps: int
    fewer: int  # steps of the run that reads the smallest corpus less often
    # texts that each model writes
    samples: int
    unseen: int  # bytes of unseen stories that are scored


SIZES = {
    "smoke": Sizes((4, 16), steps=6, fewer=3, samples=2, unseen=2000),
    "full": Sizes((60, 300, 1500, 7500), steps=400, fewer=60, samples=64, unseen=30_000),
}


@dataclass(frozen=True)
class Reading:
    """What one arm reads: how many stories, for how many steps."""

    stories: int
    steps: int

    def epochs(self, tokens: int, batch: int) -> float:
        """How often each of the corpus's tokens is read, at `batch` tokens a step."""
        return self.steps * batch / tokens


Measured = dict[Reading, list[dict[str, Any]]]  # arm -> measures of each seed


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Train on every size with every seed, then read what the models write."""
    sizes = SIZES[experiment.scale]
    if experiment.control:
        # All but alike: arms with one and the same text would be one and the same run.
        most, arms = sizes.stories[-1], len(sizes.stories)
        sizes = replace(sizes, stories=tuple(range(most - arms + 1, most + 1)))
    # The shared base lends its tokens only: every model here starts from random weights.
    base = yield from experiment.base(1)
    stories = documents(np.asarray(token_file(base, "train")), load_model(base).tokenizer)
    # The arm with fewer steps comes first: `conclude` and the picture tell it by its place.
    readings = [Reading(sizes.stories[0], sizes.fewer)]
    readings += [Reading(count, sizes.steps) for count in sizes.stories]
    measured: Measured = {reading: [] for reading in readings}
    for seed in experiment.seeds:
        for done, reading in enumerate(readings):
            # Larger corpora begin with the smaller ones: sizes differ, not what was chosen.
            corpus = corpus_of(base, stories[: reading.stories])
            recipe = recipe_of(experiment, reading, seed)
            name = f"{reading.stories} stories, {reading.steps} steps, seed {seed}"
            trained = yield from experiment.train(name, recipe, corpus)
            yield Progress(f"reading samples, seed {seed}", done, len(readings))
            # The folder's name holds the hash of recipe and text.
            key = [trained.folder.name, sizes.samples, sizes.unseen]
            measures = experiment.measure(
                f"copying, {name}", key, partial(measure, trained, corpus, sizes)
            )
            batch = recipe.train.batch_size * recipe.model.context  # tokens
            # Reported with the results: the arms differ in how often they read as well.
            epochs_read = reading.epochs(len(corpus.train), batch)
            measured[reading].append({**measures, "epochs": epochs_read})
    return conclude(measured)


def recipe_of(experiment: Experiment, reading: Reading, seed: int) -> Recipe:
    """The base's recipe for so many steps, validated once, at the end."""
    return experiment.base_recipe(
        seed,
        **{
            "train.steps": str(reading.steps),
            "train.evaluate_every": str(reading.steps),
            "sample.prompts": "[]",
        },
    )


# -- the data -------------------------------------------------------------------------------------


def documents(ids: np.ndarray, tokenizer: Tokenizer) -> list[np.ndarray]:
    """The ids of each document, its beginning token included."""
    # What stands before the first beginning is no document: an empty piece.
    return np.split(ids, np.flatnonzero(ids == tokenizer.special_id(DOCUMENT)))[1:]


def corpus_of(base: Run, stories: Sequence[np.ndarray]) -> Corpus:
    """A training text of these stories; the base's validation stories and tokenizer."""
    # Every story brings its beginning token along.
    train = np.concatenate(stories)
    return Corpus(
        load_model(base).tokenizer,
        train,
        # The same validation stories for all sizes: they were in no training text.
        np.asarray(token_file(base, "valid")),
        f"{len(stories)} stories",
    )


# -- measuring ------------------------------------------------------------------------------------


def measure(trained: Run, corpus: Corpus, sizes: Sizes) -> dict[str, Any]:
    """Copying and bits per byte of the weights a run ended with."""
    # The last weights and not the best: a model that has begun to memorise validates worse.
    model, tokenizer = final_model(trained), corpus.tokenizer
    # Back to characters: a copy is a copy however it was cut into tokens.
    read, unseen = (texts_of(ids, tokenizer) for ids in (corpus.train, corpus.valid))
    # From the document token alone, so that no prompt hands over a piece of the text.
    request = Request("", 96, count=sizes.samples, begin=DOCUMENT)
    samples = [row.text for row in generate(model, tokenizer, request) if row.text.strip()]
    # The yardstick: as much unseen text, cut to the lengths of the samples, since a longer text
    # has more spans to be found by chance.
    reference = cut_like("\n\n".join(unseen), samples)
    # Both are looked for in the training text of this very arm.
    results = novelty("\n\n".join(read), {"samples": samples, "unseen": reference})
    return {
        "copied": results["samples"].spans[SPAN].mean,
        "author": results["unseen"].spans[SPAN].mean,
        "longest": results["samples"].longest_mean.mean,
        "longest_author": results["unseen"].longest_mean.mean,
        "unseen": bits_per_byte(model, tokenizer, first(unseen, sizes.unseen)),
        "read": bits_per_byte(model, tokenizer, first(read, sizes.unseen)),
        "sample": samples[0][:200],
    }


def texts_of(ids: np.ndarray, tokenizer: Tokenizer) -> list[str]:
    """The documents in one row of ids (tokens,), as text."""
    # Special tokens decode to nothing, so the beginnings vanish.
    return [tokenizer.decode(own.tolist()) for own in documents(ids, tokenizer)]


def first(texts: Sequence[str], size: int) -> list[str]:
    """The first texts, until `size` characters are reached; at least one.

    >>> first(["abc", "de", "f"], 4)
    ['abc', 'de']
    """
    read = np.cumsum([len(text) for text in texts])  # characters up to the end of each text
    return list(texts[: int(np.searchsorted(read, size)) + 1])


def bits_per_byte(model: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Bits per byte of whole texts, each scored behind a document token of its own."""
    # Mean over all bytes of all texts.
    return float(document_bits(model, tokenizer, texts, document_token=True)[0].mean())


# -- what follows ---------------------------------------------------------------------------------


def conclude(measured: Measured) -> Result:
    """Much repetition must copy and little must not, and what is not copied must serve unseen text
    better."""
    # The order is that of `run`: fewer steps first, then from the fewest stories to the most.
    fewer, often, *_, seldom = measured
    excess = {reading: excess_of(own) for reading, own in measured.items()}
    # Of unseen text: how much less it costs the model that has read much than the one that knows
    # a little by heart.
    gain = less(measured, "unseen", often, seldom)
    memory_seen = above(excess[often])  # the control: the measure finds memory where it must be
    no_copying = below(excess[seldom], MARGIN)
    patterns = above(gain)
    sentence = (
        f"{percent(mean(measured[often], 'copied'))} of the {SPAN}-character spans are copied "
        f"after {epochs(measured[often])} readings of {often.stories} stories (unseen stories: "
        f"{percent(mean(measured[often], 'author'))}), {percent(mean(measured[seldom], 'copied'))} "
        f"after {epochs(measured[seldom])} of {seldom.stories} "
        f"({percent(mean(measured[seldom], 'author'))})"
    )
    bits = " and ".join(f"{mean(measured[reading], 'unseen'):.2f}" for reading in (often, seldom))
    # Not copying is not enough: noise copies nothing either. It must also predict unseen text.
    learned = together(no_copying, patterns)
    fewer_copies = above(less(measured, "copied", often, fewer))
    return Result(
        together(memory_seen, no_copying, patterns),
        f"{sentence}; bits per byte of unseen stories: {bits}.",
        arms_of(measured),
        {"copying.png": pictures(sentence, measured)},
        targets={
            "memorisation is shown: the smallest corpus is copied, beyond the author's own "
            "repetition": memory_seen == "supported",
            f"generalisation is shown: the largest is not, by {percent(MARGIN)}, and unseen text "
            "is predicted better": learned == "supported",
            "fewer readings of the same stories copy less": fewer_copies == "supported",
        },
        details={"arms": rows_of(measured)},
    )


def rows_of(measured: Measured) -> list[dict[str, Any]]:
    """Everything that was measured, as JSON values."""
    # JSON has no keys but strings, so each reading becomes two fields of its row.
    return [
        {"stories": reading.stories, "steps": reading.steps, "seeds": own}
        for reading, own in measured.items()
    ]


def arms_of(measured: Measured) -> list[Arm]:
    """Every reading under every measure."""
    measures = {  # what it is called -> its key, its unit
        "copied": ("copied", "share"),
        "author repeats": ("author", "share"),
        "unseen": ("unseen", "bits/byte"),
        "read": ("read", "bits/byte"),
    }
    arms = []
    for name, (key, unit) in measures.items():
        for reading, own in measured.items():
            label = f"{name}, {reading.stories} stories x {own[0]['epochs']:.3g}"
            arms.append(Arm(label, unit, column(own, key)))
    return arms


def column(own: Sequence[dict[str, Any]], key: str) -> list[float]:
    """One measure of an arm, for each seed."""
    return [one[key] for one in own]


def less(measured: Measured, key: str, a: Reading, b: Reading) -> Interval:
    """By how much b lies below a, seed by seed."""
    # Paired by seed: the arms of a seed share its first weights.
    values_a, values_b = column(measured[a], key), column(measured[b], key)
    return paired_difference(values_a, values_b, groups=range(len(values_a)))


def mean(own: Sequence[dict[str, Any]], key: str) -> float:
    """The mean of one measure over the seeds; `own` holds one dictionary for each seed."""
    return float(np.mean(column(own, key)))


def epochs(own: Sequence[dict[str, Any]]) -> str:
    """How often each story was read, for people.

    >>> epochs([{"epochs": 61.4}]), epochs([{"epochs": 0.49}])
    ('61', '0.5')
    """
    # The same for all seeds: steps, batch and text are.
    often = own[0]["epochs"]
    return f"{often:.0f}" if often >= 9.5 else f"{often:.1f}"


def excess_of(own: Sequence[dict[str, Any]]) -> Interval:
    """Copying beyond what the author's unseen stories share with the same training text."""
    # Paired by seed: the reference is cut to the lengths of that seed's samples.
    return paired_difference(column(own, "copied"), column(own, "author"), groups=range(len(own)))


def pictures(title: str, measured: Measured) -> Figure:
    """Copied spans and bits per byte against the number of stories, at equal steps."""
    equal = dict(list(measured.items())[1:])  # the first arm has fewer steps: a single point
    x = [reading.stories for reading in equal]
    ticks = [f"{count}\n{epochs(own)} x" for count, own in zip(x, equal.values())]
    with canvas(title, (9.2, 4.8)) as figure:
        # Left: memory. Right: what it is worth on text that was never read.
        left, right = figure.subplots(1, 2)
        # What is measured and its yardstick share a panel: only their distance says something.
        curves = {
            left: {"copied": "samples", "author": "unseen stories"},
            right: {"unseen": "unseen", "read": "read"},
        }
        for axes, keys in curves.items():
            for place, (key, label) in enumerate(keys.items()):
                values = [
                    interval(column(own, key), groups=range(len(own))) for own in equal.values()
                ]
                band(axes, x, values, place, label)
            axes.set(xlabel="stories in the training text, equal steps", xscale="log")
            # Below each size, how often its stories were read.
            axes.set_xticks(x, ticks)
            axes.minorticks_off()
            axes.legend(frameon=False)
        left.set(ylabel=f"copied {SPAN}-character spans, share", ylim=(0, 1.02))
        right.set_ylabel("bits per byte")
    return figure


LESSON = Lesson(
    name="memorise",
    claim="A model learns the patterns of its text; it does not memorise the text.",
    question="How much does a model copy, and how well does it predict unseen text, by how much "
    "it reads how often?",
    control="Every arm reads as many stories as the largest, so none is read over and over.",
    minutes=10,
    base_minutes=3,
    run=run,
)
