"""Shapes and weights of GPT-2, Llama and Qwen3 under Hugging Face's names, to TinyLM's and back.

The three families compute what `gpt.py` computes; only names and layouts differ. So a family is a
table here: how its config.json calls our fields, which settings it shares, and which of its modules
holds which of ours. Both directions read the same table. Nothing of the `transformers` library is
needed, which is what the result is tested against.

Three things are more than renaming. GPT-2 keeps its matrices transposed and query, key and value
side by side in one. And relu2, which no family knows by name, is a gated MLP whose gate equals
`up`: relu(u) * u = relu(u)^2, exactly; it costs one more matrix a block in the exported file. No
family scales its embeddings: a scale goes into the table, which then is no longer the head's.

Not read: rope that is stretched for longer texts (Llama 3.1), sliding windows, mixtures of experts;
each is refused by the name of its setting. Sources: the configuration and modelling files of
transformers 4 and 5; PEFT's LoRA format.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tinylm.config import LoraConfig, ModelConfig, closest
from tinylm.model.gpt import GPT

# one of their modules, and those of ours that stand in it, in this order
Modules = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Family:
    """One Hugging Face model class as tables; `{}` in a module's name stands for the block's
    number."""

    architecture: str
    numbers: dict[str, str]  # our field -> their name in config.json
    # our field -> the values that this class can express, the usual one first
    shape: dict[str, tuple[Any, ...]]
    fixed: dict[str, Any]  # their settings, with the only value that TinyLM computes with
    body: str  # the prefix of all modules but the head
    outside: dict[str, str]  # their module -> ours
    block: dict[str, tuple[str, ...]]  # within one block
    # what their class assumes where config.json says nothing
    silent: dict[str, Any] = field(default_factory=dict)
    transposed: bool = False  # matrices in the blocks are (in, out)


GPT2 = Family(
    architecture="GPT2LMHeadModel",
    numbers={
        "vocab_size": "vocab_size",
        "context": "n_positions",
        "depth": "n_layer",
        "width": "n_embd",
        "heads": "n_head",
        "mlp_width": "n_inner",
        "norm_eps": "layer_norm_epsilon",
        "tied": "tie_word_embeddings",
    },
    shape={
        "norm": ("layernorm",),
        "position": ("learned",),
        "mlp": ("gelu",),
        "bias": (True,),
        "qk_norm": (False,),
    },
    fixed={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    body="transformer.",
    outside={"wte": "tokens", "wpe": "positions", "ln_f": "norm", "lm_head": "head"},
    block={
        "h.{}.ln_1": ("attention_norm",),
        "h.{}.attn.c_attn": ("attention.q", "attention.k", "attention.v"),
        "h.{}.attn.c_proj": ("attention.o",),
        "h.{}.ln_2": ("mlp_norm",),
        "h.{}.mlp.c_fc": ("mlp.up",),
        "h.{}.mlp.c_proj": ("mlp.down",),
    },
    silent={
        "n_positions": 1024,
        "n_inner": None,
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
    transposed=True,
)
LLAMA = Family(
    architecture="LlamaForCausalLM",
    numbers={
        "vocab_size": "vocab_size",
        "context": "max_position_embeddings",
        "depth": "num_hidden_layers",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads",
        "head_dim": "head_dim",
        "mlp_width": "intermediate_size",
        "norm_eps": "rms_norm_eps",
        "tied": "tie_word_embeddings",
    },
    shape={
        "norm": ("rmsnorm",),
        "position": ("rope",),
        "mlp": ("swiglu", "relu2"),
        "bias": (False, True),
        "qk_norm": (False,),
    },
    fixed={},
    body="model.",
    outside={"embed_tokens": "tokens", "norm": "norm", "lm_head": "head"},
    block={
        "layers.{}.input_layernorm": ("attention_norm",),
        "layers.{}.self_attn.q_proj": ("attention.q",),
        "layers.{}.self_attn.k_proj": ("attention.k",),
        "layers.{}.self_attn.v_proj": ("attention.v",),
        "layers.{}.self_attn.o_proj": ("attention.o",),
        "layers.{}.post_attention_layernorm": ("mlp_norm",),
        "layers.{}.mlp.gate_proj": ("mlp.gate",),
        "layers.{}.mlp.up_proj": ("mlp.up",),
        "layers.{}.mlp.down_proj": ("mlp.down",),
    },
    silent={
        "num_key_value_heads": None,
        "head_dim": None,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
    },
)
QWEN3 = Family(
    architecture="Qwen3ForCausalLM",
    numbers=LLAMA.numbers,
    shape=LLAMA.shape | {"bias": (False,), "qk_norm": (True,)},
    fixed={"attention_bias": False, "use_sliding_window": False},
    body=LLAMA.body,
    outside=LLAMA.outside,
    block=LLAMA.block
    | {
        "layers.{}.self_attn.q_norm": ("attention.q_norm",),
        "layers.{}.self_attn.k_norm": ("attention.k_norm",),
    },
    silent=LLAMA.silent | {"head_dim": 128},
)
FAMILIES = {"gpt2": GPT2, "llama": LLAMA, "qwen3": QWEN3}  # by `model_type`
GATED = {"silu": "swiglu", "relu": "relu2"}  # their `hidden_act` -> our `mlp`
# constants that older files carry along
BUFFERS = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")


# -- shapes ---------------------------------------------------------------------------------------


def family_of(config: ModelConfig) -> str:
    """The `model_type` that can express a shape; ValueError names the fields in the way of the
    nearest one."""

    def obstacles(family: Family) -> list[str]:
        matching = [
            f"model.{name} = {getattr(config, name)!r} (it has {' or '.join(map(repr, allowed))})"
            for name, allowed in family.shape.items()
            if getattr(config, name) not in allowed
        ]
        if family is GPT2 and config.kv_heads != config.heads:
            matching.append(
                f"model.kv_heads = {config.kv_heads} (it has as many as heads, {config.heads})"
            )
        if family is GPT2 and config.heads * config.head_dim != config.width:
            matching.append(
                f"model.head_dim = {config.head_dim} (it has width / heads, "
                f"{config.width / config.heads:g})"
            )
        return matching

    kind, wrong = min(
        ((kind, obstacles(family)) for kind, family in FAMILIES.items()),
        key=lambda pair: len(pair[1]),
    )
    if wrong:
        raise ValueError(
            f"no Hugging Face class has this shape; nearest is {FAMILIES[kind].architecture}, but: "
            f"{'; '.join(wrong)}"
        )
    return kind


def unscaled(config: ModelConfig) -> ModelConfig:
    """The same shape with the embedding scale in the table itself, which is then not the head's."""
    if config.embedding_scale == 1:
        return config
    return config.model_copy(update={"embedding_scale": 1.0, "tied": False})


