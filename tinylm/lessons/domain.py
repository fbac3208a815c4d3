"""A specialised domain has words that a general model has never met.

Design. The harbour pilots keep a log in a language of their own (corpora/domain.py).

    manipulated     how the log is read:
                      base as it is                 the stories' tokenizer and model
                      base adapted                  the same, fine-tuned on logs
                      from scratch, base's tokens   random weights, the stories' tokenizer
                      from scratch, own tokens      random weights, a tokenizer learned from logs
    constant        network, steps, tokens a step (so the same time), a search over the same
                    learning rates for each of the three that train
    effect          tokens per word, logs minus stories; bits per byte of unseen logs and right
                    answers to questions that a rule of the log decides, adapted minus as it is
    null            0 for each
    control         from scratch in the base's tokens: training on logs without the base; in own
                    tokens: what the words alone cost
    price           the adapted model's training; the base as it is costs nothing more
    seeds           three, each with a base; texts and questions are the same for all
    control run     a domain of ordinary words: in the place of the logs stand as many further
                    stories of the town, none of which the base has read, and in that of the rules
                    as many questions on its people. Arms keep their names. Expected: a word takes
                    as many tokens as in the stories; the rest changes little

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
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, below, dots, together
from tinylm.lessons.shared import (
    arms_of_measure,
    best_rates,
    bits_per_byte,
    document_corpus,
    fact_questions,
    interval_json,
    score_answers,
    unseen_stories,
)
from tinylm.pages.figures import percent
from tinylm.runs import Run
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model

# From the smallest change to the largest: weights, then the start, then the words too.
TRAINED = ("base adapted", "from scratch, base's tokens", "from scratch, own tokens")
ARMS = ("base as it is", *TRAINED)
RULES = ("code", "watch", "tug")  # those with a handful of answers


@dataclass(frozen=True)
class Sizes:
    """How much is read, trained and asked at one scale, for each seed."""

    logs: int  # to learn from
    unseen: int  # logs, and as many stories
    questions: int  # for each rule
    steps: int  # of each of the three that train


SIZES = {"smoke": Sizes(12, 2, 8, 4), "full": Sizes(1_000, 20, 100, 320)}

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
    rates: dict[str, dict[str, str]] = {}  # arm -> fields of its recipe
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
            if arm not in rates:
                first_guess = recipe_of(experiment, seed, start)
                rates[arm] = yield from best_rates(experiment, arm, first_guess, corpus)
            recipe = recipe_of(experiment, seed, {**start, **rates[arm]})
            runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe, corpus)
        # All four on the same logs and questions, so that every difference is paired.
        for place, arm in enumerate(ARMS):
            yield Progress(f"examining, seed {seed}", place, len(ARMS))
            examined = partial(examine, runs[arm], unseen, questions)
            scores[arm].append(
                experiment.measure(f"{arm}, seed {seed}", runs[arm].fingerprint, examined)
            )
    return conclude(scores, words_of({"general": general, "own": own}, unseen))


def alien(sizes: Sizes) -> tuple[list[str], list[str], list[Question]]:
    """Logs to learn from, unseen ones, and questions on their rules."""
    train = list(islice(documents(0), sizes.logs))
    unseen = list(islice(documents(0, "valid"), sizes.unseen))
    return train, unseen, rule_questions(sizes.questions)


def ordinary(sizes: Sizes) -> tuple[list[str], list[str], list[Question]]:
    """The same of stories. Their seed is not the base's: it has read none of them."""
    train = [story.text for story in islice(stories(1), sizes.logs)]
    unseen = [story.text for story in islice(stories(1, "valid"), sizes.unseen)]
    return train, unseen, fact_questions(1)[: len(RULES) * sizes.questions]


