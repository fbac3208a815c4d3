"""Fine-tuning needs good data: what do noise, disorder, repetition and scarcity cost?

Design. The base of a seed is fine-tuned on versions of the same poems, with one recipe and the same
number of steps.

    manipulated     the size of the corpus: all poems (clean), 1/2, 1/4, 1/8, 1/16;
                    or a fault in half of the poems:
                      noisy        misread as by a poor scanner
                      shuffled     the words of each line in random order
                      duplicated   replaced by copies of the other half
    constant        base, recipe, steps, tokens a step; the clean poems used for validation, whose
                    loss also decides which weights are kept
    effect          bits per byte of unseen clean verse: the slope over doublings of the corpus, and
                    each fault's difference to the clean corpus. Metre is reported beside it
    null            a slope of 0, differences of 0
    control         the clean corpus under the same recipe: every difference is taken to it
    price           none to the arms: all cost the same steps. What cleaning would cost is not
                    measured
    seeds           three: each with a base, subsets and faults of its own
    control run     every arm reads all of the clean poems, in an order of its own: equal size and
                    quality, under the names of the arms whose place they take. Expected: a slope
                    and differences around 0

Trade-offs. One set of learning rates, the demo's, serves all arms: it suits the clean corpus, and
the data is what is compared. A smaller corpus is read more often in the same steps, as it would be
in practice.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from tinylm.compare.measures import flagged, scans
from tinylm.config import Recipe
from tinylm.corpora.noise import corrupt
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, band, below, together
from tinylm.lessons.shared import (
    bits_per_byte,
    document_corpus,
    hit_share,
    interval_json,
    sample_continuations,
    verse_poems,
)
from tinylm.pages.figures import MUTED, canvas, colour
from tinylm.recipes import load_recipe
from tinylm.runs import Run
from tinylm.training.load import load_model

# Each is twice the one before, so that a slope over their logarithm is a gain per doubling.
SIZES_OF_DATA = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
FAULTS = {"noisy": "ocr", "shuffled": "shuffle", "duplicated": "duplicates"}  # arm -> kind of noise
SPOILED = 0.5  # share of the poems, the same for each fault
LABELS = {"bits": "bits per byte, unseen verse", "metre": "lines that scan, share"}
# One that only verse goes on from, and one that stories go on from as well.
PROMPTS = ("The tide", "Mara the net-mender")


@dataclass(frozen=True)
class Sizes:
    """How long each fine-tune trains and how much of its writing is judged, at one scale."""

    steps: int  # of each fine-tune, whatever the size of its corpus
    samples: int  # continuations that the metre is judged by


SIZES = {"smoke": Sizes(3, 4), "full": Sizes(160, 128)}

Scores = dict[str, dict[str, list[float]]]  # measure -> arm -> value for each seed


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Fine-tune the base of every seed on every version of the poems, and measure what comes
    out."""
    poems, unseen = verse_poems(experiment)
    scores: Scores = {"metre": {}, "bits": {}}
    for seed in experiment.seeds:
        base = yield from experiment.base(seed)
        tokenizer = load_model(base).tokenizer
        recipe = recipe_of(experiment, base, seed)  # one for all arms of a seed
        texts_of = same_versions if experiment.control else versions
        for arm, texts in texts_of(poems, seed).items():
            name = f"{arm}, seed {seed}"
            # Validated on clean poems in every arm: no corpus sets its own yardstick.
            corpus = document_corpus(tokenizer, texts, unseen)
            tuned = yield from experiment.train(name, recipe, corpus)
            examined = partial(examine, experiment, tuned, unseen)
            value = experiment.measure(name, tuned.fingerprint, examined)
            # One value a seed: the interval is over the seeds.
            for measure, own in scores.items():
                own.setdefault(arm, []).append(value[measure])
    return conclude(scores)


# -- the data -------------------------------------------------------------------------------------


def size_name(size: float) -> str:
    """
    >>> size_name(1.0), size_name(0.125)
    ('clean', '1/8 of the poems')
    """
    return "clean" if size == 1 else f"1/{round(1 / size)} of the poems"


