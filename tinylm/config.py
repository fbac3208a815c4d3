"""Recipes: everything a run depends on, written down before it starts.

A recipe is a TOML file (read by recipes.py), checked against the frozen classes below. A field's
default stands in the field and its explanation in the docstring under it; `tinylm train --help` and
the README tables are derived from both. This file imports no torch, so that every command can
answer `--help` at once.
"""

import difflib
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: frozen, no unknown fields, no infinite numbers."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )


# The sections in the order in which a run uses them: text, tokenizer, model, adapters, training,
# sampling. A recipe writes down only what differs from these defaults.


class CorpusConfig(Section):
    """Which text a run learns from, and how it is split into training and validation text."""

    text: str = Field("stories", min_length=1)
    """What to learn: a shipped or fetched corpus by name, a text file, or a folder of documents."""
    encoding: str = "utf-8"
    """How the characters of text files are written; anything but UTF-8 must be named."""
    size: int = Field(4_000_000, ge=1)
    """Bytes to generate, for the shipped corpora that have no end (stories, domain)."""
    # Without a separator the split into training and validation text is nanoGPT's: one cut. With
    # one, whole documents are kept aside, so that no document is on both sides.
    separator: str | None = None
    """What stands between two documents of a text file. None: the file is one undivided text."""
    valid_share: float = Field(0.1, gt=0, le=0.5)
    """Share of the characters (or of the documents) that is kept aside for validation."""
    document_token: bool = False
    """Begin each document with the token <|document|>; prompts then begin with it too."""
    seed: int = Field(0, ge=0)
    """Seed of the generators, and of the split where there are several documents."""


class TokenizerConfig(Section):
    """How text is cut into tokens; a run with `start_from` takes its parent's tokenizer."""

    # The trade: a larger vocabulary makes sequences shorter and the embedding table larger. A small
    # model spends a quarter of its parameters on 2,048 tokens.
    kind: Literal["char", "bpe"] = "bpe"
    """char: one token a character. bpe: byte-level byte-pair encoding, learned from the text."""
    vocab_size: int = Field(1024, ge=257)
    """Tokens to learn (bpe only; the characters decide for char)."""


class ModelConfig(Section):
    """The shape of the network: GPT-2, Llama and Qwen3 are three choices of these fields."""

    # Two or three options per axis: enough for GPT-2, Llama and Qwen3, whose shapes differ in the
    # norm, in how positions enter, in the MLP and in the biases, and in nothing else.
    vocab_size: int = Field(0, ge=0)
    """Filled in from the tokenizer when a run begins: the only field a recipe leaves open."""
    context: int = Field(256, ge=1)
    """Longest sequence the model sees, in tokens."""
    # Parameters grow with depth x width^2: about 12 of them per block and squared width.
    depth: int = Field(4, ge=1)
    """Blocks."""
    width: int = Field(128, ge=1)
    """Numbers that represent one position."""
    heads: int = Field(4, ge=1)
    """Query heads."""
    # What follows from another field has a default_factory: `made` holds the fields above it.
    kv_heads: int = Field(default_factory=lambda made: made.get("heads", 1), ge=1)
    """Key and value heads; fewer than `heads` is grouped-query attention (Ainslie et al. 2023)."""
    head_dim: int = Field(
        default_factory=lambda made: made.get("width", 1) // made.get("heads", 1), ge=1
    )
    """Numbers in one head's query, key and value."""
    mlp_width: int = Field(default_factory=lambda made: 4 * made.get("width", 1), ge=1)
    """Hidden numbers of the MLP."""
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    """What keeps activations at one scale."""
    norm_eps: float = Field(1e-6, gt=0)
    """Added under the square root of the norm."""
    position: Literal["rope", "learned"] = "rope"
    """rope: rotated queries and keys (Su et al. 2021). learned: a table added to the input."""
    rope_theta: float = Field(10_000.0, gt=0)
    """Base of the rotation wavelengths."""
    mlp: Literal["swiglu", "gelu", "relu2"] = "relu2"
    """Non-linearity of the MLP. relu2 is fast on a CPU, but needs one more matrix when exported."""
    bias: bool = False
    """Biases in linear layers and layer norms, as in GPT-2."""
    # Without it the scores of a query and a key can grow without bound, and attention then looks
    # at a single position; with it larger learning rates work.
    qk_norm: bool = True
    """Normalise queries and keys per head before the rotation, as in Qwen3."""
    tied: bool = True
    """One matrix for reading tokens in and predicting them."""
    embedding_scale: float = Field(1.0, gt=0)
    """Factor on the token embeddings: 1, or sqrt(width) as in Vaswani et al. 2017."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of activations set to zero while training."""

    def model_post_init(self, _context: Any) -> None:
        """Relations between fields that no single field can check."""
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads = {self.kv_heads} must divide heads = {self.heads}")
        if self.position == "rope" and self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim} must be even: rope rotates pairs")


