"""Weights and training state to files and back: safetensors and JSON, never pickle, so opening a file runs no code.

model/ holds what sampling needs (the best weights so far), state/ what continuing needs (the last ones, the optimiser
and the progress), as one file, so that it is replaced as a whole or not at all. A LoRA run saves its adapter alone,
with its parent's path and fingerprint.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tinylm.config import ModelConfig, Recipe
from tinylm.model.gpt import GPT
from tinylm.runs import Run, to_json
from tinylm.text.tokenizers import Tokenizer

STATE = "state/state.safetensors"


def trained(model: GPT) -> dict[str, Tensor]:
    """The weights that training changes, by name, on the CPU: all of them, or a LoRA run's adapters."""
    return {name: w.detach().cpu().contiguous() for name, w in model.named_parameters() if w.requires_grad}


def weights_file(recipe: Recipe) -> str:
    return "model/model.safetensors" if recipe.lora is None else "model/adapter.safetensors"


def model_files(recipe: Recipe, config: ModelConfig, tokenizer: Tokenizer) -> dict[str, bytes]:
    """The files of model/ that do not change while training, as name -> content."""
    return {
        "recipe.json": to_json(recipe.model_dump(mode="json")),
        "model/config.json": to_json(config.model_dump()),
        "model/tokenizer.json": to_json(tokenizer.to_dict()),
    }


def state_file(model: GPT, optimizer: dict[str, Tensor], progress: dict[str, Any]) -> bytes:
    """The content of state/: weights/NAME, optimizer/NAME/QUANTITY, and `progress` as JSON in the header."""
    tensors = {f"weights/{name}": weight for name, weight in trained(model).items()}
    tensors |= {f"optimizer/{key}": value.detach().cpu().contiguous() for key, value in optimizer.items()}
    return to_safetensors(tensors, {"progress": json.dumps(progress)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file; ValueError in one line where it is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from None


def read_state(run: Run) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Weights, optimiser state and progress of the last save, each as it was given to `state_file`."""
    tensors, header = read_tensors(run.path(STATE))
    weights, optimizer = (
        {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
        for part in ("weights/", "optimizer/")
    )
    return weights, optimizer, json.loads(header["progress"])


def set_weights(model: GPT, weights: dict[str, Tensor], where: object) -> None:
    """Copy `weights` into the model; ValueError names the first one that is missing, foreign or of another shape."""
    own = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    for name in own.keys() | weights.keys():
        shapes = [tuple(part[name].shape) if name in part else "absent" for part in (own, weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{where}: weight {name} is {shapes[1]} in the file and {shapes[0]} in the model")
        if not torch.isfinite(weights[name]).all():
            raise ValueError(f"{where}: weight {name} holds NaN or infinite numbers")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(weights[name])
