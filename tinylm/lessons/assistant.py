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
    control         the stranger: what practice alone brings. A hire that is no better would have
                    gained nothing from its education
    price           the base's training, which the stranger is spared; steps and tokens of the
                    practice are equal
    seeds           three: each with a base, dialogues, held-out documents and messages of its own
    control run     the hire's base has read noise (shared.noise_base): as much training, and no
                    education. Practice and stranger stay. Expected: no more right answers than the
                    stranger gives

Tried before. The verdict first asked that decisions and answers reach hoped-for sizes too. Those
are targets now.

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
from tinylm.lessons.assistants import percent_arm, pooled
from tinylm.lessons.experiment import Experiment, Progress, WithProgress
from tinylm.lessons.lesson import Arm, Lesson, Result, above, dots, together
from tinylm.lessons.shared import noise_base
from tinylm.runs import Run

TEST_SEED = 20_000  # beyond all training seeds, and beyond those of the lesson tools
MIX = {  # how many of a hundred messages are of each kind
    "known": 35,  # about documents in the index, none of which was trained on
    "unknown": 15,  # about a document that was taken out of the index
    "foreign": 5,  # about what no handbook holds
    "calculator": 15,  # large numbers: a call
    "order": 10,  # a record: a call to the database
    "book": 5,  # a call that writes: the right answer is to propose it, and to wait
    "step": 10,  # small numbers: worked in steps, without a tool
    "talk": 5,  # the words come from the weights
}
NOT_KNOWABLE = ("unknown", "foreign")  # "I don't know." is the right answer
HIRE, STRANGER = "educated hire", "stranger"
UNIT = "% of messages"


@dataclass(frozen=True)
class Message:
    """A case, and the documents that can be searched when it is asked."""

    kind: str
    case: Case
    without: str = ""  # a document that is not in the index


Rows = list[dict[str, Any]]  # one a message, as `examine` makes them


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """The same messages for the educated hire and the stranger."""
    rows: dict[str, list[Rows]] = {HIRE: [], STRANGER: []}  # a list for each seed
    share = 1.0 if experiment.scale == "full" else 0.03  # of the mix; smoke asks one of each kind
    for seed in experiment.seeds:
        base = (yield from noise_base(experiment, seed)) if experiment.control else None
        models = {
            # Both practise on the same dialogues; only what they were before differs.
            HIRE: (yield from assistants.assistant(experiment, seed, base)),
            STRANGER: (yield from from_scratch(experiment, seed)),
        }
        for place, (name, model) in enumerate(models.items()):
            yield Progress(f"asking, seed {seed}", place, len(models))
            # The mix is among the settings: with another one the messages are asked again.
            settings = [model.fingerprint, share, MIX]
            asked = partial(examine, model, seed, share)
            rows[name].append(experiment.measure(f"{name}, seed {seed}", settings, asked))
    return conclude(rows)


def from_scratch(experiment: Experiment, seed: int) -> WithProgress:
    """The assistant's training from random weights, with the same tokenizer."""
    # The parent lends its tokenizer and the corpus in its tokens, but no weights: the ids that both
    # models read are the same.
    parent = yield from assistants.start_of(experiment, seed)
    steps = assistants.SIZES[experiment.scale].steps
    recipe = assistant_recipe(experiment.base_recipe(seed), None, seed, steps)
    corpus = assistants.corpus_of(experiment, parent, seed)
    return (yield from experiment.train(f"{STRANGER}, seed {seed}", recipe, corpus))


# -- asking ---------------------------------------------------------------------------------------


def messages(seed: int, share: float, orders: Orders) -> list[Message]:
    """The mix, at least one of each kind, with orders that are in the database."""
    chance, practice = Chance(TEST_SEED + seed), handbook_practice(seed)
    drawn: list[Message] = []
    for kind, of_hundred in MIX.items():
        # At smoke scale the rounding would lose the rare kinds.
        count = max(1, round(share * of_hundred))
        if kind in ("known", "unknown"):
            drawn += about_documents(kind, seed, count)
        elif kind == "order":
            # Drawn from the database: an order that does not exist would need no looking up.
            numbers = [chance.pick(orders.numbers()) for _ in range(count)]
            looked_for = [order(chance, number, orders.look_up(number)) for number in numbers]
            drawn += [Message(kind, case) for case in looked_for]
        else:
            # The training's own generator with a seed that training never had: other numbers.
            new_cases = cases(practice, TEST_SEED + seed, ((kind, 1.0),))
            answerable = (case for case in new_cases if not fails(case))
            drawn += [Message(kind, case) for case in islice(answerable, count)]
    return drawn


