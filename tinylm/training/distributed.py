"""Several processes that train one model as one would: `torchrun --nproc-per-node 2 -m tinylm train
RECIPE`.

torchrun starts the same command N times and tells each its rank in the environment (LOCAL_RANK,
RANK, WORLD_SIZE). Each holds the whole model and takes every N-th micro-batch of each batch. In the
last backward pass of a step, torch's DistributedDataParallel adds the gradients of all up, layer by
layer while earlier layers are still at work, so every process makes the same step (data
parallelism; Li et al., "PyTorch Distributed", 2020). The run is the same to rounding as with one
process, and to the bit when repeated with as many; only dropout differs. Where a batch has one
micro-batch for each of two processes, one process alone comes to the same bits too: a + b = b + a.

Rank 0 makes and writes the run folder; the others read it, as a resume does, so on several machines
it must lie on a file system that all of them see:

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 1 --master-addr HOST --master-port 29500 \\
        -m tinylm train RECIPE --out FOLDER        the same on the other machine, with --node-rank 1

Trade-offs. Each process holds the whole model with its optimiser, so it must fit into one device.
Validation is done by each. A run with a reward trains in one process.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tinylm.config import Recipe
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run
from tinylm.training.trainer import Alone, Trainer


class Team(Alone):
    """The processes that torchrun started."""

    parallel: DistributedDataParallel | None = None  # the model, once it is shared

    def share(self, trainer: Trainer) -> Trainer:
        """The trainer, whose backward passes from now on add up the gradients of all processes."""
        frozen = self.parallel = DistributedDataParallel(
            cast(torch.nn.Module, trainer.forward),
            broadcast_buffers=False,  # no layer has any that change
            gradient_as_bucket_view=True,  # no second copy of the gradients
        )
        frozen.register_comm_hook(None, add_gradients)
        trainer.forward, trainer.team = frozen, self
        return trainer

    def is_last(self, last: bool) -> None:
        """Whether the next backward pass ends a step: only then do gradients travel."""
        assert self.parallel is not None
        self.parallel.require_backward_grad_sync = last

    def add_up(self, number: float) -> float:
        """The sum of `number` over all processes."""
        total = torch.tensor(number, dtype=torch.float64)
        dist.all_reduce(total)
        return total.item()


def add_gradients(_: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """The sum of a bucket over all processes.

    Each process has divided its loss by the targets of the whole batch already. DDP's own mean
    would weigh a process with few unmasked targets as much as one with many.
    """
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    return work.get_future().then(lambda done: done.value()[0])


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
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        reason = str(error).splitlines()[0][:100]
        raise ValueError(
            f"another process of this run has ended ({reason}). The last save is good: go on "
            "with tinylm resume, with any number of processes"
        ) from None
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
    if isinstance(team, Team):
        trainer.costs = None  # those of rank 0 alone; the steps of all are measured together
        return team.share(trainer)
    return trainer


def resume(team: Alone, folder: Path) -> Trainer:
    """The trainer of this process for a run that was interrupted, with however many processes
    before."""
    trainer = resume_run(folder, lead=team.rank == 0)
    check(team, trainer.recipe)
    return team.share(trainer) if isinstance(team, Team) else trainer


def check(team: Alone, recipe: Recipe) -> None:
    """ValueError where a process would have nothing to do."""
    if recipe.train.batch_size < team.count:
        raise ValueError(
            f"train.batch_size = {recipe.train.batch_size} is less than a row for each of "
            f"{team.count}"
        )
