"""Weights and training state as files: safetensors and JSON, never pickle.

Opening such a file runs no code. How files are read back: load.py.

model/ holds what sampling needs (the best weights so far), state/ what continuing needs (the last
ones, the optimiser and the progress), as one file, so that it is replaced as a whole or not at all.
A LoRA run saves its adapter alone, with its parent's path and fingerprint.
"""

import json
from typing import Any

from safetensors.torch import save as to_safetensors
from torch import Tensor

from tinylm.config import ModelConfig, Recipe
from tinylm.model.gpt import GPT
from tinylm.runs import to_json
from tinylm.text.tokenizers import Tokenizer

# Not below model/: only a resume reads it, and it is larger than the model.
STATE = "state/state.safetensors"


def trained(model: GPT) -> dict[str, Tensor]:
    """The weights that training changes, by name, on the CPU: all, or a LoRA run's adapters."""
    # What is frozen lies in the parent's folder already.
    weights = {name: w for name, w in model.named_parameters() if w.requires_grad}
    # Off the graph and in one piece of memory, as safetensors wants it.
    return {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}


def weights_file(recipe: Recipe) -> str:
    """The name of the weights below the run's folder: of the model, or of its adapter."""
    # Another name for adapters: nobody should take one for a whole model.
    return "model/model.safetensors" if recipe.lora is None else "model/adapter.safetensors"


def model_files(recipe: Recipe, config: ModelConfig, tokenizer: Tokenizer) -> dict[str, bytes]:
    """The files of model/ that do not change while training, as name -> content."""
    # With the tokenizer inside, a folder can be sampled from without the data it was trained on.
    return {
        "recipe.json": to_json(recipe.model_dump(mode="json")),
        "model/config.json": to_json(config.model_dump()),
        "model/tokenizer.json": to_json(tokenizer.to_dict()),
    }


def state_file(model: GPT, optimizer: dict[str, Tensor], progress: dict[str, Any]) -> bytes:
    """The content of state/: weights/NAME, optimizer/NAME/QUANTITY, `progress` in the header."""
    # One file for weights, optimiser and progress: it is replaced as a whole or not at all.
    tensors = {f"weights/{name}": weight for name, weight in trained(model).items()}
    for key, value in optimizer.items():
        tensors[f"optimizer/{key}"] = value.detach().cpu().contiguous()
    return to_safetensors(tensors, {"progress": json.dumps(progress)})
