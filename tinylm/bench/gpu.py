"""Rows for one NVIDIA GPU: nanoGPT's GPU recipe on tiny Shakespeare, GPT-2's shape at the machine's
limit, adapters on SmolLM2's shape, the reward stage, and whether a resumed run repeats to the bit.

Speed does not depend on what the weights are: the shapes of GPT-2 and SmolLM2 have random ones.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
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
    contest,
    gemm_flops,
    python,
    ratios,
    seconds,
)
from tinylm.bench.nanogpt import GPU_COMMAND, NanoGpt
from tinylm.bench.training import Fields, make_trainer, now, tokens_per_second, train_command
from tinylm.config import LoraConfig, ModelConfig, Recipe, Sampling, TrainConfig
from tinylm.formats.huggingface import to_hf_config
from tinylm.generation import stream
from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora, lower_frozen
from tinylm.model.size import flops_per_token
from tinylm.runs import Run, open_run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import CharTokenizer
from tinylm.training.checkpoint import STATE, weights_file
from tinylm.training.load import read_tensors
from tinylm.training.performance import compiled, fix_order
from tinylm.training.reward import RewardTrainer
from tinylm.training.trainer import Trainer

# nats per character: what nanoGPT's README reports for its GPU command on an A100
GPU_LOSS = 1.4697
# From random weights to that loss as fast as possible, in nanoGPT's shape, so with few steps and a
# fast decay. On an H200 these 400 reached 1.445 in 25 s, start to exit; the recipe's 500 took 21 s
# of training alone and reached 1.437; 600 steps with dropout 0.2 reached 1.449.
GPU_SPRINT = {"train.steps": "400", "train.decay": "0.8"}
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
SMOLLM2 = ModelConfig(  # 135 M parameters
    vocab_size=49152,
    context=2048,
    depth=30,
    width=576,
    heads=9,
    kv_heads=3,
    mlp="swiglu",
    mlp_width=1536,
    norm_eps=1e-5,
    rope_theta=100_000,
    qk_norm=False,
)
ADAPTERS = LoraConfig(rank=16, alpha=32)
WINDOW = 256  # tokens of a training sequence, as in the recipe foundation-verse
PROMPT, SAMPLED = 16, 128  # tokens read, tokens written

# The demo's three stages, the first two at a scale of seconds: recipe -> fields. The model learns
# to end its lines, so that they are scored as they are in the demo.
QUIET: Fields = {"train.evaluate_every": "1000000", "sample.every": "1000000", "sample.tokens": "1"}
STAGES: dict[str, Fields] = {
    "demo-base": QUIET | {"corpus.size": "1000000", "train.steps": "300"},
    "demo-verse": QUIET | {"train.steps": "200"},
    "demo-reward": {},
}
REWARD_STEPS = 5
# What is interrupted after half of its steps: stage -> recipe, its fields. Dropout in the first.
SHORT: Fields = {"train.steps": "6", "train.evaluate_every": "3", "sample.every": "3"}
INTERRUPTED: dict[str, tuple[str, Fields]] = {
    "pretraining": (
        "demo-base",
        SHORT
        | {"corpus.text": "verse", "corpus.valid_share": "0.1", "tokenizer.vocab_size": "512"}
        | {"model.dropout": "0.2"},
    ),
    "the reward stage": ("demo-reward", SHORT),
}


def need_gpu() -> None:
    """Raise Skip where torch has no NVIDIA GPU: the row is then reported as not measured."""
    if not torch.cuda.is_available():
        raise Skip("needs an NVIDIA GPU that torch can use")


def gpu_loss(setup: Setup) -> Iterator[Reading]:
    """Time to nanoGPT's published result, against nanoGPT's GPU command (needs CUDA)."""
    need_gpu()
    nano, text = NanoGpt(setup), {"corpus.text": str(setup.shakespeare())}
    peer_loss, _ = nano.train(GPU_COMMAND)
    own_runs = [train_command(setup, "shakespeare-gpu", text | GPU_SPRINT) for _ in range(3)]
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
    train = TrainConfig(batch_size=GPT2_BATCH, optimizer="adamw")
    trainer = compiled(random_trainer(setup, GPT2, train))
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


def random_trainer(
    setup: Setup, config: ModelConfig, train: TrainConfig, lora: LoraConfig | None = None
) -> Trainer:
    """A trainer whose corpus is random ids, for timing; of adapters where `lora` is given."""
    ids = (
        np.random.default_rng(0)
        .integers(config.vocab_size, size=64 * config.context)
        .astype(np.uint16)
    )
    corpus = Corpus(CharTokenizer(""), ids, ids, sha256="")
    model = GPT(config)
    model.initialise(generator := torch.Generator().manual_seed(0))
    if lora is not None:
        attach_lora(model, lora, generator)
    trainer = Trainer(Recipe(model=config, train=train), corpus, model, setup.folder("run"))
    fix_order(trainer.compute.device)
    lower_frozen(trainer.model, trainer.compute.dtype)
    return trainer


@contextmanager
def any_order() -> Iterator[None]:
    """A peer in this process runs as torch comes, not with the sums in a fixed order that our runs
    ask for."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def gpu_foundation(setup: Setup) -> Iterator[Reading]:
    """LoRA and sampling in SmolLM2-135M's shape against PEFT and transformers (needs CUDA)."""
    need_gpu()
    yield adapters(setup, SMOLLM2, "cuda", compiling=False)
    yield greedy(SMOLLM2, "cuda")
    yield adapters(setup, SMOLLM2, "cuda", compiling=True)


