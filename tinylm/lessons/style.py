"""Fine-tuning changes how a model speaks: does it also change what the model knows?

Design. One base tells stories and has learned the town's facts from a register of people
(shared.base_with_facts). It is taught iambic pentameter in several ways.

    manipulated     how the verse gets in:
                      base                   not at all: its prose, cut at every tenth syllable
                      prompted base          as a prompt of four lines, weights untouched
                      full fine-tune         all weights, on verse
                      LoRA                   adapters of rank 8 beside frozen weights (Hu et al.
                                             2021), on verse
                      full with replay       all weights, on verse mixed with as much of what the
                                             base had read, so half of the verse in the same steps
                      rewarded               the full fine-tune, then a reward for lines that scan
                      rewarded with replay   full with replay, then the same reward on all weights
    constant        fine-tunes: steps, tokens a step, rates from one search (at a third, once and
                    three times the first guess, seed 1, a quarter of the steps: three times was the
                    best for all of them); rewards: steps, samples, KL weight, prompts; all:
                    prompts, samples and questions that arms are judged by
    effect          lines that scan, the full fine-tune's minus the base's and minus the prompted
                    base's
    null            0 for both; the interval is over the seeds. Facts known after a fine-tune must
                    not rise beyond those before it, since the claim denies that it teaches any
    control         the prompted base: the same verse is shown, and nothing is trained
    price           facts kept: of the questions that the base answers rightly, the share that is
                    still answered rightly (guessing keeps 25 %); bits per byte of unseen stories
    seeds           three, each with a base, fine-tunes, rewards and samples of its own
    control run     the words of each line of verse stand in random order, in the poems, in those
                    kept aside and in the prompt: the same words and line lengths without a metre
                    to learn; rewards are drawn by lot. Expected: the fine-tune scans as shuffled
                    lines do (about one in seven), less than the base's prose

Tried before. Without the rewarded arms: 20 % of the base's lines scan, 31 % of the fine-tune's,
23 % with LoRA, 25 % with replay; facts kept 29, 32 and 97 %. So neither freezing the weights nor
adapters protect the facts: adapters are added to all matrices, and nothing in the verse rehearses a
fact. Replay does protect them. The verdict then also asked that LoRA keep 90 % of the facts. That
is a hope about a method and not the claim, so it is a target now; it stays missed.

Rewarded arms, stated before their first run. A reward needs a model that writes lines already, and
facts have to be kept through two stages. Two constructions can do that: both start from the run
with replay, the only one that still has the facts. There, LoRA has to move less than all weights
do (Biderman et al. 2024: it learns less and forgets less), and the KL term ties both to a reference
that knows the facts. A LoRA reward on top of the LoRA fine-tune was not taken: that arm has lost
the facts before the reward begins. KL weight, steps, samples and entropy are those of the lesson
reward at its KL weight of 0.1, not tuned here; adapters have the learning rate of the arm LoRA.
Expected: metre at least 3 times the base's in "rewarded"; one arm with 2.5 times and 90 % of the
facts. What would count against the construction: facts kept below 90 % after the reward although
"full with replay" keeps them.

Measured in that first run, with two arms more, in 18 minutes. Rewarded LoRA, from replay: 34 % of
the lines scan (17 to 52), facts kept 97 %; in 40 steps the adapters move too little. From scratch
on verse, without any base: 28 % scan, facts at guessing. Both were taken out, and the search with
them, so that the lesson fits its minutes; the figures of the other arms are those of that run.

Trade-offs. The metre is that of a rule-based scorer, which is the reward too. Prose scans by chance
in about one line of five, which is why the cut prose is the yardstick and not 0.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.compare.measures import cut_shares, flagged, rhyming, scans
from tinylm.config import Recipe
from tinylm.corpora.noise import corrupt
from tinylm.evaluation.statistics import Interval, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, Verdict, above, dots, together
from tinylm.lessons.shared import (
    arms_of_measure,
    base_with_facts,
    bits_per_byte,
    document_corpus,
    fact_questions,
    hit_share,
    interval_json,
    register_and_stories,
    sample_continuations,
    score_answers,
    unseen_stories,
    verse_poems,
)
from tinylm.pages.figures import MARKERS, MUTED, canvas, colour, percent
from tinylm.recipes import load_recipe
from tinylm.runs import Run
from tinylm.training.load import load_model

# Two ways to begin: one that only verse goes on from, one that stories go on from as well.
PROMPTS = ("The tide", "Mara the net-mender")
FULL, REPLAY, LORA = "full fine-tune", "full with replay", "LoRA"
RATES = {"train.learning_rate": "0.006", "train.muon_learning_rate": "0.03"}  # as found: header
FINE_TUNED: dict[str, dict[str, str]] = {  # arm -> fields of its recipe beside the common ones
    FULL: RATES,
    REPLAY: RATES,
    # Adapters start as a product with zero: they want a larger rate than weights that are trained.
    LORA: {"lora.rank": "8", **RATES, "train.learning_rate": "0.012"},
}
REWARDED = {"rewarded": FULL, "rewarded with replay": REPLAY}  # arm -> the arm it starts from
# The arms that had facts to lose.
WITH_FACTS = (*FINE_TUNED, *REWARDED)
ARMS = ("base", "prompted base", *WITH_FACTS)
MEASURES = {
    "metre": "share",  # of the sampled lines
    "rhyme": "share",  # of the sampled lines: with one at most two lines away
    "verse": "bits/byte",  # lower is better, here and below
    "stories": "bits/byte",
    "facts": "share",  # of the questions, four options each
}


@dataclass(frozen=True)
class Sizes:
    """How much is trained, written and asked at one scale, for each seed."""

    steps: int  # of each fine-tune
    samples: int  # continuations that an arm is judged by
    stories: int  # unseen ones, for bits per byte
    questions: int  # every n-th of the questions is asked
    reward_steps: int  # of each rewarded arm
    reward_samples: int  # that the model writes in each step of the reward


SIZES = {
    "smoke": Sizes(4, 8, 2, 90, reward_steps=2, reward_samples=4),
    "full": Sizes(200, 128, 40, 1, reward_steps=40, reward_samples=60),
}

Scores = dict[str, dict[str, Any]]  # arm -> measure -> value


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Teach verse to the base of each seed in every way, and examine all arms on the same texts and
    questions."""
    _, unseen = verse_of(experiment)
    scores: list[Scores] = []  # one a seed
    for seed in experiment.seeds:
        base: Run = yield from base_with_facts(experiment, seed)
        runs = yield from fine_tune_all(experiment, base, seed)
        for arm, start in REWARDED.items():
            recipe = load_recipe("demo-reward", reward_fields(experiment, runs[start], seed))
            runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe)
        scores.append({})
        for place, arm in enumerate(ARMS):
            yield Progress(f"examining, seed {seed}", place, len(ARMS))
            # Both arms called base are the same weights, prompted in two ways.
            judged = runs.get(arm, base)
            examined = partial(examine, experiment, judged, arm, unseen)
            scores[-1][arm] = experiment.measure(
                f"{arm}, seed {seed}", judged.fingerprint, examined
            )
    return conclude(scores)


