"""Shapes and weights against the classes of `transformers` themselves, on tiny random models."""

import json
import os

import pytest
import torch

from tinylm.config import LoraConfig, ModelConfig
from tinylm.formats.huggingface import (
    family_of,
    from_hf_config,
    from_hf_weights,
    to_hf_config,
    to_hf_weights,
    to_peft,
)
from tinylm.model.gpt import GPT
from tinylm.model.lora import attach_lora, merge_lora
from tinylm.training.checkpoint import trained

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

LLAMA = {
    "norm": "rmsnorm",
    "position": "rope",
    "mlp": "swiglu",
    "qk_norm": False,
    "rope_theta": 5000.0,
}
SHAPES = {
    "gpt2": {
        "norm": "layernorm",
        "position": "learned",
        "mlp": "gelu",
        "bias": True,
        "qk_norm": False,
    },
    "gpt2-untied": {
        "norm": "layernorm",
        "position": "learned",
        "mlp": "gelu",
        "bias": True,
        "qk_norm": False,
        "tied": False,
    },
    "llama": {**LLAMA, "kv_heads": 2},
    "llama-untied": {**LLAMA, "kv_heads": 1, "tied": False, "mlp_width": 40},
    "llama-biased": {**LLAMA, "bias": True},
    "llama-relu2": {**LLAMA, "mlp": "relu2", "bias": True},
    "qwen3": {"mlp": "swiglu", "kv_heads": 2, "head_dim": 12},
    "qwen3-untied": {"mlp": "swiglu", "tied": False},
    "qwen3-relu2": {},
}


def shape(**fields) -> ModelConfig:
    return ModelConfig(
        **{"vocab_size": 61, "context": 24, "depth": 2, "width": 32, "heads": 4, **fields}
    )


def random_gpt(config: ModelConfig) -> GPT:
    """Every weight random, norms and biases too, so that none can stand in another's place
    unseen."""
    model, generator = GPT(config), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(
                torch.randn(weight.shape, generator=generator) * 0.2
                + (0.5 if weight.ndim == 1 else 0)
            )
    return model.eval()


def theirs_with(config: ModelConfig, model: GPT):
    """A `transformers` model with our weights, through our tables."""
    theirs = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**to_hf_config(config))
    )
    weights = to_hf_weights(config, {name: w.detach() for name, w in model.named_parameters()})
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    theirs.tie_weights()
    return theirs.eval()