def adapters(setup: Setup, config: ModelConfig, device: str, compiling: bool) -> Reading:
    """Tokens per second of training adapters, against PEFT on the same shape and batch."""
    short = config.model_copy(update={"context": min(WINDOW, config.context)})
    train = TrainConfig(batch_size=4, optimizer="adamw", device=device, precision="bf16")
    trainer = random_trainer(setup, short, train, ADAPTERS)
    if compiling:
        trainer = compiled(trainer)
    speeds = contest(
        {
            "TinyLM": partial(tokens_per_second, trainer, steps=20),
            "PEFT": peft_measure(short, train),
        }
    )
    return Reading(
        "gpu-foundation",
        "LoRA on SmolLM2-135M's shape" + ", compiled" * compiling + ", against PEFT",
        "x",
        ratios(speeds["TinyLM"], speeds["PEFT"]),
        Bar(">=", 1.3, beyond=2),
        f"TinyLM {median(speeds['TinyLM']):,.0f} tokens/s, PEFT (not compiled) "
        f"{median(speeds['PEFT']):,.0f}: rank {ADAPTERS.rank}, batches of {train.batch_size} x "
        f"{short.context}, frozen weights and products in bf16"
        + "".join(f"; {notice}" for notice in trainer.notices),
    )


def peft_measure(config: ModelConfig, train: TrainConfig, steps: int = 20) -> Measure:
    """Tokens per second of PEFT: a LlamaForCausalLM in bf16, adapters in fp32, autocast, fused
    AdamW."""
    try:
        from peft import get_peft_model
    except ImportError:
        raise Skip("peft is not installed: pip install peft") from None
    model = get_peft_model(llama(config, train.device), peft_settings()).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, fused=True)
    shape = (train.batch_size, config.context)
    ids = torch.randint(config.vocab_size, shape, device=train.device)

    def step() -> None:
        with torch.autocast(train.device, torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, train.clip).item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def run() -> float:
        with any_order():
            times = [seconds(step) for _ in range(3 + steps)]
        return ids.numel() / median(times[3:])

    return run


def peft_settings() -> Any:
    """Our adapters as PEFT has them."""
    from peft import LoraConfig as PeftConfig

    return PeftConfig(
        r=ADAPTERS.rank,
        lora_alpha=int(ADAPTERS.alpha),
        target_modules=[f"{name}_proj" for name in ADAPTERS.targets],
        task_type="CAUSAL_LM",
    )


def llama(config: ModelConfig, device: str) -> Any:
    """A LlamaForCausalLM of the same shape in bf16, with random weights and no token that ends a
    text."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        raise Skip("transformers is not installed: pip install transformers") from None
    tokens = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    with torch.device(device):
        return LlamaForCausalLM(LlamaConfig.from_dict(to_hf_config(config) | tokens)).bfloat16()


def greedy(config: ModelConfig, device: str) -> Reading:
    """Tokens per second of one sequence, the likeliest token each time, against `generate`."""
    model = GPT(config)
    model.initialise(torch.Generator().manual_seed(0))
    model.to(device)
    peer, prompt = llama(config, device).eval(), torch.ones(1, PROMPT, dtype=torch.long)
    prompt = prompt.to(device)
    options: dict[str, Any] = {"do_sample": False, "attention_mask": torch.ones_like(prompt)}

    def own() -> float:
        tokens = stream(model, prompt.tolist(), Sampling(temperature=0), [torch.Generator()])
        return SAMPLED / seconds(lambda: [drawn.tolist() for drawn in islice(tokens, SAMPLED)])

    def theirs() -> float:
        with any_order():
            return SAMPLED / seconds(
                lambda: peer.generate(prompt, max_new_tokens=SAMPLED, **options).tolist()
            )

    own(), theirs()  # warms up
    speeds = contest({"TinyLM": own, "transformers": theirs})
    return Reading(
        "gpu-foundation",
        "one sequence from SmolLM2-135M's shape, against transformers",
        "x",
        ratios(speeds["TinyLM"], speeds["transformers"]),
        Bar(">=", 1.0),
        f"TinyLM {median(speeds['TinyLM']):,.0f} tokens/s in fp32, transformers "
        f"{median(speeds['transformers']):,.0f} in bf16: {PROMPT} tokens read, {SAMPLED} written",
    )


def gpu_reward(setup: Setup) -> Iterator[Reading]:
    """Seconds of one step of the demo's reward stage (needs CUDA)."""
    need_gpu()
    yield from reward(setup, {"train.device": "cuda"})


