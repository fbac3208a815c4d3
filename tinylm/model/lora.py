"""LoRA: fine-tuning by a thin detour beside each frozen matrix (Hu et al. 2021).

W stays as it is; the layer computes W x + (alpha / rank) B A x, with A (rank, in) and B (out, rank)
trained. B starts at zero, so the first step begins exactly at the base model. A rank of 8 trains
about a tenth of a small model's weights, keeps what W knows within reach, and can be added into W
afterwards, at no cost when sampling.
"""

import torch
from torch import Tensor, nn

from tinylm.config import LoraConfig
from tinylm.model.gpt import GPT


class LoraLinear(nn.Module):
    """A frozen linear layer with a trainable low-rank update beside it."""

    def __init__(self, frozen: nn.Linear, config: LoraConfig, generator: torch.Generator) -> None:
        super().__init__()
        # Divided by the rank, so that another rank needs no other learning rate.
        self.frozen, self.scale = frozen, config.alpha / config.rank
        # x goes down to `rank` numbers (A) and up again (B): two thin matrices, (rank, in) ...
        self.a = nn.Parameter(frozen.weight.new_empty(config.rank, frozen.in_features))
        # ... and (out, rank). Zeros: B A x = 0, so the first step starts from the base model
        # itself.
        self.b = nn.Parameter(frozen.weight.new_zeros(frozen.out_features, config.rank))
        # A must not be zero too: with both at zero neither would ever get a gradient. This is the
        # initialisation of Hu et al.'s released code, uniform within +-1 / sqrt(in).
        nn.init.uniform_(
            self.a, -(frozen.in_features**-0.5), frozen.in_features**-0.5, generator=generator
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out)."""
        # Where W is kept in bf16 (see `lower_frozen`) its product runs in bf16, as autocast has it.
        kept = self.frozen.weight.dtype
        y = self.frozen(x) if kept == torch.float32 else self.frozen(x.to(kept)).to(x.dtype)
        # Never B A first: that would be a matrix as large as W.
        return y + self.scale * (x @ self.a.T @ self.b.T)


def attach_lora(model: GPT, config: LoraConfig, generator: torch.Generator) -> None:
    """Freeze every weight of `model` and put adapters beside the matrices named in
    `config.targets`, in place."""
    # Norms and embeddings are frozen as well: only A and B will have gradients and moments.
    model.requires_grad_(False)
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if name in config.targets and isinstance(child, nn.Linear):
                setattr(parent, name, LoraLinear(child, config, generator))


def lower_frozen(model: GPT, dtype: torch.dtype) -> None:
    """Keep the frozen matrices beside adapters in the type of their products, in place.

    Autocast would convert every frozen matrix anew in each forward pass, to the same numbers. With
    a hundred million of them and few tokens in a step that is a large part of the time, and the
    fp32 copies are twice as large.
    """
    for child in model.modules():
        if isinstance(child, LoraLinear):
            child.frozen.to(dtype)


def merge_lora(model: GPT) -> None:
    """Add every update into its frozen matrix and remove the detours, in place: the same function,
    a plain GPT."""
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                with torch.no_grad():
                    update = child.scale * (child.b @ child.a)  # (out, in), fp32
                    child.frozen.float().weight += update
                setattr(parent, name, child.frozen)
    model.requires_grad_(True)