def to_hf_config(config: ModelConfig) -> dict[str, Any]:
    """The content of config.json for a shape, tokenizer's ids left out. ValueError where no family
    can express it."""
    config = unscaled(config)
    kind = family_of(config)
    family = FAMILIES[kind]
    settings: dict[str, Any] = {
        "model_type": kind,
        "architectures": [family.architecture],
        "dtype": "float32",
    }
    settings |= {
        name: getattr(config, field) for field, name in family.numbers.items()
    } | family.fixed
    if family is GPT2:
        return settings | {
            "activation_function": "gelu_new",
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }
    settings["hidden_act"] = next(act for act, mlp in GATED.items() if mlp == config.mlp)
    # transformers 4 reads rope_theta here,
    settings |= {"attention_bias": config.bias, "rope_theta": config.rope_theta}
    # and transformers 5 here
    settings["rope_parameters"] = {"rope_type": "default", "rope_theta": config.rope_theta}
    return settings | ({"mlp_bias": config.bias} if family is LLAMA else {})


def from_hf_config(
    hf_settings: dict[str, Any], context: int | None = None
) -> tuple[Family, ModelConfig]:
    """The family and our shape for the content of a config.json, its context cut to `context`
    tokens where given.

    ValueError names the setting that is missing, unknown to TinyLM or of a kind that it does not
    compute.
    """
    kind = hf_settings.get("model_type")
    if kind not in FAMILIES:
        raise ValueError(
            f"model_type = {kind!r}{closest(str(kind), [*FAMILIES])}; TinyLM reads "
            f"{', '.join(FAMILIES)}"
        )
    family = FAMILIES[kind]
    hf_settings = {**family.silent, **hf_settings}
    if missing := [name for name in family.numbers.values() if name not in hf_settings]:
        raise ValueError(f"config.json lacks {', '.join(missing)}")
    for name, only in family.fixed.items():
        if hf_settings.get(name, only) != only:
            raise ValueError(f"{name} = {hf_settings[name]!r}: TinyLM computes with {only!r} only")
    numbers = {
        field: hf_settings[name]
        for field, name in family.numbers.items()
        if hf_settings[name] is not None
    }
    numbers["context"] = min(numbers["context"], context or numbers["context"])
    settings = {field: values[0] for field, values in family.shape.items()}
    return family, ModelConfig.model_validate(
        settings
        | (gpt2_settings(hf_settings) if family is GPT2 else rope_settings(family, hf_settings))
        | numbers
    )


