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
    seeds           three; texts and questions are resampled within them

A tokenizer of its own reads more text in as many tokens. That is its advantage, and it keeps it.

Trade-off: the questions offer all answers that the rule can give; choosing is easier than writing.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from tinylm.config import Recipe
from tinylm.corpora.domain import documents, probes
from tinylm.evaluation.knowledge import Question
from tinylm.evaluation.statistics import Interval, difference, interval, paired_difference
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, below, dots, together
from tinylm.lessons.shared import (
    arms_of_measure,
    best_rates,
    bits_per_byte,
    document_corpus,
    interval_json,
    score_answers,
    unseen_stories,
)
from tinylm.pages.figures import percent
from tinylm.runs import Run
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import load_model

TRAINED = ("base adapted", "from scratch, base's tokens", "from scratch, own tokens")
ARMS = ("base as it is", *TRAINED)
RULES = ("code", "watch", "tug")  # those with a handful of answers


@dataclass(frozen=True)
class Sizes:
    logs: int
    unseen: int  # logs, and as many stories
    questions: int  # for each rule
    steps: int


SIZES = {"smoke": Sizes(12, 2, 8, 4), "full": Sizes(1_000, 20, 100, 320)}

Scores = dict[str, list[dict[str, Any]]]  # arm -> for each seed {"bits": ..., "answers": [...]}


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Train the three arms with every seed, and examine all four on unseen logs."""
    sizes = SIZES[experiment.scale]
    train, unseen = (
        list(islice(documents(0), sizes.logs)),
        list(islice(documents(0, "valid"), sizes.unseen)),
    )
    questions = rule_questions(sizes.questions)
    own = train_bpe_tokenizer(
        iter(train), experiment.base_recipe(1).tokenizer.vocab_size, [DOCUMENT]
    )
    scores: Scores = {arm: [] for arm in ARMS}
    rates: dict[str, dict[str, str]] = {}
    for seed in experiment.seeds:
        base = yield from experiment.base(seed)
        general = load_model(base).tokenizer
        runs = {"base as it is": base}
        for arm in TRAINED:
            corpus = document_corpus(
                own if arm == "from scratch, own tokens" else general, train, unseen[:4]
            )
            start = {"start_from": str(base.folder)} if arm == "base adapted" else {}
            if arm not in rates:
                rates[arm] = yield from best_rates(
                    experiment, arm, recipe_of(experiment, seed, start), corpus
                )
            recipe = recipe_of(experiment, seed, {**start, **rates[arm]})
            runs[arm] = yield from experiment.train(f"{arm}, seed {seed}", recipe, corpus)
        for place, arm in enumerate(ARMS):
            yield Progress(f"examining, seed {seed}", place, len(ARMS))
            examined = partial(examine, runs[arm], unseen, questions)
            scores[arm].append(
                experiment.measure(f"{arm}, seed {seed}", runs[arm].fingerprint, examined)
            )
    return conclude(scores, words_of({"general": general, "own": own}, unseen))


def recipe_of(experiment: Experiment, seed: int, fields: dict[str, str]) -> Recipe:
    """The base's recipe with this lesson's steps, at rates between those of pretraining and
    fine-tuning."""
    steps = SIZES[experiment.scale].steps
    values = {
        "train.steps": steps,
        "train.evaluate_every": max(1, steps // 4),
        "train.learning_rate": 0.003,
        "train.muon_learning_rate": 0.015,
        "sample.prompts": [],
    }
    return experiment.base_recipe(
        seed, **{**{name: str(value) for name, value in values.items()}, **fields}
    )


# -- measuring ------------------------------------------------------------------------------------


def tokens_per_word(tokenizer: Tokenizer, texts: Sequence[str]) -> list[float]:
    """For each text, tokens over words (what blanks and line breaks part).

    >>> from tinylm.text.tokenizers import BpeTokenizer
    >>> tokens_per_word(BpeTokenizer([]), ["a tide", "kelm"])
    [3.0, 4.0]
    """
    return [len(tokenizer.encode(text)) / len(text.split()) for text in texts]


def words_of(tokenizers: dict[str, Tokenizer], unseen: Sequence[str]) -> dict[str, list[float]]:
    """Tokens per word of stories and logs in the general tokenizer, and of logs in their own."""
    return {
        "stories, base's tokens": tokens_per_word(
            tokenizers["general"], unseen_stories(len(unseen))
        ),
        "logs, base's tokens": tokens_per_word(tokenizers["general"], unseen),
        "logs, own tokens": tokens_per_word(tokenizers["own"], unseen),
    }


def rule_questions(count: int) -> list[Question]:
    """`count` questions for each rule: a log's heading and one entry up to the answer, with all
    answers there are."""
    questions = []
    for rule in RULES:
        asked = probes(0, count, rule)
        options = sorted({answer for _, answer in asked})
        for text, answer in asked:
            heading, *_, entry = text.split("\n")
            answers_given = tuple(f" {option}" for option in options)
            questions.append(
                Question(
                    f"{heading}\n{entry}",
                    answers_given,
                    options.index(answer),
                    entry.split()[-1],
                    rule,
                )
            )
    return questions


def examine(run: Run, unseen: Sequence[str], questions: Sequence[Question]) -> dict[str, Any]:
    return {"bits": bits_per_byte(run, unseen), "answers": score_answers(run, questions)}


# -- what follows ---------------------------------------------------------------------------------


def flat_answers(scores: Scores, arm: str) -> tuple[np.ndarray, list[int]]:
    """All answers of an arm as 0 and 1, seed after seed, and the seed of each."""
    rows = [own["answers"] for own in scores[arm]]
    return np.concatenate(rows), [seed for seed, own in enumerate(rows) for _ in own]


def conclude(scores: Scores, words: dict[str, list[float]]) -> Result:
    """Whether the words are alien to the base, and whether training on the domain makes up for
    it."""
    seeds = range(len(scores[ARMS[0]]))
    loss = {arm: [own["bits"] for own in scores[arm]] for arm in ARMS}
    alien = difference(
        interval(words["logs, base's tokens"]), interval(words["stories, base's tokens"])
    )
    gains: dict[str, Interval] = {}
    accuracy = []
    for arm in ARMS:
        right, groups = flat_answers(scores, arm)
        gains[arm] = paired_difference(right, flat_answers(scores, ARMS[0])[0], groups=groups)
        accuracy.append(
            Arm(
                f"answers: {arm}",
                "share",
                [float(np.mean(own["answers"])) for own in scores[arm]],
                interval(right, groups=groups),
            )
        )
    lower = paired_difference(loss["base adapted"], loss["base as it is"], groups=seeds)
    tokenizer = paired_difference(
        loss["from scratch, own tokens"], loss["base adapted"], groups=seeds
    )
    arms = [
        *(Arm(f"bits: {arm}", "bits/byte", loss[arm]) for arm in ARMS),
        *accuracy,
        *(
            Arm(f"tokens: {name}", "tokens/word", [float(np.mean(n))], interval(n))
            for name, n in words.items()
        ),
    ]
    return Result(
        together(above(alien), below(lower), above(gains["base adapted"])),
        summary(loss, words, accuracy),
        arms,
        {
            "bits.png": dots(
                f"{best_of(loss)} reads unseen logs best",
                arms_of_measure("bits", arms),
                "bits per byte",
            ),
            "answers.png": dots(
                "Questions about the log's rules: "
                + ", ".join(
                    f"{arm.name.removeprefix('answers: ')} {percent(arm.interval.mean)}"
                    for arm in accuracy
                ),
                arms_of_measure("answers", arms),
                "share answered rightly",
            ),
        },
        details={
            "tokens_per_word": words,
            "gains": {arm: interval_json(gain) for arm, gain in gains.items()},
            "own tokens from scratch minus adapted, bits/byte": interval_json(tokenizer),
        },
    )


def summary(
    loss: dict[str, list[float]], words: dict[str, list[float]], accuracy: Sequence[Arm]
) -> str:
    """The result in words and numbers."""
    means = {arm: float(np.mean(values)) for arm, values in loss.items()}
    story, log, own = (float(np.mean(values)) for values in words.values())
    return (
        f"A word of the log takes {log:.1f} of the base's tokens, one of the stories {story:.1f}; "
        f"with tokens of the log's own it takes {own:.1f}. Bits per byte: "
        + ", ".join(f"{arm} {mean:.2f}" for arm, mean in means.items())
        + ". Answered rightly: "
        + ", ".join(
            f"{arm.name.removeprefix('answers: ')} {percent(arm.interval.mean)}" for arm in accuracy
        )
        + "."
    )


def best_of(loss: dict[str, list[float]]) -> str:
    name = min(loss, key=lambda arm: float(np.mean(loss[arm])))
    return name[0].upper() + name[1:]


LESSON = Lesson(
    name="domain",
    claim="Specialised domains have a vocabulary that is alien to general models.",
    question="What does an alien vocabulary cost a general model, and what makes up for it?",
    minutes=11,
    base_minutes=8,
    run=run,
)
