"""A foundation model with retrieval and tools makes a capable assistant.

Design. A hundred mixed messages a seed, none of them trained on: questions about held-out documents
of the handbook, questions about documents that were taken out of the index ("I don't know." is
right), questions about something else altogether, sums large and small, orders, berths, small talk.

    manipulated     the start of the assistant's training:
                      educated hire   the shared base, which has read stories
                      stranger        random weights
    constant        dialogues, steps, tokens, network, tokenizer, messages, grading
    effect          right answers, educated hire minus stranger; and the hire's first decisions
                    (which kind of part it begins with, which tool it names)
    null            0 for the difference, one half for the decisions
    control         the stranger: what practice alone brings
    seeds           three

Trade-off: after a search nothing can be called (assistant/runtime.py), so no message here needs a
passage and a sum.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from tinylm.assistant.dialogues import SORRY, Case, cases, looked_up, order
from tinylm.assistant.grading import ask, same_answer
from tinylm.assistant.reading_practice import Reading
from tinylm.assistant.tools import Orders
from tinylm.assistant.training import assistant_recipe, handbook_practice, questions_held_out
from tinylm.corpora.chance import Chance
from tinylm.corpora.handbook import handbook
from tinylm.evaluation.statistics import interval, paired_difference
from tinylm.lessons import assistants
from tinylm.lessons.experiment import Experiment, Progress, WithProgress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, dots, together
from tinylm.runs import Run

TEST_SEED = 20_000  # beyond all training seeds
MIX = {  # how many of a hundred messages are of each kind
    "known": 35, "unknown": 15, "foreign": 5, "calculator": 15, "order": 10, "book": 5, "step": 10,
    "talk": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """A case, and the documents that can be searched when it is asked."""

    kind: str
    case: Case
    without: str = ""  # a document that is not in the index


Rows = list[dict[str, Any]]


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """The same messages for the educated hire and the stranger."""
    rows: dict[str, list[Rows]] = {"educated hire": [], "stranger": []}
    share = 1.0 if experiment.scale == "full" else 0.03
    for seed in experiment.seeds:
        hire = yield from assistants.assistant(experiment, seed)
        stranger = yield from from_scratch(experiment, seed)
        for place, (name, model) in enumerate(
            {"educated hire": hire, "stranger": stranger}.items()
        ):
            yield Progress(f"asking, seed {seed}", place, 2)
            function = partial(examine, model, seed, share)
            rows[name].append(
                experiment.measure(
                    f"{name}, seed {seed}", [model.fingerprint, share, MIX], function
                )
            )
    return conclude(rows)


def from_scratch(experiment: Experiment, seed: int) -> WithProgress:
    """The assistant's training from random weights, with the same tokenizer."""
    parent = yield from assistants.start_of(experiment, seed)
    recipe = assistant_recipe(
        experiment.base_recipe(seed), None, seed, assistants.SIZES[experiment.scale].steps
    )
    return (
        yield from experiment.train(
            f"stranger, seed {seed}", recipe, assistants.corpus_of(experiment, parent, seed)
        )
    )


# -- asking ---------------------------------------------------------------------------------------


def messages(seed: int, share: float, orders: Orders) -> list[Message]:
    """The mix, at least one of each kind, with orders that are in the database."""
    chance, practice = Chance(TEST_SEED + seed), handbook_practice(seed)
    held, numbers = questions_held_out(seed), orders.numbers()
    messages_drawn: list[Message] = []
    for kind, of_hundred in MIX.items():
        count = max(1, round(share * of_hundred))
        if kind in ("known", "unknown"):
            first = 0 if kind == "known" else len(held) // 2
            for question in held[first::2][:count]:
                if kind == "known":
                    case = looked_up(Reading(question.evidence, question.question, question.answer))
                    messages_drawn.append(Message(kind, case))
                else:
                    messages_drawn.append(
                        Message(kind, looked_up(Reading("", question.question)), question.document)
                    )
        elif kind == "order":
            places = [chance.pick(numbers) for _ in range(count)]
            messages_drawn += [
                Message(kind, order(chance, place, orders.look_up(place))) for place in places
            ]
        else:
            drawn = cases(practice, TEST_SEED + seed, ((kind, 1.0),))
            messages_drawn += [
                Message(kind, case) for case in islice((c for c in drawn if not fails(c)), count)
            ]
    return messages_drawn


