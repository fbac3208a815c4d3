"""What makes training faster without changing what is learned: memory settings, compilation."""

import ctypes
import gc
import os
import sys
from typing import Any

import torch
from torch.utils import deterministic

from tinylm.training.trainer import Trainer


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


def fix_order(device: torch.device) -> None:
    """Ask torch for gradients that come out the same, to the bit, each time.

    On a CPU they do anyway. A GPU's fastest kernels add up in the order in which their threads
    finish (atomic additions: the backward pass of flash attention, of a compiled embedding), and a
    resumed run would end elsewhere. From here on this process takes those with a fixed order, for
    a few percent of the time. What has none raises RuntimeError, which no step of a run does.
    """
    if device.type != "cuda":
        return
    # A fixed workspace for cuBLAS, of the size that torch gives it anyway on new cards.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # torch.use_deterministic_algorithms would do the same, and import the compiler for seconds.
    torch.set_deterministic_debug_mode("error")
    # Otherwise torch fills all new memory first; nothing here reads it before it is written.
    memory: Any = deterministic  # a module with a property, which mypy does not see
    memory.fill_uninitialized_memory = False


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
