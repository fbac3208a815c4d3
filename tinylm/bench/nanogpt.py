"""nanoGPT (Karpathy 2022) as a peer: its own scripts, in its own process, in a copy of the user's
clone.

Nothing is written into the clone. Its checkpoints are pickles; they are opened by a script that
runs beside nanoGPT's model.py and reads tensors and plain values only.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinylm.bench.measure import Setup, Skip, python

CONFIG = "config/train_shakespeare_char.py"
CPU_TOKENS = 12 * 64  # per step of the command below: sequences, characters each
CPU_COMMAND = (  # what nanoGPT's README gives for a laptop without a GPU
    CONFIG,
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--log_interval=1",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--max_iters=2000",
    "--lr_decay_iters=2000",
    "--dropout=0.0",
)
GPU_COMMAND = (CONFIG,)

# Every validation character after the first, scored once in windows of the checkpoint's own
# context.
SCORE = """
import json, sys
import numpy as np, torch
from model import GPT, GPTConfig
checkpoint = torch.load(sys.argv[1] + "/ckpt.pt", map_location="cpu", weights_only=True)
model = GPT(GPTConfig(**checkpoint["model_args"])).eval()
model.load_state_dict({k.removeprefix("_orig_mod."): v for k, v in checkpoint["model"].items()})
model.to(sys.argv[2])
ids = torch.from_numpy(np.fromfile("data/shakespeare_char/val.bin",
dtype=np.uint16).astype(np.int64))
context, nats, last = model.config.block_size, 0.0, len(ids) - 1
whole = last // context * context
x, y = (ids[shift : shift + whole].view(-1, context) for shift in (0, 1))
pieces = [*zip(x.split(64), y.split(64)), (ids[whole:last][None], ids[whole + 1 :][None])]
with torch.no_grad():
    for x, y in pieces:
        if y.numel():
            nats += model(x.to(sys.argv[2]), y.to(sys.argv[2]))[1].item() * y.numel()
print(json.dumps({"nats": nats / last, "context": context, "iteration": checkpoint["iter_num"]}))
"""

# Tokens per second of model.generate for a model with random weights; no cache, as nanoGPT has
# none.
SAMPLE = """
import json, sys, time
import torch
from model import GPT, GPTConfig
depth, heads, width, context, vocab, tokens = map(int, sys.argv[1:])
shape = dict(n_layer=depth, n_head=heads, n_embd=width, block_size=context, vocab_size=vocab,
bias=False)
model = GPT(GPTConfig(**shape, dropout=0.0)).eval()
start = torch.zeros(1, 1, dtype=torch.long)
model.generate(start, 8, temperature=0.8)
began = time.perf_counter()
model.generate(start, tokens, temperature=0.8)
print(json.dumps(tokens / (time.perf_counter() - began)))
"""


@dataclass(frozen=True)
class Score:
    """What a nanoGPT checkpoint costs per validation character."""

    nats: float
    context: int


class NanoGpt:
    """A working copy of a clone, with tiny Shakespeare prepared in it by nanoGPT's own script."""

    def __init__(self, setup: Setup) -> None:
        if setup.nanogpt is None:
            raise Skip(
                "needs nanoGPT: --nanogpt FOLDER with a clone of github.com/karpathy/nanoGPT"
            )
        if not (setup.nanogpt / "train.py").is_file():
            raise ValueError(
                f"--nanogpt {setup.nanogpt}: no train.py there; give the folder of a nanoGPT clone"
            )
        self.folder = setup.folder("nanogpt")
        for path in (*setup.nanogpt.glob("*.py"), *setup.nanogpt.glob("config/*.py")):
            target = self.folder / path.relative_to(setup.nanogpt)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
        self._prepare(
            setup.nanogpt / "data" / "shakespeare_char" / "prepare.py", setup.shakespeare()
        )

    def _prepare(self, script: Path, text: Path) -> None:
        data = self.folder / "data" / "shakespeare_char"
        data.mkdir(parents=True)
        shutil.copyfile(script, data / "prepare.py")
        shutil.copyfile(text, data / "input.txt")
        # the script imports it for a download it won't need
        (data / "requests.py").write_text("", encoding="utf-8")
        python(["prepare.py"], data)

    def train(self, arguments: Sequence[str], out: str = "out") -> tuple[float, str]:
        """`python train.py ARGUMENTS`: wall seconds and what it printed."""
        return python(["train.py", *arguments, f"--out_dir={out}"], self.folder)

    def score(self, out: str = "out", device: str = "cpu") -> Score:
        """The checkpoint in `out`, by a full validation pass."""
        score = json.loads(python(["-c", SCORE, out, device], self.folder)[1].splitlines()[-1])
        return Score(score["nats"], score["context"])

    def sampling_speed(self, shape: Sequence[int]) -> float:
        """Tokens per second of one sequence; `shape` is depth, heads, width, context, vocabulary,
        tokens."""
        return float(python(["-c", SAMPLE, *map(str, shape)], self.folder)[1].splitlines()[-1])


def step_times(printed: str) -> list[float]:
    """Seconds of each iteration in what train.py printed, the first ten left out, and those with a
    validation.

    >>> step_times("iter 9: loss 4.1, time 90.00ms\\niter 10: loss 4.0, time 45.50ms, mfu 1%")
    [0.0455]
    """
    matches = re.findall(r"^iter (\d+):.*time ([\d.]+)ms", printed, re.MULTILINE)
    return [float(ms) / 1000 for number, ms in matches if int(number) >= 10 and int(number) % 250]
