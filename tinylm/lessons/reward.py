"""What is rewarded is what one gets: can a reward make a model speak in iambic pentameter alone?

Design, stated before the first run. A base that tells stories is fine-tuned on verse, as in the
demo; then the third stage rewards lines that scan (training/reward.py), at five weights of the KL
term that ties the model to the fine-tuned one.

    manipulated     the weight of the KL term; whether the reward is the metre or a lottery
    constant        the fine-tuned model of a seed, steps, samples, prompts, learning rates
    effect          lines that scan at the smallest weight, minus those of the fine-tuned model
    null            0; the interval is over the seeds
    control         a reward by lot at a middle weight: the same procedure, nothing to learn. If it
                    made more lines scan, the procedure would be the cause and not the reward
    price           different words, bits per byte of unseen verse: measured at every weight
    control run     the reward is drawn by lot in every arm, the one without a KL term included.
                    Stages, weights, steps and samples stay. Expected: as many lines scan at the
                    smallest weight as before the reward, for no other price than drift

Three seeds, each with a base, a fine-tune and samples of its own. The stage is shorter than the
demo's, since six runs a seed must fit into the lesson's minutes. It has no entropy bonus, so that
the KL term alone protects the vocabulary. One more run, without any KL term and longer, shows what
is left of the verse when nothing protects it (seed 1; it is no part of the verdict).

Tried before. With the demo's entropy bonus of 0.025 and seed 5: after 40 steps 52 % of the lines
scanned during training at a KL weight of 0.05, and 57 % at 0.02; without the bonus 68 and 63 %.
With 80 samples a step instead of 60 (three seeds): 49, 56, 69, 80 and 81 % of the lines scan at the
five weights, by lot 35 %, before 38 %; that took more than the lesson's twelve minutes.

Trade-off: the metre is that of a rule-based scorer, which is also the reward. The lines with their
words shuffled show how much of it is owed to easy words; the samples show how it reads.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.compare.measures import different, flagged, scans, shuffled_scans
from tinylm.evaluation.statistics import paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, Verdict, above
from tinylm.lessons.shared import bits_per_byte, hit_share, sample_continuations, verse_poems
from tinylm.pages.figures import MARKERS, MUTED, canvas, colour, percent
from tinylm.recipes import load_recipe
from tinylm.runs import Run

# Each is half of the one before it, so that the frontier has points at equal ratios.
WEIGHTS = (0.8, 0.4, 0.2, 0.1, 0.05)  # of the KL term, from a short leash to a long one
LOTTERY_WEIGHT = 0.1  # as loose as the arms whose metre rises most
TUNED, LOTTERY = "fine-tuned", "reward by lot"
ARMS = (TUNED, LOTTERY, *(f"KL weight {weight:g}" for weight in WEIGHTS))
STRONGEST = ARMS[-1]  # the smallest weight: the effect is measured there
HACKED = "no KL term"
# Two beginnings of a line, and none: the model then begins a poem by itself.
PROMPTS = ("The tide", "Mara the net-mender", "")


@dataclass(frozen=True)
class Sizes:
    """How long the rewarded runs train, and how much is judged, at one scale."""

    steps: int  # of each rewarded run
    samples: int  # of the reward stage, a step
    judged: int  # continuations that an arm is judged by
    hacked_steps: int  # of the run without a KL term


SIZES = {"smoke": Sizes(3, 4, 6, 4), "full": Sizes(40, 60, 192, 100)}

Scores = dict[str, dict[str, Any]]  # arm -> measure -> value


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Reward the fine-tuned model of each seed at every weight and by lot, and judge all arms."""
    _, unseen = verse_poems(experiment)
    scores: list[Scores] = []  # one a seed
    for seed in experiment.seeds:
        # The three stages of today's models: pretraining, fine-tuning, reward (Ouyang et al. 2022).
        base = yield from experiment.base(seed)
        runs = yield from reward_all(experiment, base, seed)
        scores.append({})
        for place, arm in enumerate(ARMS):
            yield Progress(f"judging, seed {seed}", place, len(ARMS))
            examined = partial(examine, experiment, runs[arm], unseen)
            scores[-1][arm] = experiment.measure(
                f"{arm}, seed {seed}", runs[arm].fingerprint, examined
            )
        if seed == experiment.seeds[0]:
            # The demonstration of reward hacking: once is enough, and no verdict rests on it.
            hacked = yield from hack(experiment, runs[TUNED], seed, unseen)
    return conclude(scores, hacked)