def about_documents(kind: str, seed: int, count: int) -> list[Message]:
    """Questions about documents that the assistant of this seed has never seen.

    "known" takes every other held-out question from the first on, "unknown" every other one from
    the middle on; of the latter the document is taken out of the index.
    """
    held = questions_held_out(seed)
    about: list[Message] = []
    if kind == "known":
        for question in held[::2][:count]:
            reading = Reading(question.evidence, question.question, question.answer)
            about.append(Message(kind, looked_up(reading)))
    else:
        for question in held[len(held) // 2 :: 2][:count]:
            # Without evidence the right answer of the case is "I don't know."
            reading = Reading("", question.question)
            about.append(Message(kind, looked_up(reading), without=question.document))
    return about


def fails(case: Case) -> bool:
    """Whether a tool fails in this case, as it now and then does in training."""
    return case.answer == SORRY


def examine(run: Run, seed: int, share: float) -> Rows:
    """Ask every message; a row each, with the decision and the answer and whether they are
    right."""
    # Both models get a database of the same seed, and so the same orders.
    orders, documents = Orders(TEST_SEED + seed), handbook(1)
    # One assistant for all messages: only a proposal that waits for a yes outlives a turn.
    assistant = assistants.equipped(run, documents, orders)
    assert assistant.search is not None
    full, rows = assistant.search.index, []
    for message in messages(seed, share, orders):
        left = {name: text for name, text in documents.items() if name != message.without}
        # Another document may hold a passage that looks like an answer: the model has to refuse it.
        assistant.search.index = full.updated(left) if message.without else full
        # The whole conversation runs: the model decides, the program searches and calls.
        outcome = ask(assistant, message.case.message)
        case = message.case
        rows.append(
            {
                "kind": message.kind,
                **outcome.to_json(),
                "expected": case.answer,
                # Kept apart: a right decision may end in a wrong answer, and a wrong one in luck.
                "decision right": outcome.decision == case.decision,
                "right": same_answer(outcome.answer, case.answer, case.message),
            }
        )
    return rows


# -- what follows ---------------------------------------------------------------------------------


def conclude(rows: dict[str, list[Rows]]) -> Result:
    """The verdict: the educated hire answers more than the stranger, and mostly decides rightly."""
    arms = arms_of(rows)
    mean = {arm.name: arm.interval.mean for arm in arms}
    hire, seeds = pooled(rows[HIRE])
    stranger, _ = pooled(rows[STRANGER])
    # Paired: both were asked the same messages in the same order.
    gain = paired_difference(hire, stranger, groups=seeds)
    # "Capable" needs a floor of its own: being better than a stranger who fails is not enough.
    decisions, seeds = pooled(rows[HIRE], "decision right")
    mostly = above(interval(decisions, groups=seeds), 0.5)
    # Decisions stand beside answers: what is lost between them is lost in reading and copying.
    title = (
        f"{mean['right decisions']:.0f} % right decisions, {mean['right answers']:.0f} % right "
        "answers"
    )
    return Result(
        together(above(gain), mostly),
        sentence(mean),
        arms,
        {"assistant.png": dots(title, arms, UNIT)},
        {
            "right decisions >= 90 %": mean["right decisions"] >= 90,
            "right answers >= 85 %": mean["right answers"] >= 85,
            '"I don\'t know" >= 80 % of the unknown': mean["unknown told as such"] >= 80,
        },
        {"by_kind": shares_by_kind(rows[HIRE]), "rows": rows},
    )


def arms_of(rows: dict[str, list[Rows]]) -> list[Arm]:
    """Decisions and answers of both models, and the hire's answers to what it cannot know."""
    # An assistant that always answers looks good on the rest: this arm shows what it invents.
    not_knowable = of_kinds(rows[HIRE], NOT_KNOWABLE)
    return [
        percent_arm("right decisions", UNIT, rows[HIRE], "decision right"),
        percent_arm("right answers", UNIT, rows[HIRE], "right"),
        percent_arm("unknown told as such", UNIT, not_knowable, "right"),
        # What the same practice brings without the stories that the base has read.
        percent_arm("stranger: right decisions", UNIT, rows[STRANGER], "decision right"),
        percent_arm("stranger: right answers", UNIT, rows[STRANGER], "right"),
    ]


def of_kinds(rows_by_seed: Sequence[Rows], kinds: Sequence[str]) -> list[Rows]:
    """The rows of these kinds of message, for each seed."""
    # The seeds stay apart, since the interval is over them.
    return [[row for row in rows if row["kind"] in kinds] for rows in rows_by_seed]


def sentence(mean: dict[str, float]) -> str:
    """The outcome with its numbers, which are percentages by arm."""
    return (
        f"One small model decides rightly what to do with {mean['right decisions']:.0f} % of the "
        f"mixed messages and answers {mean['right answers']:.0f} % rightly; of what it cannot "
        f"know, it says so for {mean['unknown told as such']:.0f} %. The same training from random "
        f"weights: {mean['stranger: right decisions']:.0f} % and "
        f"{mean['stranger: right answers']:.0f} %."
    )


def shares_by_kind(rows_by_seed: Sequence[Rows]) -> dict[str, dict[str, float]]:
    """Shares of right decisions and of right answers for each kind of message."""
    shares: dict[str, dict[str, float]] = {}
    # No interval: some kinds have five messages a seed, too few for more than a hint.
    for kind in MIX:
        own = of_kinds(rows_by_seed, [kind])
        shares[kind] = {
            field: right_share(pooled(own, field)[0]) for field in ("decision right", "right")
        }
    return shares


def right_share(values: Sequence[bool]) -> float:
    """The share of true values; 0 of none."""
    return sum(values) / max(1, len(values))


LESSON = Lesson(
    name="assistant",
    claim="A foundation model with retrieval and tools makes a capable assistant.",
    question="Does one small model know when to answer, to work in steps, to search and to call, "
    "and is it then right?",
    control="The base that the assistant starts from was trained on random tokens.",
    minutes=11.0,
    base_minutes=18.0,
    run=run,
)
