"""What a run folder holds, read back: its model, a LoRA run's merged into its parent's weights, and
its last state."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_safetensors
from torch import Tensor, nn

from tinylm.config import ModelConfig, Recipe
from tinylm.model.gpt import GPT, rope_tables
from tinylm.model.lora import attach_lora, merge_lora
from tinylm.runs import Run
from tinylm.text.batches import Corpus
from tinylm.text.token_files import read_ids
from tinylm.text.tokenizer_files import load_tokenizer
from tinylm.text.tokenizers import Tokenizer
from tinylm.training.checkpoint import STATE, weights_file
from tinylm.training.parents import parent_of

CHAT_TEMPLATE = "model/chat_template.jinja"  # of an imported model that was made for conversations


class Loaded(NamedTuple):
    """A run's best model, ready to sample from, with its tokenizer and recipe."""

    model: GPT
    tokenizer: Tokenizer
    recipe: Recipe


def load_model(run: Run, device: torch.device | str = "cpu") -> Loaded:
    """The best model of a run in evaluation mode; adapters are merged into their parent's weights.

    Raises ValueError in one line for a damaged file, a missing parent or weights that do not fit
    the shape.
    """
    tokenizer = load_tokenizer(run.path("model/tokenizer.json"))
    run.path("model/config.json")
    # run.path checks a file against its hash in the manifest before anything is read from it.
    weights = read_tensors(path := run.path(weights_file(run.recipe)))[0]
    if run.recipe.lora is not None:
        # Parent first, all its own parents included: adapters alone are no model.
        model = load_model(parent_of(run)).model
        if model.config.context != run.model_config.context:
            model = resized(model, run.model_config)
        # Any generator: every number that it draws is overwritten in the next line.
        attach_lora(model, run.recipe.lora, torch.Generator())
        set_weights(model, weights, path)
        merge_lora(model)  # W + (alpha / rank) B A: from here on a model like any other
    else:
        with torch.device("meta"):
            check_weights(GPT(run.model_config), weights, path)
        model = built(run.model_config, weights)
    return Loaded(model.to(device).eval(), tokenizer, run.recipe)


def set_weights(model: GPT, weights: dict[str, Tensor], where: object) -> None:
    """Copy `weights` into those of the model that are trained; ValueError as `check_weights`."""
    check_weights(model, weights, where)
    own = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    # In place, so that an optimiser that holds these tensors keeps them.
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(weights[name])


def check_weights(model: GPT, weights: dict[str, Tensor], where: object) -> None:
    """ValueError naming the first weight that is missing, foreign, of another shape or not
    finite."""
    own = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    # Names of both sides: a weight too many is as wrong as one too few.
    for name in own.keys() | weights.keys():
        shapes = [tuple(part[name].shape) if name in part else "absent" for part in (own, weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{where}: weight {name} is {shapes[1]} in the file and {shapes[0]} in the model"
            )
        # One NaN spreads to every logit; here it can still be said which weight holds it.
        if not torch.isfinite(weights[name]).all():
            raise ValueError(f"{where}: weight {name} holds NaN or infinite numbers")


def read_state(run: Run) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Weights, optimiser state and progress of the last save, each as it was given to `state_file`.

    Raises ValueError in one line for a damaged file, or one that is no training state.
    """
    tensors, header = read_tensors(path := run.path(STATE))
    # "weights/NAME" and "optimizer/NAME/QUANTITY" lie in one file: parted again by their prefix.
    weights, optimizer = (
        {
            name.removeprefix(part): tensor
            for name, tensor in tensors.items()
            if name.startswith(part)
        }
        for part in ("weights/", "optimizer/")
    )
    try:
        return weights, optimizer, json.loads(header["progress"])
    except (KeyError, ValueError, RecursionError):
        raise ValueError(f"{path}: holds no progress of a run") from None


def chat_template(run: Run) -> str | None:
    """The chat template of a run, or of the run that it was fine-tuned from; None where none has
    one."""
    # Fine-tuning does not change how a conversation is written: the parent's template holds.
    if CHAT_TEMPLATE in run.manifest["files"]:
        return run.path(CHAT_TEMPLATE).read_text(encoding="utf-8")
    return chat_template(parent_of(run)) if run.manifest["parent"] else None


def resized(model: GPT, asked: ModelConfig) -> GPT:
    """A copy of the model that drops another share of activations while training, and with a
    shorter context where one is asked for."""
    # Only a context that the recipe names changes the parent's; a default does not.
    context = asked.context if "context" in asked.model_fields_set else model.config.context
    sizes = {"context": context, "dropout": asked.dropout}
    config = model.config.model_copy(update=sizes)
    # Copied: training the new model must not move the weights of the one that it came from.
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    # The only weights whose shape depends on the context: one row for each position.
    if config.position == "learned":
        weights["positions.weight"] = weights["positions.weight"][:context].clone()
    return built(config, weights).to(model.tokens.weight.device)


def built(config: ModelConfig, weights: dict[str, Tensor]) -> GPT:
    """A model around `weights` (on the CPU), which are not copied.

    Made without memory first: drawing random numbers for a hundred million weights, only to throw
    them away, takes longer than reading the file.
    """
    with torch.device("meta"):
        model = GPT(config)
    parameters = {name: nn.Parameter(weight.float()) for name, weight in weights.items()}
    # Not strict: a tied head is no parameter of its own, and so is in no file.
    model.load_state_dict(parameters, strict=False, assign=True)
    if config.tied:
        model.head.weight = model.tokens.weight
    # Tables, no weights: computed from the shape and never saved.
    if config.position == "rope":
        model.cos, model.sin = rope_tables(config)
    return model


def token_file(run: Run, side: str) -> np.ndarray:
    """The ids (tokens,) of one side of a run's corpus, checked and memory-mapped.

    `side` is train, valid or base_valid; or train_mask, valid_mask for masks.
    """
    names = [name for name in run.manifest["files"] if name.startswith(f"data/{side}.")]
    return read_ids(run.path(names[0] if names else f"data/{side}"))


def load_corpus(run: Run) -> Corpus:
    """The corpus of a run, from its token files."""
    sides = [name.split("/")[1].split(".")[0] for name in run.manifest["files"] if "data/" in name]
    arrays = {side: token_file(run, side) for side in sides if side != "reference"}
    tokenizer = load_tokenizer(run.path("model/tokenizer.json"))
    ids = (arrays["train"], arrays["valid"])
    base, masks = arrays.get("base_valid"), (arrays.get("train_mask"), arrays.get("valid_mask"))
    return Corpus(tokenizer, *ids, run.manifest["corpus_sha256"], base, *masks)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file; ValueError in one line where it is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        # Not file.get_tensor: safetensors 0.8.0 leaks 85 bytes at each call, 26 MB in ten thousand
        # sample commands.
        return dict(sorted(from_safetensors(path.read_bytes()).items())), header
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from None