def gpt2_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """What only GPT-2 says in its own way: the activation."""
    if (act := settings.get("activation_function", "gelu_new")) not in (
        "gelu_new",
        "gelu_pytorch_tanh",
    ):
        raise ValueError(
            f"activation_function = {act!r}: TinyLM has gelu in its tanh form, 'gelu_new'"
        )
    return {}


def rope_settings(family: Family, settings: dict[str, Any]) -> dict[str, Any]:
    """What Llama and Qwen3 say in their own way: rotation, activation, biases."""
    rope = {**(settings.get("rope_scaling") or {}), **(settings.get("rope_parameters") or {})}
    if (kind := rope.get("rope_type", rope.get("type", "default"))) != "default":
        raise ValueError(f"rope_type = {kind!r}: TinyLM rotates by rope_theta alone, 'default'")
    if (
        share := rope.get("partial_rotary_factor", settings.get("partial_rotary_factor", 1.0))
    ) != 1:
        raise ValueError(f"partial_rotary_factor = {share}: TinyLM rotates the whole head, 1.0")
    if other := {*(settings.get("layer_types") or ())} - {"full_attention"}:
        raise ValueError(f"layer_types holds {min(other)!r}: TinyLM has 'full_attention' only")
    if (act := settings.get("hidden_act", "silu")) not in GATED:
        raise ValueError(
            f"hidden_act = {act!r}: TinyLM has {' and '.join(map(repr, GATED))} in a gated MLP"
        )
    attention, mlp = (bool(settings.get(name, False)) for name in ("attention_bias", "mlp_bias"))
    if attention != mlp:
        raise ValueError(
            f"attention_bias = {attention} but mlp_bias = {mlp}: TinyLM has both or none"
        )
    return {
        "rope_theta": rope.get("rope_theta", settings.get("rope_theta", 10_000.0)),
        "mlp": GATED[act],
        "bias": attention,
    }


# -- weights --------------------------------------------------------------------------------------


def modules(family: Family, config: ModelConfig) -> Iterator[Modules]:
    """Every module of theirs that holds weights, with those of ours that stand in it.

    >>> shape = ModelConfig(vocab_size=9, depth=1, mlp="relu2")
    >>> dict(modules(QWEN3, shape))["layers.0.mlp.gate_proj"]
    ('blocks.0.mlp.up',)
    """
    for hf_name, own_name in family.outside.items():
        if not (own_name == "head" and config.tied):
            yield hf_name, (own_name,)
    for layer in range(config.depth):
        for hf_name, parts in family.block.items():
            if config.mlp == "relu2" and parts == ("mlp.gate",):
                parts = ("mlp.up",)
            yield hf_name.format(layer), tuple(f"blocks.{layer}.{part}" for part in parts)


def full_name(family: Family, module: str) -> str:
    """The name of a module in a family's own state dict, behind the prefix of its body."""
    return module if module == "lm_head" else family.body + module