def recipe_of(experiment: Experiment, seed: int, fields: dict[str, str]) -> Recipe:
    """The base's recipe with this lesson's steps, at rates between those of pretraining and
    fine-tuning."""
    steps = SIZES[experiment.scale].steps
    values = {
        "train.steps": str(steps),
        "train.evaluate_every": str(max(1, steps // 4)),
        # Where the search begins; it tries a third and three times of these.
        "train.learning_rate": "0.003",
        "train.muon_learning_rate": "0.015",
        "sample.prompts": "[]",
    }
    # The caller's fields win: they hold the start and the rates that the search has found.
    return experiment.base_recipe(seed, **{**values, **fields})


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
        "stories, base's tokens": tokens_per_word(tokenizers["general"], familiar),
        "logs, base's tokens": tokens_per_word(tokenizers["general"], unseen),
        "logs, own tokens": tokens_per_word(tokenizers["own"], unseen),
    }


def rule_questions(count: int) -> list[Question]:
    """`count` questions for each rule: a log's heading and one entry up to the answer, with all
    answers there are."""
    questions = []
    for rule in RULES:
        # From logs that no arm has read: (text up to the answer, answer).
        asked = probes(0, count, rule)
        options = sorted({answer for _, answer in asked})
        # With a blank before, as a word has in running text: it is cut into tokens that way.
        continuations = tuple(f" {option}" for option in options)
        for text, answer in asked:
            # The entries between tell nothing about the answer, and might not fit into the context.
            heading, *_, entry = text.split("\n")
            prompt = f"{heading}\n{entry}"
            # The same end without the question, as a probe wants it for its calibrated score; this
            # lesson counts the plain one.
            neutral = entry.split()[-1]
            questions.append(Question(prompt, continuations, options.index(answer), neutral, rule))
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


def conclude(scores: Scores, words: dict[str, list[float]]) -> Result:
    """Whether the words are alien to the base, and whether training on the domain makes up for
    it."""
    seeds = range(len(scores[ARMS[0]]))
    # arm -> bits per byte for each seed
    loss = {arm: [own["bits"] for own in scores[arm]] for arm in ARMS}
    # Unpaired: a story and a log have nothing in common but the tokenizer.
    alien = difference(
        interval(words["logs, base's tokens"]), interval(words["stories, base's tokens"])
    )
    # Paired by seed: the adapted model against the base that it was adapted from.
    lower = paired_difference(loss["base adapted"], loss["base as it is"], groups=seeds)
    gains = gains_of(scores)
    # Reported and no part of the verdict: it is not claimed which of the two ways is the better.
    tokenizer = paired_difference(
        loss["from scratch, own tokens"], loss["base adapted"], groups=seeds
    )
    accuracy = [accuracy_arm(scores, arm) for arm in ARMS]
    arms = [
        *(Arm(f"bits: {arm}", "bits/byte", loss[arm]) for arm in ARMS),
        *accuracy,
        *(word_arm(name, values) for name, values in words.items()),
    ]
    return Result(
        # Three parts, each against 0: the words are alien; training lowers the loss; it teaches the
        # rules.
        together(above(alien), below(lower), above(gains["base adapted"])),
        summary(loss, words, accuracy),
        arms,
        pictures(loss, arms, accuracy),
        details={
            "tokens_per_word": words,
            "gains": {arm: interval_json(gain) for arm, gain in gains.items()},
            "own tokens from scratch minus adapted, bits/byte": interval_json(tokenizer),
        },
    )


def gains_of(scores: Scores) -> dict[str, Interval]:
    """Right answers of each arm minus those of the base as it is, question by question."""
    before, _ = flat_answers(scores, ARMS[0])
    gains: dict[str, Interval] = {}
    for arm in ARMS:  # the base's own gain is 0
        right, groups = flat_answers(scores, arm)
        gains[arm] = paired_difference(right, before, groups=groups)
    return gains


def accuracy_arm(scores: Scores, arm: str) -> Arm:
    """The share of questions that an arm answers rightly, with its interval."""
    right, groups = flat_answers(scores, arm)
    shares = [float(np.mean(own["answers"])) for own in scores[arm]]
    # A dot a seed; the interval is over the seeds and never narrower than over the questions.
    return Arm(f"answers: {arm}", "share", shares, interval(right, groups=groups))


def word_arm(name: str, values: Sequence[float]) -> Arm:
    """Tokens per word over the texts; a tokenizer has no seed."""
    return Arm(f"tokens: {name}", "tokens/word", [float(np.mean(values))], interval(values))


def pictures(
    loss: dict[str, list[float]], arms: Sequence[Arm], accuracy: Sequence[Arm]
) -> dict[str, Figure]:
    """Bits per byte and right answers of every arm, by file name."""
    # Two pictures: an arm may predict the log well and still not know its rules.
    bits = dots(
        f"{best_of(loss)} reads unseen logs best", arms_of_measure("bits", arms), "bits per byte"
    )
    answers = dots(
        f"Questions about the log's rules: {accuracy_listing(accuracy)}",
        arms_of_measure("answers", arms),
        "share answered rightly",
    )
    return {"bits.png": bits, "answers.png": answers}


def accuracy_listing(accuracy: Sequence[Arm]) -> str:
    """Each arm with its share of right answers, such as "base adapted 81 %"."""
    return ", ".join(
        f"{arm.name.removeprefix('answers: ')} {percent(arm.interval.mean)}" for arm in accuracy
    )


def summary(
    loss: dict[str, list[float]], words: dict[str, list[float]], accuracy: Sequence[Arm]
) -> str:
    """The result in words and numbers."""
    # In the order of the arms, as the sentence lists them.
    means = {arm: float(np.mean(values)) for arm, values in loss.items()}
    # The order is that of `words_of`.
    story, log, own = (float(np.mean(values)) for values in words.values())
    bits = ", ".join(f"{arm} {mean:.2f}" for arm, mean in means.items())
    return (
        f"A word of the log takes {log:.1f} of the base's tokens, one of the stories {story:.1f}; "
        f"with tokens of the log's own it takes {own:.1f}. Bits per byte: {bits}. "
        f"Answered rightly: {accuracy_listing(accuracy)}."
    )


def best_of(loss: dict[str, list[float]]) -> str:
    """The arm with the fewest bits per byte, as the beginning of a sentence."""
    # By the mean over the seeds: a heading, not a verdict.
    name = min(loss, key=lambda arm: float(np.mean(loss[arm])))
    return name[0].upper() + name[1:]


LESSON = Lesson(
    name="domain",
    claim="Specialised domains have a vocabulary that is alien to general models.",
    question="What does an alien vocabulary cost a general model, and what makes up for it?",
    control="In the place of the logs stand further stories of the town, in words the base knows.",
    minutes=11,
    base_minutes=8,
    run=run,
)
