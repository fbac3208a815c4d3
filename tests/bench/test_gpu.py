"""The rows for a GPU, each at a tiny scale on the CPU; and the order of sums asked of a GPU."""

import pytest
import torch

from tinylm.bench import gpu
from tinylm.bench.measure import Setup
from tinylm.model.size import size_of
from tinylm.runs import read_lines
from tinylm.training.performance import fix_order

TINY = gpu.SMOLLM2.model_copy(
    update={
        "vocab_size": 300,
        "context": 64,
        "depth": 2,
        "width": 24,
        "heads": 3,
        "kv_heads": 1,
        "head_dim": 8,
        "mlp_width": 32,
    }
)
FEW = {"reward.samples": "8", "reward.tokens": "40", "train.micro_batch_size": "8"}
CPU = {"train.device": "cpu", "train.batch_size": "4"}


@pytest.fixture
def setup(tmp_path) -> Setup:
    return Setup(tmp_path)


def test_smollm2s_shape_has_its_number_of_parameters():
    assert size_of(gpu.SMOLLM2).total == 134_515_008


def test_adapters_train_beside_peft_on_the_same_shape(setup):
    pytest.importorskip("peft")
    reading = gpu.adapters(setup, TINY, "cpu", compiling=False)
    assert len(reading.values) == 3 and min(reading.values) > 0
    assert "batches of 4 x 64" in reading.detail


def test_peft_trains_as_many_numbers_as_we_do(setup):
    peft = pytest.importorskip("peft")
    train = gpu.TrainConfig(optimizer="adamw", device="cpu", precision="bf16")
    trainer = gpu.random_trainer(setup, TINY, train, gpu.ADAPTERS)
    theirs = peft.get_peft_model(gpu.llama(TINY, "cpu"), gpu.peft_settings())
    assert sum(w.numel() for w in trainer.model.parameters() if w.requires_grad) == sum(
        w.numel() for w in theirs.parameters() if w.requires_grad
    )


def test_both_models_write_as_many_tokens(monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr(gpu, "SAMPLED", 20)
    reading = gpu.greedy(TINY, "cpu")
    assert len(reading.values) == 3 and "16 tokens read, 20 written" in reading.detail


def test_a_step_of_the_reward_stage_is_timed_behind_the_stages_before_it(setup, monkeypatch):
    short = gpu.QUIET | {"train.steps": "2"}
    base = short | {"corpus.size": "100000", "model.depth": "1", "tokenizer.vocab_size": "400"}
    monkeypatch.setattr(gpu, "STAGES", {"demo-base": base, "demo-verse": short, "demo-reward": FEW})
    (reading,) = gpu.reward(setup, CPU)
    assert len(reading.values) == gpu.REWARD_STEPS and "8 samples x 40 tokens" in reading.detail


def test_a_resumed_run_is_compared_byte_by_byte_in_both_stages(setup, monkeypatch):
    stages = dict(gpu.INTERRUPTED)
    recipe, fields = stages["pretraining"]
    stages["pretraining"] = recipe, fields | {"model.depth": "1", "model.width": "64"}
    stages["the reward stage"] = "demo-reward", gpu.SHORT | FEW
    monkeypatch.setattr(gpu, "INTERRUPTED", stages)
    readings = list(gpu.resume(setup, CPU))
    assert [reading.values for reading in readings] == [(100.0,), (100.0,)]
    assert all(reading.detail.startswith("0 of ") for reading in readings)
    # What the second stage repeats is no standstill: its lines earned something.
    *_, log = sorted(setup.scratch.glob("*/metrics.jsonl"))
    assert all(record.get("grad_norm", 1) > 0 for record in read_lines(log))


def test_a_peer_runs_without_the_fixed_order_that_a_run_on_a_gpu_asks_for(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    fix_order(torch.device("cpu"))
    assert torch.get_deterministic_debug_mode() == 0
    try:
        fix_order(torch.device("cuda"))
        assert torch.get_deterministic_debug_mode() == 2
        with gpu.any_order():
            assert torch.get_deterministic_debug_mode() == 0
        assert torch.get_deterministic_debug_mode() == 2
    finally:
        torch.set_deterministic_debug_mode("default")
        torch.utils.deterministic.fill_uninitialized_memory = True
