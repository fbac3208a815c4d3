"""demo, train, resume: from a recipe to a trained run, watched on the terminal."""

import time
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from tinylm.commands.progress import follow
from tinylm.commands.terminal import clean, say
from tinylm.recipes import load_recipe

Settings = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="FIELD=VALUE")]

# Fields for a try in seconds: everything runs, nothing is learned.
SMOKE = {
    "train.steps": "6",
    "train.batch_size": "4",
    "train.evaluate_every": "3",
    "sample.every": "6",
    "sample.tokens": "20",
}
SMOKE_BASE = SMOKE | {"corpus.size": "100000", "corpus.valid_share": "0.05"}
SMOKE_BASE |= {"model.depth": "2", "model.width": "64", "tokenizer.vocab_size": "400"}
# The demo's stages, each from the one before it: folder -> recipe, its fields at smoke scale.
STAGES = {
    "base": ("demo-base", SMOKE_BASE),
    "verse": ("demo-verse", SMOKE),
    "rewarded": ("demo-reward", SMOKE | {"reward.samples": "8", "reward.tokens": "40"}),
}


def demo(
    out: Path | None = None,
    scale: Literal["smoke", "full"] = "full",
    resume_from: Path | None = None,
    foundation: bool = False,
    reward: bool = False,
) -> None:
    """Pretrain on stories, fine-tune on verse, reward the metre, and compare the three.

    Args:
        out: Folder for base/, verse/, rewarded/ and compare/; an earlier demo in it is replaced.
            Default: runs/demo, or runs/foundation.
        scale: full takes minutes and learns; smoke takes seconds and only shows that everything
            works.
        resume_from: A file that `tinylm pack` made. Its runs are compared, and nothing is trained.
        foundation: Start from a real model. SmolLM2 is downloaded if it is not there yet, and
            fine-tuned on verse with adapters (LoRA).
        reward: With --foundation: also train the third stage, which takes a quarter of an hour.
    """
    out = out or Path("runs/foundation" if foundation else "runs/demo")
    if foundation and resume_from is not None:
        raise ValueError("--resume-from works only with the small models: leave out --foundation")
    if reward and not foundation:
        raise ValueError("--reward works only with --foundation: the small demo always has it")
    if foundation:
        from tinylm.commands.foundation import foundation_demo
        from tinylm.corpora.fetch import data_folder
        from tinylm.formats.smollm2 import fetch_smollm2

        if scale == "smoke":
            spare(out, "verse")
        foundation_demo(fetch_smollm2(data_folder(), say), out, scale == "smoke", reward)
    else:
        small_demo(out, scale == "smoke", resume_from)


def small_demo(out: Path, smoke: bool, resume_from: Path | None) -> None:
    """The three stages of the small model, trained or unpacked, and their comparison."""
    start = time.perf_counter()
    if smoke:
        spare(out)
    names = list(STAGES) if resume_from is None else unpack_stages(resume_from, out)
    if resume_from is None and not train_stages(out, smoke):
        return
    compare_stages([out / name for name in names], out / "compare", smoke)
    minutes, page = (time.perf_counter() - start) / 60, out / "compare" / "index.html"
    say(f"{minutes:.1f} minutes. The page: {page.resolve()}")


def unpack_stages(packed: Path, out: Path) -> list[str]:
    """Take the runs of a demo from a file instead of training them; returns their names."""
    from tinylm.formats.archive import read_runs, unpack

    there = read_runs(packed)  # files from before the third stage hold two runs
    names = [name for name in STAGES if name != "rewarded" or name in there]
    unpack(packed, out, names)
    say(f"{' and '.join(names)}, trained before, from {packed}")
    return names


def train_stages(out: Path, smoke: bool) -> bool:
    """Train the stages one after the other; False where a run was stopped before its end."""
    from tinylm.training.folders import remove_run
    from tinylm.training.start import start_run

    # The later stages go first: an interrupted demo never leaves one beside another base.
    for name in reversed(STAGES):
        remove_run(out / name)
    parent: Path | None = None
    for name, (recipe, smoke_fields) in STAGES.items():
        fields = dict(smoke_fields) if smoke else {}
        if parent is not None:
            fields["start_from"] = str(parent)
        chosen = load_recipe(recipe, fields)
        say(f"\n{name}: {chosen.purpose}")
        if not follow(start_run(chosen, out / name, overwrite=True)):
            return False
        parent = out / name
    return True


def compare_stages(runs: list[Path], out: Path, smoke: bool) -> None:
    """Compare the runs of a demo into `out`, over an earlier comparison."""
    from tinylm.compare.judge import compare_runs
    from tinylm.compare.samples import SMOKE as QUICK
    from tinylm.compare.samples import Effort

    effort = QUICK if smoke else Effort()
    print(clean(compare_runs(runs, out, replace=True, effort=effort)))


def spare(out: Path, stage: str = "base") -> None:
    """ValueError where a look at smoke scale would replace a demo that took minutes."""
    from tinylm.runs import open_run

    base = out / stage
    if (base / "manifest.json").is_file() and open_run(base).manifest["steps"] > int(
        SMOKE["train.steps"]
    ):
        raise ValueError(
            f"{out} holds a demo at full scale, and this one would replace it: choose another --out"
        )


def train(
    recipe: Positional[str],
    out: Path | None = None,
    start_from: str | None = None,
    max_minutes: float | None = None,
    tensorboard: bool = False,
    set: Settings = (),
) -> None:
    """Train a model from a recipe: pretraining, or fine-tuning where the recipe starts from a run.

    Args:
        recipe: A TOML file, or the name of a shipped recipe.
        out: The run folder to make. Default: runs/ and the recipe's name.
        start_from: A run to fine-tune.
        max_minutes: Fit the number of steps into this time.
        tensorboard: Also write the records for TensorBoard, into the run folder.
        set: Any field of the recipe; --train.steps 300 means the same as --set train.steps=300.
    """
    fields = dict(part.split("=", 1) for part in set)
    if start_from is not None:
        fields["start_from"] = start_from
    if max_minutes is not None:
        fields["train.max_minutes"] = str(max_minutes)
    chosen = load_recipe(recipe, fields)

    from tinylm.training import distributed

    with distributed.joined() as team:
        trainer = distributed.start(team, chosen, out or Path("runs") / chosen.name)
        if chosen.purpose:
            say(chosen.purpose)
        follow(trainer, tensorboard)


def resume(run: Positional[Path], tensorboard: bool = False) -> None:
    """Continue an interrupted run from its last save; the result is the same, bit for bit.

    Args:
        run: A run folder.
        tensorboard: Also write the records for TensorBoard, into the run folder.
    """
    from tinylm.training import distributed

    with distributed.joined() as team:
        trainer = distributed.resume(team, run)
        say(f"{run}: from step {trainer.step} of {trainer.recipe.train.steps}")
        follow(trainer, tensorboard)
