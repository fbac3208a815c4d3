"""The experiment: where a lesson trains and measures. Each part is done once and kept.

    run = yield from experiment.base(seed)
        the story model that all lessons share, trained on first use
    run = yield from experiment.train(name, recipe, corpus)
        a training run of the lesson's own
    recipe = yield from experiment.search_rates(name, recipe, corpus)
        the same recipe with the best of several learning rates
    value = experiment.measure(name, settings, function)
        any other number or JSON value that takes time

What trains is a generator, as `Trainer.run` is: it yields progress, and returns its result through
`yield from`. Everything is stored under a hash of all settings that it depends on. A lesson that
was interrupted continues from there, and a lesson whose settings changed measures again.

    runs/lessons/NAME/     results.json  *.png  runs/ (training runs)  units/ (measured values)
    runs/lessons/NAME-control/   the same of the lesson's control: the same code without the effect
    runs/lessons/base-*    the shared runs; a finished runs/demo/base of the same recipe is used
                           instead

Design. What holds for every lesson is settled here.

    constant        the shared base of a seed; the search over learning rates, with the same factors
                    and the same share of the steps for all arms that are compared
    control         a lesson takes its effect away where `experiment.control` is set, and nothing
                    else; runs of a search are judged by nobody: an arm is trained again with its
                    rates
    price           minutes are counted by run, also where a run was kept from an earlier try
    seeds           1, 2 and 3 at full scale; 1 and 2 at smoke scale, where nothing is concluded

Trade-off: the code of a lesson is not part of the hash. Delete its folder after changing it.
"""

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from tinylm.config import Recipe
from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora
from tinylm.recipes import load_recipe
from tinylm.runs import Run, open_run, read_json, write_json
from tinylm.text.batches import Corpus
from tinylm.text.token_files import read_ids, write_ids
from tinylm.training.folders import new_folder, remove_folder
from tinylm.training.load import load_model, read_state, resized, set_weights, token_file
from tinylm.training.parents import open_parent, parent_record
from tinylm.training.performance import keep_freed_memory
from tinylm.training.resume import restore, resume_run
from tinylm.training.start import ready, start_run
from tinylm.training.trainer import Trainer

Scale = Literal["smoke", "full"]
CONTROL = "-control"  # how the name of a control's folder ends

# Fields of the shared base for a try in seconds: it learns nothing.
SMOKE = {
    "corpus.size": "60000",
    "corpus.valid_share": "0.05",
    "tokenizer.vocab_size": "300",
    "model.context": "64",
    "model.depth": "2",
    "model.width": "32",
    "model.mlp_width": "64",
    "train.steps": "6",
    "train.batch_size": "4",
    "train.evaluate_every": "3",
    "sample.every": "6",
    "sample.tokens": "4",
}


@dataclass(frozen=True)
class Progress:
    """How far one part of a lesson is. The last one of a lesson carries its `results`."""

    part: str
    done: int
    total: int
    loss: float | None = None  # nats per target, while training
    results: dict[str, Any] | None = None


# yields progress while it works, and returns what it made
WithProgress = Generator[Progress, None, Any]


