"""From a recipe to a trainer that is ready to run: the only place where the parts come together.

    trainer = start_run(load_recipe("demo-base"), Path("runs/base"))
    for record in trainer.run(): ...

A run that was interrupted goes on in resume.py.
"""

import copy
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors

from tinylm.config import Recipe
from tinylm.corpora.build import build_corpus, has_documents
from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora, lower_frozen
from tinylm.runs import Run
from tinylm.text.token_files import read_ids, write_ids
from tinylm.text.tokenizer_files import load_tokenizer
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.checkpoint import trained
from tinylm.training.environment import environment
from tinylm.training.estimate import fit_into
from tinylm.training.fitting import fit_training, fit_vocabulary, fitted_note
from tinylm.training.folders import REFERENCE, new_folder
from tinylm.training.load import load_model, resized, token_file
from tinylm.training.parents import check_shape, open_parent, parent_record
from tinylm.training.performance import compiled, fix_order, keep_freed_memory
from tinylm.training.reward import RewardTrainer
from tinylm.training.trainer import Trainer


def start_run(recipe: Recipe, folder: Path, overwrite: bool = False) -> Trainer:
    """Make the run folder, its token files and its model, and put a trainer on top of them.

    The model has random weights, or those of the run `recipe.start_from`. `train.max_minutes`
    becomes a number of steps here, once, and the schedule with it. Raises ValueError for anything a
    person can mend (text, parent, folder); the folder is then taken away again.
    """
    keep_freed_memory()
    started = time.perf_counter()
    # 1. What the run starts from, and what its corpus can do.
    parent = open_parent(Path(recipe.start_from)) if recipe.start_from else None
    usable = with_usable_marks(recipe, parent)
    # 2. An empty folder, locked.
    with new_folder(folder, overwrite) as lock:
        # 3. Text to token files, a model, a trainer.
        trainer = fine_tuning(usable, folder, parent) if parent else pretraining(usable, folder)
        trainer.started = started
        # 4. What a person should know before the start.
        trainer.notices += [f"left out: {document}" for document in trainer.corpus.skipped]
        if usable != recipe:
            reason = "the text, or the base run's tokenizer, knows no documents"
            trainer.notices.append(f"document_token is off: {reason}")
        trainer.notices += fitted_note(usable, trainer.recipe, len(trainer.corpus.train))
        trainer.notices += doubts(trainer)
        # 5. Faster steps, and as many of them as the time allows.
        return ready(trainer, lock)


def ready(trainer: Trainer, lock: object) -> Trainer:
    """The trainer with its folder's lock, its fastest steps, and as many as its time allows."""
    train = trainer.recipe.train
    trainer.lock, trainer.environment = lock, environment
    fix_order(trainer.compute.device)
    if trainer.recipe.lora is not None:
        lower_frozen(trainer.model, trainer.compute.dtype)
    if train.compile:
        trainer = compiled(trainer)
    return trainer if train.max_minutes is None else fit_into(train.max_minutes, trainer)


def pretraining(recipe: Recipe, folder: Path) -> Trainer:
    """A trainer with fresh weights and a tokenizer of its own."""
    recipe = fit_vocabulary(recipe)
    corpus = build_corpus(recipe, folder / "data")
    recipe = fit_training(recipe, len(corpus.train), recipe.model.context)
    # the one derived field
    config = recipe.model.model_copy(update={"vocab_size": corpus.tokenizer.vocab_size})
    model = GPT(config)
    model.initialise(torch.Generator().manual_seed(recipe.train.seed))
    return Trainer(recipe, corpus, model, folder)


def fine_tuning(recipe: Recipe, folder: Path, parent: Run) -> Trainer:
    """A trainer that starts from another run's best weights and keeps an eye on that run's
    validation text."""
    check_shape(recipe.model, parent)
    loaded = load_model(parent)
    corpus = build_corpus(recipe, folder / "data", loaded.tokenizer)
    own_context = "context" in recipe.model.model_fields_set
    context = recipe.model.context if own_context else loaded.model.config.context
    recipe = fit_training(recipe, len(corpus.train), context)
    model = resized(loaded.model, recipe.model)
    base = write_ids(folder / "data" / "base_valid", [token_file(parent, "valid")])
    corpus = replace(corpus, base_valid=read_ids(base))
    reference = copy.deepcopy(model) if recipe.reward is not None else None
    if recipe.lora is not None:
        attach_lora(model, recipe.lora, torch.Generator().manual_seed(recipe.train.seed))
    record = parent_record(folder, parent)
    if reference is None:
        return Trainer(recipe, corpus, model, folder, record)
    if recipe.lora is None:  # an adapter's reference is its parent, which is there anyway
        (folder / REFERENCE).write_bytes(to_safetensors(trained(reference)))
    return RewardTrainer(recipe, corpus, model, folder, record, reference)


def with_usable_marks(recipe: Recipe, parent: Run | None) -> Recipe:
    """The recipe with `document_token` off where the text is undivided or the parent's tokenizer
    has no such token."""
    usable = has_documents(recipe.corpus) and (
        parent is None or DOCUMENT in load_tokenizer(parent.path("model/tokenizer.json")).specials
    )
    corpus = recipe.corpus.model_copy(
        update={"document_token": recipe.corpus.document_token and usable}
    )
    return recipe.model_copy(update={"corpus": corpus})


def doubts(trainer: Trainer) -> list[str]:
    """What looks like a mistake in a run that could be started all the same, one line each."""
    train, ids = trainer.recipe.train, trainer.corpus.train
    notices = []
    rates = {train.learning_rate, train.muon_learning_rate if train.optimizer == "muon" else 0.0}
    if rates == {0.0}:
        notices.append("the learning rate is 0: the run measures, but learns nothing")
    if (ids[0] == ids).all():
        notices.append(
            "the training text repeats a single token: there is nothing to learn from it but that"
        )
    return notices
