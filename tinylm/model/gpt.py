"""GPT: a stack of attention and MLP blocks that predicts the next token at every position.

One class covers three published families by its config: GPT-2 (Radford et al. 2019), Llama (Touvron
et al. 2023) and Qwen3 (Yang et al. 2025), whose shape is the default here. Read from top to bottom:
norm, rotation, attention, MLP, block, model, then what a model of a given shape costs.

Shapes: B sequences in a batch, T positions, W width, H heads, K key-value heads, D numbers per
head, V vocabulary.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinylm.config import ModelConfig


class Cache:
    """Keys and values of the positions already seen, so that each new token costs one position, not
    all of them.

    Made by generation and passed in; blocks write behind `length`, the model advances it once at
    the end of forward.
    """

    def __init__(
        self, config: ModelConfig, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # (layers, B, K, T, D)
        shape = (config.depth, batch, config.kv_heads, config.context, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, K, T, D) to a layer; returns all keys and values so far (B, K, length
        + T, D)."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class RMSNorm(nn.RMSNorm):
    """x / root-mean-square(x) * weight over the last axis (Zhang & Sennrich 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type as x; the weight follows x's type, since torch's fused kernel wants
        both alike."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def make_norm(config: ModelConfig, size: int) -> nn.Module:
    """RMSNorm or LayerNorm (Ba et al. 2016) over the last `size` numbers."""
    if config.norm == "rmsnorm":
        return RMSNorm(size, eps=config.norm_eps)
    return nn.LayerNorm(size, eps=config.norm_eps, bias=config.bias)


def rope_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D) by which position t turns the pair (i, i + D/2) of a query or key
    (Su et al. 2021)."""
    # (D/2,)
    wavelengths = config.rope_theta ** (
        torch.arange(0, config.head_dim, 2).float() / config.head_dim
    )
    angles = torch.arange(config.context).float()[:, None] / wavelengths  # (T, D/2)
    return angles.cos().repeat(1, 2), torch.cat((-angles.sin(), angles.sin()), dim=1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + D/2) of x (B, T, H, D) by tables (T, 1, D): (a, b) -> (a cos - b
    sin, b cos + a sin).

    The rotate-half layout that Llama's checkpoints use; the first half of `sin` holds the minus
    sign.
    """
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin


