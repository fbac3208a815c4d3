"""A finished run's model from its folder; a LoRA run's adapter is merged into its parent's weights."""

from pathlib import Path
from typing import NamedTuple

import torch

from tinylm.config import Recipe
from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora, merge_lora
from tinylm.runs import Run, open_run
from tinylm.text.tokenizer_files import load_tokenizer
from tinylm.text.tokenizers import Tokenizer
from tinylm.training.checkpoint import read_tensors, set_weights, weights_file


class Loaded(NamedTuple):
    """A run's best model, ready to sample from, with its tokenizer and recipe."""

    model: GPT
    tokenizer: Tokenizer
    recipe: Recipe


def parent_of(run: Run) -> Run:
    """The run that a LoRA run's adapter belongs to, checked by its fingerprint."""
    recorded = run.manifest["parent"]
    places = [run.folder / recorded["relative_path"], Path(recorded["path"])]
    place = next((place for place in places if (place / "manifest.json").is_file()), None)
    if place is None:
        raise ValueError(f"{run.folder}: its parent {recorded['path']} is missing; an adapter is nothing without it")
    if (parent := open_run(place)).fingerprint != recorded["fingerprint"]:
        raise ValueError(f"{run.folder}: its parent {place} has changed since the adapter was trained")
    return parent


def load_model(run: Run, device: torch.device | str = "cpu") -> Loaded:
    """The best model of a run in evaluation mode; adapters are merged into their parent's weights.

    Raises ValueError in one line for a damaged file, a missing parent or weights that do not fit the shape.
    """
    tokenizer = load_tokenizer(run.path("model/tokenizer.json"))
    run.path("model/config.json")
    if run.recipe.lora is not None:
        model = load_model(parent_of(run)).model
        attach_lora(model, run.recipe.lora, torch.Generator())
    else:
        model = GPT(run.model_config)
    path = run.path(weights_file(run.recipe))
    set_weights(model, read_tensors(path)[0], path)
    if run.recipe.lora is not None:
        merge_lora(model)
    return Loaded(model.to(device).eval(), tokenizer, run.recipe)
