"""A specialised domain has words that a general model has never met.

Design. The harbour pilots keep a log in a language of their own (corpora/domain.py).

    manipulated     how the log is read:
                      base as it is                 the stories' tokenizer and model
                      base adapted                  the same, fine-tuned on logs
                      from scratch, base's tokens   random weights, the stories' tokenizer
                      from scratch, own tokens      random weights, a tokenizer learned from logs
    constant        network, steps, tokens a step (so the same time), a search over the same
                    learning rates for each of the three that train
    effect          three, each with a verdict of its own; the claim stands with all of them:
                      tokens per word   logs minus stories, in the base's tokens
                      bits per byte     the base on logs minus the base on stories, and on logs the
                                        adapted base minus the base as it is
                      right answers     the adapted base minus the base as it is, over questions
                                        that a rule of the log decides
    null            0 for each
    control         from scratch in the base's tokens: training on logs without the base; in own
                    tokens: what the words alone cost
    price           the adapted model's training; the base as it is costs nothing more
    seeds           three, each with a base; texts and questions are the same for all
    control run     a domain of ordinary words: in the place of the logs stand as many further
                    stories of the town, none of which the base has read, and in that of the rules
                    as many questions on its people. Arms keep their names. Expected: a word takes
                    as many tokens as in the stories; the rest changes little

The questions are on every rule that has a handful of answers, and each answer of a rule is right
equally often: a model that knows which one is common gains nothing by it. Target: that the right
answers of all four arms can be told apart.

Tried before. (1) 300 questions on three rules, not balanced, after 320 steps of twelve rows: 18,
52, 69 and 54 % right answers, "no measurable difference". The seeds differed, not the questions:
one rule (code) is learned within 80 steps and others (watch, tug, anchorage) all at once, late, and
in some seeds only. After 320 steps of the adapted base, right answers on the watch were 48, 76 and
20 %. (2) So there are more rules now, and steps are smaller and more: 560 of six rows, which take
as long. With that, adapting brings 36 points (27 to 44). The three arms that train still cannot be
told apart (60, 65 and 66 %, each with 10 points or more to either side): more questions would not
change that, more seeds or longer training might.

A tokenizer of its own reads more text in as many tokens. That is its advantage, and it keeps it.

Trade-off: the questions offer all answers that the rule can give; choosing is easier than writing.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinylm.config import Recipe
from tinylm.corpora.domain import documents, probes
from tinylm.corpora.stories import stories
from tinylm.evaluation.knowledge import Question
from tinylm.evaluation.statistics import Interval, difference, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress, with_rates
from tinylm.lessons.lesson import (
    Arm,
    Lesson,
    Result,
    Verdict,
    above,
    below,
    dots_on,
    logarithmic,
    together,
)
from tinylm.lessons.shared import (
    arms_of_measure,
    bits_per_byte,
    document_corpus,
    fact_questions,
    interval_json,
    score_answers,
    unseen_stories,
)
from tinylm.pages.figures import MUTED, canvas, percent
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model

# From the smallest change to the largest: weights, then the start, then the words too.
TRAINED = ("base adapted", "from scratch, base's tokens", "from scratch, own tokens")
ARMS = ("base as it is", *TRAINED)
# Those with a handful of answers.
RULES = ("code", "watch", "tug", "anchorage", "class", "stream", "light")
# Of the learning rates, tried for each arm on the first seed.
FACTORS = {"smoke": (1.0, 3.0), "full": (1.0, 3.0, 6.0)}
GAIN = "adapted minus as it is, right answers"
# Texts and tokenizers whose tokens per word are counted.
STORIES, LOGS, OWN = "stories, base's tokens", "logs, base's tokens", "logs, own tokens"


@dataclass(frozen=True)
class Sizes:
    """How much is read, trained and asked at one scale, for each seed."""

    logs: int  # to learn from
    unseen: int  # logs, and as many stories
    questions: int  # for each rule
    steps: int  # of each of the three that train


SIZES = {"smoke": Sizes(12, 2, 9, 4), "full": Sizes(1_000, 20, 48, 560)}
ROWS = {"smoke": 4, "full": 6}  # of text in a step: half of the base's, for twice as many steps


@dataclass(frozen=True)
class Yardsticks:
    """What the arms are put beside."""

    familiar: Sequence[float]  # the base's bits per byte of stories, one a seed
    guessing: float  # share of right answers


Scores = dict[str, list[dict[str, Any]]]  # arm -> for each seed {"bits": ..., "answers": [...]}


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Train the three arms with every seed, and examine all four on unseen logs."""
    sizes = SIZES[experiment.scale]
    train, unseen, questions = (ordinary if experiment.control else alien)(sizes)
    # As large a vocabulary as the base's: the two differ in what they were learned from alone. It
    # costs no training step: merges are counted.
    vocab_size = experiment.base_recipe(1).tokenizer.vocab_size
    own = train_bpe_tokenizer(iter(train), vocab_size, [DOCUMENT])
    scores: Scores = {arm: [] for arm in ARMS}
    familiar = []  # the base's bits per byte of stories, one a seed
    factors: dict[str, float] = {}  # arm -> what its learning rates are multiplied by
    for seed in experiment.seeds:
        base = yield from experiment.base(seed)
        general = load_model(base).tokenizer  # learned from stories: the same for all seeds
        runs = {"base as it is": base}
        for arm in TRAINED:
            tokenizer = own if arm == "from scratch, own tokens" else general
            # Few unseen logs decide which weights are kept; all of them are examined below.
            corpus = document_corpus(tokenizer, train, unseen[:4])
            start = {"start_from": str(base.folder)} if arm == "base adapted" else {}
            # The first seed searches, for each arm over the same factors; the others follow.
            if arm not in factors:
                tried = recipe_of(experiment, seed, start)
                factors[arm] = yield from best_factor(experiment, arm, tried, corpus)
            recipe = with_rates(recipe_of(experiment, seed, start), factors[arm])
            runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe, corpus)
        # All four on the same logs and questions, so that every difference is paired.
        for place, arm in enumerate(ARMS):
            yield Progress(f"examining, seed {seed}", place, len(ARMS))
            examined = partial(examine, runs[arm], unseen, questions)
            scores[arm].append(
                experiment.measure(f"{arm}, seed {seed}", runs[arm].fingerprint, examined)
            )
        familiar.append(at_home(experiment, base, seed))
    words = words_of({"general": general, "own": own}, unseen)
    # One over the number of answers there are, on average.
    guessing = float(np.mean([1 / len(question.options) for question in questions]))
    return conclude(scores, words, Yardsticks(familiar, guessing))


