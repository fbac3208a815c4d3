"""From a recipe to a trainer, and from a run folder back to one: the only place where the parts are
put together.

    trainer = start_run(load_recipe("demo-base"), Path("runs/base"))
    for record in trainer.run(): ...
"""

import copy
import ctypes
import gc
import math
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from safetensors.torch import save as to_safetensors

from tinylm.config import ModelConfig, Recipe
from tinylm.corpora.build import build_corpus, has_documents
from tinylm.evaluation.likelihood import measure
from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora
from tinylm.model.size import size_of
from tinylm.runs import LOGS, Run, holds, open_run, read_manifest, temporary, write_manifest
from tinylm.text.batches import Corpus
from tinylm.text.token_files import read_ids, write_ids
from tinylm.text.tokenizer_files import load_tokenizer
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.checkpoint import STATE, read_tensors, trained
from tinylm.training.load import load_model, parent_of, read_state, set_weights
from tinylm.training.lock import FolderLock, lock_folder
from tinylm.training.optim import Optimizers
from tinylm.training.reward import RewardTrainer
from tinylm.training.trainer import Trainer

PARTS = ("model", "state", "data")
REFERENCE = "data/reference.safetensors"  # what a reward run must not stray from
# What a run may have written before its first save was whole.
OWN_FILE = re.compile(
    r"(data/((train|valid)(_mask)?|base_valid)\.uint(8|16|32)|data/reference\.safetensors|(metrics|samples|timings)\.jsonl|recipe\.json"
    r"|manifest\.json\.new|model/(config|tokenizer)\.json|(model|state)/(model|adapter|state)\.safetensors)(\.new)?"
)


@dataclass(frozen=True)
class Estimate:
    """What a run will take, told before it starts."""

    parameters: int
    tokens: int
    seconds_per_step: float
    minutes: float
    peak_bytes: int


def start_run(recipe: Recipe, folder: Path, overwrite: bool = False) -> Trainer:
    """Make the run folder, its token files and its model, from random weights or from
    `recipe.start_from`.

    `train.max_minutes` is turned into a number of steps here, once, and the schedule with it.
    Raises ValueError for anything a person can mend (text, parent, folder); the folder is then
    taken away again.
    """
    keep_freed_memory()
    parent = open_parent(Path(recipe.start_from)) if recipe.start_from else None
    settled = with_usable_marks(recipe, parent)
    lock = create_folder(folder, overwrite)
    try:
        trainer = fine_tuning(settled, folder, parent) if parent else pretraining(settled, folder)
        for left_out in trainer.corpus.skipped:
            trainer.notices.append(f"left out: {left_out}")
        if settled != recipe:
            trainer.notices.append(
                "document_token is off: the text, or the base run's tokenizer, knows no documents"
            )
        trainer.notices += doubts(trainer)
        trainer.lock = lock
        if recipe.train.compile:
            trainer = compiled(trainer)
        return (
            fit_into(recipe.train.max_minutes, trainer)
            if recipe.train.max_minutes is not None
            else trainer
        )
    except BaseException:
        remove_folder(folder)
        folder.rmdir()
        raise


def doubts(trainer: Trainer) -> list[str]:
    """What looks like a mistake in a run that could be started all the same, one line each."""
    train, ids = trainer.recipe.train, trainer.corpus.train
    found = []
    rates = {train.learning_rate, train.muon_learning_rate if train.optimizer == "muon" else 0.0}
    if rates == {0.0}:
        found.append("the learning rate is 0: the run measures, but learns nothing")
    if (ids[0] == ids).all():
        found.append(
            "the training text repeats a single token: there is nothing to learn from it but that"
        )
    return found


