"""What a model knows: questions with a few written answers, of which it should find the right one
likeliest.

Nothing is generated and no answer is parsed: each option is scored as the continuation of the
prompt, in nats (the sum of -ln p over its tokens; lower is likelier), and the model's answer is the
option with the lowest score. Two accuracies are told, because options differ before any question is
asked: "the sea" is commoner than "a brass kettle".

    plain        the lowest nats(option | prompt)
    calibrated   the lowest nats(option | prompt) - nats(option | neutral prompt)

The neutral prompt ends as the prompt does but tells nothing of the question ("The answer is"), so
the difference is what the question itself adds. It also takes out most of the advantage of short
options. This is the domain-conditional PMI of Holtzman et al. 2021 ("Surface form competition"),
and the answer-normalised form of Brown et al. 2020 (GPT-3, section 2.4). Chance is one over the
number of options: an accuracy whose interval holds `chance` shows no knowledge.

Trade-off: picking among four is easier than answering freely, and a model may know an answer that
it words differently.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinylm.evaluation.statistics import Interval, interval

Score = Callable[[list[tuple[str, str]]], np.ndarray]
"""Nats of each continuation given its prompt, for a list of (prompt, continuation): (pairs,), lower
is likelier."""


@dataclass(frozen=True)
class Question:
    """A prompt and its options, written as text that follows it (leading blank included where there
    is one)."""

    prompt: str
    options: tuple[str, ...]
    answer: int
    """Place of the right option."""
    neutral_prompt: str
    """The same ending without the question; it decides what each option costs by itself."""
    relation: str = "all"
    """What kind of fact is asked for, e.g. "lives in": one row of the table."""

    def __post_init__(self) -> None:
        # Two equal options would tie, and a tie counts as wrong: such a question cannot be passed.
        if (
            len(self.options) < 2
            or len(set(self.options)) < len(self.options)
            or "" in self.options
        ):
            raise ValueError(
                f"'{self.prompt}' needs two or more different options, got {list(self.options)}"
            )
        # Python would read -1 as the last option.
        if not 0 <= self.answer < len(self.options):
            raise ValueError(f"'{self.prompt}' has no option {self.answer}: answer counts from 0")


@dataclass(frozen=True)
class Relation:
    """One row of the table: the questions of one kind."""

    questions: int
    accuracy: Interval
    calibrated_accuracy: Interval


@dataclass(frozen=True)
class ProbeResult:
    """Which questions were answered rightly; compare two models by `paired_difference` of the same
    field."""

    correct: tuple[bool, ...]
    calibrated_correct: tuple[bool, ...]
    accuracy: Interval
    calibrated_accuracy: Interval
    chance: float
    """Accuracy of guessing."""
    relations: dict[str, Relation]


def probe(questions: Sequence[Question], score: Score) -> ProbeResult:
    """Ask every question, in one batch of scores; each distinct (prompt, option) pair is scored
    once.

    An answer counts only if it is strictly likelier than every other option: a tie is not
    knowledge.

    >>> kettle = Question("Ann lives by", (" the sea", " the kettle"), 0, "It is by", "lives")
    >>> result = probe([kettle],
    ...     lambda pairs: np.array([len(option) - 5.0 * ("sea" in option) for _, option in pairs]))
    >>> result.correct, result.calibrated_correct  # this scorer never looks at the prompt
    ((True,), (False,))
    """
    if not questions:
        raise ValueError("a probe needs at least one question")
    # A dictionary, not a set: it keeps the order, so that batches and rounding stay the same.
    pairs = dict.fromkeys(
        (prompt, o) for q in questions for prompt in (q.prompt, q.neutral_prompt) for o in q.options
    )
    # (prompt, option) -> nats: two forms of the same question look their options up in one place.
    nats = dict(zip(pairs, _scored(list(pairs), score)))
    plain = [np.array([nats[q.prompt, o] for o in q.options]) for q in questions]  # (options,) each
    prior = [np.array([nats[q.neutral_prompt, o] for o in q.options]) for q in questions]
    # What each option costs by itself is `prior`; the rest is owed to the question.
    correct = [_is_lowest(scores, q.answer) for q, scores in zip(questions, plain)]
    calibrated = [
        _is_lowest(scores - free, q.answer) for q, scores, free in zip(questions, plain, prior)
    ]
    return ProbeResult(
        correct=tuple(correct),
        calibrated_correct=tuple(calibrated),
        accuracy=interval(correct),
        calibrated_accuracy=interval(calibrated),
        # Over the questions, since they may have different numbers of options.
        chance=float(np.mean([1 / len(q.options) for q in questions])),
        relations=_by_relation(questions, correct, calibrated),
    )


def _by_relation(
    questions: Sequence[Question], correct: Sequence[bool], calibrated: Sequence[bool]
) -> dict[str, Relation]:
    table = {}
    # In the order in which the relations first occur.
    for relation in dict.fromkeys(q.relation for q in questions):
        rows = [i for i, q in enumerate(questions) if q.relation == relation]
        table[relation] = Relation(
            len(rows), interval([correct[i] for i in rows]), interval([calibrated[i] for i in rows])
        )
    return table


def _scored(pairs: list[tuple[str, str]], score: Score) -> np.ndarray:
    # A scorer may be anybody's: its mistakes are said here, not found in a table of results.
    nats = np.asarray(score(pairs), dtype=np.float64)
    if nats.shape != (len(pairs),) or np.isnan(nats).any():
        raise ValueError(
            f"score must return one number for each of the {len(pairs)} pairs, got shape "
            f"{nats.shape}"
        )
    # Log probabilities handed over as they are would make the least likely option the answer.
    if np.any(nats < -1e-6):
        raise ValueError(
            "score must return nats, -ln p, which are never below 0: negate log probabilities"
        )
    return nats


def _is_lowest(nats: np.ndarray, answer: int) -> bool:
    """True where the answer is below every other option by more than rounding."""
    # 1e-9 nats: far below what separates two options, above what the order of a sum changes.
    return bool(np.all(np.delete(nats, answer) > nats[answer] + 1e-9))
