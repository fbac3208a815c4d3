import pytest
import torch

from tinylm.config import ModelConfig
from tinylm.model.gpt import GPT, Cache, attend_in_blocks
from tinylm.model.size import flops_per_token, size_of
from tinylm.training.estimate import training_bytes

GPT2 = {"norm": "layernorm", "position": "learned", "mlp": "gelu", "bias": True, "qk_norm": False}
LLAMA = {
    "norm": "rmsnorm",
    "position": "rope",
    "mlp": "swiglu",
    "qk_norm": False,
    "tied": False,
    "kv_heads": 2,
}
QWEN3 = {
    "norm": "rmsnorm",
    "position": "rope",
    "mlp": "swiglu",
    "qk_norm": True,
    "kv_heads": 1,
    "head_dim": 12,
}
FAMILIES = {"gpt2": GPT2, "llama": LLAMA, "qwen3": QWEN3, "own": {}}


def build(**fields) -> GPT:
    model = GPT(
        ModelConfig(
            **{"vocab_size": 50, "context": 24, "depth": 2, "width": 32, "heads": 4, **fields}
        )
    ).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():  # no zeros: every path must matter
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model


def some_ids(rows=2, length=24) -> torch.Tensor:
    return torch.randint(50, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_position_does_not_see_what_comes_after_it(family):
    model, ids = build(**FAMILIES[family]), some_ids()
    changed = ids.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 50
    assert torch.allclose(model(ids)[:, :10], model(changed)[:, :10], atol=1e-5)
    assert not torch.allclose(model(ids)[:, 10:], model(changed)[:, 10:], atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_earlier_positions_and_their_order_matter(family):
    model, ids = build(**FAMILIES[family]), some_ids()
    swapped = ids.clone()
    swapped[:, [3, 4]] = ids[:, [4, 3]]
    assert not torch.allclose(model(ids)[:, -1], model(swapped)[:, -1], atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pieces", [[24], [1] * 24, [7, 1, 9, 7]])
def test_logits_with_a_cache_equal_those_without(family, pieces):
    model, ids = build(**FAMILIES[family]), some_ids()
    cache = Cache(model.config, 2, torch.float32, torch.device("cpu"))
    parts = [model(part, cache) for part in ids.split(pieces, dim=1)]
    assert cache.length == 24
    assert torch.allclose(torch.cat(parts, dim=1), model(ids), atol=1e-4)


def test_more_positions_than_the_context_are_refused_by_number():
    with pytest.raises(ValueError, match="25 positions are more than the context of 24"):
        build()(some_ids(length=25))


@pytest.mark.parametrize("family", FAMILIES)
def test_parameter_count_is_that_of_the_built_model(family):
    model = build(**FAMILIES[family])
    assert size_of(model.config).total == sum(weight.numel() for weight in model.parameters())


def test_nanogpts_cpu_shape_has_the_parameters_that_nanogpt_prints():
    # nanoGPT reports 0.80 M for 4 layers of width 128 with 65 characters and context 64, no biases.
    config = ModelConfig(
        vocab_size=65,
        context=64,
        depth=4,
        width=128,
        heads=4,
        norm="layernorm",
        position="learned",
        mlp="gelu",
        qk_norm=False,
    )
    assert size_of(config).total - 64 * 128 == 795_904
    assert size_of(config).matrices == 4 * 12 * 128 * 128


def test_flops_per_token_follow_from_weights_and_attention():
    config = ModelConfig(vocab_size=10, context=8, depth=1, width=4, heads=1, mlp_width=16)
    weights = 4 * 4 * 4 + 2 * 4 * 16 + 10 * 4
    attention = 2 * 4 * 8 // 2  # q times k and weights times v, half the context on average
    assert flops_per_token(config) == 6 * (weights + attention)
    assert flops_per_token(config, training=False) == 2 * (weights + attention)


def test_memory_grows_with_the_micro_batch_and_shrinks_with_bf16():
    config = ModelConfig(vocab_size=100)
    sizes = [
        training_bytes(config, rows, bf16) for rows, bf16 in ((8, False), (4, False), (4, True))
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_fresh_weights_predict_nearly_uniformly_and_repeat_for_a_seed():
    config = ModelConfig(vocab_size=50, context=24, depth=2, width=32, heads=4)
    first, second = GPT(config), GPT(config)
    for model in (first, second):
        model.initialise(torch.Generator().manual_seed(3))
    assert torch.equal(first(some_ids()), second(some_ids()))
    assert first(some_ids()).std() < 0.5


def test_grouped_heads_share_keys_and_values():
    model = build(kv_heads=2)
    assert model.blocks[0].attention.k.weight.shape == (16, 32)
    assert model(some_ids()).shape == (2, 24, 50)


@pytest.mark.parametrize(("kv_heads", "rows"), [(4, 128), (4, 7), (2, 10), (1, 1)])
def test_attention_in_blocks_equals_the_fused_kernel_forward_and_backward(kv_heads, rows):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 24, 8), (2, kv_heads, 24, 8), (2, kv_heads, 24, 8)]
    inputs = [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]
    ours = attend_in_blocks(*inputs, rows=rows)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *inputs, is_causal=True, enable_gqa=True
    )
    assert torch.allclose(ours, theirs, atol=1e-5)
    weights = torch.randn(ours.shape, generator=generator)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weights), torch.autograd.grad(theirs, inputs, weights)
    ):
        assert torch.allclose(a, b, atol=1e-5)