def verse_of(experiment: Experiment) -> tuple[list[str], list[str]]:
    """The poems for training and those kept aside; in the control without their metre."""
    poems, unseen = verse_poems(experiment)
    if experiment.control:
        # Within each line, so that it keeps its words and its number of syllables.
        poems, unseen = (corrupt(texts, "shuffle", 1.0, seed=1) for texts in (poems, unseen))
    return poems, unseen


# -- training -------------------------------------------------------------------------------------


def fine_tune_all(
    experiment: Experiment, base: Run, seed: int
) -> Generator[Progress, None, dict[str, Run]]:
    """The fine-tuned runs of a seed by arm."""
    poems, unseen = verse_of(experiment)
    # Nothing is tokenized anew: a fine-tune keeps its parent's vocabulary.
    tokenizer = load_model(base).tokenizer
    verse = document_corpus(tokenizer, poems, unseen)
    # Two entries of register and stories for each poem are about as many tokens as the poems.
    mixed = document_corpus(
        tokenizer, poems + register_and_stories(1, 2 * len(poems), seed), unseen
    )
    runs: dict[str, Run] = {}
    for arm, fields in FINE_TUNED.items():
        corpus = mixed if arm == REPLAY else verse
        recipe = fine_tune_recipe(experiment, base, seed, fields)
        runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe, corpus)
    return runs


