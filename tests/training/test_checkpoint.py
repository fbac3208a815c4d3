import gc
import shutil
import tracemalloc

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import train_run
from tinylm.runs import file_entry, open_run, write_manifest
from tinylm.training.load import load_model, read_tensors
from tinylm.training.resume import resume_run

LEARNING = {"steps": 20, "evaluate_every": 10}


@pytest.fixture
def lora_run(tmp_path, text_file):
    train_run(tmp_path / "base", text_file, train={"steps": 60, "evaluate_every": 60})
    return train_run(
        tmp_path / "lora",
        text_file,
        start_from=str(tmp_path / "base"),
        lora={"rank": 2},
        train=LEARNING,
    )


def rewritten(run, name, tensors):
    """Put other tensors into a run's file and make its manifest agree: damage that no hash can
    show."""
    save_file(tensors, run.folder / name)
    files = {**run.manifest["files"], name: file_entry(run.folder / name)}
    write_manifest(run.folder, {**run.manifest, "files": files})
    return open_run(run.folder)


def test_a_lora_run_saves_its_adapter_alone_and_its_parents_fingerprint(lora_run):
    names = set(read_tensors(lora_run.folder / "model/adapter.safetensors")[0])
    assert names and all(name.endswith((".a", ".b")) for name in names)
    assert not (lora_run.folder / "model/model.safetensors").exists()
    parent = open_run(lora_run.folder.parent / "base")
    assert lora_run.manifest["parent"]["fingerprint"] == parent.fingerprint
    sizes = [
        (run.folder / file).stat().st_size
        for run, file in (
            (lora_run, "model/adapter.safetensors"),
            (parent, "model/model.safetensors"),
        )
    ]
    assert sizes[0] < sizes[1]


def test_a_lora_run_loads_as_a_plain_model_that_is_not_its_parent(lora_run):
    tuned, base = (
        load_model(lora_run).model,
        load_model(open_run(lora_run.folder.parent / "base")).model,
    )
    assert dict(tuned.named_parameters()).keys() == dict(base.named_parameters()).keys()
    assert not torch.equal(tuned.blocks[0].mlp.up.weight, base.blocks[0].mlp.up.weight)
    assert torch.equal(tuned.tokens.weight, base.tokens.weight)


def test_a_lora_run_moves_together_with_its_parent(lora_run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("base", "lora"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    assert load_model(open_run(tmp_path / "elsewhere" / "lora")).model


def test_a_missing_or_changed_parent_is_one_line(lora_run, text_file):
    base = lora_run.folder.parent / "base"
    shutil.move(base, base.with_name("gone"))
    with pytest.raises(ValueError, match=r"parent .* is missing"):
        load_model(lora_run)
    train_run(base, text_file, train={"seed": 2})
    with pytest.raises(ValueError, match="has changed since the adapter was trained"):
        load_model(lora_run)


def test_a_file_that_lies_about_its_weights_is_one_line(base_run, tmp_path):
    shutil.copytree(base_run.folder, tmp_path / "run")
    run = open_run(tmp_path / "run")
    tensors, _ = read_tensors(run.folder / "model/model.safetensors")
    name = "tokens.weight"
    for change, words in (
        ({name: tensors[name][:, :5].contiguous()}, "tokens.weight is"),
        ({"extra": torch.zeros(2)}, "weight extra is"),
        ({name: torch.full_like(tensors[name], float("nan"))}, "NaN"),
    ):
        with pytest.raises(ValueError, match=words):
            load_model(rewritten(run, "model/model.safetensors", {**tensors, **change}))
    (run.folder / "model/model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="damaged or changed"):
        load_model(run)
    (tmp_path / "other.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_tensors(tmp_path / "other.safetensors")


def test_a_damaged_state_refuses_to_resume_but_the_model_still_samples(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    body = bytearray((run.folder / "state/state.safetensors").read_bytes())
    body[-1] ^= 1
    (run.folder / "state/state.safetensors").write_bytes(body)
    with pytest.raises(ValueError, match="damaged or changed"):
        resume_run(run.folder)
    assert load_model(open_run(run.folder)).model


def test_reading_the_same_weights_over_and_over_holds_no_memory(base_run):
    path = base_run.path("model/model.safetensors")
    for _ in range(5):
        read_tensors(path)
    gc.collect()
    tracemalloc.start()
    for _ in range(100):
        read_tensors(path)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 100 * 300  # bytes a call