@dataclass
class Experiment:
    """Where a lesson works: its scale, its folder, and everything it has trained or measured
    already."""

    scale: Scale
    out: Path
    control: bool = False  # whether the effect is taken away: the verdict must not be "supported"
    seconds: float = 0.0  # of this lesson's own work, also where it was kept from an earlier try
    base_seconds: float = 0.0
    searches: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of this scale; every trained arm is repeated with each of them."""
        # Three are few: an interval over them is wide. Two show that the code copes with several.
        return (1, 2) if self.scale == "smoke" else (1, 2, 3)

    def measure(self, name: str, settings: Any, function: Callable[[], Any]) -> Any:
        """The JSON value of `function()`, computed once for these `settings` (JSON: all that it
        depends on).

        For a model that was trained, `run.fingerprint` stands for everything that went into it.
        """
        # The name is for people; the hash finds the value again. Tools that return noise are in no
        # setting: what a control measures is never taken for the lesson's, even in one folder.
        key = hash_of(["control", settings] if self.control else settings)
        path = self.out / "units" / f"{slug(name)}-{key}.json"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            begun = time.perf_counter()  # a clock that is never set back
            value = function()
            write_json(path, {"name": name, "value": value, "seconds": time.perf_counter() - begun})
        # Read back in any case: a value is the same whether it was computed now or last week.
        unit = read_json(path)
        self.seconds += unit["seconds"]
        return unit["value"]

    def base_recipe(self, seed: int, **fields: str) -> Recipe:
        """The demo's base recipe at this scale with this seed, and other fields:
        `**{"tokenizer.kind": "char"}`."""
        # The order is the precedence: a lesson's fields win over those of the scale.
        smoke = SMOKE if self.scale == "smoke" else {}
        return load_recipe("demo-base", {**smoke, **fields, "train.seed": str(seed)})

    def base(self, seed: int) -> WithProgress:
        """The finished shared run of the demo's base recipe with this seed, trained on first use by
        any lesson."""
        return (yield from self.shared("base", self.base_recipe(seed)))

    def verse(self, base: Run, seed: int) -> WithProgress:
        """The same for the demo's second stage: the base fine-tuned on the shipped verse."""
        # Shape and tokenizer are the base's: a fine-tune has no say in them.
        smoke = {
            name: value for name, value in SMOKE.items() if name.startswith(("train.", "sample."))
        }
        fields = {"start_from": str(base.folder), "train.seed": str(seed)}
        fields |= smoke if self.scale == "smoke" else {}
        return (yield from self.shared("verse", load_recipe("demo-verse", fields)))

    def shared(self, stage: str, recipe: Recipe) -> WithProgress:
        """The finished run of one of the demo's stages; the demo's own one where it is alike."""
        # A parent counts by its fingerprint, not by its place: a moved folder is the same run.
        parent = recipe.start_from and open_parent(Path(recipe.start_from)).fingerprint
        settings = settings_of(recipe)
        demo = self.out.parent.parent / "demo" / stage
        folder = demo
        # Whoever has run the demo need not wait for its stages again.
        if not (is_finished(demo) and is_alike(open_run(demo), recipe, parent)):
            # The hash in the name: with other settings the run has another place, and none is lost.
            key = hash_of([settings, parent] if parent else settings)
            folder = self.out.parent / f"{stage}-seed-{recipe.train.seed}-{key}"
        name = f"shared {stage}, seed {recipe.train.seed}"
        run = yield from train_to_end(recipe, folder, None, name)
        self.base_seconds += run.manifest["seconds"]
        return run

    def train(self, name: str, recipe: Recipe, corpus: Corpus | None = None) -> WithProgress:
        """The finished run of a recipe; of its own text, or of a ready-made corpus, whose masks are
        kept to.

        The run's name should say arm and seed. `recipe.start_from` makes it a fine-tune.
        """
        # Kept under a hash of everything it depends on: a second call returns the finished run.
        run = yield from train_to_end(recipe, self.run_folder(name, recipe, corpus), corpus, name)
        self.seconds += run.manifest["seconds"]
        return run

    def run_folder(self, name: str, recipe: Recipe, corpus: Corpus | None = None) -> Path:
        """Where `train` keeps a run; where the lesson has finished the same one, its control uses
        that."""
        parent = recipe.start_from and open_parent(Path(recipe.start_from)).fingerprint
        # A ready-made corpus is in no recipe, so its ids and masks are hashed themselves.
        key = hash_of([settings_of(recipe), parent, corpus and corpus_hash(corpus)])
        run = Path("runs") / f"{slug(name)}-{key}"
        # The name holds all that a run depends on: trained anew it would be the same to the bit.
        of_lesson = self.out.with_name(self.out.name.removesuffix(CONTROL)) / run
        return of_lesson if self.control and is_finished(of_lesson) else self.out / run

    def search_rates(
        self,
        name: str,
        recipe: Recipe,
        corpus: Corpus | None = None,
        share_of_steps: float = 0.25,
        factors: Sequence[float] = (1 / 3, 1.0, 3.0),
    ) -> WithProgress:
        """The recipe at the learning rates (`factors` times its own) that validate best after
        `share_of_steps`.

        What is compared gets the same search. The runs of the search are not the runs that are
        judged.
        """
        losses = {}  # factor -> lowest validation loss, nats per token
        # Fewer steps with the whole schedule squeezed into them, so that the rates decay as well.
        steps = max(1, int(share_of_steps * recipe.train.steps))
        for factor in factors:
            short = with_rates(with_train_settings(recipe, steps=steps), factor)
            try:
                run = yield from self.train(f"{name}, rates x {factor:.2g}", short, corpus)
                losses[factor] = run.manifest["best"]["nats_per_token"]
            except ValueError:
                if factor == min(factors):  # the smallest rates fail: something else is wrong
                    raise
                losses[factor] = math.inf  # the loss ran away: this rate has lost
        # Reported with the results: a best factor at the edge says that the search was too narrow.
        self.searches[name] = {
            f"{factor:.3g}": loss for factor, loss in losses.items() if math.isfinite(loss)
        }
        return with_rates(recipe, min(losses, key=losses.__getitem__))