def ids() -> torch.Tensor:
    return torch.randint(61, (3, 24), generator=torch.Generator().manual_seed(0))


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference, relative to the largest logit."""
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_an_exported_shape_computes_the_same_logits_in_transformers(name):
    config = shape(**SHAPES[name])
    model = random_gpt(config)
    assert family_of(config) == name.split("-")[0]
    assert distance(theirs_with(config, model)(ids()).logits, model(ids())) < 1e-5


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_scaled_embeddings_go_into_a_table_of_their_own(tied):
    config = shape(mlp="swiglu", embedding_scale=32**0.5, tied=tied)
    model = random_gpt(config)
    assert to_hf_config(config)["tie_word_embeddings"] is False
    assert distance(theirs_with(config, model)(ids()).logits, model(ids())) < 1e-5


@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_a_random_transformers_model_computes_the_same_logits_here(name):
    settings = to_hf_config(shape(**SHAPES[name]))
    torch.manual_seed(1)
    theirs = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**settings)
    ).eval()
    # norms start at one and biases at zero: nothing would be tested
    for key, weight in theirs.named_parameters():
        weight.mul_(3).add_(torch.randn_like(weight) * 0.1)
        if "up_proj" in key and "relu2" in name:  # parameters come in order: the gate is done
            weight.copy_(theirs.get_parameter(key.replace("up", "gate")))
    family, config = from_hf_config(theirs.config.to_dict())
    assert config == shape(**SHAPES[name])
    ours = GPT(config)
    weights = from_hf_weights(family, config, theirs.state_dict())
    ours.load_state_dict(
        {**weights, **({"head.weight": weights["tokens.weight"]} if config.tied else {})}
    )
    assert distance(ours(ids()), theirs(ids()).logits) < 1e-5


@pytest.mark.parametrize("name", SHAPES)
def test_shape_and_weights_come_back_as_they_went(name):
    config = shape(**SHAPES[name])
    weights = {key: w.detach() for key, w in random_gpt(config).named_parameters()}
    family, again = from_hf_config(json.loads(json.dumps(to_hf_config(config))))
    back = from_hf_weights(family, again, to_hf_weights(config, weights))
    assert again == config and back.keys() == weights.keys()
    assert all(torch.equal(back[key], weights[key]) for key in weights)


def test_a_file_from_before_prefixes_and_with_mask_buffers_is_read():
    config = shape(**SHAPES["gpt2"])
    weights = {key: w.detach() for key, w in random_gpt(config).named_parameters()}
    old = {key.removeprefix("transformer."): w for key, w in to_hf_weights(config, weights).items()}
    old |= {"h.0.attn.bias": torch.ones(1, 1, 24, 24), "h.0.attn.masked_bias": torch.tensor(-1e4)}
    back = from_hf_weights(*from_hf_config(to_hf_config(config)), old)
    assert all(torch.equal(back[key], weights[key]) for key in weights)


@torch.no_grad()
def test_a_shorter_context_keeps_the_logits():
    for name in ("gpt2", "llama"):
        config = shape(**SHAPES[name])
        model = random_gpt(config)
        family, cut = from_hf_config(to_hf_config(config), context=10)
        weights = from_hf_weights(
            family, cut, to_hf_weights(config, dict(model.named_parameters()))
        )
        short = GPT(cut)
        short.load_state_dict({**weights, "head.weight": weights["tokens.weight"]})
        assert cut.context == 10 and torch.allclose(
            short(ids()[:, :10]), model(ids()[:, :10]), atol=1e-5
        )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"mlp": "gelu"}, "model.mlp = 'gelu' (it has 'swiglu' or 'relu2')"),
        ({"norm": "layernorm", "mlp": "swiglu"}, "model.norm = 'layernorm'"),
        ({"bias": True, "mlp": "swiglu"}, "model."),
        ({**SHAPES["gpt2"], "kv_heads": 2}, "model.kv_heads = 2 (it has as many as heads, 4)"),
        ({**SHAPES["gpt2"], "head_dim": 16}, "model.head_dim = 16 (it has width / heads, 8)"),
        ({**SHAPES["gpt2"], "bias": False}, "model.bias = False"),
    ],
)
def test_a_shape_that_no_class_has_is_refused_by_field(fields, named):
    with pytest.raises(ValueError) as refused:
        to_hf_config(shape(**fields))
    assert named in str(refused.value) and "nearest is" in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (
            {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}},
            "rope_type = 'llama3'",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type = 'linear'"),
        (
            {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
            "partial_rotary_factor = 0.5",
        ),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"layer_types": ["sliding_attention"]}, "layer_types holds 'sliding_attention'"),
        ({"model_type": "qwen2"}, 'did you mean "qwen3"'),
        ({"model_type": None}, "model_type = None"),
    ],
)
def test_a_setting_that_is_not_computed_here_is_refused_by_name(setting, named):
    with pytest.raises(ValueError) as refused:
        from_hf_config(
            {**to_hf_config(shape(**SHAPES["llama"])), "rope_parameters": None, **setting}
        )
    assert named in str(refused.value)


def test_settings_of_gpt2_and_qwen3_that_are_not_computed_here_are_refused_by_name():
    for name, setting in (
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
        ("gpt2", {"activation_function": "relu"}),
        ("qwen3", {"use_sliding_window": True}),
        ("qwen3", {"attention_bias": True}),
    ):
        with pytest.raises(ValueError, match=next(iter(setting))):
            from_hf_config({**to_hf_config(shape(**SHAPES[name])), **setting})


def test_rope_theta_is_read_where_either_version_of_transformers_writes_it():
    settings = to_hf_config(shape(**SHAPES["llama"]))
    new, old = dict(settings), dict(settings)
    del new["rope_theta"], old["rope_parameters"]
    for each in (new, old, {**old, "rope_scaling": None}):
        assert from_hf_config(each)[1].rope_theta == 5000


def test_a_missing_a_foreign_and_a_misshapen_weight_are_named():
    config = shape(**SHAPES["llama"])
    weights = to_hf_weights(config, dict(random_gpt(config).named_parameters()))
    family, _ = from_hf_config(to_hf_config(config))
    name = "model.layers.1.self_attn.q_proj.weight"
    for wrong, message in (
        ({k: w for k, w in weights.items() if k != name}, f"{name} is missing"),
        (
            {**weights, "model.layers.0.self_attn.q_proj.bias": torch.zeros(32)},
            "layers.0.self_attn.q_proj.bias is not",
        ),
        ({**weights, name: torch.zeros(8, 32)}, f"{name} gives"),
    ):
        with pytest.raises(ValueError, match=message):
            from_hf_weights(family, config, wrong)


def test_relu_with_a_gate_of_its_own_is_refused():
    config = shape(**SHAPES["qwen3-relu2"])
    weights = to_hf_weights(config, dict(random_gpt(config).named_parameters()))
    weights["model.layers.0.mlp.gate_proj.weight"] += 1
    with pytest.raises(ValueError, match="TinyLM has relu2"):
        from_hf_weights(*from_hf_config(to_hf_config(config)), weights)


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("gpt2", ("q", "v", "down")),
        ("gpt2", ("q", "k", "v", "o", "up", "down")),
        ("gpt2", ("k",)),
        ("llama", ("q", "k", "v", "o", "gate", "up", "down")),
        ("qwen3-relu2", ("q", "up", "down")),
    ],
)
@torch.no_grad()
def test_an_adapter_in_peft_computes_what_ours_merged_does(name, targets):
    peft = pytest.importorskip("peft")
    config, lora = shape(**SHAPES[name]), LoraConfig(rank=3, alpha=7.0, targets=targets)
    model = random_gpt(config)
    theirs = theirs_with(config, model)
    before = theirs(ids()).logits
    attach_lora(model, lora, torch.Generator().manual_seed(0))
    for adapter in trained(model).values():
        adapter.normal_(std=0.3, generator=torch.Generator().manual_seed(adapter.numel()))
    settings, tensors = to_peft(config, lora, trained(model))
    with_adapter = peft.get_peft_model(
        theirs, peft.LoraConfig(**{**settings, "inference_mode": False})
    )
    wanted = {key.replace(".default", "") for key in with_adapter.state_dict() if "lora_" in key}
    assert set(tensors) == wanted
    peft.set_peft_model_state_dict(with_adapter, tensors)
    merge_lora(model)
    logits = with_adapter.merge_and_unload().eval()(ids()).logits
    assert distance(logits, model(ids())) < 1e-5 and distance(before, model(ids())) > 1e-2


def test_a_config_that_is_silent_about_its_norm_means_the_default_of_the_library():
    settings = to_hf_config(shape(**SHAPES["llama"], norm_eps=1e-3))
    assert from_hf_config(settings)[1].norm_eps == 1e-3
    del settings["rms_norm_eps"]
    assert from_hf_config(settings)[1].norm_eps == transformers.LlamaConfig().rms_norm_eps == 1e-6
