"""Patterns or memory: how much of what a model writes stands word for word in the text it learned
from?

The same model is trained for the same number of steps on more and more different stories, so that
it reads each of them often (a small corpus, many epochs) or hardly once (a large one); and on the
smallest corpus for fewer steps. Two things are measured of the weights each run ends with:

    copying          share of the 32-character spans of its samples that stand in its own training
      text, minus the same
                     share for unseen stories of the same lengths: stories by one author repeat each
                     other, too
    generalising     bits per byte of unseen stories, beside those of stories it has read

A model that only memorises copies far more than the author repeats itself; one that learned
patterns writes new text that it could have read. What counts as no more than the author: less than
10 points above it, fixed beforehand.

Trade-offs: spans are looked for character by character, so a copy with one changed name counts as
two shorter ones. All runs share the tokenizer of the largest corpus. Nothing here stops early, on
purpose.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

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

SPAN = 32  # characters: about six words
MARGIN = 0.10  # so far above the author's own repetition still counts as learned, not copied


@dataclass(frozen=True)
class Sizes:
    stories: tuple[int, ...]  # in the training text of each run
    steps: int
    fewer: int  # steps of the run that reads the smallest corpus less often
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


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Train on every size with every seed, then read what the models write."""
    sizes = SIZES[experiment.scale]
    base = yield from experiment.base(1)
    stories = documents(np.asarray(token_file(base, "train")), load_model(base).tokenizer)
    readings = [
        Reading(sizes.stories[0], sizes.fewer),
        *(Reading(n, sizes.steps) for n in sizes.stories),
    ]
    measured: dict[Reading, list[dict[str, Any]]] = {reading: [] for reading in readings}
    for seed in experiment.seeds:
        for done, reading in enumerate(readings):
            corpus = corpus_of(base, stories[: reading.stories])
            fields = {
                "train.steps": reading.steps,
                "train.evaluate_every": reading.steps,
                "sample.prompts": [],
            }
            recipe = experiment.base_recipe(
                seed, **{key: str(value) for key, value in fields.items()}
            )
            name = f"{reading.stories} stories, {reading.steps} steps, seed {seed}"
            trained = yield from experiment.train(name, recipe, corpus)
            yield Progress(f"reading samples, seed {seed}", done, len(readings))
            key = [trained.folder.name, sizes.samples, sizes.unseen]
            measurement = experiment.measure(
                f"copying, {name}", key, partial(measure, trained, corpus, sizes)
            )
            batch = recipe.train.batch_size * recipe.model.context
            measured[reading].append(
                {**measurement, "epochs": reading.epochs(len(corpus.train), batch)}
            )
    return conclude(measured)


# -- the data -------------------------------------------------------------------------------------


def documents(ids: np.ndarray, tokenizer: Tokenizer) -> list[np.ndarray]:
    """The ids of each document, its beginning token included."""
    return np.split(ids, np.flatnonzero(ids == tokenizer.special_id(DOCUMENT)))[1:]


def corpus_of(base: Run, stories: Sequence[np.ndarray]) -> Corpus:
    """A training text of these stories; the base's validation stories and tokenizer."""
    train = np.concatenate(stories)
    return Corpus(
        load_model(base).tokenizer,
        train,
        np.asarray(token_file(base, "valid")),
        f"{len(stories)} stories",
    )


# -- measuring ------------------------------------------------------------------------------------


def measure(trained: Run, corpus: Corpus, sizes: Sizes) -> dict[str, Any]:
    """Copying and bits per byte of the weights a run ended with."""
    model, tokenizer = final_model(trained), corpus.tokenizer
    read, unseen = (texts_of(ids, tokenizer) for ids in (corpus.train, corpus.valid))
    request = Request("", 96, count=sizes.samples, begin=DOCUMENT)
    samples = [row.text for row in generate(model, tokenizer, request) if row.text.strip()]
    reference = cut_like("\n\n".join(unseen), samples)
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
    return [tokenizer.decode(own.tolist()) for own in documents(ids, tokenizer)]


def first(texts: Sequence[str], size: int) -> list[str]:
    """The first texts, until `size` characters are reached; at least one.

    >>> first(["abc", "de", "f"], 4)
    ['abc', 'de']
    """
    ends = np.cumsum([len(text) for text in texts])
    return list(texts[: int(np.searchsorted(ends, size)) + 1])