def at_home(experiment: Experiment, base: Run, seed: int) -> float:
    """The base's bits per byte of stories that it has not read: its yardstick for logs."""
    unread = unseen_stories(SIZES[experiment.scale].unseen)
    read = partial(bits_per_byte, base, unread)
    value = experiment.measure(f"stories, seed {seed}", [base.fingerprint, "stories"], read)
    return float(value)


def alien(sizes: Sizes) -> tuple[list[str], list[str], list[Question]]:
    """Logs to learn from, unseen ones, and questions on their rules."""
    train = list(islice(documents(0), sizes.logs))
    unseen = list(islice(documents(0, "valid"), sizes.unseen))
    return train, unseen, rule_questions(sizes.questions)


def ordinary(sizes: Sizes) -> tuple[list[str], list[str], list[Question]]:
    """The same of stories. Their seed is not the base's: it has read none of them."""
    train = [story.text for story in islice(stories(1), sizes.logs)]
    unseen = [story.text for story in islice(stories(1, "valid"), sizes.unseen)]
    return train, unseen, fact_questions(1)[: len(rule_questions(sizes.questions))]


def recipe_of(experiment: Experiment, seed: int, fields: dict[str, str]) -> Recipe:
    """The base's recipe with this lesson's steps, at rates between those of pretraining and
    fine-tuning; `fields` hold the start."""
    steps = SIZES[experiment.scale].steps
    values = {
        "train.steps": str(steps),
        "train.batch_size": str(ROWS[experiment.scale]),
        "train.evaluate_every": str(max(1, steps // 4)),
        # Where the search begins; it tries multiples of these.
        "train.learning_rate": "0.003",
        "train.muon_learning_rate": "0.015",
        "sample.prompts": "[]",
    }
    return experiment.base_recipe(seed, **{**values, **fields})


def best_factor(
    experiment: Experiment, arm: str, recipe: Recipe, corpus: Corpus
) -> Generator[Progress, None, float]:
    """What the learning rates of an arm are best multiplied by, after an eighth of the steps."""
    best = yield from experiment.search_rates(arm, recipe, corpus, 1 / 8, FACTORS[experiment.scale])
    return float(best.train.learning_rate / recipe.train.learning_rate)


# -- measuring ------------------------------------------------------------------------------------


def tokens_per_word(tokenizer: Tokenizer, texts: Sequence[str]) -> list[float]:
    """For each text, tokens over words (what blanks and line breaks part).

    >>> from tinylm.text.tokenizers import BpeTokenizer
    >>> tokens_per_word(BpeTokenizer([]), ["a tide", "kelm"])
    [3.0, 4.0]
    """
    # One number a text, so that their spread gives an interval. A word that was never merged costs
    # a token for each of its bytes.
    return [len(tokenizer.encode(text)) / len(text.split()) for text in texts]


def words_of(tokenizers: dict[str, Tokenizer], unseen: Sequence[str]) -> dict[str, list[float]]:
    """Tokens per word of stories and logs in the general tokenizer, and of logs in their own."""
    familiar = unseen_stories(len(unseen))
    return {
        # The yardstick: what a word costs where the tokenizer is at home.
        STORIES: tokens_per_word(tokenizers["general"], familiar),
        LOGS: tokens_per_word(tokenizers["general"], unseen),
        OWN: tokens_per_word(tokenizers["own"], unseen),
    }


def rule_questions(count: int) -> list[Question]:
    """About `count` questions for each rule, each of its answers equally often: a log's heading and
    one entry up to the answer, with all answers there are."""
    questions = []
    for rule in RULES:
        # From logs that no arm has read: (text up to the answer, answer). The rarest answer is one
        # in twenty, so many are drawn to have enough of it.
        drawn = probes(0, 10 * count, rule)
        options = sorted({answer for _, answer in drawn})
        # With a blank before, as a word has in running text: it is cut into tokens that way.
        continuations = tuple(f" {option}" for option in options)
        for answer in options:
            asked = [text for text, right in drawn if right == answer]
            for text in asked[: max(1, count // len(options))]:
                # The entries between tell nothing about the answer, and might not fit into the
                # context.
                heading, *_, entry = text.split("\n")
                # The same end without the question, as a probe wants it for its calibrated score;
                # this lesson counts the plain one.
                neutral = entry.split()[-1]
                right_one = options.index(answer)
                questions.append(
                    Question(f"{heading}\n{entry}", continuations, right_one, neutral, rule)
                )
    return questions


def examine(run: Run, unseen: Sequence[str], questions: Sequence[Question]) -> dict[str, Any]:
    """What an arm is worth: bits per byte of unseen logs, and 0 or 1 for each question."""
    # Per byte and not per token: the arms have two tokenizers.
    return {"bits": bits_per_byte(run, unseen), "answers": score_answers(run, questions)}


# -- what follows ---------------------------------------------------------------------------------


def flat_answers(scores: Scores, arm: str) -> tuple[np.ndarray, list[int]]:
    """All answers of an arm as 0 and 1, seed after seed, and the seed of each."""
    # Answers of one model hang together: the interval has to know which seed each is of.
    rows = [own["answers"] for own in scores[arm]]
    return np.concatenate(rows), [seed for seed, own in enumerate(rows) for _ in own]


def conclude(scores: Scores, words: dict[str, list[float]], beside: Yardsticks) -> Result:
    """Whether the words are alien to the base, what that costs it, and whether training on the
    domain makes up for it."""
    effects = effects_of(scores, words, beside)
    # Each measure has a verdict of its own, against 0; the claim stands with all three.
    verdicts: dict[str, Verdict] = {
        "tokens per word": above(effects["logs minus stories, tokens per word"]),
        "bits per byte": together(
            above(effects["logs minus stories, bits/byte"]),
            below(effects["adapted minus as it is, bits/byte"]),
        ),
        "right answers": above(effects[GAIN]),
    }
    arms = [
        # The yardstick on top, then the arms in their order.
        Arm("bits: stories: base as it is", "bits/byte", beside.familiar),
        *(Arm(f"bits: {arm}", "bits/byte", bits_of(scores, arm)) for arm in ARMS),
        *(accuracy_arm(scores, arm) for arm in ARMS),
        *(word_arm(name, values) for name, values in words.items()),
    ]
    between = apart(scores)
    # An interval without 0 lies on one side of it: then one of the two verdicts is "supported".
    all_apart = all(above(own) != below(own) for own in between.values())
    return Result(
        together(*verdicts.values()),
        summary(arms, effects[GAIN], verdicts, beside.guessing),
        arms,
        {"domain.png": picture(arms, beside.guessing)},
        {"right answers of the four arms can be told apart": all_apart},
        details={
            "verdicts": verdicts,
            "tokens_per_word": words,
            "effects": {name: interval_json(effect) for name, effect in effects.items()},
            "right answers, one arm minus another": {
                pair: interval_json(own) for pair, own in between.items()
            },
        },
    )


def bits_of(scores: Scores, arm: str) -> list[float]:
    """An arm's bits per byte of unseen logs, one value a seed."""
    return [own["bits"] for own in scores[arm]]


def effects_of(
    scores: Scores, words: dict[str, list[float]], beside: Yardsticks
) -> dict[str, Interval]:
    """What the verdicts are computed from: differences, each with its null at 0."""
    seeds = range(len(scores[ARMS[0]]))
    before, after = (bits_of(scores, arm) for arm in ARMS[:2])
    right_before, _ = flat_answers(scores, ARMS[0])
    right_after, groups = flat_answers(scores, ARMS[1])
    return {
        # Unpaired: a story and a log have nothing in common but the tokenizer.
        "logs minus stories, tokens per word": difference(
            interval(words[LOGS]), interval(words[STORIES])
        ),
        # Paired by seed: the base on logs against the base on stories ...
        "logs minus stories, bits/byte": paired_difference(before, beside.familiar, groups=seeds),
        # ... and the adapted model against the base that it was adapted from.
        "adapted minus as it is, bits/byte": paired_difference(after, before, groups=seeds),
        # Question by question.
        GAIN: paired_difference(right_after, right_before, groups=groups),
    }


def apart(scores: Scores) -> dict[str, Interval]:
    """Right answers of each arm minus those of each one before it, question by question."""
    pairs: dict[str, Interval] = {}
    for place, arm in enumerate(ARMS):
        right, groups = flat_answers(scores, arm)
        for other in ARMS[:place]:
            other_right, _ = flat_answers(scores, other)
            pairs[f"{arm} minus {other}"] = paired_difference(right, other_right, groups=groups)
    return pairs


def accuracy_arm(scores: Scores, arm: str) -> Arm:
    """The share of questions that an arm answers rightly, with its interval."""
    right, groups = flat_answers(scores, arm)
    shares = [float(np.mean(own["answers"])) for own in scores[arm]]
    # A dot a seed; the interval is over the seeds and never narrower than over the questions.
    return Arm(f"answers: {arm}", "share", shares, interval(right, groups=groups))


def word_arm(name: str, values: Sequence[float]) -> Arm:
    """Tokens per word over the texts; a tokenizer has no seed."""
    return Arm(f"tokens: {name}", "tokens/word", [float(np.mean(values))], interval(values))


def picture(arms: Sequence[Arm], guessing: float) -> Figure:
    """Tokens per word, bits per byte and right answers, one panel each."""
    mean = {arm.name: arm.interval.mean for arm in arms}
    title = (
        f"A word of the log costs the base {mean[f'tokens: {LOGS}']:.1f} tokens, a word of a story "
        f"{mean[f'tokens: {STORIES}']:.1f}; trained on logs, it answers "
        f"{percent(mean['answers: base adapted'])} instead of "
        f"{percent(mean['answers: base as it is'])} of the questions"
    )
    labels = {
        "tokens": "tokens per word",
        "bits": "bits per byte of unseen logs (on top: of stories)",
        "answers": "share of questions answered rightly",
    }
    # An arm may predict the log well and still not know its rules: the measures stay apart.
    with canvas(title, (9.0, 8.2)) as figure:
        panels = figure.subplots(3, 1, height_ratios=(3, 5, 4))
        for axes, (measure, label) in zip(panels, labels.items()):
            dots_on(axes, arms_of_measure(measure, arms), label)
        # From a fifth of a bit to a dozen: equal ratios are equal distances.
        logarithmic(panels[1].xaxis)
        panels[2].axvline(guessing, color=MUTED, linewidth=1, linestyle=":")
        panels[2].annotate(" guessing", (guessing, 2.5), va="center", color=MUTED)
        panels[2].set_xlim(0, 1.03)
    return figure


def summary(
    arms: Sequence[Arm], gain: Interval, verdicts: dict[str, Verdict], guessing: float
) -> str:
    """The result in words and numbers."""
    mean = {arm.name: arm.interval.mean for arm in arms}
    bits = ", ".join(f"{arm} {mean[f'bits: {arm}']:.2f}" for arm in ARMS)
    answers = ", ".join(f"{arm} {percent(mean[f'answers: {arm}'])}" for arm in ARMS)
    low, high = 100 * gain.low, 100 * gain.high
    return (
        f"A word of the log takes {mean[f'tokens: {LOGS}']:.1f} of the base's tokens, one of the "
        f"stories {mean[f'tokens: {STORIES}']:.1f}; with tokens of the log's own it takes "
        f"{mean[f'tokens: {OWN}']:.1f} ({verdicts['tokens per word']}). Bits per byte of logs: "
        f"{bits}; of stories the base needs {mean['bits: stories: base as it is']:.2f} "
        f"({verdicts['bits per byte']}). Right answers: {answers} (guessing: "
        f"{percent(guessing)}); adapting brings {100 * gain.mean:.0f} points ({low:.0f} to "
        f"{high:.0f}; {verdicts['right answers']})."
    )


LESSON = Lesson(
    name="domain",
    claim="Specialised domains have a vocabulary that is alien to general models.",
    question="What does an alien vocabulary cost a general model, and what makes up for it?",
    control="In the place of the logs stand further stories of the town, in words the base knows.",
    minutes=11,
    base_minutes=8,
    run=run,
)