def reward(setup: Setup, fields: Fields) -> Iterator[Reading]:
    """Time the third stage behind short first ones; `fields` go to all three."""
    parent: Fields = {}
    *first, (last, more) = STAGES.items()
    for recipe, short in first:
        folder = train_here(setup, recipe, short | fields | parent).folder
        parent = {"start_from": str(folder)}
    trainer = make_trainer(setup, last, more | fields | parent)
    assert isinstance(trainer, RewardTrainer)
    whole, writing, success = [], [], 0.0
    for step in range(1 + REWARD_STEPS):
        start = now(trainer)
        trainer.stage.sample(trainer.recipe.train.seed, step)
        between = now(trainer)
        result = trainer.compute_gradients(step)  # samples once more
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), trainer.recipe.train.clip)
        trainer.optimizers.step(step)
        whole.append(now(trainer) - between)
        writing.append(between - start)
        success = result.measures["success"]
    config = trainer.stage.config
    yield Reading(
        "gpu-reward",
        "one step of the demo's reward stage",
        "seconds",
        tuple(whole[1:]),
        None,
        f"{config.samples} samples x {config.tokens} tokens; {median(writing[1:]):.3f} s of it to "
        f"write and score them; {100 * success:.0f} % of the lines scan; "
        f"{trainer.compute.device.type} in {str(trainer.compute.dtype)[6:]}",
    )


def gpu_resume(setup: Setup) -> Iterator[Reading]:
    """Whether a stopped and resumed run ends with the same bytes as one in one go (needs CUDA)."""
    need_gpu()
    yield from resume(setup, {"train.device": "cuda"})


def resume(setup: Setup, fields: Fields) -> Iterator[Reading]:
    """Each stage in one go, and stopped half-way and resumed by another process."""
    parent: Fields = {}
    for stage, (recipe, short) in INTERRUPTED.items():
        whole = train_here(setup, recipe, short | fields | parent)
        half = {"train.stop_after": str(whole.manifest["steps"] // 2)}
        parts = train_here(setup, recipe, short | fields | parent | half)
        python(["-m", "tinylm", "resume", str(parts.folder)], setup.scratch)
        runs = whole, open_run(parts.folder)
        kept = [np.frombuffer(b"".join(weights_and_state(run)), dtype=np.uint8) for run in runs]
        differing = int((kept[0] != kept[1]).sum())
        yield Reading(
            "gpu-resume",
            f"bytes that a stop and a resume leave as they are, {stage}",
            "%",
            (100 * (1 - differing / kept[0].size),),
            Bar(">=", 100),
            f"{differing:,} of {kept[0].size:,} bytes of weights and optimiser state differ: "
            f"{whole.manifest['steps']} steps in one go, and {half['train.stop_after']} with the "
            f"rest by another process; {whole.manifest['device']} in {whole.manifest['precision']} "
            f"(train.precision = {whole.recipe.train.precision}), train.compile = "
            f"{str(whole.recipe.train.compile).lower()}",
        )
        parent = {"start_from": str(whole.folder)}


def train_here(setup: Setup, recipe: str, fields: Fields) -> Run:
    """Train a recipe in this process."""
    trainer = make_trainer(setup, recipe, fields)
    for _ in trainer.run():
        pass
    return open_run(trainer.folder)


def weights_and_state(run: Run) -> Iterator[bytes]:
    """The bytes of a run's best weights, last weights and optimiser state, tensor by tensor.

    Not whole files: the state's header also holds the seconds that the run has taken.
    """
    for name in (weights_file(run.recipe), STATE):
        for tensor in read_tensors(run.path(name))[0].values():
            yield tensor.numpy().tobytes()
