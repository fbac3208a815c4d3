"""Several processes that train one model as one would: `torchrun --nproc-per-node 2 -m tinylm train
RECIPE`.

torchrun starts the same command N times and tells each its rank in the environment (LOCAL_RANK,
RANK, WORLD_SIZE). Each holds the whole model and takes every N-th micro-batch of each batch;
gradients are added up over all, so every process makes the same step and no weight is ever sent
(data parallelism; Li et al., "PyTorch Distributed", 2020). The run is the same to rounding as with
one process, and to the bit when repeated with as many; only dropout differs. Where a batch has one
micro-batch for each of two processes, one process alone comes to the same bits too: a + b = b + a.

Rank 0 makes and writes the run folder; the others read it, as a resume does, so on several machines
it must lie on a file system that all of them see. Gradients travel at once after the backward pass,
as one block: simple, while torch's DDP sends them piece by piece during it, which pays on fast
networks with large models. Validation is done by each.

Tried: DDP with a hook that adds instead of averaging. Where another process had died, the gloo
thread and the end of the process group sometimes waited for each other, and the process hung.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from tinylm.config import Recipe
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run
from tinylm.training.trainer import Alone, Trainer


class Team(Alone):
    """The processes that torchrun started."""

    def add_up(self, number: float, gradients: Sequence[Tensor] = ()) -> float:
        """The sum of `number` over all processes; `gradients` become theirs, in place.

        Raises ValueError with what to do where another process is gone.
        """
        like = gradients[0] if gradients else torch.zeros(())
        # one message for everything
        block = torch.cat([*(g.flatten() for g in gradients), like.new_tensor([number])])
        try:
            dist.all_reduce(block)
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:100]
            raise ValueError(
                f"another process of this run has ended ({reason}). The last save is good: go on "
                "with tinylm resume, with any number of processes"
            ) from None
        for gradient, summed in zip(gradients, block[:-1].split([g.numel() for g in gradients])):
            gradient.copy_(summed.view_as(gradient))
        return block[-1].item()


@contextmanager
def joined() -> Iterator[Alone]:
    """Meet the other processes where torchrun started some, and part from them at the end; only
    rank 0 reports."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    if sys.platform == "win32":
        os.environ.setdefault("USE_LIBUV", "0")  # torch's wheels for Windows come without it
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # what "cuda" means from here on
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    team = Team(dist.get_rank(), dist.get_world_size())
    try:
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stderr(nowhere if team.rank else sys.stderr),
        ):
            yield team
    finally:
        dist.destroy_process_group()


def start(team: Alone, recipe: Recipe, folder: Path) -> Trainer:
    """The trainer of this process: rank 0 starts the run as always, the others then open it at step
    0."""
    check(team, recipe)
    trainer = None
    try:
        if team.rank == 0:
            trainer = start_run(recipe, folder)
            if team.count > 1:
                trainer.begin()
    finally:
        # 0: it could not, and says why; the others just end
        ready = team.add_up(float(trainer is not None))
    if not ready:
        sys.exit(2)
    if trainer is None:
        trainer = resume_run(folder, lead=False)
        # `stop_after` belongs to this call, not to the run: the folder does not hold it.
        train = trainer.recipe.train.model_copy(update={"stop_after": recipe.train.stop_after})
        trainer.recipe = trainer.recipe.model_copy(update={"train": train})
    trainer.team = team
    if team.count > 1:
        trainer.costs = None  # those of rank 0 alone; the steps of all are measured together
    return trainer


def resume(team: Alone, folder: Path) -> Trainer:
    """The trainer of this process for a run that was interrupted, with however many processes
    before."""
    trainer = resume_run(folder, lead=team.rank == 0)
    check(team, trainer.recipe)
    trainer.team = team
    return trainer


def check(team: Alone, recipe: Recipe) -> None:
    """ValueError where a process would have nothing to do."""
    if recipe.train.batch_size < team.count:
        raise ValueError(
            f"train.batch_size = {recipe.train.batch_size} is less than a row for each of "
            f"{team.count}"
        )