def attend_in_blocks(
    q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0, rows: int = 128
) -> Tensor:
    """Causal attention by plain matrix products, `rows` queries at a time, each against the keys it
    may see.

    q (B, H, T, D), k and v (B, K, T, D) -> (B, H, T, D), all of one type. For training on a CPU in
    bf16, where the backward pass of torch's fused kernel is slow: attention takes less than half
    the time, a whole step a sixth less.
    """
    batch, heads, length, size = q.shape
    if heads != k.shape[1]:  # grouped heads: every key and value serves several queries
        k, v = (x.repeat_interleave(heads // k.shape[1], dim=1) for x in (k, v))
    q, k, v = (x.reshape(batch * heads, length, size) for x in (q, k, v))
    blocks = []
    for start in range(0, length, rows):
        end = min(start + rows, length)
        later = torch.full((end - start, end), float("-inf"), dtype=q.dtype, device=q.device).triu(
            start + 1
        )
        # (B H, rows, end)
        scores = torch.baddbmm(later, q[:, start:end], k[:, :end].transpose(1, 2), alpha=size**-0.5)
        blocks.append(F.dropout(scores.softmax(-1), dropout) @ v[:, :end])
    return torch.cat(blocks, dim=1).view(batch, heads, length, size)


class Attention(nn.Module):
    """Every position gathers values from the positions before it, weighted by query-key
    agreement."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.heads, self.kv_heads, self.dropout = (
            layer,
            config.heads,
            config.kv_heads,
            config.dropout,
        )
        self.q = nn.Linear(config.width, config.heads * config.head_dim, bias=config.bias)
        self.k = nn.Linear(config.width, config.kv_heads * config.head_dim, bias=config.bias)
        self.v = nn.Linear(config.width, config.kv_heads * config.head_dim, bias=config.bias)
        self.o = nn.Linear(config.heads * config.head_dim, config.width, bias=config.bias)
        self.q_norm = make_norm(config, config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = make_norm(config, config.head_dim) if config.qk_norm else nn.Identity()

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Cache | None
    ) -> Tensor:
        """x (B, T, W) -> (B, T, W); `rotation` holds cosines and sines (T, 1, D) of these
        positions."""
        batch, length, _ = x.shape
        q = self.q_norm(self.q(x).view(batch, length, self.heads, -1))  # (B, T, H, D)
        k = self.k_norm(self.k(x).view(batch, length, self.kv_heads, -1))  # (B, T, K, D)
        v = self.v(x).view(batch, length, self.kv_heads, -1)  # (B, T, K, D)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H or K, T, D)
        past = 0
        if cache is not None:
            past = cache.length
            k, v = cache.extend(self.layer, k, v)
        dropout = self.dropout if self.training else 0.0
        if x.device.type == "cpu" and torch.is_grad_enabled() and not past:
            mixed = attend_in_blocks(q, k, v, dropout)
        else:
            # One new position may look at everything; several new ones behind a past need the
            # shifted triangle.
            mask = None
            if past and length > 1:
                mask = torch.ones(length, past + length, dtype=torch.bool, device=x.device).tril(
                    past
                )
            mixed = F.scaled_dot_product_attention(
                q,
                k,
                v,
                mask,
                dropout,
                is_causal=not past and length > 1,
                enable_gqa=self.heads != self.kv_heads,
            )  # (B, H, T, D)
        return self.o(mixed.transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    """Each position thinks on its own: widen, apply a non-linearity, narrow."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.mlp
        if config.mlp == "swiglu":
            self.gate = nn.Linear(config.width, config.mlp_width, bias=config.bias)
        self.up = nn.Linear(config.width, config.mlp_width, bias=config.bias)
        self.down = nn.Linear(config.mlp_width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, W) -> (B, T, W)."""
        if self.kind == "swiglu":  # Shazeer 2020
            return self.down(F.silu(self.gate(x)) * self.up(x))
        if self.kind == "gelu":  # the tanh form, as OpenAI's GPT-2 computes it
            return self.down(F.gelu(self.up(x), approximate="tanh"))
        hidden = F.relu(self.up(x))
        # a product: several times faster here than pow(2), forward and backward
        return self.down(hidden * hidden)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): each part adds its contribution to one running
    sum."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.width)
        self.attention = Attention(config, layer)
        self.mlp_norm = make_norm(config, config.width)
        self.mlp = Mlp(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Cache | None
    ) -> Tensor:
        """x (B, T, W) -> (B, T, W)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, cache))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class GPT(nn.Module):
    """Token ids in, a score for every possible next token out."""

    cos: Tensor  # (T, D) each, where positions are told by rotation
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.vocab_size < 1:
            raise ValueError(
                "model.vocab_size is 0: it is filled in from the tokenizer before a model is built"
            )
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        if config.position == "learned":
            self.positions = nn.Embedding(config.context, config.width)
        else:
            cos, sin = rope_tables(config)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.depth))
        self.norm = make_norm(config, config.width)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits (B, T, V) for ids (B, T). ValueError where ids, behind what the cache holds, pass
        the context."""
        start = cache.length if cache is not None else 0
        end = start + ids.shape[1]
        if end > self.config.context:
            raise ValueError(f"{end} positions are more than the context of {self.config.context}")
        x = self.tokens(ids) * self.config.embedding_scale  # (B, T, W)
        # what flows between the products has their type too
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        rotation = None
        if self.config.position == "learned":
            x = x + self.positions.weight[start:end].to(x.dtype)
        else:
            rotation = (
                self.cos[start:end, None].to(x.dtype),
                self.sin[start:end, None].to(x.dtype),
            )
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, rotation, cache)
        if cache is not None:
            cache.length = end
        return self.head(self.norm(x))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw fresh weights.

        Embeddings, head      normal, 0.02 (GPT-2)
        Matrices              normal, 1 / sqrt(numbers coming in)
        o, down               zero, so that each block begins as the identity (Zhang et al. 2019,
          Fixup)
        Norms, biases         one, zero
        """
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                nn.init.constant_(
                    weight, 1.0 if "norm" in name and name.endswith("weight") else 0.0
                )
            elif ".o." in name or ".down." in name:
                nn.init.zeros_(weight)
            else:
                embedding = name.startswith(("tokens", "positions", "head"))
                nn.init.normal_(
                    weight, std=0.02 if embedding else weight.shape[1] ** -0.5, generator=generator
                )


class Size(NamedTuple):
    """How many parameters a shape has, and where."""

    total: int
    embedding: int  # the token table, and the head where it is a matrix of its own
    matrices: int  # those of the blocks: what every token is multiplied by


def size_of(config: ModelConfig) -> Size:
    """Parameters of a shape, by arithmetic on its weights' shapes; no memory is taken."""
    with torch.device("meta"):
        weights = dict(GPT(config).named_parameters())  # a tied head is listed once
    embedding = sum(w.numel() for name, w in weights.items() if name.startswith(("tokens", "head")))
    matrices = sum(
        w.numel() for name, w in weights.items() if w.ndim == 2 and name.startswith("blocks")
    )
    return Size(sum(w.numel() for w in weights.values()), embedding, matrices)


def flops_per_token(config: ModelConfig, training: bool = True) -> int:
    """Floating-point operations per token at full context: 2 a weight forward, twice that again
    backward.

    Attention adds 2 products of (1, D) by (D, T/2 on average) a head. Source: Kaplan et al. 2020,
    section 2.1.
    """
    weights = size_of(config).matrices + config.vocab_size * config.width
    attention = 2 * config.depth * config.heads * config.head_dim * config.context // 2
    return (6 if training else 2) * (weights + attention)


def matrices(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Trainable hidden matrices by name: those that Muon updates. Adapters, thin by design, are not
    among them."""
    for name, weight in model.named_parameters():
        if (
            weight.requires_grad
            and name.startswith("blocks")
            and name.endswith("weight")
            and weight.ndim == 2
        ):
            yield name, weight
