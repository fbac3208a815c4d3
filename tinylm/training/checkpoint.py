"""Weights and training state to files and back: safetensors and JSON, never pickle, so opening a
file runs no code.

model/ holds what sampling needs (the best weights so far), state/ what continuing needs (the last
ones, the optimiser and the progress), as one file, so that it is replaced as a whole or not at all.
A LoRA run saves its adapter alone, with its parent's path and fingerprint.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tinylm.config import ModelConfig, Recipe
from tinylm.model.gpt import GPT
from tinylm.runs import to_json
from tinylm.text.tokenizers import Tokenizer

STATE = "state/state.safetensors"


def trained(model: GPT) -> dict[str, Tensor]:
    """The weights that training changes, by name, on the CPU: all of them, or a LoRA run's
    adapters."""
    return {
        name: w.detach().cpu().contiguous()
        for name, w in model.named_parameters()
        if w.requires_grad
    }


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
    """The content of state/: weights/NAME, optimizer/NAME/QUANTITY, and `progress` as JSON in the
    header."""
    tensors = {f"weights/{name}": weight for name, weight in trained(model).items()}
    tensors |= {
        f"optimizer/{key}": value.detach().cpu().contiguous() for key, value in optimizer.items()
    }
    return to_safetensors(tensors, {"progress": json.dumps(progress)})


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