def bits_per_byte(model: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    return float(document_bits(model, tokenizer, texts, document_token=True)[0].mean())


# -- what follows ---------------------------------------------------------------------------------


def conclude(measured: dict[Reading, list[dict[str, Any]]]) -> Result:
    """Much repetition must copy and little must not, and what is not copied must serve unseen text
    better."""
    fewer, often, *_, seldom = measured
    excess = {reading: excess_of(own) for reading, own in measured.items()}
    gain = less(measured, "unseen", often, seldom)
    verdict = together(above(excess[often]), below(excess[seldom], MARGIN), above(gain))
    arms = [
        Arm(f"{what}, {reading.stories} stories x {own[0]['epochs']:.3g}", unit, column(own, key))
        for what, key, unit in (
            ("copied", "copied", "share"),
            ("author repeats", "author", "share"),
            ("unseen", "unseen", "bits/byte"),
            ("read", "read", "bits/byte"),
        )
        for reading, own in measured.items()
    ]
    sentence = (
        f"{percent(mean(measured[often], 'copied'))} of the {SPAN}-character spans are copied "
        f"after {epochs(measured[often])} readings of {often.stories} stories (unseen stories: "
        f"{percent(mean(measured[often], 'author'))}), {percent(mean(measured[seldom], 'copied'))} "
        f"after {epochs(measured[seldom])} of {seldom.stories} "
        f"({percent(mean(measured[seldom], 'author'))})"
    )
    bits = " and ".join(f"{mean(measured[reading], 'unseen'):.2f}" for reading in (often, seldom))
    return Result(
        verdict,
        f"{sentence}; bits per byte of unseen stories: {bits}.",
        arms,
        {"copying.png": pictures(sentence, measured)},
        targets={
            "memorisation is shown: the smallest corpus is copied, beyond the author's own "
            "repetition": above(excess[often]) == "supported",
            f"generalisation is shown: the largest is not, by {percent(MARGIN)}, and unseen text "
            "is predicted better": together(below(excess[seldom], MARGIN), above(gain))
            == "supported",
            "fewer readings of the same stories copy less": above(
                less(measured, "copied", often, fewer)
            )
            == "supported",
        },
        details={
            "arms": [
                {"stories": r.stories, "steps": r.steps, "seeds": own}
                for r, own in measured.items()
            ]
        },
    )


def column(own: Sequence[dict[str, Any]], key: str) -> list[float]:
    return [one[key] for one in own]


def less(
    measured: dict[Reading, list[dict[str, Any]]], key: str, a: Reading, b: Reading
) -> Interval:
    """By how much b lies below a, seed by seed."""
    return paired_difference(
        column(measured[a], key), column(measured[b], key), groups=range(len(measured[a]))
    )


def mean(own: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean(column(own, key)))


def epochs(own: Sequence[dict[str, Any]]) -> str:
    """How often each story was read, for people.

    >>> epochs([{"epochs": 61.4}]), epochs([{"epochs": 0.49}])
    ('61', '0.5')
    """
    often = own[0]["epochs"]
    return f"{often:.0f}" if often >= 9.5 else f"{often:.1f}"


def excess_of(own: Sequence[dict[str, Any]]) -> Interval:
    """Copying beyond what the author's unseen stories share with the same training text."""
    return paired_difference(column(own, "copied"), column(own, "author"), groups=range(len(own)))


def pictures(title: str, measured: dict[Reading, list[dict[str, Any]]]) -> Figure:
    """Copied spans and bits per byte against the number of stories, at equal steps."""
    equal = dict(list(measured.items())[1:])  # the first arm has fewer steps: a single point
    x = [reading.stories for reading in equal]
    with canvas(title, (9.2, 4.8)) as figure:
        left, right = figure.subplots(1, 2)
        left_keys, right_keys = (
            {"copied": "samples", "author": "unseen stories"},
            {"unseen": "unseen", "read": "read"},
        )
        for axes, keys in ((left, left_keys), (right, right_keys)):
            for place, (key, label) in enumerate(keys.items()):
                values = [
                    interval(column(own, key), groups=range(len(own))) for own in equal.values()
                ]
                band(axes, x, values, place, label)
            axes.set(xlabel="stories in the training text, equal steps", xscale="log")
            axes.set_xticks(x, [f"{n}\n{epochs(own)} x" for n, own in zip(x, equal.values())])
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
    minutes=10,
    base_minutes=3,
    run=run,
)
