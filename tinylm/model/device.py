"""Where a model runs and how precisely it multiplies.

Weights, gradients and optimiser state are always fp32. With bf16 (Kalamkar et al. 2019) the matrix
products read 8-bit-mantissa copies and add up in fp32: two to three times the speed where the
processor has the instructions.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Compute:
    """A device, and the type of its matrix products."""

    device: torch.device
    dtype: torch.dtype = torch.float32

    def autocast(self) -> torch.autocast:
        """Inside this context matrix products run in `dtype`."""
        # The weights stay fp32: autocast hands each product a bf16 copy of them.
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ValueError where it is not on this machine.

    `auto` takes CUDA, then Apple's MPS, then the CPU.
    """
    apple = int(torch.backends.mps.is_available())
    count = {"cuda": torch.cuda.device_count(), "mps": apple, "cpu": 1}
    # In the order of preference.
    present = [kind for kind, devices in count.items() if devices]
    if name == "auto":
        return torch.device(present[0])
    # "cuda:1" is the second card.
    kind, _, index = name.partition(":")
    if kind not in count or (index and not index.isdigit()):
        raise ValueError(f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps")
    # Asked for by name, an absent device is an error: a CPU in its place would take days unasked.
    if int(index or 0) >= count[kind]:
        raise ValueError(f"device {name!r} is not on this machine; there is: {', '.join(present)}")
    return torch.device(name)


def choose_compute(device: str = "auto", precision: str = "auto") -> Compute:
    """The device and precision for a run, from what the processor can do, never from a timing, so
    that it repeats."""
    # auto means bf16 only where it is fast; emulated bf16 is slower than fp32.
    place = choose_device(device)
    bf16 = precision == "bf16" or (precision == "auto" and has_bf16(place))
    return Compute(place, torch.bfloat16 if bf16 else torch.float32)


def has_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 arithmetic. MPS counts as not: its bf16 was slower than its
    fp32."""
    if device.type == "cuda":
        # torch emulates bf16 on cards before Ampere (2020): it runs there, but gains nothing.
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # An older torch cannot tell; fp32 is then the safe choice.
        features: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16") or features.get("bf16"))
    return False