def folder_name(lesson: str, control: bool) -> str:
    """The folder of a lesson, or of its control, among those of all lessons.

    >>> folder_name("lock-in", False), folder_name("lock-in", True)
    ('lock-in', 'lock-in-control')
    """
    return lesson + CONTROL if control else lesson


# -- training runs --------------------------------------------------------------------------------


def is_alike(run: Run, recipe: Recipe, parent: str | None) -> bool:
    """Whether a run was made by this recipe, from the run with this fingerprint if from any."""
    # Compared by settings and not by name: a run that was renamed still is what it was.
    ours, theirs = settings_of(recipe), settings_of(run.recipe)
    if parent is not None:  # tokenizer and shape came from the parent, only dropout is its own
        for settings in (ours, theirs):
            settings["model"], settings["tokenizer"] = settings["model"]["dropout"], None
    # A base has no parent, and its manifest records none.
    recorded = run.manifest["parent"]
    return ours == theirs and (recorded and recorded["fingerprint"]) == parent


def train_to_end(recipe: Recipe, folder: Path, corpus: Corpus | None, part: str) -> WithProgress:
    """Train the run in `folder` to its end, from where it stands; returns it."""
    if not is_finished(folder):
        yield from progress_of(open_trainer(folder, recipe, corpus), part)
    # Opened anew, so that a run that was just made and a kept one are the same to the caller.
    return open_run(folder)


def progress_of(trainer: Trainer, part: str) -> Iterator[Progress]:
    """Progress step by step; closing the generator, as a `break` does, saves first."""
    try:
        for record in trainer.run():
            yield Progress(part, record.step, trainer.recipe.train.steps, record.loss)
    # Always between two steps: what was learned since the last save can be kept.
    except GeneratorExit:
        trainer.save(improved=False)
        raise


def open_trainer(folder: Path, recipe: Recipe, corpus: Corpus | None = None) -> Trainer:
    """The trainer of a new run, or of one that was begun, at its last save; a finished one has no
    steps left."""
    keep_freed_memory()
    if not (folder / "manifest.json").is_file():
        if folder.exists():  # its start was interrupted
            remove_folder(folder)
        if corpus:
            return start_on_corpus(corpus, recipe, folder)
        return start_run(recipe, folder, overwrite=True)
    run = open_run(folder)
    if is_finished(folder):
        # A notebook wants to look at its curve again: the last weights, and nothing left to do.
        train, valid = (token_file(run, side) for side in ("train", "valid"))
        own = corpus or Corpus(load_model(run).tokenizer, train, valid, "")
        trainer = Trainer(run.recipe, own, final_model(run), folder)
        restore(trainer, run)
        return trainer
    # Begun and interrupted: optimiser, place in the data and random state are the saved ones.
    return resume_run(folder)