def to_hf_weights(config: ModelConfig, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights by name -> theirs by name, no two of which share memory."""
    table = weights["tokens.weight"]
    weights = {"head.weight": table, **weights, "tokens.weight": table * config.embedding_scale}
    family = FAMILIES[family_of(config)]
    hf_weights: dict[str, Tensor] = {}
    for module, own_names in modules(family, unscaled(config)):
        for kind in ("weight", "bias"):
            if f"{own_names[0]}.{kind}" in weights:
                value = torch.cat([weights[f"{name}.{kind}"] for name in own_names])
                value = value.T if is_flipped(family, own_names, value) else value
                hf_weights[f"{full_name(family, module)}.{kind}"] = value.contiguous().clone()
    return hf_weights


def is_flipped(family: Family, own_names: Sequence[str], weight: Tensor) -> bool:
    """Whether the family keeps this matrix as (in, out), where ours is (out, in)."""
    return family.transposed and own_names[0].startswith("blocks") and weight.ndim == 2


def put_weight(weights: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add one of our weights; ValueError where another matrix has given it another value."""
    if name in weights and not torch.equal(weights[name], value):
        raise ValueError(
            "hidden_act = 'relu' with a gate of its own: TinyLM has relu2, where gate is up"
        )
    weights[name] = value.contiguous()


def from_hf_weights(
    family: Family, config: ModelConfig, hf_weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Their weights by name -> ours by name, in fp32. ValueError names one that is missing, foreign
    or misshapen."""
    with torch.device("meta"):
        expected = {name: weight.shape for name, weight in GPT(config).named_parameters()}
    left = {
        name.removeprefix(family.body): value
        for name, value in hf_weights.items()
        if not name.endswith(BUFFERS)
    }
    if config.tied:
        left.pop("lm_head.weight", None)
    own_weights: dict[str, Tensor] = {}
    for module, parts in modules(family, config):
        for kind in ("weight", "bias"):
            if f"{parts[0]}.{kind}" not in expected:
                continue
            if (value := left.pop(f"{module}.{kind}", None)) is None:
                raise ValueError(f"weight {full_name(family, module)}.{kind} is missing")
            if is_flipped(family, parts, value):
                value = value.T
            if parts == ("positions",):
                value = value[: config.context]
            # One matrix of theirs may hold several of ours, below each other.
            for name, piece in zip((f"{part}.{kind}" for part in parts), value.chunk(len(parts))):
                if piece.shape != expected[name]:
                    shapes = f"{tuple(piece.shape)}, not {tuple(expected[name])}"
                    raise ValueError(
                        f"weight {full_name(family, module)}.{kind} gives {name} the shape {shapes}"
                    )
                put_weight(own_weights, name, piece.float())
    if left:
        raise ValueError(
            f"weight {min(left)} is not part of a {family.architecture} as TinyLM knows it"
        )
    return own_weights


# -- adapters -------------------------------------------------------------------------------------


def to_peft(
    config: ModelConfig, lora: LoraConfig, adapters: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Our adapters by name -> adapter_config.json (base model left out) and the tensors of PEFT's
    LoRA format.

    GPT-2's one matrix for query, key and value gets one adapter of their ranks together, which is
    the same update: the A's stacked, the B's on a block diagonal.
    """
    family = FAMILIES[family_of(config)]
    peft_weights: dict[str, Tensor] = {}
    targets, ranks = dict[str, None](), {}
    for module, own_names in modules(family, config):
        pairs = [(adapters.get(f"{name}.a"), adapters.get(f"{name}.b")) for name in own_names]
        count = sum(a is not None for a, _ in pairs)
        if not count:
            continue
        short = module.split(".", 2)[2]  # without "layers.0."
        targets[short] = None
        if count > 1:
            ranks[short] = count
        name = f"base_model.model.{full_name(family, module)}"
        a, b = as_one_adapter(pairs)
        peft_weights |= {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "fan_in_fan_out": family.transposed,
        "target_modules": [*targets],
        "rank_pattern": {name: lora.rank * count for name, count in ranks.items()},
        "alpha_pattern": {name: lora.alpha * count for name, count in ranks.items()},
    }, peft_weights


def as_one_adapter(pairs: Sequence[tuple[Tensor | None, Tensor | None]]) -> tuple[Tensor, Tensor]:
    """Adapters of matrices that stand below each other as one: A (ranks, in), B (outs, ranks).

    A matrix without an adapter is (None, None): rows of zeros in B.
    """
    present = [(a, b) for a, b in pairs if a is not None and b is not None]
    out = present[0][1].shape[0]
    blocks = [torch.zeros(out, 0) if b is None else b for _, b in pairs]
    return torch.cat([a for a, _ in present]).clone(), torch.block_diag(*blocks).contiguous()
