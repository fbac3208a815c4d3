import copy

import torch

from tests.model.test_gpt import build, some_ids
from tinylm.config import LoraConfig
from tinylm.model.lora import LoraLinear, attach_lora, lower_frozen, merge_lora
from tinylm.training.checkpoint import trained


def adapted():
    base = build(mlp="swiglu")
    model = copy.deepcopy(base)
    attach_lora(model, LoraConfig(rank=4, alpha=8), torch.Generator().manual_seed(0))
    return base, model


def test_an_untrained_adapter_changes_nothing():
    base, model = adapted()
    assert torch.equal(base(some_ids()), model(some_ids()))


def test_only_the_adapters_are_trained_and_saved():
    _, model = adapted()
    names = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert len(names) == 2 * 7 * 2 and all(name.endswith((".a", ".b")) for name in names)
    assert set(trained(model)) == set(names)


def test_the_targets_decide_where_adapters_stand():
    model = build(mlp="swiglu")
    attach_lora(model, LoraConfig(targets=("q", "v")), torch.Generator())
    assert len(trained(model)) == 2 * 2 * 2


def test_merging_keeps_the_function_and_leaves_a_plain_model():
    base, model = adapted()
    with torch.no_grad():
        for name, weight in trained(model).items():
            weight.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    before = model(some_ids())
    assert not torch.allclose(before, base(some_ids()), atol=1e-3)
    merge_lora(model)
    assert torch.allclose(before, model(some_ids()), atol=1e-3)
    assert dict(model.named_parameters()).keys() == dict(base.named_parameters()).keys()


def test_the_update_is_scaled_by_alpha_over_rank():
    _, model = adapted()
    layer = model.blocks[0].attention.q
    with torch.no_grad():
        layer.b.fill_(1.0)
    x = torch.ones(1, 32)
    assert torch.allclose(
        layer(x) - layer.frozen(x), 2.0 * (x @ layer.a.T).sum() * torch.ones(1, 32), atol=1e-4
    )


def test_frozen_matrices_in_bf16_give_the_products_of_autocast_and_merge_in_fp32():
    _, model = adapted()
    ids = some_ids()
    with torch.autocast("cpu", torch.bfloat16):
        before = model(ids)
    lower_frozen(model, torch.bfloat16)
    frozen = [m.frozen.weight for m in model.modules() if isinstance(m, LoraLinear)]
    assert frozen and all(w.dtype == torch.bfloat16 and not w.requires_grad for w in frozen)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(ids), before)
    assert torch.allclose(model(ids), before.float(), atol=0.1)  # without autocast too
    merge_lora(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
