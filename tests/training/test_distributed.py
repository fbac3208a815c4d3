"""Two processes on this machine, started by torchrun or as it does, against one."""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tinylm import cli
from tinylm.recipes import load_recipe
from tinylm.runs import open_run
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run
from tinylm.training.trainer import Alone

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="this torch has no gloo")
RECIPE = """
[corpus]
text = '{text}'
[tokenizer]
kind = "char"
[model]
context = 64
depth = 2
width = 48
heads = 2
[train]
steps = 120
batch_size = 7    # not even: one process has a row more
micro_batch_size = 3
evaluate_every = 20
precision = "fp32"
device = "cpu"
[sample]
every = 60
tokens = 4
"""


def work(rank: int, port: int, said: Path, words: list[str]) -> None:
    """One process: the environment that torchrun would give it, then the command."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
    torch.set_num_threads(1)
    with said.open("w", encoding="utf-8") as sys.stderr:
        cli.main(words)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def torchrun(*words: object) -> list[tuple[int, str]]:
    """The exit code and standard error of a `tinylm` command on each of two machines."""
    shared = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1"]
    shared += ["--master-port", str(free_port())]
    command = [sys.executable, "-m", "torch.distributed.run", *shared]
    machines = [
        subprocess.Popen(
            [*command, "--node-rank", str(rank), "-m", "tinylm", *map(str, words)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "USE_LIBUV": "0"},
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for rank in range(2)
    ]
    errors = [machine.communicate(timeout=180)[1] for machine in machines]
    return [(machine.returncode, error) for machine, error in zip(machines, errors)]


class Pair:
    """The same `tinylm` command in two processes."""

    def __init__(self, place: Path, *words: object) -> None:
        # A server that has imported torch forks them, where the platform can: that saves seconds
        # each.
        servers = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if servers else "spawn")
        if servers:
            context.set_forkserver_preload(["tests.training.test_distributed"])
        port = free_port()
        self.said = [place / f"said-{rank}.txt" for rank in range(2)]
        self.processes = [
            context.Process(target=work, args=(rank, port, said, [str(word) for word in words]))
            for rank, said in enumerate(self.said)
        ]
        for process in self.processes:
            process.start()

    def ended(self, *codes: int) -> list[str]:
        """What each said on standard error, once all have ended with these codes (any, where none
        is given)."""
        for process in self.processes:
            process.join(120)
        errors = [said.read_text(encoding="utf-8") for said in self.said]
        assert not codes or [process.exitcode for process in self.processes] == [*codes], errors
        return errors


def losses(folder) -> list[float]:
    return [record["loss"] for record in open_run(folder).records("train")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, text_file):
    path = tmp_path_factory.mktemp("recipe") / "two.toml"
    path.write_text(RECIPE.format(text=text_file), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory, recipe):
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    for _ in start_run(load_recipe(str(recipe)), folder).run():
        pass
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory, recipe):
    """The run of two machines, as torchrun starts it on each, and what each of them said."""
    folder = tmp_path_factory.mktemp("together") / "run"
    return folder, [said for code, said in torchrun("train", recipe, "--out", folder) if code == 0]


def test_two_processes_follow_the_loss_curve_of_one(alone, together):
    folder, (first, second) = together
    one, two = losses(alone), losses(folder)
    assert len(one) == len(two) == 120 and one[0] - one[49] > 0.5
    assert max(abs(a - b) for a, b in zip(one[:50], two[:50])) < 1e-4
    ends = [open_run(run).manifest["best"]["nats_per_token"] for run in (alone, folder)]
    assert ends[0] == pytest.approx(ends[1], rel=0.01)
    # Adam and Muon do not see the scale of a gradient: its norm tells a sum from a mean.
    norms = [open_run(run).records("train")[0]["grad_norm"] for run in (alone, folder)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    assert "done in" in first and second == ""  # one of them reports


def test_a_micro_batch_for_each_of_two_processes_adds_up_to_the_bits_of_one_process(
    tmp_path, recipe
):
    fields = {"train.batch_size": "6", "train.precision": "bf16"}  # micro-batches of 3

    def gradients(rank: int, count: int) -> list[torch.Tensor]:
        trainer = start_run(load_recipe(str(recipe), fields), tmp_path / f"{rank} of {count}")
        trainer.team = Alone(rank, count)
        trainer.accumulate(trainer.batches[0])
        return [weight.grad for weight in trainer.model.parameters() if weight.grad is not None]

    one, first, second = gradients(0, 1), gradients(0, 2), gradients(1, 2)
    assert one and all(
        torch.equal(whole, a + b) for whole, a, b in zip(one, first, second, strict=True)
    )


def test_one_process_writes_for_both(alone, together):
    run = open_run(together[0])
    assert run.manifest["processes"] == 2 and run.manifest["status"] == "finished"
    assert [record["step"] for record in run.records("valid")] == [*range(0, 121, 20)]
    assert [sample["step"] for sample in run.log("samples.jsonl")] == [60, 120]
    files = {path.relative_to(together[0]) for path in together[0].rglob("*")}
    assert files == {path.relative_to(alone) for path in alone.rglob("*")}


def test_where_one_process_dies_the_other_says_so_and_the_run_goes_on_with_two_or_one(
    tmp_path, recipe, alone, together
):
    folder = tmp_path / "run"
    pair, log = Pair(tmp_path, "train", recipe, "--out", folder), folder / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while (
        not (log.exists() and log.read_text(encoding="utf-8").count("\n") > 45)
        and time.monotonic() < deadline
    ):
        time.sleep(0.002)
    pair.processes[1].kill()
    error = pair.ended()[0]
    assert pair.processes[0].exitcode == 2 and "another process of this run has ended" in error, (
        error
    )
    assert "Traceback" not in error and error.count("tinylm resume") == 1
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["step"] in range(20, 120, 20)
    shutil.copytree(folder, tmp_path / "with one")
    Pair(tmp_path, "resume", folder).ended(0, 0)
    # the same number: the same bits
    for name in ("metrics.jsonl", "samples.jsonl", "model/model.safetensors"):
        assert (folder / name).read_bytes() == (together[0] / name).read_bytes(), name
    for _ in resume_run(tmp_path / "with one").run():
        pass
    ends = [
        open_run(run).manifest["best"]["nats_per_token"] for run in (alone, tmp_path / "with one")
    ]
    assert ends[0] == pytest.approx(ends[1], rel=0.01) and len(losses(tmp_path / "with one")) == 120


def test_a_mistake_that_only_the_first_process_can_see_ends_both(tmp_path, recipe):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious", encoding="utf-8")
    errors = Pair(tmp_path, "train", recipe, "--out", tmp_path / "run").ended(2, 2)
    assert errors[0].startswith("tinylm: ") and "exists" in errors[0] and errors[1] == ""
