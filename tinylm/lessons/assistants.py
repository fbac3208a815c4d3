"""What the lessons on retrieval, tools and the assistant share: the assistant itself, trained once
a seed, and how marked answers become an arm.

Design. No claim is tested here. The three lessons examine one assistant, so that "it searches",
"it calls" and "it does all of it" are said of the same weights.

    constant        base, dialogues, steps and tokenizer of the assistant of a seed
    seeds           three: each has a base, dialogues and held-out documents of its own
    price           1,600 steps a seed, counted once as the minutes of a shared base

Trade-off: a mistake in these dialogues weakens all three lessons at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinylm.assistant.retrieval import Index
from tinylm.assistant.runtime import Assistant
from tinylm.assistant.tools import Orders, Search, calculator, toolbox
from tinylm.assistant.training import assistant_cases, assistant_recipe, dialogue_corpus, prepared
from tinylm.corpora.handbook import handbook
from tinylm.evaluation.statistics import interval
from tinylm.lessons.experiment import Experiment, WithProgress, hash_of, settings_of, train_to_end
from tinylm.lessons.lesson import Arm
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.training.load import load_model


@dataclass(frozen=True)
class Size:
    """How much the assistant practises."""

    dialogues: int  # in all, those for validation included
    valid: int  # the last so many are kept for validation
    steps: int


SIZES = {"smoke": Size(60, 10, 3), "full": Size(40_000, 200, 1_600)}

# Graded messages: a list for each seed, a row for each message with at least the fields counted.
RowsBySeed = Sequence[Sequence[dict[str, Any]]]


def start_of(experiment: Experiment, seed: int, base: Run | None = None) -> WithProgress:
    """The shared base of this seed, or another one, with rows for the special tokens; returns its
    run."""
    base = base or (yield from experiment.base(seed))
    # The base has never seen <|user|> or <|call|>: its token table gets a random row for each.
    # The folder stands beside the lessons, since all of them start here.
    folder = experiment.out.parent / f"prepared-seed-{seed}-{hash_of(base.fingerprint)}"
    return prepared(base, folder)


def corpus_of(experiment: Experiment, parent: Run, seed: int) -> Corpus:
    """The dialogues of this seed, in the parent's tokens."""
    size = SIZES[experiment.scale]
    # Drawn without the documents that this seed holds out (assistant/training.py).
    dialogues = [case.dialogue for case in assistant_cases(seed, size.dialogues)]
    return dialogue_corpus(
        load_model(parent).tokenizer, dialogues, f"assistant dialogues, seed {seed}", size.valid
    )


def assistant(experiment: Experiment, seed: int, base: Run | None = None) -> WithProgress:
    """The assistant of this seed, fine-tuned from the shared base on first use by any lesson, or
    from another one; returns its run."""
    parent = yield from start_of(experiment, seed, base)
    # The base's shape and tokens, on dialogues: only the text and the mask are new.
    recipe = assistant_recipe(
        experiment.base_recipe(seed), parent, seed, SIZES[experiment.scale].steps
    )
    # The corpus follows from the seed and the number of dialogues, so these stand for it.
    key = hash_of([settings_of(recipe), parent.fingerprint, SIZES[experiment.scale].dialogues])
    # Another name for another base: notebooks talk to whatever is called assistant-seed.
    stage = "assistant" if base is None else "control-assistant"
    folder = experiment.out.parent / f"{stage}-seed-{seed}-{key}"
    corpus = corpus_of(experiment, parent, seed)
    run = yield from train_to_end(recipe, folder, corpus, f"shared {stage}, seed {seed}")
    # Counted with the base and not with the lesson: the next lesson finds it finished.
    experiment.base_seconds += run.manifest["seconds"]
    return run


def equipped(
    run: Run, documents: dict[str, str] | None = None, orders: Orders | None = None
) -> Assistant:
    """A conversation with a run's model, the documents (default: the handbook), the calculator and
    the orders desk."""
    model, tokenizer, _ = load_model(run)
    # `None` and not falsehood: a caller may want a search over no documents at all.
    search = Search(Index(handbook(1) if documents is None else documents))
    tools = toolbox(calculator(), search.tool(), *(orders or Orders()).tools())
    # The search is handed over too: it looks for the user's words, not for the model's.
    return Assistant(model, tokenizer, tools, search)


# -- what follows ---------------------------------------------------------------------------------


def pooled(rows_by_seed: RowsBySeed, field: str = "right") -> tuple[list[bool], list[int]]:
    """One field of all rows, seed after seed, and the seed of each.

    >>> pooled([[{"right": True}], [{"right": False}, {"right": True}]])
    ([True, False, True], [0, 1, 1])
    """
    values: list[bool] = []
    seeds: list[int] = []  # answers of one model hang together: an interval has to know which
    for seed, rows in enumerate(rows_by_seed):
        for row in rows:
            values.append(bool(row[field]))
            seeds.append(seed)
    return values, seeds


def percent_arm(name: str, unit: str, rows_by_seed: RowsBySeed, field: str = "right") -> Arm:
    """The percentage of rows whose `field` holds, for each seed and with its interval."""
    percents = [100 * sum(row[field] for row in rows) / len(rows) for rows in rows_by_seed]
    values, seeds = pooled(rows_by_seed, field)
    # Over the seeds, and never narrower than over the questions alone: see `statistics.interval`.
    spread = interval([100.0 * value for value in values], groups=seeds)
    return Arm(name, unit, percents, spread)
