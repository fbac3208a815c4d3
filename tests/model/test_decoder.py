import numpy as np
import pytest
import torch

from tests.model.test_gpt import FAMILIES, build, some_ids
from tinylm.model.decoder import Decoder
from tinylm.model.gpt import Cache

EVERYTHING = {
    "norm": "layernorm",
    "bias": True,
    "qk_norm": True,
    "kv_heads": 2,
    "tied": False,
    "embedding_scale": 5.0,
    "norm_eps": 0.1,
}


@pytest.mark.parametrize("shape", [*FAMILIES.values(), EVERYTHING])
def test_every_position_gets_the_logits_and_the_cache_of_the_model(shape):
    model, ids = build(**shape), some_ids(rows=3)
    with torch.no_grad():
        oracle, cache = (
            Cache(model.config, 3, torch.float32, torch.device("cpu")) for _ in range(2)
        )
        expected = model(ids, oracle)
        model(ids[:, :5], cache)  # the prompt is read by the model
        decoder = Decoder(model, cache)
        for position in range(5, 24):
            logits = torch.from_numpy(decoder(ids[:, position].numpy()))
            assert torch.allclose(logits, expected[:, position], atol=1e-4)
    assert cache.length == 24
    assert torch.allclose(cache.keys, oracle.keys, atol=1e-5) and torch.allclose(
        cache.values, oracle.values, atol=1e-5
    )


def test_large_activations_do_not_overflow():
    model = build(mlp="swiglu")
    with torch.no_grad():
        model.blocks[0].mlp.gate.weight.mul_(1000)
        cache = Cache(model.config, 1, torch.float32, torch.device("cpu"))
        with np.errstate(all="raise", under="ignore"):
            logits = torch.from_numpy(Decoder(model, cache)(np.array([7])))
        assert torch.allclose(logits, model(torch.tensor([[7]]))[:, 0], rtol=1e-3, atol=1e-3)
