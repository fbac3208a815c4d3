"""What a run was trained with: machine, versions, precision, size. The manifest keeps it, so that a
result can be traced to what made it."""

import platform
import sys
from typing import Any

import numpy as np
import torch

from tinylm.model.size import flops_per_token, size_of
from tinylm.training.trainer import Trainer
from tinylm.version import __version__


def environment(trainer: Trainer) -> dict[str, Any]:
    """The manifest's fields about a trainer's machine and model, as JSON values."""
    config = trainer.model.config
    return {
        "seed": trainer.recipe.train.seed,
        "parameters": size_of(config).total,
        "flops": trainer.tokens * flops_per_token(config),
        "peak_memory_bytes": peak_memory(trainer.compute.device),
        "device": str(trainer.compute.device),
        "precision": str(trainer.compute.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processes": trainer.team.count,
        "platform": platform.platform(),
        "versions": {
            "tinylm": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def peak_memory(device: torch.device | None = None) -> int:
    """Most bytes that this process has held so far, on the GPU where `device` is one; 0 where the
    platform does not say (Windows)."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in kB
