"""What the lessons on retrieval, tools and the assistant share: the assistant itself, trained once
a seed."""

from dataclasses import dataclass

from tinylm.assistant.retrieval import Index
from tinylm.assistant.runtime import Assistant
from tinylm.assistant.tools import Orders, Search, calculator, toolbox
from tinylm.assistant.training import assistant_cases, assistant_recipe, dialogue_corpus, prepared
from tinylm.corpora.handbook import handbook
from tinylm.lessons.experiment import Experiment, WithProgress, hash_of, settings_of, train_to_end
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.training.load import load_model


@dataclass(frozen=True)
class Size:
    """How much the assistant practises."""

    dialogues: int
    valid: int
    steps: int


SIZES = {"smoke": Size(60, 10, 3), "full": Size(40_000, 200, 1_600)}


def start_of(experiment: Experiment, seed: int) -> WithProgress:
    """The shared base of this seed with rows for the special tokens; returns its run."""
    base = yield from experiment.base(seed)
    return prepared(
        base, experiment.out.parent / f"prepared-seed-{seed}-{hash_of(base.fingerprint)}"
    )


def corpus_of(experiment: Experiment, parent: Run, seed: int) -> Corpus:
    """The dialogues of this seed, in the parent's tokens."""
    size = SIZES[experiment.scale]
    dialogues = [case.dialogue for case in assistant_cases(seed, size.dialogues)]
    return dialogue_corpus(
        load_model(parent).tokenizer, dialogues, f"assistant dialogues, seed {seed}", size.valid
    )


def assistant(experiment: Experiment, seed: int) -> WithProgress:
    """The assistant of this seed, fine-tuned from the shared base on first use by any lesson;
    returns its run."""
    parent = yield from start_of(experiment, seed)
    recipe = assistant_recipe(
        experiment.base_recipe(seed), parent, seed, SIZES[experiment.scale].steps
    )
    key = hash_of([settings_of(recipe), parent.fingerprint, SIZES[experiment.scale].dialogues])
    folder = experiment.out.parent / f"assistant-seed-{seed}-{key}"
    run = yield from train_to_end(
        recipe, folder, corpus_of(experiment, parent, seed), f"shared assistant, seed {seed}"
    )
    experiment.base_seconds += run.manifest["seconds"]
    return run


def equipped(
    run: Run, documents: dict[str, str] | None = None, orders: Orders | None = None
) -> Assistant:
    """A conversation with a run's model, the documents (default: the handbook), the calculator and
    the orders desk."""
    model, tokenizer, _ = load_model(run)
    search = Search(Index(handbook(1) if documents is None else documents))
    tools = toolbox(calculator(), search.tool(), *(orders or Orders()).tools())
    return Assistant(model, tokenizer, tools, search)
