"""chat --model: an imported model as the assistant, which practises on first use."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tinylm.commands.terminal import say

if TYPE_CHECKING:
    from tinylm.assistant.runtime import Event
    from tinylm.runs import Run

Worded = Callable[[Iterator["Event"], str], Iterator["Event"]]


def can_practise(model: "Run") -> bool:
    """Whether a run is an imported model whose tokenizer has what the assistant's roles need."""
    from tinylm.assistant.protocol import lacking
    from tinylm.text.tokenizer_files import load_tokenizer

    return not lacking(load_tokenizer(model.path("model/tokenizer.json")))


def practised(model: "Run", out: Path) -> "Run":
    """The assistant made from a model, in a folder of `out` named after its weights; it practises
    there before the first conversation, which is told and drawn as a bar."""
    from tinylm.assistant.graduate import SIZES, practice, practice_corpus, practice_recipe
    from tinylm.commands.progress import follow
    from tinylm.lessons.experiment import is_finished, open_trainer
    from tinylm.runs import open_run
    from tinylm.text.tokenizer_files import load_tokenizer

    folder, size = out / f"practised-{model.fingerprint[:10]}", SIZES["full"]
    if not is_finished(folder):
        say(f"{model.folder} practises on first use, about eight minutes on two cores; it is kept "
            f"in {folder}.")  # fmt: skip
        tokenizer = load_tokenizer(model.path("model/tokenizer.json"))
        corpus = practice_corpus(tokenizer, practice(1, size), size.valid, "practice, seed 1")
        if not follow(open_trainer(folder, practice_recipe(model, corpus, 1, size), corpus)):
            sys.exit(130)
    return open_run(folder)


def in_sentences(trained: "Run") -> Worded:
    """A wrapper of replies: the model that the assistant was made from words what is quoted."""
    from tinylm.assistant.protocol import ChatTokens
    from tinylm.assistant.wording import Wording, worded
    from tinylm.training.load import load_model
    from tinylm.training.parents import parent_of

    model, tokenizer, _ = load_model(parent_of(trained))
    wording = Wording(model, ChatTokens(tokenizer))
    return lambda events, question: worded(events, question, wording)
