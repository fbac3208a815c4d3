"""One new position through a GPT, in NumPy: the step that sampling repeats for every token.

On a CPU this is about four times as fast as `GPT.forward` at width 128. One position is so little
work that torch spends most of its time on calling operations. At width 384 memory sets the pace,
and twice as fast remains. `GPT.forward` still reads the prompt, serves GPUs and adapters, and is
this module's oracle in the tests. Source of the idea: llama2.c (Karpathy 2023), in C.

Shapes as in gpt.py: B rows, T positions so far, W width, H heads, K key-value heads, D head size.
"""

import numpy as np
from numpy.typing import NDArray

from tinylm.model.gpt import GPT, Cache

Array = NDArray[np.float32]


class Decoder:
    """Called with one new id per row, it returns the logits and advances the cache, as the model
    would."""

    def __init__(self, model: GPT, cache: Cache) -> None:
        self.config, self.cache = model.config, cache
        # Views of the cache's own memory: what is written here is what the model reads.
        self.keys, self.values = cache.keys.numpy(), cache.values.numpy()
        # Buffers too: the tables of the rotation are not in the state dict.
        tensors = model.state_dict() | dict(model.named_buffers())
        self.weights = weights = {name: tensor.numpy() for name, tensor in tensors.items()}
        for layer in range(self.config.depth):
            join_products(weights, f"blocks.{layer}.", self.config.heads, self.config.kv_heads)
        # Matrices lie as (in, out), which BLAS reads a fifth faster than torch's (out, in); the
        # tables of embeddings stay (rows, W), since a row is looked up.
        for name, weight in weights.items():
            if weight.ndim == 2 and name.startswith(("blocks", "head")) and "norm" not in name:
                weights[name] = np.ascontiguousarray(weight.T)

    def linear(self, x: Array, name: str) -> Array:
        """x (B, in) -> (B, out)."""
        # (B, in) by (in, out): with one row a product of a vector by a matrix, which is limited by
        # how fast the weights can be read. That is why joining matrices pays.
        y = x @ self.weights[name + ".weight"]
        return y + self.weights[name + ".bias"] if name + ".bias" in self.weights else y

    def norm(self, x: Array, name: str) -> Array:
        """RMSNorm or LayerNorm over the last axis."""
        if self.config.norm == "layernorm":
            x = x - x.mean(-1, keepdims=True)
        mean_square = (x * x).sum(-1, keepdims=True) / x.shape[-1]
        y = x / np.sqrt(mean_square + self.config.norm_eps)
        y *= self.weights[name + ".weight"]
        return y + self.weights[name + ".bias"] if name + ".bias" in self.weights else y

    def __call__(self, ids: NDArray[np.int64]) -> Array:
        """ids (B,) -> logits (B, V). The same steps as GPT.forward, for position cache.length."""
        c, now = self.config, self.cache.length
        # The residual stream of one position.
        x = self.weights["tokens.weight"][ids] * c.embedding_scale  # (B, W)
        if c.position == "learned":
            x = x + self.weights["positions.weight"][now]
        for layer in range(c.depth):
            name = f"blocks.{layer}."
            x = x + self.attention(self.norm(x, name + "attention_norm"), layer, now)
            x = x + self.mlp(self.norm(x, name + "mlp_norm"), name + "mlp.")
        self.cache.length += 1
        return self.linear(self.norm(x, "norm"), "head")

    def attention(self, x: Array, layer: int, now: int) -> Array:
        """x (B, W) -> (B, W); writes this position's key and value into the cache."""
        c, rows, name = self.config, len(x), f"blocks.{layer}.attention."
        qkv = self.linear(x, name + "qkv").reshape(rows, -1, c.head_dim)  # (B, H + K + K, D)
        qk, v = qkv[:, : -c.kv_heads], qkv[:, -c.kv_heads :]  # (B, H + K, D), (B, K, D)
        if c.qk_norm:
            qk = self.norm(qk, name + "qk_norm")
        if c.position == "rope":
            first, second = np.split(qk, 2, axis=-1)
            swapped = np.concatenate((second, first), axis=-1)  # beside each number its partner
            qk = qk * self.weights["cos"][now] + swapped * self.weights["sin"][now]
        keys = self.keys[layer, :, :, : now + 1]  # (B, K, T, D)
        values = self.values[layer, :, :, : now + 1]
        keys[:, :, now], values[:, :, now] = qk[:, c.heads :], v
        # H/K queries share a key: the axis of shared ones goes where matrix products want it.
        q = qk[:, : c.heads].reshape(rows, c.kv_heads, -1, c.head_dim)  # (B, K, H/K, D)
        scores = q @ keys.swapaxes(2, 3) * c.head_dim**-0.5  # (B, K, H/K, T)
        # Softmax; the maximum goes first, so that exp cannot overflow. No mask: all is past.
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = shares @ values / shares.sum(-1, keepdims=True)  # (B, K, H/K, D)
        return self.linear(mixed.reshape(rows, -1), name + "o")

    def mlp(self, x: Array, name: str) -> Array:
        """x (B, W) -> (B, W)."""
        kind = self.config.mlp
        # gate and up in one product, side by side: (B, 2 x hidden).
        hidden = self.linear(x, name + ("gate_up" if kind == "swiglu" else "up"))
        if kind == "swiglu":
            gate, up = np.split(hidden, 2, axis=1)
            # gate * sigmoid(gate), with sigmoid(x) = (1 + tanh(x / 2)) / 2, which cannot overflow
            hidden = up * gate * (1 + np.tanh(gate / 2)) / 2
        elif kind == "gelu":
            cubic = hidden + 0.044715 * hidden * hidden * hidden
            hidden = hidden * (1 + np.tanh((2 / np.pi) ** 0.5 * cubic)) / 2
        else:
            hidden = hidden * np.maximum(hidden, 0)
        return self.linear(hidden, name + "down")


def join_products(weights: dict[str, Array], block: str, heads: int, kv_heads: int) -> None:
    """Replace a block's q, k and v by one matrix, gate and up by another, in place.

    One product instead of two or three makes a step a fifth faster. The norms of q and k become
    one table (H + K, D) for the same reason.
    """
    for kind in ("weight", "bias"):
        for joint, parts in {"attention.qkv": "qkv", "mlp.gate_up": ("gate", "up")}.items():
            folder = joint.split(".")[0]
            names = [f"{block}{folder}.{part}.{kind}" for part in parts]
            if all(name in weights for name in names):
                weights[f"{block}{joint}.{kind}"] = np.concatenate([weights.pop(n) for n in names])
        norms = [f"{block}attention.{part}_norm.{kind}" for part in "qk"]
        if norms[0] in weights:
            pair = [weights.pop(name) for name in norms]  # (D,) each
            repeated = np.repeat(pair, [heads, kv_heads], axis=0)
            weights[f"{block}attention.qk_norm.{kind}"] = repeated
