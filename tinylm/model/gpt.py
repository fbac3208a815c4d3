"""GPT: a stack of attention and MLP blocks that predicts the next token at every position.

One class covers three published families by its config: GPT-2 (Radford et al. 2019), Llama (Touvron
et al. 2023) and Qwen3 (Yang et al. 2025), whose shape is the default here. Read from top to bottom:
cache, norm, rotation, attention, MLP, block, model. What a shape costs: see size.py.

Shapes: B sequences in a batch, T positions, W width, H heads, K key-value heads, D numbers per
head, V vocabulary.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinylm.config import ModelConfig

Rotation = tuple[Tensor, Tensor] | None  # cosines and sines (T, 1, D); None: learned positions


class Cache:
    """Keys and values of the positions already seen.

    With them each new token costs one position instead of all of them. Generation makes a cache and
    passes it in; every block writes behind `length`, and the model advances `length` once, at the
    end of forward.
    """

    def __init__(self, config: ModelConfig, batch: int, dtype: torch.dtype, device: torch.device):
        # (layers, B, K, T, D)
        shape = (config.depth, batch, config.kv_heads, config.context, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, K, T, D) to a layer; all keys and values (B, K, length + T, D)."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class RMSNorm(nn.RMSNorm):
    """x / root-mean-square(x) * weight over the last axis (Zhang & Sennrich 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type as x."""
        # Under autocast x may be bf16 beside a weight in fp32; torch's fused kernel wants one type.
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def make_norm(config: ModelConfig, size: int) -> nn.Module:
    """RMSNorm or LayerNorm (Ba et al. 2016) over the last `size` numbers."""
    if config.norm == "rmsnorm":
        return RMSNorm(size, eps=config.norm_eps)
    return nn.LayerNorm(size, eps=config.norm_eps, bias=config.bias)


def rope_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D) that turn queries and keys at position t (RoPE: Su et al. 2021).

    The pair of numbers (i, i + D/2) turns by the angle t * theta^(-2i/D): pair 0 by one radian per
    position, the last pair by almost nothing. The product of a query and a key then depends on
    their distance alone, whatever their absolute positions are.
    """
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim  # (D/2,)
    positions = torch.arange(config.context).float()
    angles = positions[:, None] / config.rope_theta**exponents  # (T, D/2)
    # The first half of `sin` carries the minus sign of the rotation, so that `rotate` needs none.
    return angles.cos().repeat(1, 2), torch.cat((-angles.sin(), angles.sin()), dim=1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + D/2) of x (B, T, H, D) by tables (T, 1, D).

    A pair (a, b) becomes (a cos - b sin, b cos + a sin). Rolling by D/2 puts every number beside
    its partner: the "rotate half" layout of Llama's checkpoints on the Hugging Face hub. Llama's
    own files pair neighbours (2i, 2i + 1) instead; mixing up the two layouts gives fluent nonsense.
    """
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin


def attend_in_blocks(
    q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0, rows: int = 128
) -> Tensor:
    """Causal attention by plain matrix products, `rows` queries at a time.

    q (B, H, T, D), k and v (B, K, T, D) -> (B, H, T, D), all of one type.

    For training on a CPU in bf16, where the backward pass of torch's fused kernel is slow:
    attention takes less than half the time, a whole step a sixth less. Blocks skip the keys behind
    their last query, half of all the products.
    """
    batch, heads, length, size = q.shape
    if heads != k.shape[1]:  # grouped heads: every key and value serves several queries
        k = k.repeat_interleave(heads // k.shape[1], dim=1)
        v = v.repeat_interleave(heads // v.shape[1], dim=1)
    q, k, v = (x.reshape(batch * heads, length, size) for x in (q, k, v))
    blocks = []
    for start in range(0, length, rows):
        end = min(start + rows, length)
        # -inf above the diagonal: exp(-inf) = 0, so no position sees what comes after it.
        mask = torch.full((end - start, end), float("-inf"), dtype=q.dtype, device=q.device)
        mask = mask.triu(start + 1)  # (rows, end)
        # q k^T / sqrt(D): without the division the scores grow with D and softmax saturates.
        keys = k[:, :end].transpose(1, 2)  # (B H, D, end)
        scores = torch.baddbmm(mask, q[:, start:end], keys, alpha=size**-0.5)  # (B H, rows, end)
        blocks.append(F.dropout(scores.softmax(-1), dropout) @ v[:, :end])  # (B H, rows, D)
    return torch.cat(blocks, dim=1).view(batch, heads, length, size)


class Attention(nn.Module):
    """Every position gathers values from the positions before it, weighted by how well its query
    agrees with their keys."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.dropout = layer, config.dropout
        self.heads, self.kv_heads = config.heads, config.kv_heads
        # Four matrices instead of one fused: adapters, Muon and renaming to other libraries' names
        # stay simple. The decoder (decoder.py) joins them for sampling.
        self.q = nn.Linear(config.width, config.heads * config.head_dim, bias=config.bias)
        self.k = nn.Linear(config.width, config.kv_heads * config.head_dim, bias=config.bias)
        self.v = nn.Linear(config.width, config.kv_heads * config.head_dim, bias=config.bias)
        self.o = nn.Linear(config.heads * config.head_dim, config.width, bias=config.bias)
        self.q_norm = make_norm(config, config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = make_norm(config, config.head_dim) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, rotation: Rotation, cache: Cache | None) -> Tensor:
        """x (B, T, W) -> (B, T, W)."""
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.heads, -1)  # (B, T, H, D)
        k = self.k(x).view(batch, length, self.kv_heads, -1)  # (B, T, K, D)
        v = self.v(x).view(batch, length, self.kv_heads, -1)  # (B, T, K, D)
        # Norm before rotation, as in Qwen3: turning keeps lengths, so the scores stay bounded.
        q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H or K, T, D)
        past = cache.length if cache is not None else 0
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)  # (B, K, past + T, D)
        mixed = self.attend(q, k, v, past)  # (B, H, T, D)
        # Heads side by side again: (B, T, H D). `o` lets them exchange what they found.
        return self.o(mixed.transpose(1, 2).reshape(batch, length, -1))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
        """q (B, H, T, D), k and v (B, K, past + T, D) -> (B, H, T, D), causal."""
        dropout = self.dropout if self.training else 0.0
        if q.device.type == "cpu" and torch.is_grad_enabled() and not past:
            return attend_in_blocks(q, k, v, dropout)
        length, mask = q.shape[2], None
        if past and length > 1:
            # Several new positions behind a past: the triangle is shifted right by `past`. A single
            # new position may look at everything and needs no mask.
            ones = torch.ones(length, past + length, dtype=torch.bool, device=q.device)
            mask = ones.tril(past)
        causal, grouped = not past and length > 1, self.heads != self.kv_heads
        return F.scaled_dot_product_attention(
            q, k, v, mask, dropout, is_causal=causal, enable_gqa=grouped
        )


