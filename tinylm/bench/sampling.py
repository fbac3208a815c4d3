"""The row about sampling: tokens per second against transformers, nanoGPT and llama2.c, all with
random weights.

TinyLM, transformers and llama2.c run the same Llama-like shape (rotary positions, RMSNorm, SwiGLU
of 8/3 the width), nanoGPT its own of the same depth and width. One token of prompt, then `TOKENS`
more inside the context.

Trade-off: how fast a model samples does not depend on what its weights are, so nothing is trained;
the vocabulary is that of characters, which leaves the loop and the blocks to be measured, not the
output matrix.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from tinylm.bench.measure import (
    Bar,
    Measure,
    Reading,
    Setup,
    Skip,
    command,
    contest,
    ratios,
    seconds,
)
from tinylm.bench.nanogpt import NanoGpt
from tinylm.config import ModelConfig, Sampling
from tinylm.generation import stream
from tinylm.model.gpt import GPT

TOKENS, CONTEXT, VOCABULARY = 200, 256, 65
SHAPES = {128: (4, 4, 344), 384: (6, 6, 1024)}  # width -> depth, heads, mlp_width


def sampling(setup: Setup) -> Iterator[Reading]:
    """Tokens per second of one and of eight sequences, at width 128 and 384."""
    for width in SHAPES:
        peers: dict[str, Measure] = {}
        for name, make in (("nanoGPT", nanogpt_measure), ("llama2.c", llama2c_measure)):
            try:
                peers[name] = make(setup, width)
            except Skip as reason:
                yield Reading(
                    "sampling",
                    f"one sequence against {name}, width {width}",
                    "x",
                    detail=str(reason),
                )
        yield from against(width, 1, peers)
        yield from against(width, 8, {})


def against(width: int, rows: int, peers: dict[str, Measure]) -> Iterator[Reading]:
    """TinyLM's sampling of `rows` sequences against transformers' and that of the other peers."""
    number = "one sequence" if rows == 1 else f"{rows} sequences"
    try:
        peers = {"transformers": transformers_measure(width, rows), **peers}
    except Skip as reason:
        yield Reading(
            "sampling", f"{number} against transformers, width {width}", "x", detail=str(reason)
        )
    bars = {
        "transformers": Bar(">=", 2.5) if rows == 1 else Bar(">=", 2, beyond=4),
        "nanoGPT": Bar(">=", 4),
    }
    speeds = contest({"TinyLM": tinylm_measure(width, rows), **peers})
    for name in peers:
        yield Reading(
            "sampling",
            f"{number} against {name}, width {width}",
            "x",
            ratios(speeds["TinyLM"], speeds[name]),
            bars.get(name),
            f"TinyLM {median(speeds['TinyLM']):,.0f} tokens/s, {name} {median(speeds[name]):,.0f}"
            + ("; half of it would be beyond the bars" if name == "llama2.c" else ""),
        )


def tinylm_measure(width: int, rows: int) -> Measure:
    """Tokens per second of `generation.stream`, all rows together."""
    depth, heads, mlp_width = SHAPES[width]
    model = GPT(
        ModelConfig(
            vocab_size=VOCABULARY,
            context=CONTEXT,
            depth=depth,
            width=width,
            heads=heads,
            mlp="swiglu",
            mlp_width=mlp_width,
        )
    )
    model.initialise(torch.Generator().manual_seed(0))

    def run() -> float:
        generators = [torch.Generator().manual_seed(row) for row in range(rows)]
        tokens = stream(model, [[0]] * len(generators), Sampling(temperature=0.8), generators)
        return rows * TOKENS / seconds(lambda: [drawn.tolist() for drawn in islice(tokens, TOKENS)])

    run()
    return run


def transformers_measure(width: int, rows: int) -> Measure:
    """Tokens per second of `generate` with a LlamaForCausalLM and its default cache."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        raise Skip("transformers is not installed: pip install transformers") from None
    depth, heads, mlp_width = SHAPES[width]
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            intermediate_size=mlp_width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
        )
    ).eval()
    prompt = torch.ones(rows, 1, dtype=torch.long)
    options: dict[str, Any] = {
        "do_sample": True,
        "temperature": 0.8,
        "top_k": 0,
        "attention_mask": prompt,
    }

    def run() -> float:
        return (
            rows
            * TOKENS
            / seconds(lambda: model.generate(prompt, max_new_tokens=TOKENS, **options))
        )

    run()
    return run


def nanogpt_measure(setup: Setup, width: int) -> Measure:
    """Tokens per second of nanoGPT's `generate`, each time in a fresh process."""
    nano, (depth, heads, _) = NanoGpt(setup), SHAPES[width]
    return lambda: nano.sampling_speed((depth, heads, width, CONTEXT, VOCABULARY, TOKENS))


def llama2c_measure(setup: Setup, width: int) -> Measure:
    """Tokens per second as llama2.c reports them, compiled as its `make runomp` does."""
    if setup.llama2c is None:
        raise Skip("needs llama2.c: --llama2c FOLDER with a clone of github.com/karpathy/llama2.c")
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None or sys.platform == "win32":
        raise Skip("llama2.c needs a C compiler (cc, gcc or clang), on Linux or macOS")
    folder = setup.folder("llama2c")
    flags = ["-Ofast", "-march=native", *(["-fopenmp"] if sys.platform == "linux" else [])]
    command(
        [compiler, *flags, str((setup.llama2c / "run.c").resolve()), "-lm", "-o", "run"], folder
    )
    write_llama2c_model(folder / "model.bin", width)
    write_llama2c_tokenizer(folder / "tokenizer.bin")
    # Greedy, because token 1 would end the text: its row of the output matrix is zero, so it never
    # scores highest.
    words = ["./run", "model.bin", "-z", "tokenizer.bin", "-n", str(TOKENS), "-t", "0"]
    # The speed stands on standard error.
    return lambda: float(
        re.findall(r"tok/s: ([\d.]+)", command(["sh", "-c", f"{' '.join(words)} 2>&1"], folder)[1])[
            0
        ]
    )


def write_llama2c_model(path: Path, width: int) -> None:
    """Random weights in llama2.c's first format: seven int32 numbers, then fp32 matrices in a fixed
    order."""
    depth, heads, hidden = SHAPES[width]
    random = np.random.default_rng(0)
    # A negative vocabulary size says that the output matrix is one of its own.
    header = np.array([width, hidden, depth, heads, heads, -VOCABULARY, CONTEXT], dtype="<i4")
    attention, mlp, norms = (
        4 * depth * width * width,
        3 * depth * width * hidden,
        (2 * depth + 1) * width,
    )
    unused = CONTEXT * width // heads  # where older files kept the tables of the rotation
    weights = random.normal(0, width**-0.5, VOCABULARY * width + attention + mlp + norms + unused)
    output = random.normal(0, 1, (VOCABULARY, width))
    output[1] = 0
    with path.open("wb") as file:
        for part in (header, weights.astype("<f4"), output.astype("<f4")):
            file.write(part.tobytes())


def write_llama2c_tokenizer(path: Path) -> None:
    """A vocabulary of single letters: the longest length, then score, length and bytes of each
    token."""
    with path.open("wb") as file:
        file.write(np.int32(1).tobytes())
        for id in range(VOCABULARY):
            file.write(np.float32(0).tobytes() + np.int32(1).tobytes() + bytes([48 + id]))
