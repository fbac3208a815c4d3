"""What training takes, by arithmetic, and what it took: models whose makers published their
GPU-hours.

    FLOPs      = 6 x parameters x tokens    (Kaplan et al. 2020: 2 a weight forward, 4 backward)
    GPU-hours  = FLOPs / (datasheet peak x utilisation) / 3600

One utilisation serves all models: 40 % of the dense bf16 peak in NVIDIA's datasheets, in the middle
of the 38 to 43 % that the Llama 3 report gives (Dubey et al. 2024, table 4). It is fixed
beforehand, not fitted to the table below. Left out: attention's share, failed runs, restarts,
everything before and after the pretraining run. No torch here.
"""

from dataclasses import dataclass

UTILISATION = 0.4
# Energy of a data centre for each unit that its processors take; 1.2 is BLOOM's (Luccioni et al.
# 2022).
OVERHEAD = 1.2


@dataclass(frozen=True)
class Gpu:
    """A processor by its datasheet: dense bf16 peak in FLOP/s, largest power in watts."""

    name: str
    peak: float  # FLOP/s of dense matrix products; sparse ones are advertised with twice as many
    watts: float
    dollars_per_hour: float  # what renting one costs, roughly; the reader's own price counts


# Over the generations the peak rises faster than the power: an operation takes less energy.
GPUS = {
    "v100": Gpu("V100 SXM2", 125e12, 300, 1.0),  # fp16: it has no bf16
    "a100": Gpu("A100 SXM", 312e12, 400, 1.5),
    "h100": Gpu("H100 SXM", 989e12, 700, 2.5),
    # The H100's arithmetic with more and faster memory, which this calculation does not see.
    "h200": Gpu("H200 SXM", 989e12, 700, 3.0),
    "b200": Gpu("B200 SXM", 2250e12, 1000, 4.0),
}


@dataclass(frozen=True)
class Bill:
    """What one training run takes."""

    flops: float
    gpu_hours: float
    dollars: float
    kilowatt_hours: float


def flops_of(parameters: float, tokens: float) -> float:
    """Floating-point operations of one pass over the tokens, forward and backward.

    >>> f"{flops_of(70e9, 2e12):.1e}"
    '8.4e+23'
    """
    # 2 forward: multiply and add. 4 backward: the gradients of the input and of the weight.
    return 6 * parameters * tokens


def bill(parameters: float, tokens: float, gpu: Gpu, dollars_per_hour: float | None = None) -> Bill:
    """FLOPs, GPU-hours, money and energy of training `parameters` weights on `tokens` tokens.

    For a mixture of experts, `parameters` are those that one token passes through.
    """
    flops = flops_of(parameters, tokens)
    # A thousand GPUs take as many GPU-hours as one: only the days are fewer.
    hours = flops / (gpu.peak * UTILISATION) / 3600
    price = gpu.dollars_per_hour if dollars_per_hour is None else dollars_per_hour
    # Watts times hours over 1,000 are kilowatt-hours of the processors, then the building's share.
    return Bill(flops, hours, hours * price, hours * gpu.watts / 1000 * OVERHEAD)


@dataclass(frozen=True)
class Published:
    """A model with the GPU-hours of its pretraining, as its makers gave them."""

    name: str
    parameters: float  # that one token passes through
    tokens: float  # read in pretraining, repeated ones included
    gpu: str  # a key of GPUS
    gpu_hours: float
    source: str

    @property
    def ratio(self) -> float:
        """Our arithmetic over their figure: 1 is exact, below 1 is too cheap."""
        # Their utilisation follows from it: UTILISATION x ratio, as far as FLOPs = 6 N D holds.
        return bill(self.parameters, self.tokens, GPUS[self.gpu]).gpu_hours / self.gpu_hours


# Where each figure stands. Every one was looked up in its source, and what the sources print beside
# the GPU-hours (energy, emissions, dollars) agrees with them: see tests/lessons/test_cost.py.
LLAMA_1 = "Touvron et al. 2023, arXiv:2302.13971, table 15; sizes and tokens: table 2"
LLAMA_2 = (
    "Llama 2 model card (github.com/meta-llama/llama, MODEL_CARD.md), table of Carbon Footprint; "
    "also Touvron et al. 2023, arXiv:2307.09288, table 2; tokens: table 1"
)
# The card says "training time"; whether it holds what came after the pretraining it does not say.
LLAMA_3 = (
    "Llama 3.1 model card (github.com/meta-llama/llama-models, models/llama3_1/MODEL_CARD.md), "
    "table of Training Energy Use; tokens: the card's Training Data"
)
BLOOM = (
    "Luccioni et al. 2022, arXiv:2211.02001, table 1; tokens: Le Scao et al. 2022, "
    "arXiv:2211.05100, section 3.5 (341e9, and 25e9 of them again)"
)
FALCON = (
    "Hugging Face blog on Falcon 180B, September 2023, section What is Falcon-180B (about "
    "7,000,000); A100: Almazrouei et al. 2023, arXiv:2311.16867, abstract"
)
DEEPSEEK = (
    "DeepSeek-AI 2024, arXiv:2412.19437, table 1, column Pre-Training; H800, whose peak is that of "
    "the H100; size and tokens: abstract"
)

MODELS = (
    Published("LLaMA 7B", 6.7e9, 1.0e12, "a100", 82_432, LLAMA_1),
    Published("LLaMA 13B", 13.0e9, 1.0e12, "a100", 135_168, LLAMA_1),
    Published("LLaMA 33B", 32.5e9, 1.4e12, "a100", 530_432, LLAMA_1),
    Published("LLaMA 65B", 65.2e9, 1.4e12, "a100", 1_022_362, LLAMA_1),
    Published("BLOOM 176B", 176e9, 366e9, "a100", 1_082_990, BLOOM),
    Published("Llama 2 7B", 6.7e9, 2.0e12, "a100", 184_320, LLAMA_2),
    Published("Llama 2 13B", 13.0e9, 2.0e12, "a100", 368_640, LLAMA_2),
    Published("Llama 2 70B", 69e9, 2.0e12, "a100", 1_720_320, LLAMA_2),
    # Its makers say "about": its ratio is known to one digit.
    Published("Falcon 180B", 180e9, 3.5e12, "a100", 7_000_000, FALCON),
    Published("Llama 3.1 8B", 8.0e9, 15.0e12, "h100", 1_460_000, LLAMA_3),
    Published("Llama 3.1 70B", 70.6e9, 15.0e12, "h100", 7_000_000, LLAMA_3),
    Published(
        "Llama 3.1 405B",
        405e9,
        15.6e12,
        "h100",
        30_840_000,
        f"{LLAMA_3}; here Dubey et al. 2024, arXiv:2407.21783, section 1",
    ),
    Published("DeepSeek-V3 (37B active, fp8)", 37e9, 14.8e12, "h100", 2_664_000, DEEPSEEK),
)
