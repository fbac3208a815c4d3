import pytest
import torch

from tests.model.test_gpt import build, some_ids
from tinylm.config import TrainConfig
from tinylm.model.gpt import matrices
from tinylm.training.optim import Muon, Optimizers, learning_rate_share


def shares(**fields) -> list[float]:
    config = TrainConfig(**fields)
    return [round(learning_rate_share(step, config), 4) for step in range(config.steps)]


def test_warm_up_stay_decay_by_hand():
    assert shares(steps=8, warmup=0.25, decay=0.5, final=0.0) == [0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert shares(steps=4, warmup=0, decay=0.5, final=0.5) == [1, 1, 1, 0.75]
    assert shares(steps=3, warmup=0, decay=0) == [1, 1, 1]


def test_a_decay_that_would_begin_during_the_warm_up_begins_after_it():
    assert shares(steps=10, warmup=0.8, decay=0.4)[6:] == [0.875, 1, 1, 0.5]


def test_cosine_by_hand():
    assert shares(steps=4, warmup=0, schedule="cosine", final=0.0) == [1, 0.8536, 0.5, 0.1464]
    assert shares(steps=5, warmup=0.2, schedule="cosine", final=1.0) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("schedule", ["wsd", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
@pytest.mark.parametrize(("warmup", "decay"), [(0, 1), (1, 0), (0.5, 0.5), (1, 1), (0.02, 0.4)])
def test_the_first_step_learns_and_no_step_passes_the_peak(schedule, steps, warmup, decay):
    values = shares(steps=steps, schedule=schedule, warmup=warmup, decay=decay)
    assert values[0] > 0 and all(0 <= value <= 1 for value in values)


def with_gradients(optimizer="muon"):
    model = build()
    optimizers = Optimizers(model, TrainConfig(steps=10, warmup=0, optimizer=optimizer))
    return model, optimizers


def learn(model, optimizers, step):
    model(some_ids()).logsumexp(-1).mean().backward()
    optimizers.step(step)


def test_muon_moves_the_hidden_matrices_and_adamw_the_rest():
    model, optimizers = with_gradients()
    hidden = {name for name, _ in matrices(model)}
    assert len(hidden) == 2 * 6
    learn(model, optimizers, 0)
    kinds = {}
    for key in optimizers.state():
        name, _, quantity = key.rpartition("/")
        kinds.setdefault(name, set()).add(quantity)
    assert {name for name, found in kinds.items() if "momentum_buffer" in found} == hidden
    assert all(
        "exp_avg_sq" in kinds[name] for name, _ in model.named_parameters() if name not in hidden
    )


def test_a_muon_update_pushes_all_directions_about_equally():
    model, optimizers = with_gradients()
    weight = model.blocks[0].attention.q.weight
    before = weight.detach().clone()
    learn(model, optimizers, 0)
    config = optimizers.config
    update = weight.detach() - before * (1 - config.muon_learning_rate * config.weight_decay)
    spectrum = torch.linalg.svdvals(update) / config.muon_learning_rate
    gradient = torch.linalg.svdvals(before)
    assert (
        spectrum.max() / spectrum[: len(spectrum) * 3 // 4].min()
        < 4
        < gradient.max() / gradient.min()
    )


def test_vectors_do_not_decay():
    model, optimizers = with_gradients("adamw")
    groups = [group for part, _ in optimizers.parts for group in part.param_groups]
    decays = {
        optimizers.names[w]: group["weight_decay"] for group in groups for w in group["params"]
    }
    assert all(
        (decay > 0) == (dict(model.named_parameters())[name].ndim == 2)
        for name, decay in decays.items()
    )
    assert len(decays) == len(list(model.parameters()))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_the_state_carries_over_to_the_same_next_step(optimizer):
    (first, a), (second, b) = with_gradients(optimizer), with_gradients(optimizer)
    learn(first, a, 0)
    second.load_state_dict(first.state_dict())
    b.load_state({name: value.clone() for name, value in a.state().items()})
    learn(first, a, 1)
    learn(second, b, 1)
    assert all(torch.equal(x, y) for x, y in zip(first.parameters(), second.parameters()))


def test_gradients_are_cleared_after_the_step():
    model, optimizers = with_gradients()
    learn(model, optimizers, 0)
    assert all(weight.grad is None for weight in model.parameters())


def test_batched_muon_takes_the_same_steps_as_torchs():
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 8), (24, 8), (8, 24), (8, 8), (24, 8)]
    ours = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
    pair = (
        Muon(ours, lr=0.02, weight_decay=0.1, dtype=torch.bfloat16),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1),
    )
    for _ in range(3):
        for weight, twin in zip(ours, theirs):
            weight.grad = torch.randn(weight.shape, generator=generator)
            twin.grad = weight.grad.clone()
        for optimizer in pair:
            optimizer.step()
    for weight, twin in zip(ours, theirs):
        torch.testing.assert_close(weight, twin, atol=2e-3, rtol=0)  # bf16 sums in another order
