"""How weights move: learning-rate schedules as plain functions, AdamW, and Muon for the hidden
matrices.

AdamW (Loshchilov & Hutter 2019) scales each number's step by its own gradient history. Muon (Jordan
2024) takes the gradient of a whole matrix, smoothed over steps, and replaces it by the nearest
orthogonal matrix: every direction moves equally far. That learns more per step from the same
tokens; embeddings, norms, biases and adapters stay with AdamW.
"""

import math

import torch
from torch import Tensor, nn

from tinylm.config import TrainConfig
from tinylm.model.device import choose_compute
from tinylm.model.gpt import matrices


def learning_rate_share(step: int, config: TrainConfig) -> float:
    """Learning rate of step number `step` (from 0) as a share of the peak.

    wsd: a line up over `warmup`, flat, a line down to `final` over the last `decay` of the steps
    (Hu et al. 2024). cosine: a line up, then half a cosine down to `final` (Loshchilov & Hutter
    2017). The first step is never 0.

    >>> config = TrainConfig(steps=10, warmup=0.2, decay=0.4, final=0.0)
    >>> [round(learning_rate_share(step, config), 2) for step in range(10)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    # Warm-up: the moments of AdamW mean little in the first steps, so those are kept small.
    rising = config.warmup * config.steps
    if step < rising:
        return min(1.0, (step + 1) / rising)
    if config.schedule == "cosine":
        progress = (step - rising) / max(1.0, config.steps - rising)
        return config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * progress))
    # wsd. `left` is the share of the decay that is still ahead; above 1 before it begins. A decay
    # that would begin during the warm-up begins after it, so that the rate never jumps.
    falling = min(config.decay * config.steps, config.steps - rising)
    left = (config.steps - step) / falling if falling else 1.0
    return config.final + (1 - config.final) * min(1.0, left)


class Muon(torch.optim.Optimizer):
    """Muon (Jordan 2024) as `torch.optim.Muon` computes it, all matrices of one shape in one batch.

    The same numbers in less than half the time: small matrices one by one leave a processor idle
    between them. `dtype` is that of the products. In fp32 instead of bf16, sums in another order
    (two processes) move a loss by 1e-6 over 50 steps instead of 2e-4.
    """

    momentum = 0.95  # of the running average of gradients

    def __init__(self, weights: list[Tensor], lr: float, weight_decay: float, dtype: torch.dtype):
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient."""
        (group,) = self.param_groups
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for weight in group["params"]:
            if weight.grad is not None:
                by_shape.setdefault(weight.shape, []).append(weight)
        for weights in by_shape.values():
            self.update(weights, group["lr"], group["weight_decay"])

    def update(self, weights: list[Tensor], lr: float, weight_decay: float) -> None:
        """Move N weights of one shape (rows, columns) against their orthogonal gradients."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        averages = [self.state[weight]["momentum_buffer"] for weight in weights]
        gradients = torch.stack([w.grad for w in weights if w.grad is not None])
        # average = 0.95 average + 0.05 gradient
        torch._foreach_lerp_(averages, gradients.unbind(), 1 - self.momentum)
        # Nesterov: the gradient moved on towards where the average is heading; (N, rows, columns)
        ahead = gradients.lerp_(torch.stack(averages), self.momentum)
        # An orthogonal matrix changes outputs by about 1, a tall one by more: the scale evens out.
        scale = max(1.0, weights[0].shape[0] / weights[0].shape[1]) ** 0.5
        torch._foreach_mul_(weights, 1 - lr * weight_decay)
        updates = orthogonal(ahead.to(self.dtype)).unbind()
        torch._foreach_add_(weights, updates, alpha=-lr * scale)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """About U V^T for each U S V^T of `matrices` (N, rows, columns): singular values between 0.7
    and 1.2, in fp32.

    Newton-Schulz: an odd polynomial of the matrix moves every singular value towards 1 and needs
    only products. The coefficients are Jordan's, chosen for speed rather than for an exact limit.
    """
    # x -> a x + b (x x^T) x + c (x x^T)^2 x, which does to each singular value s what the
    # polynomial a s + b s^3 + c s^5 does to a number: five rounds take 0.01 to 1 near 1.
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # the products below are as large as the shorter side
    # By the Frobenius norm, which bounds the largest singular value: the rounds start below 1.
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


class Optimizers:
    """One or two torch optimisers that move a model's trainable weights together.

    Their state is keyed by weight name, so that it survives another order of the weights.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.config = config
        # Frozen weights, as beside adapters, have no optimiser and cost no memory.
        named = [(name, w) for name, w in model.named_parameters() if w.requires_grad]
        self.names: dict[Tensor, str] = {weight: name for name, weight in named}
        hidden = {weight for _, weight in matrices(model)} if config.optimizer == "muon" else set()
        rest = [weight for weight in self.names if weight not in hidden]
        # Matrices decay towards zero; a norm's scale or a bias has no business there.
        decaying = {"params": [w for w in rest if w.ndim >= 2], "weight_decay": config.weight_decay}
        others = {"params": [w for w in rest if w.ndim < 2], "weight_decay": 0.0}
        # Fused: all weights in one kernel, where torch has one.
        fused = all(weight.device.type in ("cpu", "cuda") for weight in self.names)
        groups, betas = [decaying, others], (config.beta1, config.beta2)
        adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, fused=fused)
        self.parts: list[tuple[torch.optim.Optimizer, float]] = [(adamw, config.learning_rate)]
        if hidden:
            ordered = [weight for weight in self.names if weight in hidden]
            dtype = choose_compute(config.device, config.precision).dtype
            muon = Muon(ordered, config.muon_learning_rate, config.weight_decay, dtype)
            self.parts.append((muon, config.muon_learning_rate))

    def step(self, number: int) -> float:
        """Update the weights in step `number` (from 0), then clear the gradients.

        Returns AdamW's learning rate.
        """
        # Both optimisers follow one schedule, each from its own peak.
        share = learning_rate_share(number, self.config)
        for optimizer, peak in self.parts:
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return share * self.config.learning_rate

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on, as `weight name/quantity` -> tensor."""
        tensors = {}
        for optimizer, _ in self.parts:
            for weight, quantities in optimizer.state.items():
                for quantity, tensor in quantities.items():
                    tensors[f"{self.names[weight]}/{quantity}"] = tensor
        return tensors

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state()` returned."""
        # weight name -> the weight, and the optimiser that moves it
        owners: dict[str, tuple[Tensor, torch.optim.Optimizer]] = {}
        for optimizer, _ in self.parts:
            for group in optimizer.param_groups:
                owners |= {self.names[weight]: (weight, optimizer) for weight in group["params"]}
        for key, value in state.items():
            name, _, quantity = key.rpartition("/")
            weight, optimizer = owners[name]
            # AdamW counts its steps in a tensor on the CPU unless it is fused; moments live beside
            # their weight. A copy: what safetensors read stays mapped to its file, which Windows
            # would then not let us replace.
            optimizer.state[weight][quantity] = value.to(weight.device, copy=True)