def final_model(run: Run) -> GPT:
    """The weights a run ended with; model/ has those that validated best. Not for adapters."""
    model = GPT(run.model_config)
    # state/ and not model/: a resumed run goes on from the last weights, not from the best.
    set_weights(model, read_state(run)[0], run.folder)
    return model.eval()


def start_on_corpus(corpus: Corpus, recipe: Recipe, folder: Path) -> Trainer:
    """As `start_run`, on a corpus that is ready; the folder goes again where something fails."""
    # The lock keeps a second process out of the folder for as long as the trainer lives.
    with new_folder(folder, replace=True) as lock:
        return ready(trainer_on(corpus, recipe, folder), lock)


def trainer_on(corpus: Corpus, recipe: Recipe, folder: Path) -> Trainer:
    """A trainer on a copy of the corpus in `folder`, with random weights or a parent's."""
    # The run folder is the whole truth: with the ids in it, the run can be resumed from it alone.
    for side in ("train", "valid", "train_mask", "valid_mask"):
        if (ids := getattr(corpus, side)) is not None:
            write_ids(folder / "data" / side, [ids])
    if recipe.start_from is None:
        # The only field that is derived: the tokenizer decides how many rows the table has.
        model = GPT(recipe.model.model_copy(update={"vocab_size": corpus.tokenizer.vocab_size}))
        model.initialise(torch.Generator().manual_seed(recipe.train.seed))
        return Trainer(recipe, corpus, model, folder)
    parent = open_parent(Path(recipe.start_from))
    # The parent's best weights, in a context or with a dropout that the recipe may change.
    model = resized(load_model(parent).model, recipe.model)
    # The parent's own validation text is scored as well: what a fine-tune forgets is seen there.
    base = read_ids(write_ids(folder / "data" / "base_valid", [token_file(parent, "valid")]))
    # Seeded like initial weights: a fine-tune from one parent repeats to the bit.
    if recipe.lora is not None:
        attach_lora(model, recipe.lora, torch.Generator().manual_seed(recipe.train.seed))
    # Which parent, by path and fingerprint: adapters are worth nothing beside another one.
    record = parent_record(folder, parent)
    return Trainer(recipe, replace(corpus, base_valid=base), model, folder, record)


def is_finished(folder: Path) -> bool:
    """Whether a run stands in the folder that has all its steps behind it."""
    # The manifest is written last: without it, what lies there is no run.
    if not (folder / "manifest.json").is_file():
        return False
    return bool(open_run(folder).manifest["status"] == "finished")


def with_train_settings(recipe: Recipe, **train: Any) -> Recipe:
    """The recipe with other values in its [train] section."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=train)})


def with_rates(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with both its learning rates times a factor."""
    # Matrices learn at Muon's rate and the rest at AdamW's; their ratio stays as it is.
    return with_train_settings(
        recipe,
        learning_rate=factor * recipe.train.learning_rate,
        muon_learning_rate=factor * recipe.train.muon_learning_rate,
    )


# -- keys -----------------------------------------------------------------------------------------


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """What decides the outcome of a recipe; its names, its parent's place and the derived
    vocabulary do not."""
    tree = recipe.model_dump(mode="json", exclude={"name", "purpose", "start_from"})
    tree["model"]["vocab_size"] = 0  # filled in after the tokenizer was trained
    return tree


def corpus_hash(corpus: Corpus) -> str:
    """SHA-256 over the tokenizer, the ids and the masks."""
    # The same ids are another text under another tokenizer.
    digest = hashlib.sha256(corpus.tokenizer.fingerprint().encode())
    for part in (corpus.train, corpus.valid, corpus.train_mask, corpus.valid_mask):
        if part is not None:  # a corpus without masks is learned from whole
            digest.update(part.tobytes())
    return digest.hexdigest()


def hash_of(settings: Any) -> str:
    """Ten hex digits that stand for JSON settings, whatever order their names come in."""
    # 40 bits: two of a thousand settings meet with a chance of one in two million.
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def slug(name: str) -> str:
    """A name as part of a file name.

    >>> slug("worked steps, seed 2")
    'worked-steps-seed-2'
    """
    # Letters and digits alone: a name that every file system takes.
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
