"""An interrupted run goes on: its folder becomes a trainer again, at the last save."""

from pathlib import Path

import torch

from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora, lower_frozen
from tinylm.runs import LOGS, Run, holds, open_run, read_manifest, temporary, write_manifest
from tinylm.text.batches import Corpus
from tinylm.training.checkpoint import STATE
from tinylm.training.environment import environment
from tinylm.training.folders import REFERENCE
from tinylm.training.load import (
    load_corpus,
    load_model,
    read_state,
    read_tensors,
    resized,
    set_weights,
)
from tinylm.training.lock import lock_folder
from tinylm.training.parents import parent_of
from tinylm.training.performance import compiled, fix_order, keep_freed_memory
from tinylm.training.reward import RewardTrainer
from tinylm.training.trainer import PROGRESS, Trainer


def resume_run(folder: Path, lead: bool = True) -> Trainer:
    """The trainer of an interrupted run at its last save, from the run folder alone.

    (A LoRA run needs its parent too.) Of several processes that train one run, one takes the `lead`
    and with it the folder's lock. ValueError in one line where a file is damaged, where the run is
    finished already or another process trains it.
    """
    # The manifest is written last. A folder with a state and no manifest has no complete save.
    keep_freed_memory()
    if (folder / "state").is_dir() and not (folder / "manifest.json").exists():
        advice = "start it again with tinylm train"
        raise ValueError(f"{folder} was interrupted before its first save: {advice}")
    run = open_run(folder)
    if run.manifest["status"] == "imported":
        advice = "fine-tune it with --start-from"
        raise ValueError(f"{folder} was imported and has no steps to go on with: {advice}")
    # Locked before anything is changed: two processes would write into one another's files.
    lock = lock_folder(folder) if lead else None
    if lead:
        finish_save(folder)
        run = open_run(folder)  # the manifest may list newer files now
    if run.manifest["status"] == "finished":
        done = f"{run.manifest['step']} of {run.manifest['steps']} steps are done"
        early = run.manifest["step"] < run.manifest["steps"]
        why = ", and validation no longer improved (train.patience)" if early else ""
        raise ValueError(f"{folder} is finished: {done}{why}")
    # First a trainer as at the start of the run, then what has changed since.
    trainer = rebuild(run, load_corpus(run))
    restore(trainer, run)
    fix_order(trainer.compute.device)
    # Frozen matrices in the type of their products: with bf16 half the memory.
    if run.recipe.lora is not None:
        lower_frozen(trainer.model, trainer.compute.dtype)
    trainer.lock, trainer.environment = lock, environment
    return compiled(trainer) if run.recipe.train.compile else trainer


def rebuild(run: Run, corpus: Corpus) -> Trainer:
    """A trainer of the run's stage; its weights are still to be restored."""
    recipe, record = run.recipe, run.manifest["parent"]
    # One object for both: pretraining and fine-tuning have no reference.
    model = reference = GPT(run.model_config)
    if recipe.lora is not None:
        reference = load_model(parent_of(run)).model
        # A copy: attach_lora changes a model in place, and the reference has to stay the parent.
        model = resized(reference, recipe.model)
        attach_lora(model, recipe.lora, torch.Generator())
    if recipe.reward is None:
        return Trainer(recipe, corpus, model, run.folder, record)
    # All weights move in this run, so what they were before lies in a file of its own.
    if recipe.lora is None:
        path = run.path(REFERENCE)
        set_weights(reference := GPT(run.model_config), read_tensors(path)[0], path)
    return RewardTrainer(recipe, corpus, model, run.folder, record, reference)


def finish_save(folder: Path) -> None:
    """Move what a save had written and announced before a crash, and list it in the manifest."""
    manifest = read_manifest(folder)
    # A save writes every file beside its place, announces all of them as pending, and only then
    # moves them: what had not moved at the crash moves now.
    for name, entry in manifest["pending"].items():
        if holds(temporary(folder / name), entry):
            temporary(folder / name).replace(folder / name)
        if holds(folder / name, entry):
            manifest["files"][name] = entry
    if manifest["pending"]:
        write_manifest(folder, {**manifest, "pending": {}})


def restore(trainer: Trainer, run: Run) -> None:
    """Go back to a run's last save: weights, optimiser and progress.

    The logs lose what was written after that save: those steps will be done again.
    """
    weights, optimizer, progress = read_state(run)
    set_weights(trainer.model, weights, run.folder / STATE)
    # All that can fail comes first: the logs are cut only once the state is known to be good.
    logs = [name for name in LOGS if (run.folder / name).exists()]
    try:
        trainer.optimizers.load_state(optimizer)
        # The run's counters, and its best validation so far.
        for name in PROGRESS:
            setattr(trainer, name, progress[name])
        lengths = {name: int(progress["logs"].get(name, 0)) for name in logs}
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"not the state of this run ({type(error).__name__}: {error})"
        raise ValueError(f"{run.folder / STATE}: {reason}") from None
    trainer.manifest = run.manifest
    for name, length in lengths.items():
        # A log that began after the last save has length 0, and is not listed in the manifest.
        path = run.path(name) if length else run.folder / name
        with path.open("r+b") as file:
            file.truncate(min(length, path.stat().st_size))
