"""The public surface: what a script, a notebook and a test need, in the same words.

Everything here is a thin door to a module below, named in each docstring, where the options are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tinylm.config import Recipe, Sampling
from tinylm.evaluation.likelihood import Likelihood, measure
from tinylm.generation import Request, generate
from tinylm.model.device import choose_compute
from tinylm.recipes import load_recipe
from tinylm.runs import Run, open_run
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.load import load_model
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run
from tinylm.training.trainer import Record


def train(
    recipe: Recipe | str, out: str | Path, start_from: str | Path | None = None
) -> Iterator[Record]:
    """Train a model into the folder `out`, one record per step (training/start.py, trainer.py).

    `recipe` is one from `load_recipe`, or the name of a shipped one. `start_from` is a run to
    fine-tune. ValueError where the folder exists, or where the recipe cannot work.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if start_from is not None:
        chosen = chosen.model_copy(update={"start_from": str(start_from)})
    yield from start_run(chosen, Path(out)).run()


def resume(folder: str | Path) -> Iterator[Record]:
    """Go on with an interrupted run, to the same bits as without the interruption (resume.py)."""
    yield from resume_run(Path(folder)).run()


def sample(
    run: Run | str | Path, prompt: str = "", tokens: int = 120, temperature: float = 0.8,
    seed: int = 0,
) -> str:  # fmt: skip
    """What a run's model writes behind the prompt (generation.py)."""
    model, tokenizer, recipe = load_model(opened(run))
    begin = DOCUMENT if recipe.corpus.document_token else None
    request = Request(prompt, tokens, Sampling(temperature=temperature), seed, begin=begin)
    return generate(model, tokenizer, request)[0].text


def evaluate(run: Run | str | Path, text: str) -> Likelihood:
    """What a text costs a run's model: nats_per_token, bits_per_byte (evaluation/likelihood.py)."""
    import numpy as np

    model, tokenizer, recipe = load_model(opened(run))
    begin = [tokenizer.special_id(DOCUMENT)] if recipe.corpus.document_token else []
    ids = np.array(begin + tokenizer.encode(text))
    # fp32 on every machine, as the command does: a score that is compared must not be rounded.
    return measure(model, ids, tokenizer, choose_compute("cpu", "fp32"))


def compare(runs: Sequence[Run | str | Path], out: str | Path) -> Path:
    """Judge runs side by side in the folder `out` (compare/judge.py); the path of its page.

    An earlier comparison in `out` is replaced.
    """
    from tinylm.compare.judge import compare_runs

    compare_runs([opened(run).folder for run in runs], Path(out), replace=True)
    return Path(out) / "index.html"


def opened(run: Run | str | Path) -> Run:
    """A run, or the run in a folder."""
    return run if isinstance(run, Run) else open_run(run)
