"""How a story model becomes an assistant: special tokens, a corpus of dialogues, a recipe.

The handbook's documents are dealt into three hands, one of which is held out: no question about
those documents is trained on, not even with other numbers in it. Which hand it is follows from the
seed, so that three seeds together ask every question once.

Trade-off: the tokenizer stays the base's, learned on stories; handbook words cost more tokens than
a tokenizer of their own would charge, but every row that the base has learned keeps its meaning.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors

from tinylm.assistant.conversation import Dialogue, encode_dialogues, with_roles, with_rows
from tinylm.assistant.dialogues import Case, cases
from tinylm.assistant.reading_practice import Practice
from tinylm.config import CorpusConfig, Recipe, SampleConfig
from tinylm.corpora.handbook import Question, handbook, questions
from tinylm.runs import Run, file_entry, open_run, save_files
from tinylm.text.batches import Corpus
from tinylm.text.token_files import write_ids
from tinylm.text.tokenizers import Tokenizer
from tinylm.training.checkpoint import model_files, trained
from tinylm.training.folders import create_folder
from tinylm.training.load import load_model, token_file
from tinylm.training.parents import parent_record

HANDS = 3


def held_out(seed: int) -> set[str]:
    """Names of the handbook's documents that are kept from training with this seed."""
    return {
        name for number, name in enumerate(sorted(handbook(1))) if number % HANDS == seed % HANDS
    }


def questions_held_out(seed: int) -> list[Question]:
    """The questions about them."""
    return [question for question in questions() if question.document in held_out(seed)]


def handbook_practice(seed: int) -> Practice:
    """Reading practice on all other documents."""
    return Practice(
        {name: text for name, text in handbook(1).items() if name not in held_out(seed)},
        questions(),
    )


def assistant_cases(seed: int, count: int) -> list[Case]:
    """Training cases of one seed."""
    return list(islice(cases(handbook_practice(seed), seed), count))


def dialogue_corpus(
    tokenizer: Tokenizer, dialogues: Iterable[Dialogue], name: str, valid: int = 200
) -> Corpus:
    """Dialogues as a corpus with masks; the last `valid` of them are kept for validation."""
    dialogues = list(dialogues)
    train, train_mask = encode_dialogues(dialogues[:-valid], tokenizer)
    held, held_mask = encode_dialogues(dialogues[-valid:], tokenizer)
    return Corpus(tokenizer, train, held, name, train_mask=train_mask, valid_mask=held_mask)


def assistant_recipe(base: Recipe, parent: Run | None, seed: int, steps: int) -> Recipe:
    """A recipe in the base's shape that learns dialogues, from the parent's weights or from random
    ones."""
    train = base.train.model_copy(
        update={"steps": steps, "seed": seed, "evaluate_every": max(1, steps // 4)}
    )
    return base.model_copy(
        update={
            "name": "assistant", "purpose": "Learn to search, to call tools and to answer",
            "start_from": str(parent.folder) if parent else None,
            "corpus": CorpusConfig(text="handbook", document_token=True),
            "train": train, "sample": SampleConfig(every=steps, prompts=()),
        }
    )  # fmt: skip


def prepared(base: Run, folder: Path) -> Run:
    """The base with rows for the special tokens of conversations, as a run that a fine-tune can
    start from.

    Nothing is learned yet: the new rows are drawn at random, everything else is the base's.
    """
    if (folder / "manifest.json").is_file():
        return open_run(folder)
    model, tokenizer, recipe = load_model(base)
    tokenizer = with_roles(tokenizer)
    model = with_rows(model, tokenizer.vocab_size, torch.Generator().manual_seed(recipe.train.seed))
    create_folder(folder, replace=True)
    kept = [
        write_ids(folder / "data" / side, [token_file(base, side)]) for side in ("train", "valid")
    ]
    files = model_files(recipe.model_copy(update={"model": model.config}), model.config, tokenizer)
    files["model/model.safetensors"] = to_safetensors(trained(model))
    entries = {f"data/{path.name}": file_entry(path) for path in kept}
    save_files(
        folder, files, {**base.manifest, "files": entries, "parent": parent_record(folder, base)}
    )
    return open_run(folder)