def fails(case: Case) -> bool:
    """Whether a tool fails in this case, as it now and then does in training."""
    return case.answer == SORRY


def examine(run: Run, seed: int, share: float) -> Rows:
    """Ask every message; a row each, with the decision and the answer and whether they are
    right."""
    orders, documents = Orders(TEST_SEED + seed), handbook(1)
    assistant = assistants.equipped(run, documents, orders)
    assert assistant.search is not None
    full, rows = assistant.search.index, []
    for message in messages(seed, share, orders):
        left = {name: text for name, text in documents.items() if name != message.without}
        assistant.search.index = full.updated(left) if message.without else full
        outcome = ask(assistant, message.case.message)
        rows.append(
            {
                "kind": message.kind, **outcome.to_json(), "expected": message.case.answer,
                "decision right": outcome.decision == message.case.decision,
                "right": same_answer(outcome.answer, message.case.answer, message.case.message),
            }
        )  # fmt: skip
    return rows


# -- what came out --------------------------------------------------------------------------------


def conclude(rows: dict[str, list[Rows]]) -> Result:
    """The verdict: the educated hire answers more than the stranger, and mostly decides rightly."""

    def flat(
        name: str, field: str, kinds: Sequence[str] = tuple(MIX)
    ) -> tuple[list[bool], list[int]]:
        pairs = [
            (bool(row[field]), seed)
            for seed, of in enumerate(rows[name])
            for row in of
            if row["kind"] in kinds
        ]
        return [value for value, _ in pairs], [seed for _, seed in pairs]

    def arm(label: str, name: str, field: str, kinds: Sequence[str] = tuple(MIX)) -> Arm:
        values, groups = flat(name, field, kinds)
        seeds = [[row[field] for row in of if row["kind"] in kinds] for of in rows[name]]
        spread = interval([100.0 * value for value in values], groups=groups)
        return Arm(label, "% of messages", [100 * sum(of) / len(of) for of in seeds], spread)

    arms = [
        arm("right decisions", "educated hire", "decision right"),
        arm("right answers", "educated hire", "right"),
        arm("unknown told as such", "educated hire", "right", ("unknown", "foreign")),
        arm("stranger: right decisions", "stranger", "decision right"),
        arm("stranger: right answers", "stranger", "right"),
    ]
    mean = {arm.name: arm.interval.mean for arm in arms}
    (hire, groups), (stranger, _) = flat("educated hire", "right"), flat("stranger", "right")
    decisions, seeds = flat("educated hire", "decision right")
    verdict = together(
        above(paired_difference(hire, stranger, groups=groups)),
        above(interval(decisions, groups=seeds), 0.5),
    )
    sentence = (
        f"One small model decides rightly what to do with {mean['right decisions']:.0f} % of the "
        f"mixed messages and answers {mean['right answers']:.0f} % rightly; of what it cannot "
        f"know, it says so for {mean['unknown told as such']:.0f} %. The same training from random "
        f"weights: {mean['stranger: right decisions']:.0f} % and "
        f"{mean['stranger: right answers']:.0f} %."
    )
    targets = {
        "right decisions >= 90 %": mean["right decisions"] >= 90,
        "right answers >= 85 %": mean["right answers"] >= 85,
        '"I don\'t know" >= 80 % of the unknown': mean["unknown told as such"] >= 80,
    }
    title = (
        f"{mean['right decisions']:.0f} % right decisions, {mean['right answers']:.0f} % right "
        "answers"
    )
    by_kind = {kind: {field: right_share(flat("educated "
                                        "hire", field, [kind])[0]) for field in ("decision right",
                                        "right")}
               for kind in MIX}  # fmt: skip
    figures = {"assistant.png": dots(title, arms, "% of messages")}
    return Result(verdict, sentence, arms, figures, targets, {"by_kind": by_kind, "rows": rows})


def right_share(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))


LESSON = Lesson(
    name="assistant",
    claim="A foundation model with retrieval and tools makes a capable assistant.",
    question="Does one small model know when to answer, to work in steps, to search and to call, "
    "and is it then right?",
    minutes=11.0,
    base_minutes=18.0,
    run=run,
)