class Mlp(nn.Module):
    """Each position on its own: widen, apply a non-linearity, narrow."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.mlp
        if config.mlp == "swiglu":
            self.gate = nn.Linear(config.width, config.mlp_width, bias=config.bias)
        self.up = nn.Linear(config.width, config.mlp_width, bias=config.bias)
        self.down = nn.Linear(config.mlp_width, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, W) -> (B, T, W)."""
        if self.kind == "swiglu":  # a second product decides how much of the first one passes
            return self.down(F.silu(self.gate(x)) * self.up(x))  # Shazeer 2020
        if self.kind == "gelu":  # the tanh form, as OpenAI's GPT-2 computes it
            return self.down(F.gelu(self.up(x), approximate="tanh"))
        hidden = F.relu(self.up(x))  # relu2: So et al. 2021
        # A product is several times faster than pow(2), forward and backward.
        return self.down(hidden * hidden)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    The sum is the residual stream: each part reads it and adds to it, and gradients reach every
    block undiminished. Norms stand before the parts, not behind them (pre-norm: Xiong et al. 2020),
    so deep models train without a long warm-up.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.width)
        self.attention = Attention(config, layer)
        self.mlp_norm = make_norm(config, config.width)
        self.mlp = Mlp(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, rotation: Rotation, cache: Cache | None) -> Tensor:
        """x (B, T, W) -> (B, T, W)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, cache))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class GPT(nn.Module):
    """Token ids in, a score for every possible next token out."""

    cos: Tensor  # (T, D) each, where positions are rotations
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.vocab_size < 1:
            raise ValueError("model.vocab_size is 0: take it from the tokenizer before building")
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        if config.position == "learned":
            self.positions = nn.Embedding(config.context, config.width)
        else:
            # Not persistent: the tables follow from the config and need no room in a checkpoint.
            cos, sin = rope_tables(config)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.depth))
        self.norm = make_norm(config, config.width)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tied:  # one matrix reads tokens in and scores them (Press & Wolf 2017)
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits (B, T, V) for ids (B, T), which continue what the cache holds.

        ValueError where the positions, the cache's included, are more than the context.
        """
        start = cache.length if cache is not None else 0
        end = start + ids.shape[1]
        if end > self.config.context:
            raise ValueError(f"{end} positions are more than the context of {self.config.context}")
        # Scaled by sqrt(width) in some recipes (Vaswani et al. 2017): embeddings start small.
        x = self.tokens(ids) * self.config.embedding_scale  # (B, T, W)
        if torch.is_autocast_enabled(x.device.type):
            # Autocast lowers matrix products only; here the sum between them is lowered too.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        rotation = None
        if self.config.position == "learned":
            x = x + self.positions.weight[start:end].to(x.dtype)
        else:
            rotation = self.cos[start:end, None].to(x.dtype), self.sin[start:end, None].to(x.dtype)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, rotation, cache)
        if cache is not None:
            cache.length = end
        return self.head(self.norm(x))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw fresh weights.

        Embeddings, head    normal, deviation 0.02 (GPT-2)
        o, down             zero: each block begins as the identity (Fixup: Zhang et al. 2019)
        other matrices      normal, deviation 1 / sqrt(inputs): outputs of the scale of the inputs
        norms, biases       one, zero
        """
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                is_scale = "norm" in name and name.endswith("weight")
                nn.init.constant_(weight, 1.0 if is_scale else 0.0)
            elif ".o." in name or ".down." in name:
                nn.init.zeros_(weight)
            elif name.startswith(("tokens", "positions", "head")):
                nn.init.normal_(weight, std=0.02, generator=generator)
            else:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5, generator=generator)


def matrices(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Trainable hidden matrices by name: those that Muon updates.

    Adapters are not among them: their parameters are called a and b. They are thin by design, and
    making them orthogonal would undo that.
    """
    for name, weight in model.named_parameters():
        is_hidden = name.startswith("blocks") and name.endswith("weight") and weight.ndim == 2
        if weight.requires_grad and is_hidden:
            yield name, weight