def versions(poems: Sequence[str], seed: int) -> dict[str, list[str]]:
    """The corpus of each arm: random subsets that hold one another, and three faults of the same
    share."""
    # One order for all sizes: each subset holds the smaller ones, so that they differ in size and
    # not in the luck of the draw. Another seed draws other poems.
    order = np.random.default_rng(seed).permutation(len(poems))
    texts_of: dict[str, list[str]] = {}
    for size in SIZES_OF_DATA:
        count = max(1, round(size * len(poems)))
        texts_of[size_name(size)] = [poems[i] for i in order[:count]]
    for arm, kind in FAULTS.items():
        # As many poems as the clean corpus has, half of them spoiled.
        texts_of[arm] = corrupt(list(poems), kind, SPOILED, seed)
    return texts_of


def same_versions(poems: Sequence[str], seed: int) -> dict[str, list[str]]:
    """The corpus of each arm of the control: all poems as they are, for each in another order."""
    # In one order, all arms of a seed would be one and the same run: nothing would be repeated.
    texts_of: dict[str, list[str]] = {}
    for place, arm in enumerate(versions(poems, seed)):
        order = np.random.default_rng([seed, place]).permutation(len(poems))
        texts_of[arm] = [poems[i] for i in order]
    return texts_of


def recipe_of(experiment: Experiment, base: Run, seed: int) -> Recipe:
    """The demo's recipe for verse, shorter, and with this lesson's poems in the place of its
    own."""
    steps = SIZES[experiment.scale].steps
    fields = {
        # Poems and steps are this lesson's; everything else is the demo's second stage.
        "start_from": str(base.folder),
        "train.seed": seed,
        "train.steps": steps,
        # The best weights of eight are kept: a small corpus is soon learned by heart, and the last
        # ones would then be judged for that.
        "train.evaluate_every": max(1, steps // 8),
        "sample.prompts": [],
    }
    return load_recipe("demo-verse", {name: str(value) for name, value in fields.items()})


def examine(experiment: Experiment, tuned: Run, unseen: Sequence[str]) -> dict[str, float]:
    """Share of sampled lines that scan, and bits per byte of unseen clean poems."""
    # Two measures: what the model predicts, and what it writes by itself.
    samples = sample_continuations(experiment, tuned, PROMPTS, SIZES[experiment.scale].samples)
    return {"metre": hit_share(flagged(samples, scans)), "bits": bits_per_byte(tuned, unseen)}


# -- what follows ---------------------------------------------------------------------------------


def slope(values: dict[str, list[float]]) -> Interval:
    """Change of a measure each time the corpus doubles: a straight line a seed, and the interval
    over the seeds."""
    doublings = np.log2(SIZES_OF_DATA)  # (sizes,) from -4 to 0
    # Each value of a seed stands at the same place in every arm.
    seeds = range(len(values["clean"]))
    slopes = []
    for seed in seeds:
        by_size = [values[size_name(size)][seed] for size in SIZES_OF_DATA]
        steepness, _ = np.polyfit(doublings, by_size, 1)  # least squares
        slopes.append(steepness)
    # A slope for each seed: all five points of a seed share one base, so they are one repeat.
    return interval(slopes, groups=seeds)


def harm(values: dict[str, list[float]], arm: str) -> Interval:
    """An arm minus the clean one, seed by seed."""
    # Paired: both were tuned from the same base.
    return paired_difference(values[arm], values["clean"], groups=range(len(values["clean"])))


def conclude(scores: Scores) -> Result:
    """Whether verse is predicted worse from less data and from each kind of bad data, and whether
    metre follows."""
    slopes = {measure: slope(values) for measure, values in scores.items()}
    harms = {
        measure: {arm: harm(values, arm) for arm in FAULTS} for measure, values in scores.items()
    }
    # Fewer bits are better: more data must lower them, and each of the faults must raise them. One
    # harmless fault is enough to leave the claim without support.
    verdict = together(below(slopes["bits"]), *map(above, harms["bits"].values()))
    listing = ", ".join(f"{arm} {one_harm.mean:+.3f}" for arm, one_harm in harms["bits"].items())
    sentence = (
        f"Each doubling of the poems brings {slopes['bits'].mean:+.3f} bits per byte of unseen "
        f"verse and {100 * slopes['metre'].mean:+.1f} points of lines that scan; spoiling half "
        f"brings {listing} bits per byte."
    )
    # A straight line may hide a bend, so every size is reported beside the slope.
    arms = [
        Arm(f"{measure}: {arm}", unit, values)
        for measure, unit in (("bits", "bits/byte"), ("metre", "share"))
        for arm, values in scores[measure].items()
    ]
    return Result(
        verdict,
        sentence,
        arms,
        {"size.png": by_size(scores, slopes), "faults.png": by_fault(scores, harms)},
        details={
            "slopes": {measure: interval_json(one_harm) for measure, one_harm in slopes.items()},
            "harm": {
                measure: {arm: interval_json(one_harm) for arm, one_harm in own.items()}
                for measure, own in harms.items()
            },
            # The same for the other measure, with signs turned: more lines that scan are better. It
            # is apart, since a metre counted on samples is far noisier than a loss.
            "verdict of the metre": together(
                above(slopes["metre"]), *map(below, harms["metre"].values())
            ),
        },
    )


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one value a seed, with its interval."""
    return interval(values, groups=range(len(values)))


def by_size(scores: Scores, slopes: dict[str, Interval]) -> Figure:
    """Both measures against the size of the corpus."""
    title = (
        f"Each doubling of the data: {slopes['bits'].mean:+.3f} bits per byte, "
        f"{100 * slopes['metre'].mean:+.1f} points of lines that scan"
    )
    with canvas(title, (8.4, 4.4)) as figure:
        for place, (axes, measure) in enumerate(zip(figure.subplots(1, 2), ("bits", "metre"))):
            own = [over_seeds(scores[measure][size_name(size)]) for size in SIZES_OF_DATA]
            band(axes, SIZES_OF_DATA, own, place)
            # Logarithmic: each doubling is one step to the right, and the slope a straight line.
            # Shares as fractions: 1/8 says more than 0.125.
            axes.set(xscale="log", xlabel="share of the poems", ylabel=LABELS[measure])
            axes.set_xticks(SIZES_OF_DATA, [str(Fraction(size)) for size in SIZES_OF_DATA])
            axes.minorticks_off()
    return figure


def by_fault(scores: Scores, harms: dict[str, dict[str, Interval]]) -> Figure:
    """What each fault adds to the clean corpus' bits per byte, and takes from its metre."""
    # By the mean: a heading, not a verdict.
    worst = max(harms["bits"], key=lambda arm: harms["bits"][arm].mean)
    title = (
        f"Of three faults in half of the poems, “{worst}” costs most: "
        f"{harms['bits'][worst].mean:+.3f} bits per byte"
    )
    with canvas(title, (8.4, 3.6)) as figure:
        for axes, measure in zip(figure.subplots(1, 2, sharey=True), ("bits", "metre")):
            for row, (arm, one_harm) in enumerate(harms[measure].items()):
                # Faint dots: each seed. The diamond and its line: their mean and its interval.
                own = np.subtract(scores[measure][arm], scores[measure]["clean"])
                axes.plot(own, [row] * len(own), "o", color=colour(row), alpha=0.4)
                axes.plot([one_harm.low, one_harm.high], [row, row], color=colour(row))
                axes.plot([one_harm.mean], [row], "D", color=colour(row))
            # An interval that crosses this line shows no harm.
            axes.axvline(0, color=MUTED, linewidth=1)
            axes.set_yticks(range(len(FAULTS)), list(FAULTS))
            axes.set(xlabel=f"{LABELS[measure]}: minus clean", ylim=(len(FAULTS) - 0.5, -0.5))
    return figure


LESSON = Lesson(
    name="quality",
    claim="Fine-tuning needs data of high quality.",
    question="What do noise, disorder, repetition and scarcity in the training verse do to the "
    "verse that comes out?",
    control="Every arm reads all of the clean poems, so all have data of one size and quality.",
    minutes=11,
    base_minutes=8,
    run=run,
)