def open_parent(place: Path) -> Run:
    """The run to start from: its folder, or the model/ folder inside it."""
    inside = place.name == "model" and (place.parent / "manifest.json").is_file()
    return open_run(place.parent if inside else place)


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory for the next tensor instead of handing it back and asking
    again at every step.

    Training on a Linux CPU gets 10 to 20 % faster; results do not change. Elsewhere only Python's
    garbage collector is spared work: what was made before training is no garbage, and looking
    through it took up to a tenth of each step. That is said once a process: said at every start, it
    would keep for ever what the runs before have left.
    """
    if not gc.get_freeze_count():
        gc.freeze()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # M_MMAP_THRESHOLD: the largest it takes; blocks below come from the heap
        libc.mallopt(-3, 32 << 20)
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never shrink the heap


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


def fit_into(minutes: float, trainer: Trainer) -> Trainer:
    """The same trainer with as many of its steps as fit into the time, and the schedule stretched
    over those."""
    steps = trainer.recipe.train.steps
    fitting = max(1, min(steps, int(steps * minutes / estimate(trainer).minutes)))
    train = trainer.recipe.train.model_copy(update={"steps": fitting})
    recipe = trainer.recipe.model_copy(update={"train": train})
    shorter = copy.copy(trainer)
    shorter.recipe, shorter.optimizers = recipe, Optimizers(trainer.model, train)
    shorter.notices.append(f"{fitting:,} of {steps:,} steps fit into {minutes:g} minutes")
    return shorter


def compiled(trainer: Trainer) -> Trainer:
    """The trainer with torch.compile at work where that works here; where it does not, a notice
    says so.

    The first batch goes through once, forward and backward, since compiling waits for the shapes;
    it leaves no trace.
    """
    try:
        trainer.forward = torch.compile(trainer.model)
        trainer.compute_gradients(trainer.step)
    # whatever the compiler's tool chain may raise: training does not depend on it
    except Exception as error:
        trainer.forward = trainer.model
        trainer.notices.append(
            f"torch.compile does not work here ({type(error).__name__}): training without it"
        )
    trainer.model.zero_grad(set_to_none=True)
    return trainer


def pretraining(recipe: Recipe, folder: Path) -> Trainer:
    """A trainer with fresh weights and a tokenizer of its own."""
    corpus = build_corpus(recipe, folder / "data")
    # the one derived field
    config = recipe.model.model_copy(update={"vocab_size": corpus.tokenizer.vocab_size})
    model = GPT(config)
    model.initialise(torch.Generator().manual_seed(recipe.train.seed))
    return Trainer(recipe, corpus, model, folder)


def fine_tuning(recipe: Recipe, folder: Path, parent: Run) -> Trainer:
    """A trainer that starts from another run's best weights and keeps an eye on that run's
    validation text."""
    check_shape(recipe.model, parent)
    model, tokenizer, _ = load_model(parent)
    model = with_dropout(model, recipe.model.dropout)
    corpus = build_corpus(recipe, folder / "data", tokenizer)
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


def check_shape(wanted: ModelConfig, parent: Run) -> None:
    """A recipe that starts from a run takes over its shape; one that asks for another shape is
    refused."""
    for field in wanted.model_fields_set - {"dropout", "vocab_size"}:
        have = getattr(parent.model_config, field)
        if getattr(wanted, field) != have:
            raise ValueError(
                f"model.{field} = {getattr(wanted, field)}, but {parent.folder} has {have}: a fine-tune keeps its "
                "parent's shape; leave the field out"
            )


def with_dropout(model: GPT, dropout: float) -> GPT:
    """The same weights in a model that drops another share of activations while training."""
    other = GPT(model.config.model_copy(update={"dropout": dropout}))
    other.load_state_dict(model.state_dict())
    return other


def resume_run(folder: Path, lead: bool = True) -> Trainer:
    """The trainer of an interrupted run at its last save, from the run folder alone (and a LoRA
    run's parent).

    Of several processes that train it together, one takes the `lead` and with it the folder's lock.
    ValueError in one line where a file is damaged, where the run is finished already or another
    process trains it.
    """
    keep_freed_memory()
    if (folder / "state").is_dir() and not (folder / "manifest.json").exists():
        raise ValueError(
            f"{folder} was interrupted before its first save: start it again with tinylm train"
        )
    run = open_run(folder)
    if run.manifest["status"] == "imported":
        raise ValueError(
            f"{folder} was imported and has no steps to go on with: fine-tune it with --start-from"
        )
    lock = lock_folder(folder) if lead else None
    if lead:
        finish_save(folder)
        run = open_run(folder)
    if run.manifest["step"] >= run.recipe.train.steps:
        raise ValueError(f"{folder} is finished: all {run.manifest['steps']} steps are done")
    tokenizer = load_tokenizer(run.path("model/tokenizer.json"))
    base = token_file(run, "base_valid") if run.manifest["parent"] else None
    ids = (token_file(run, "train"), token_file(run, "valid"))
    train_mask, valid_mask = (token_file(run, f"{side}_mask") if has_tokens(run, f"{side}_mask") else None
                              for side in ("train", "valid"))  # fmt: skip
    corpus = Corpus(tokenizer, *ids, run.manifest["corpus_sha256"], base, train_mask, valid_mask)
    trainer = resumed(run, corpus)
    restore(trainer, run)
    trainer.lock = lock
    return compiled(trainer) if run.recipe.train.compile else trainer


def resumed(run: Run, corpus: Corpus) -> Trainer:
    """A trainer of a run's stage, its weights still to be read (and its reference, for a reward)."""
    model = reference = GPT(run.model_config)
    if run.recipe.lora is not None:
        reference = load_model(parent_of(run)).model
        model = with_dropout(reference, run.recipe.model.dropout)
        attach_lora(model, run.recipe.lora, torch.Generator())
    record = run.manifest["parent"]
    if run.recipe.reward is None:
        return Trainer(run.recipe, corpus, model, run.folder, record)
    if run.recipe.lora is None:
        path = run.path(REFERENCE)
        set_weights(reference := GPT(run.model_config), read_tensors(path)[0], path)
    return RewardTrainer(run.recipe, corpus, model, run.folder, record, reference)


def finish_save(folder: Path) -> None:
    """Move what a save had written and announced before a crash, and list it; nothing where every
    save is whole."""
    manifest = read_manifest(folder)
    for name, entry in manifest["pending"].items():
        if holds(temporary(folder / name), entry):
            temporary(folder / name).replace(folder / name)
        if holds(folder / name, entry):
            manifest["files"][name] = entry
    if manifest["pending"]:
        write_manifest(folder, {**manifest, "pending": {}})


def restore(trainer: Trainer, run: Run) -> None:
    """Go back to a run's last save: weights, optimiser, progress; its logs lose what was written
    after that."""
    weights, optimizer, progress = read_state(run)
    set_weights(trainer.model, weights, run.folder / STATE)
    try:
        trainer.optimizers.load_state(optimizer)
        for name in ("step", "tokens", "seconds", "first_loss", "rising", "best"):
            setattr(trainer, name, progress[name])
        lengths = {
            name: int(progress["logs"].get(name, 0))
            for name in LOGS
            if (run.folder / name).exists()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{run.folder / STATE}: not the state of this run ({type(error).__name__}: {error})"
        ) from None
    trainer.manifest = run.manifest
    # a log that began after the last save has length 0, and is not listed
    for name, length in lengths.items():
        path = run.path(name) if length else run.folder / name
        with path.open("r+b") as file:
            file.truncate(min(length, path.stat().st_size))


def create_folder(folder: Path, replace: bool = False) -> FolderLock:
    """Make an empty run folder and take its lock.

    ValueError where something stands there already, unless it is an earlier run to `replace` or a
    start that was interrupted before its first save; and where another process trains in it.
    """
    if folder.exists() and not ((replace and is_run(folder)) or is_abandoned(folder)):
        others = f", delete it, or go on with: tinylm resume {folder}" if is_run(folder) else ""
        raise ValueError(f"{folder} exists: choose another --out{others}")
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)  # before anything in it goes
    remove_folder(folder)
    for part in PARTS:
        (folder / part).mkdir()
    return lock


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, or nothing at all."""
    return (folder / "manifest.json").is_file() or (folder.is_dir() and not any(folder.iterdir()))


def is_abandoned(folder: Path) -> bool:
    """Whether a folder holds what is left of a start that never came to its first save, and nothing
    of anybody else.

    That may be nothing yet, or only folders.
    """
    if not folder.is_dir() or (folder / "manifest.json").exists():
        return False
    files = [
        name
        for path in folder.rglob("*")
        if (name := path.relative_to(folder).as_posix()) not in PARTS
    ]
    return not files or (
        (folder / "data").is_dir() and all(OWN_FILE.fullmatch(name) for name in files)
    )


def remove_folder(folder: Path) -> None:
    """Delete a run folder, its manifest first, so that a half-deleted one is not taken for a
    run."""
    (folder / "manifest.json").unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def parent_record(folder: Path, parent: Run) -> dict[str, str]:
    """What a run in `folder` writes down about the run it started from."""
    try:
        relative = Path(os.path.relpath(parent.folder, folder)).as_posix()
    except ValueError:  # another drive on Windows
        relative = str(parent.folder)
    return {
        "path": str(parent.folder),
        "relative_path": relative,
        "fingerprint": parent.fingerprint,
    }


def has_tokens(run: Run, side: str) -> bool:
    return any(name.startswith(f"data/{side}.") for name in run.manifest["files"])


def token_file(run: Run, side: str) -> np.ndarray:
    """The ids in data/SIDE.uint16 or .uint32 of a run, or the mask in .uint8 (tokens,), checked and
    memory-mapped."""
    name = next(
        (name for name in run.manifest["files"] if name.startswith(f"data/{side}.")), f"data/{side}"
    )
    return read_ids(run.path(name))


def estimate(trainer: Trainer, trials: int = 3) -> Estimate:
    """Time a few steps and a piece of a validation pass; the weights are put back, so this leaves
    no trace."""
    train, config, kept = (
        trainer.recipe.train,
        trainer.model.config,
        copy.deepcopy(trainer.model.state_dict()),
    )
    probe = copy.copy(trainer)
    probe.optimizers = Optimizers(probe.model, train)
    times = []
    for trial in range(trials + 1):  # the first one warms up
        start = time.perf_counter()
        probe.compute_gradients(trial)
        probe.optimizers.step(trainer.step)
        times.append(time.perf_counter() - start)
    trainer.model.load_state_dict(kept)
    piece, start = trainer.corpus.valid[: 8 * config.context + 1], time.perf_counter()
    measure(probe.model, piece, trainer.corpus.tokenizer, trainer.compute)
    per_token = (time.perf_counter() - start) / len(piece)
    base = trainer.corpus.base_valid
    scored = len(trainer.corpus.valid) + (0 if base is None else len(base))
    passes = 1 + math.ceil(train.steps / train.evaluate_every)
    step = median(times[1:])
    bf16 = trainer.compute.dtype == torch.bfloat16
    return Estimate(
        parameters=size_of(config).total,
        tokens=train.steps * trainer.tokens_per_step,
        seconds_per_step=step,
        minutes=((train.steps - trainer.step) * step + passes * scored * per_token) / 60,
        peak_bytes=peak_memory() + training_bytes(config, train.micro_batch_size, bf16),
    )


def training_bytes(config: ModelConfig, micro_batch_size: int, bf16: bool) -> int:
    """Estimate of the peak memory of a training step, in bytes, beside Python and torch themselves
    (about 300 MB).

    Weights, gradients and two optimiser moments in fp32, plus activations kept for the backward
    pass: per position and block about 12 widths, 4 MLP widths and 6 times the heads' numbers, and
    the logits with their gradients.
    """
    heads = (config.heads + 2 * config.kv_heads) * config.head_dim
    position = (
        config.depth * (12 * config.width + 4 * config.mlp_width + 3 * heads) * (2 if bf16 else 4)
    )
    logits = config.vocab_size * (4 + 4 + (2 if bf16 else 4))
    return 16 * size_of(config).total + micro_batch_size * config.context * (position + logits)