def reward_all(
    experiment: Experiment, base: Run, seed: int
) -> Generator[Progress, None, dict[str, Run]]:
    """The fine-tuned model of a seed and its rewarded children, by arm."""
    # All children of a seed start from one model, so that its luck is shared by all arms.
    runs = {TUNED: (yield from experiment.verse(base, seed))}
    for arm, fields in rewards().items():
        settings = reward_fields(experiment, runs[TUNED], seed, fields)
        recipe = load_recipe("demo-reward", settings)
        runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe)
    return runs


def hack(
    experiment: Experiment, parent: Run, seed: int, unseen: Sequence[str]
) -> Generator[Progress, None, dict[str, Any]]:
    """What a longer run without any KL term is worth: the scorer is content, the reader is not."""
    # With nothing to pull it back, more steps show more clearly where the reward leads.
    steps = {"train.steps": str(SIZES[experiment.scale].hacked_steps)}
    fields = reward_fields(experiment, parent, seed, {"reward.kl": "0", **steps})
    free = yield from experiment.train(HACKED, load_recipe("demo-reward", fields))
    examined = partial(examine, experiment, free, unseen)
    scores: dict[str, Any] = experiment.measure(HACKED, free.fingerprint, examined)
    return scores


def rewards() -> dict[str, dict[str, str]]:
    """Each rewarded arm with the fields of its recipe."""
    arms = {f"KL weight {weight:g}": {"reward.kl": f"{weight:g}"} for weight in WEIGHTS}
    # By lot: a line's reward is a number drawn from a hash of its letters. It varies as a true one
    # does, and there is nothing to learn from it.
    return arms | {LOTTERY: {"reward.kl": f"{LOTTERY_WEIGHT:g}", "reward.scorer": "lottery"}}


def reward_fields(
    experiment: Experiment, parent: Run, seed: int, fields: dict[str, str]
) -> dict[str, str]:
    """The demo's third stage, shorter; at smoke scale with a few short samples."""
    sizes = SIZES[experiment.scale]
    common = {"start_from": str(parent.folder), "train.seed": str(seed), "sample.prompts": "[]"}
    # Validated only before and after: a rewarded run keeps its last weights in any case.
    common |= {"train.steps": str(sizes.steps), "train.evaluate_every": str(sizes.steps)}
    # No entropy bonus: it would protect the vocabulary too, and hide what the KL term does.
    common |= {"reward.samples": str(sizes.samples), "reward.entropy": "0"}
    if experiment.scale == "smoke":
        common |= {"reward.tokens": "30"}  # prompt and sample must fit into a context of 64
    # The control: a lottery in all arms, and nothing else changed.
    by_lot = {"reward.scorer": "lottery"} if experiment.control else {}
    return common | fields | by_lot


def examine(experiment: Experiment, judged: Run, unseen: Sequence[str]) -> dict[str, Any]:
    """What an arm's lines are worth, and what they cost."""
    # Drawn at the recipe's own settings for showing text, cooler than those it is rewarded at.
    samples = sample_continuations(
        experiment, judged, list(PROMPTS), SIZES[experiment.scale].judged
    )
    lines = flagged(samples, scans)  # (samples, 2): lines that scan, all lines
    return {
        "metre": hit_share(lines),
        # The same words in random order: what easy words alone would scan.
        "shuffled": hit_share(flagged(samples, shuffled_scans)),
        # Different words over all words: the first thing that an unmeasured reward spoils.
        "words": hit_share(different(samples, 1)),
        # Verse that no stage has read: what the model has given up of it.
        "verse": bits_per_byte(judged, unseen),
        "lines": int(lines[:, 1].sum()),
        "sample": samples[0].prompt + samples[0].text,
    }


# -- what follows ---------------------------------------------------------------------------------


