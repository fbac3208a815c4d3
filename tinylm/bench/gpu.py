"""Rows for one NVIDIA GPU: nanoGPT's GPU recipe on tiny Shakespeare, and GPT-2's shape at the
machine's limit."""

import re
from collections.abc import Iterator
from statistics import median

import numpy as np
import torch

from tinylm.bench.measure import Bar, Reading, Setup, Skip, contest, gemm_flops, python, ratios
from tinylm.bench.nanogpt import GPU_COMMAND, NanoGpt
from tinylm.bench.training import tokens_per_second, train_command
from tinylm.config import ModelConfig, Recipe, TrainConfig
from tinylm.model.gpt import GPT
from tinylm.model.size import flops_per_token
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import CharTokenizer
from tinylm.training.performance import compiled
from tinylm.training.trainer import Trainer

# nats per character: what nanoGPT's README reports for its GPU command on an A100
GPU_LOSS = 1.4697
# 124 M parameters; the table is rounded up to a multiple of 64, as nanoGPT's bench.py has it
GPT2 = ModelConfig(
    vocab_size=50304,
    context=1024,
    depth=12,
    width=768,
    heads=12,
    norm="layernorm",
    norm_eps=1e-5,
    position="learned",
    mlp="gelu",
    qk_norm=False,
)
GPT2_BATCH = 12  # sequences, as in nanoGPT's bench.py


def need_gpu() -> None:
    if not torch.cuda.is_available():
        raise Skip("needs an NVIDIA GPU that torch can use")


def gpu_loss(setup: Setup) -> Iterator[Reading]:
    """Time to nanoGPT's published result, against nanoGPT's GPU command (needs CUDA)."""
    need_gpu()
    nano, text = NanoGpt(setup), {"corpus.text": str(setup.shakespeare())}
    peer_loss, _ = nano.train(GPU_COMMAND)
    own_runs = [train_command(setup, "shakespeare-gpu", text) for _ in range(3)]
    score, worst = nano.score(device="cuda"), max(run.nats for run in own_runs)
    yield Reading(
        "gpu-loss",
        f"time to {GPU_LOSS} nats/character on a GPU, against nanoGPT's command",
        "x",
        tuple(peer_loss / run.seconds for run in own_runs),
        Bar(">=", 4, beyond=10),
        f"TinyLM {median(run.seconds for run in own_runs):.1f} s to {worst:.4f}; nanoGPT "
        f"{peer_loss:.1f} "
        f"s to {score.nats:.4f}, compiling included; full passes in windows of 256; nanoGPT ran "
        "once",
        fair=worst <= GPU_LOSS,
    )


def gpu_mfu(setup: Setup) -> Iterator[Reading]:
    """GPT-2's 124 M shape in bf16: share of the measured peak, and speed against nanoGPT compiled
    (needs CUDA)."""
    need_gpu()
    trainer = compiled(random_trainer(setup, GPT2, GPT2_BATCH))
    work = flops_per_token(GPT2)
    seconds = contest(
        {
            "TinyLM": lambda: work * tokens_per_second(trainer, steps=20),  # FLOP/s
            "peak": lambda: gemm_flops(torch.bfloat16, "cuda", size=8192, least_seconds=1.0),
        }
    )
    yield Reading(
        "gpu-mfu",
        "model FLOPs of GPT-2 124M against the measured bf16 peak",
        "%",
        tuple(100 * share for share in ratios(seconds["TinyLM"], seconds["peak"])),
        Bar(">=", 45, beyond=60),
        f"{median(seconds['TinyLM']) / 1e12:.0f} of {median(seconds['peak']) / 1e12:.0f} TFLOP/s; "
        + "; ".join(trainer.notices),
    )
    nano = NanoGpt(setup)
    # compiles, then batches of 12 x 1,024
    printed = python(["bench.py", "--real_data=False"], nano.folder)[1]
    step = float(re.findall(r"time per iteration: ([\d.]+)ms", printed)[-1]) / 1000
    yield Reading(
        "gpu-mfu",
        "GPT-2 124M steps against nanoGPT compiled",
        "x",
        tuple(flops * step / (work * trainer.batches.tokens) for flops in seconds["TinyLM"]),
        Bar(">=", 1.0),
        f"nanoGPT {1000 * step:.1f} ms a step",
    )


def random_trainer(setup: Setup, config: ModelConfig, batch_size: int) -> Trainer:
    """A trainer whose corpus is random ids, for timing."""
    ids = (
        np.random.default_rng(0)
        .integers(config.vocab_size, size=64 * config.context)
        .astype(np.uint16)
    )
    corpus = Corpus(CharTokenizer(""), ids, ids, sha256="")
    model = GPT(config)
    model.initialise(torch.Generator().manual_seed(0))
    recipe = Recipe(model=config, train=TrainConfig(batch_size=batch_size, optimizer="adamw"))
    return Trainer(recipe, corpus, model, setup.folder("run"))
