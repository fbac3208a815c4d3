import math

import pytest
import torch

from tinylm.config import ModelConfig
from tinylm.model.gpt import GPT, Cache, attend_in_blocks, rope_tables
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


def test_every_kind_of_weight_begins_at_its_scale():
    model = build(width=64, mlp_width=256, tied=False, position="learned", vocab_size=400)
    model.initialise(torch.Generator().manual_seed(0))
    block = model.blocks[0]
    # 1 / sqrt(inputs): outputs of the scale of the inputs, however many there are.
    for weight in (block.attention.q.weight, block.mlp.up.weight):
        assert weight.std().item() == pytest.approx(64**-0.5, rel=0.05)
    for weight in (model.tokens.weight, model.head.weight, model.positions.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_an_untied_head_counts_as_an_embedding():
    tied, untied = (size_of(build(tied=tied).config) for tied in (True, False))
    assert tied.embedding == 50 * 32 and untied.embedding == 2 * 50 * 32
    assert tied.matrices == untied.matrices and untied.total - tied.total == 50 * 32


def test_the_rotation_of_each_pair_is_slower_than_that_of_the_one_before():
    cos, sin = rope_tables(build(head_dim=8, rope_theta=16.0).config)
    angles = [16 ** (-2 * i / 8) for i in range(4)]  # 1, 1/2, 1/4, 1/8 radian a position
    assert cos[1].tolist() == pytest.approx([math.cos(a) for a in angles * 2])
    assert sin[1].tolist() == pytest.approx(
        [-math.sin(a) for a in angles] + list(map(math.sin, angles))
    )


def test_dropout_works_on_embeddings_and_on_what_each_part_adds():
    model = build(dropout=0.5).train()
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def note(module, inputs, output):
        calls.append((inputs[0], output))

    for module in (model.dropout, *(block.dropout for block in model.blocks)):
        module.register_forward_hook(note)
    model(some_ids())
    assert len(calls) == 1 + 2 * 2  # embeddings; attention and MLP of two blocks
    for before, after in calls:
        kept = after != 0
        assert 0.4 < kept.float().mean() < 0.6
        assert torch.allclose(after[kept], 2 * before[kept])


def test_dropout_works_on_the_shares_of_attention():
    q = torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    plain = attend_in_blocks(q, q, q)
    assert torch.equal(attend_in_blocks(q, q, q, 0.0), plain)
    assert not torch.allclose(attend_in_blocks(q, q, q, 0.5), plain)
    # The first position has one share, 1: it is dropped, or doubled.
    first = torch.stack([attend_in_blocks(q, q, q, 0.5)[0, 0, 0] for _ in range(20)])
    doubled = torch.isclose(first, 2 * q[0, 0, 0]).all(1)
    assert ((first == 0).all(1) | doubled).all() and 0 < doubled.sum() < 20


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