Matrix = Literal["q", "k", "v", "o", "gate", "up", "down"]  # of a block, by gpt.py's names


class LoraConfig(Section):
    """Adapters of low rank beside frozen matrices (Hu et al. 2021)."""

    # A rank of 8 beside a matrix of 576 x 576 trains 9,216 numbers instead of 331,776.
    rank: int = Field(8, ge=1)
    """Columns of the two thin matrices beside each adapted one."""
    alpha: float = Field(16.0, gt=0)
    """The update is scaled by alpha / rank."""
    targets: tuple[Matrix, ...] = get_args(Matrix)
    """Which matrices get an adapter."""


class TrainConfig(Section):
    """The training loop: length, optimisers, schedule, validation, device and precision."""

    # steps x batch_size x context tokens are read in all. The rates were searched at the shapes of
    # the shipped recipes; a larger model wants smaller ones.
    steps: int = Field(1000, ge=1)
    """Optimiser updates."""
    # The gradient is a mean over the batch: four times the sequences, half the noise.
    batch_size: int = Field(32, ge=1)
    """Sequences per step."""
    micro_batch_size: int = Field(default_factory=lambda made: made.get("batch_size", 1), ge=1)
    """Sequences per forward pass: fewer than `batch_size` need less memory, same result."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: Muon (Jordan 2024) for hidden matrices, AdamW for the rest. adamw: AdamW for all."""
    # Two rates, since the two optimisers measure steps differently: AdamW moves each number by up
    # to the rate, Muon the whole matrix by the rate times an orthogonal one.
    learning_rate: float = Field(3e-3, ge=0)
    """Peak step size of AdamW."""
    muon_learning_rate: float = Field(0.02, ge=0)
    """Peak step size of Muon."""
    # Times the learning rate, as in AdamW: it fades with the schedule.
    weight_decay: float = Field(0.1, ge=0)
    """Pull of the matrices towards zero, per unit of learning rate; vectors are left alone."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's memory of the gradient."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """AdamW's memory of the squared gradient."""
    # A long decay at the end is worth more than a high rate to the last: noise averages out.
    schedule: Literal["wsd", "cosine"] = "wsd"
    """wsd: warm up, stay, decay in a line (Hu et al. 2024). cosine: warm up, then half a cosine."""
    # Shares of the run, not numbers of steps: a shorter run keeps the shape of its schedule.
    warmup: float = Field(0.02, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    decay: float = Field(0.4, ge=0, le=1)
    """Share of the steps in which it falls (wsd only)."""
    final: float = Field(0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""
    # One odd batch must not throw the weights far: longer gradients are scaled down to this norm.
    clip: float = Field(1.0, gt=0)
    """Largest norm of the whole gradient."""
    evaluate_every: int = Field(200, ge=1)
    """Steps between validation passes, each followed by a save."""
    # The best weights are kept in any case: patience saves the minutes after them.
    patience: int | None = Field(None, ge=1)
    """End the run after so many validation passes without a new best."""
    seed: int = Field(1, ge=0)
    """Decides the initial weights, the order of the batches and dropout."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of matrix products; weights stay fp32. auto: bf16 where the processor has it built in."""
    compile: bool = False
    """Use torch.compile: a minute of waiting, then faster steps. Off where it cannot work."""
    # The number of steps that fit is decided once and recorded: were it decided by the clock as the
    # run goes, no two runs would have the same schedule.
    max_minutes: float | None = Field(None, gt=0)
    """Take as many steps as fit into this time; decided once, before the first step."""
    stop_after: int | None = Field(None, ge=1)
    """Save and stop after this many steps of the same schedule, as an interruption would."""


class Sampling(Section):
    """How one token is drawn from the distribution (V,) that the logits give."""

    # Applied in this order; each cuts the tail of the distribution in another way. 1.0 and no cuts
    # draw from what the model has learned, tail and all.
    temperature: float = Field(0.8, ge=0)
    """Below 1 sharpens the distribution, above 1 flattens it; 0 takes the likeliest token."""
    top_k: int | None = Field(None, ge=1)
    """Keep the k likeliest tokens."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the fewest tokens whose probability reaches p (Holtzman et al. 2020)."""
    min_p: float = Field(0.0, ge=0, le=1)
    """Keep tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    repetition_penalty: float = Field(1.0, ge=1)
    """Divide the logits of tokens already seen by this (Keskar et al. 2019); 1 changes nothing."""


class SampleConfig(Section):
    """What is sampled along the way: prompts to continue, how often and how far."""

    every: int = Field(200, ge=1)
    """Steps between samples written along the way."""
    prompts: tuple[str, ...] = ("The ",)
    """Beginnings to continue, along the way and in comparisons."""
    tokens: int = Field(120, ge=1)
    """Tokens to add to each prompt."""
    sampling: Sampling = Sampling()
    """How a token is drawn from the distribution."""


class RewardConfig(Section):
    """The third stage: policy gradient on the model's own texts (Williams 1992)."""

    # loss = - advantage x log p + kl x KL - entropy x H: see training/reward.py.
    scorer: str = "metre"
    """A reward of evaluation/rewards.py: metre, rhyme, answer, length, or the control lottery."""
    kl: float = Field(0.1, ge=0)
    """Weight of KL(model || reference), which keeps the model near what it was (nats per token)."""
    entropy: float = Field(0.0, ge=0)
    """Weight of the entropy, which keeps several continuations open (nats per token)."""
    samples: int = Field(64, ge=2)
    """Texts that the model writes in each step."""
    tokens: int = Field(64, ge=1)
    """Tokens of each."""
    temperature: float = Field(1.0, gt=0)
    """At which they are drawn; at 1 from the distribution that learns."""


class Recipe(Section):
    """Everything a run depends on. ValueError where fields do not fit each other."""

    name: str = "run"
    """Names the run, and its folder under runs/ where --out is not given."""
    purpose: str = ""
    """One line that says what the run is for."""
    # The only difference between pretraining and fine-tuning: where the weights come from.
    start_from: str | None = None
    """A run to go on from, with its weights, tokenizer and shape. None: random weights."""
    fit_to_text: bool = False
    """Choose vocabulary, steps and dropout by the size of the text, unless they are given."""
    corpus: CorpusConfig = CorpusConfig()
    """The text."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Text to ids."""
    model: ModelConfig = ModelConfig()
    """The network."""
    lora: LoraConfig | None = None
    """Train low-rank adapters beside frozen weights (Hu et al. 2021) instead of the weights."""
    reward: RewardConfig | None = None
    """The third stage: learn from a reward for the model's own texts, not from the corpus."""
    train: TrainConfig = TrainConfig()
    """The training loop."""
    sample: SampleConfig = SampleConfig()
    """Text sampled along the way."""

    def model_post_init(self, _context: Any) -> None:
        """Relations between sections; ValueError for adapters or a reward without a parent."""
        if self.lora is not None and self.start_from is None:
            raise ValueError("lora needs start_from: a trained run to put adapters beside")
        if self.reward is not None and self.start_from is None:
            raise ValueError("reward needs start_from: a model that writes already")


def closest(word: str, allowed: list[str]) -> str:
    """` (did you mean "x"?)`, or nothing where no name is near; appended to messages about unknown
    names."""
    # The cutoff is low on purpose: a far-fetched hint costs nothing, a missing one costs a search.
    match = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f' (did you mean "{match[0]}"?)' if match else ""