def fine_tune_recipe(
    experiment: Experiment, base: Run, seed: int, fields: dict[str, str]
) -> Recipe:
    """How an arm learns the verse: alike, but for what may move."""
    steps = SIZES[experiment.scale].steps
    common = {
        "start_from": str(base.folder),
        "train.steps": str(steps),
        # After every quarter. The weights of the best validation are kept, so an arm that begins to
        # recite is judged as it was before.
        "train.evaluate_every": str(max(1, steps // 4)),
        # The poems are few and read several times; dropout keeps them from being learned by heart.
        "model.dropout": "0.1",
        "sample.prompts": "[]",  # nothing is sampled along the way
    }
    # The last one counts: an arm's own fields win.
    return experiment.base_recipe(seed, **{**common, **fields})


def reward_fields(experiment: Experiment, parent: Run, seed: int) -> dict[str, str]:
    """The demo's third stage from another run, as the lesson reward has it at its KL weight of
    0.1."""
    sizes = SIZES[experiment.scale]
    common = {
        "start_from": str(parent.folder),
        "train.seed": str(seed),
        "train.steps": str(sizes.reward_steps),
        # Only before and after: a rewarded run keeps its last weights, whatever they score here.
        "train.evaluate_every": str(sizes.reward_steps),
        "reward.samples": str(sizes.reward_samples),
        "reward.kl": "0.1",
        "reward.entropy": "0",  # the KL term alone protects what the reward does not mention
        "sample.prompts": "[]",
    }
    if experiment.scale == "smoke":
        common["reward.tokens"] = "30"  # prompt and sample must fit into a context of 64
    if experiment.control:
        common["reward.scorer"] = "lottery"
    return common


# -- measuring ------------------------------------------------------------------------------------


def examine(experiment: Experiment, judged: Run, arm: str, unseen: Sequence[str]) -> dict[str, Any]:
    """Everything that is measured on one arm."""
    sizes = SIZES[experiment.scale]
    prompts = list(PROMPTS)
    if arm == "prompted base":
        # In-context learning (Brown et al. 2020): the style is shown and no weight is moved.
        prompts = ["\n".join(unseen[0].splitlines()[:4]) + "\n"]
    # The same number of continuations for every arm, at the same temperature.
    samples = sample_continuations(experiment, judged, prompts, sizes.samples)
    # Prose has no lines to scan. Cut at ten syllables it has as good a chance as verse.
    lines = cut_shares(samples) if arm == "base" else flagged(samples, scans)
    questions = fact_questions(1)[:: sizes.questions]
    return {
        "metre": hit_share(lines),
        "rhyme": hit_share(rhyming(samples)),
        "lines": int(lines[:, 1].sum()),  # how many the share of metre rests on
        # Poems that no arm has read. What the scorer misses of verse, its probability may show.
        "verse": bits_per_byte(judged, unseen),
        # No arm has read these stories: they show what is left of the base's own style.
        "stories": bits_per_byte(judged, unseen_stories(sizes.stories)),
        "facts": score_answers(judged, questions),  # 0 or 1 for each question
        "sample": samples[0].prompt + samples[0].text,
    }


# -- what follows ---------------------------------------------------------------------------------


def kept(scores: Sequence[Scores], arm: str) -> Interval:
    """Share of the base's right answers that an arm still gives, over questions and seeds."""
    still: list[int] = []
    groups: list[int] = []  # the seed of each answer
    for seed, own in enumerate(scores):
        for before, after in zip(own["base"]["facts"], own[arm]["facts"]):
            # A question that the base got wrong has nothing to keep: a right guess is no memory.
            if before:
                still.append(after)
                groups.append(seed)
    # A base that knows nothing, as at smoke scale, keeps nothing: 0, and no error.
    return interval(still or [0], groups=groups or [0])


def facts_gained(scores: Sequence[Scores], arm: str) -> Interval:
    """Share of all questions answered rightly, an arm's minus the base's, over questions and
    seeds."""
    # All questions, also those that the base got wrong: new knowledge would show there.
    after = [right for own in scores for right in own[arm]["facts"]]
    before = [right for own in scores for right in own["base"]["facts"]]
    # (seeds x questions,) the seed of each answer: answers of one model hang together.
    groups = [seed for seed, own in enumerate(scores) for _ in own["base"]["facts"]]
    return paired_difference(after, before, groups=groups)


def arms_of(scores: Sequence[Scores]) -> list[Arm]:
    """Every arm under every measure, with its value for each seed."""
    # Facts are a list of 0 and 1, whose mean is their share; the mean of a number is that number.
    return [
        Arm(f"{measure}: {arm}", unit, [float(np.mean(own[arm][measure])) for own in scores])
        for measure, unit in MEASURES.items()
        for arm in ARMS
    ]


def conclude(scores: Sequence[Scores]) -> Result:
    """Whether the fine-tune scans better than the base and the prompted base, and teaches no
    facts."""
    seeds = range(len(scores))
    metre = {arm: [own[arm]["metre"] for own in scores] for arm in ARMS}
    mean_metre = {arm: float(np.mean(values)) for arm, values in metre.items()}
    # Over the base and the prompted base: a prompt may show what the base can do already.
    # The same seed on both sides of each difference: what the seeds share cancels out.
    gains = [paired_difference(metre[FULL], metre[arm], groups=seeds) for arm in ARMS[:2]]
    facts = {arm: kept(scores, arm) for arm in WITH_FACTS}
    # The claim says that knowledge is not what a fine-tune brings: a rise in facts would refute it.
    taught = any(above(facts_gained(scores, arm)) == "supported" for arm in WITH_FACTS)
    verdict: Verdict = "not supported" if taught else together(*map(above, gains))
    # A base that never scans, as at smoke scale, must not divide by zero.
    times = {arm: value / max(mean_metre["base"], 1e-9) for arm, value in mean_metre.items()}
    arms = arms_of(scores)
    title = (
        f"Lines scan {times[FULL]:.1f} x as often after the full fine-tune, "
        f"{times['rewarded']:.1f} x after a reward"
    )
    return Result(
        verdict,
        sentence(scores, mean_metre, facts),
        arms,
        {
            "metre.png": dots(
                title,
                arms_of_measure("metre", arms),
                "share of lines that scan (the base's prose: cut at ten syllables)",
            ),
            "facts.png": style_against_facts(scores, facts),
        },
        targets=targets(times, facts),
        details={
            "metre": metre,
            "kept": {arm: interval_json(share) for arm, share in facts.items()},
            "samples": {arm: scores[0][arm]["sample"] for arm in ARMS},
            "lines": {arm: [own[arm]["lines"] for own in scores] for arm in ARMS},
        },
    )


def targets(times: dict[str, float], facts: dict[str, Interval]) -> dict[str, bool]:
    """What was hoped for: `times` are each arm's lines that scan over the base's, `facts` the share
    kept."""
    # Both at once: an arm that only keeps facts, or only scans, is no answer.
    both = [arm for arm in WITH_FACTS if times[arm] >= 2.5 and facts[arm].mean >= 0.9]
    return {
        "metre x >= 2.5, against the base's prose cut at ten syllables": times[FULL] >= 2.5,
        "LoRA keeps >= 90 % of the facts": facts[LORA].mean >= 0.9,
        "rewarded: metre x >= 3": times["rewarded"] >= 3,
        "an arm has metre x >= 2.5 and keeps >= 90 % of the facts": bool(both),
    }


def sentence(scores: Sequence[Scores], metre: dict[str, float], facts: dict[str, Interval]) -> str:
    """The outcome with its numbers."""
    # What there is to lose, over all questions and seeds.
    known = np.mean([np.mean(own["base"]["facts"]) for own in scores])
    rewarded = ", ".join(
        f"{arm} {percent(metre[arm])} (facts kept: {percent(facts[arm].mean)})" for arm in REWARDED
    )
    return (
        f"Fine-tuning brings lines that scan from {percent(metre['base'])} (prompted: "
        f"{percent(metre['prompted base'])}) to {percent(metre[FULL])}, LoRA to "
        f"{percent(metre[LORA])}; of the facts known before ({percent(known)} of all), "
        f"{percent(facts[FULL].mean)} and {percent(facts[LORA].mean)} are kept, with replay "
        f"{percent(facts[REPLAY].mean)} ({percent(metre[REPLAY])} scan). After a reward for lines "
        f"that scan: {rewarded}."
    )


def style_against_facts(scores: Sequence[Scores], facts: dict[str, Interval]) -> Figure:
    """Each arm of each seed as a point: to the right is style, up is knowledge."""
    title = (
        f"Facts kept: full fine-tune {percent(facts[FULL].mean)}, with replay "
        f"{percent(facts[REPLAY].mean)}, replay and a reward "
        f"{percent(facts['rewarded with replay'].mean)}"
    )
    with canvas(title, (9.2, 4.8)) as figure:
        axes = figure.subplots()
        for place, arm in enumerate(ARMS):
            # One point a seed.
            points = [(own[arm]["metre"], np.mean(own[arm]["facts"])) for own in scores]
            # There are fewer colours and markers than arms: the second round pairs them anew.
            marker = MARKERS[(place + place // len(MARKERS)) % len(MARKERS)]
            axes.plot(*zip(*points), marker, color=colour(place), markersize=9, label=arm)
        # One of four options, picked blindly: below this line nothing is known.
        axes.axhline(0.25, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate("guessing", (0.0, 0.25), textcoords="offset points", xytext=(2, 4))
        axes.set(
            xlabel="lines that scan, share",
            ylabel="facts known, share",
            xlim=(-0.01, None),  # room for the half of a point at 0
            ylim=(0, 1.02),
        )
        # Seven arms: inside the axes the legend would hide points.
        figure.legend(frameon=False, loc="outside right center")
    return figure


LESSON = Lesson(
    name="style",
    claim="Fine-tuning adjusts style, tone and behaviour; it is not there to teach knowledge.",
    question="Does a model that learns to speak in iambic pentameter still know what it knew?",
    control="The words of each line of verse stand in random order, and rewards are drawn by lot.",
    minutes=12,
    base_minutes=12,
    run=run,
)
