"""Which numbers are promised: the same seed gives the same bits on one machine at one thread count;
beyond, closeness.

Promised across thread counts: the losses of 12 steps agree to a relative 1e-5 in fp32.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from tests.conftest import train_run
from tests.training.test_trainer import contents

ACROSS_THREADS = 1e-5  # relative, of each step's loss
SHAPE = {
    "model": {"context": 64, "width": 64},
    "train": {"steps": 12, "evaluate_every": 12, "batch_size": 16},
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path, text_file, precision):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_run(tmp_path / name, text_file, train={"seed": seed, "precision": precision})
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b and a["model/model.safetensors"] != c["model/model.safetensors"]


@pytest.mark.long  # seconds where two cores are free, a minute where threads wait for each other
def test_another_number_of_threads_gives_the_same_losses_to_rounding(tmp_path, text_file):
    losses = {}
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            run = train_run(tmp_path / str(threads), text_file, **SHAPE)
        finally:
            torch.set_num_threads(before)
        losses[threads] = torch.tensor([record["loss"] for record in run.records("train")])
    worst = ((losses[2] - losses[1]).abs() / losses[1]).max().item()
    print(f"largest relative difference of a loss between one thread and two: {worst:.1e}")
    assert worst < ACROSS_THREADS


@pytest.mark.long
def test_two_builds_of_the_wheel_are_the_same_bytes(tmp_path):
    root, wheels = Path(__file__).resolve().parents[2], []
    for name in ("one", "two"):
        parts = shutil.ignore_patterns(".*", "runs", "__pycache__", "dist")
        shutil.copytree(root, tmp_path / name, ignore=parts)
        words = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--wheel-dir",
            str(tmp_path / f"{name}-built"),
            ".",
        ]
        if subprocess.run(words, cwd=tmp_path / name, capture_output=True, check=False).returncode:
            pytest.skip("pip cannot build a wheel here (it needs hatchling)")
        wheels += (tmp_path / f"{name}-built").glob("*.whl")
    assert len(wheels) == 2 and wheels[0].read_bytes() == wheels[1].read_bytes()
    packed = set(zipfile.ZipFile(wheels[0]).namelist())
    # not only Python: templates of pages, the playground's scripts
    package = (root / "tinylm").rglob("*.*")
    kinds = (".html", ".css", ".svg", ".js", ".py")
    assert {str(p.relative_to(root)) for p in package if p.suffix in kinds} <= packed