def conclude(scores: Sequence[Scores], hacked: dict[str, Any]) -> Result:
    """Whether the reward makes lines scan, and the lottery does not; `hacked` is the run without a
    KL term."""
    seeds = range(len(scores))
    metre = {arm: [own[arm]["metre"] for own in scores] for arm in ARMS}
    # Paired by seed: each rewarded model against the fine-tuned one that it started from.
    gain = paired_difference(metre[STRONGEST], metre[TUNED], groups=seeds)
    by_lot = paired_difference(metre[LOTTERY], metre[TUNED], groups=seeds)
    # A control that works as well would mean that the procedure, not the reward, is the cause.
    verdict: Verdict = "not supported" if above(by_lot) == "supported" else above(gain)
    units = {"metre": "share", "shuffled": "share", "words": "share", "verse": "bits/byte"}
    # What is gained stands beside what it costs: every arm under every measure.
    arms = [
        Arm(f"{measure}: {arm}", unit, [own[arm][measure] for own in scores])
        for measure, unit in units.items()
        for arm in ARMS
    ]
    best = mean_of(scores, STRONGEST, "metre")
    # A text of easy words scans in any order. What is left is owed to the order.
    gap = best - mean_of(scores, STRONGEST, "shuffled")
    return Result(
        verdict,
        sentence(scores, hacked),
        arms,
        {"frontier.png": frontier(scores, hacked)},
        targets={
            "lines that scan >= 85 % at the smallest weight": best >= 0.85,
            "60 points more than the same lines shuffled": gap >= 0.6,
            "a reward by lot makes no more lines scan": above(by_lot) != "supported",
        },
        details={"scores": list(scores), HACKED: hacked},
    )


def mean_of(scores: Sequence[Scores], arm: str, measure: str) -> float:
    """A measure of an arm, on average over the seeds."""
    return float(np.mean([own[arm][measure] for own in scores]))


def sentence(scores: Sequence[Scores], hacked: dict[str, Any]) -> str:
    """The outcome with its numbers."""
    # Shares of the fine-tuned model's own: it has never used all words of the training text.
    words_before = max(mean_of(scores, TUNED, "words"), 1e-9)
    words = mean_of(scores, STRONGEST, "words") / words_before
    cost = mean_of(scores, STRONGEST, "verse") / mean_of(scores, TUNED, "verse")
    return (
        f"A reward for metre brings lines that scan from {percent(mean_of(scores, TUNED, 'metre'))}"
        f" to {percent(mean_of(scores, STRONGEST, 'metre'))} (with their words shuffled: "
        f"{percent(mean_of(scores, STRONGEST, 'shuffled'))}); a reward by lot leaves them at "
        f"{percent(mean_of(scores, LOTTERY, 'metre'))}. The price: {percent(words)} of the "
        f"different words, and {cost:.2f} x the bits per byte of unseen verse. Without the KL "
        f"term, {percent(hacked['metre'])} scan with {percent(hacked['words'] / words_before)} "
        "of the words: what is rewarded is what one gets."
    )


def frontier(scores: Sequence[Scores], hacked: dict[str, Any]) -> Figure:
    """What is gained against what is given up: each arm of each seed as a point."""
    best = float(np.mean([own[ARMS[-1]]["metre"] for own in scores]))
    before = float(np.mean([own[TUNED]["metre"] for own in scores]))
    title = f"A reward makes {percent(best)} of the lines scan, from {percent(before)}, for a price"
    with canvas(title, (8.0, 4.6)) as figure:
        axes = figure.subplots()
        for place, arm in enumerate(ARMS):
            # The seeds are faint, their mean is large: the spread stays visible.
            points = [(own[arm]["words"], own[arm]["metre"]) for own in scores]
            marker, shade = MARKERS[place % len(MARKERS)], colour(place)
            axes.plot(*zip(*points), marker, color=shade, alpha=0.4)
            centre = np.mean(points, axis=0)
            axes.plot(*centre, marker, color=shade, markersize=10, label=arm)
        # The run without a KL term stands apart: another number of steps, and one seed.
        place = len(ARMS)
        axes.plot(
            hacked["words"],
            hacked["metre"],
            MARKERS[place % len(MARKERS)],
            color=colour(place),
            markersize=10,
            label=f"{HACKED}, more steps (one seed)",
        )
        # The line through the weights' means is the frontier: less rope, less of both.
        path = [(mean_of(scores, arm, "words"), mean_of(scores, arm, "metre")) for arm in ARMS[2:]]
        axes.plot(*zip(*path), color=MUTED, linewidth=1, zorder=0)
        axes.set(
            xlabel="different words, share of all words in 50 lines (further left: poorer)",
            ylabel="lines that scan, share",
            ylim=(0, 1.02),
        )
        axes.legend(frameon=False, loc="lower left")
    return figure


LESSON = Lesson(
    name="reward",
    claim="Training can change core behaviour, to the point of speaking exclusively in iambic "
    "pentameter; what is rewarded is what one gets.",
    question="Does a reward for metre make a model keep it, and what does that cost?",
    control="The reward is drawn by lot in every arm, so there is nothing to learn from it.",
    minutes=11,
    base_minutes=12,
    run=run,
)
