import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import tiny_recipe, train_run
from tinylm.evaluation.likelihood import measure
from tinylm.model.device import choose_compute
from tinylm.runs import file_entry, open_run, write_manifest
from tinylm.text.batches import IGNORE, Batch
from tinylm.training.estimate import estimate
from tinylm.training.load import load_model, read_tensors, token_file
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run

FILES = ("metrics.jsonl", "samples.jsonl", "model/model.safetensors", "state/state.safetensors")


def contents(folder) -> dict[str, bytes]:
    """What must be equal bit for bit: logs and weights, and the state but for the seconds in its
    header."""
    run = open_run(folder)
    tensors, _ = read_tensors(run.path("state/state.safetensors"))
    out = {name: run.path(name).read_bytes() for name in FILES[:3]}
    return out | {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "fields",
    [{}, {"model": {"dropout": 0.2}}, {"train": {"optimizer": "adamw", "precision": "bf16"}}],
)
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_six_steps_equal_some_steps_a_kill_and_the_rest_bit_for_bit(
    tmp_path, text_file, fields, stop
):
    train_run(tmp_path / "whole", text_file, **fields)
    train = {**fields.get("train", {}), "stop_after": stop}
    train_run(tmp_path / "parts", text_file, **{**fields, "train": train})
    assert open_run(tmp_path / "parts").manifest["step"] == stop
    for _ in resume_run(tmp_path / "parts").run():
        pass
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
    assert open_run(tmp_path / "parts").manifest["status"] == "finished"


def test_a_kill_between_two_saves_loses_only_the_steps_since_the_last_one(tmp_path, text_file):
    train_run(tmp_path / "whole", text_file)
    trainer = start_run(tiny_recipe(text_file), tmp_path / "killed")
    for record in trainer.run():
        if record.step == 5:  # step 3 was saved; what steps 4 and 5 wrote to the logs must go
            break
    del trainer
    for _ in resume_run(tmp_path / "killed").run():
        pass
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")


def test_a_fine_tune_and_a_lora_run_resume_bit_for_bit(tmp_path, text_file, base_run):
    for name, lora in (("full", None), ("lora", {"rank": 2})):
        fields = {"start_from": str(base_run.folder), "lora": lora}
        train_run(tmp_path / f"{name}-whole", text_file, **fields)
        train_run(tmp_path / f"{name}-parts", text_file, **fields, train={"stop_after": 4})
        for _ in resume_run(tmp_path / f"{name}-parts").run():
            pass
        for file in ("metrics.jsonl", "samples.jsonl"):
            assert (tmp_path / f"{name}-whole" / file).read_bytes() == (
                tmp_path / f"{name}-parts" / file
            ).read_bytes()


def test_stopping_saves_after_the_present_step(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    for record in trainer.run():
        if record.step == 2:
            trainer.stop()
    run = open_run(tmp_path / "run")
    assert (run.manifest["step"], run.manifest["status"]) == (2, "stopped")


def test_accumulation_in_eight_parts_equals_one_under_uneven_masks(tmp_path, text_file):
    gradients = []
    for rows in (8, 1, 3):
        recipe = tiny_recipe(text_file, train={"batch_size": 8, "micro_batch_size": rows})
        trainer = start_run(recipe, tmp_path / str(rows))
        batch = trainer.batches[0]
        targets = batch.targets.copy()
        for row in range(8):  # row 0 keeps all its targets, row 7 hardly any
            targets[row, 16 - 2 * row :] = IGNORE
        loss = trainer.accumulate(Batch(batch.inputs, targets))
        gradients.append(
            (loss, {name: w.grad.clone() for name, w in trainer.model.named_parameters()})
        )
    for loss, grads in gradients[1:]:
        assert loss == pytest.approx(gradients[0][0], rel=1e-5)
        for name, grad in grads.items():
            assert torch.allclose(grad, gradients[0][1][name], atol=1e-6), name


def test_training_lowers_the_loss_of_every_family(tmp_path, text_file):
    shapes = {
        "gpt2": {
            "norm": "layernorm",
            "position": "learned",
            "mlp": "gelu",
            "bias": True,
            "qk_norm": False,
        },
        "llama": {"mlp": "swiglu", "qk_norm": False, "tied": False, "kv_heads": 1},
        "own": {},
    }
    for name, shape in shapes.items():
        for optimizer in ("muon", "adamw"):
            trainer = start_run(
                tiny_recipe(
                    text_file,
                    model=shape,
                    train={"steps": 40, "optimizer": optimizer, "evaluate_every": 40},
                ),
                tmp_path / f"{name}-{optimizer}",
            )
            losses = [record.loss for record in trainer.run()]
            assert np.mean(losses[-5:]) < losses[0] - 1.0, (name, optimizer)


def test_the_best_weights_are_kept_and_a_rising_validation_is_announced_once(tmp_path, text_file):
    (tmp_path / "little.txt").write_text(
        text_file.read_text(encoding="utf-8")[:700], encoding="utf-8"
    )
    recipe = tiny_recipe(
        tmp_path / "little.txt",
        model={"width": 64},
        train={"steps": 200, "evaluate_every": 10},
        sample={"every": 1000},
    )
    records = list(start_run(recipe, tmp_path / "run").run())  # 630 characters, learned by heart
    run = open_run(tmp_path / "run")
    best = min(run.records("valid"), key=lambda record: record["nats_per_token"])
    notices = [record for record in records if record.notice]
    assert best["step"] < 200 and run.manifest["best"]["step"] == best["step"]
    assert notices and "turned upward: best was step" in notices[0].notice
    last, _ = read_tensors(run.folder / "state/state.safetensors")
    kept, _ = read_tensors(run.folder / "model/model.safetensors")
    assert any(not torch.equal(last[f"weights/{name}"], weight) for name, weight in kept.items())
    model, tokenizer, _ = load_model(run)
    score = measure(model, token_file(run, "valid"), tokenizer, choose_compute("cpu", "fp32"))
    assert score.nats_per_token == pytest.approx(best["nats_per_token"], rel=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_advice_before_it_reaches_the_weights(
    tmp_path, text_file, bad
):
    trainer = start_run(tiny_recipe(text_file, train={"steps": 9}), tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"step 5: the loss is not a finite number.*learning_rate.*of step 3"
    ):
        for record in trainer.run():
            if record.step == 4:
                with torch.no_grad():
                    trainer.model.tokens.weight[0, 0] = bad
    assert all(
        torch.isfinite(w).all() for w in load_model(open_run(tmp_path / "run")).model.parameters()
    )


def test_a_first_batch_that_is_easier_than_the_others_is_no_alarm(tmp_path, text_file):
    """A fine-tune on old and new text mixed may begin with old text alone."""
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    guess = math.log(trainer.model.config.vocab_size)
    next(trainer.run())
    trainer.first_loss = 0.5
    trainer.check(1.5 * guess, 1.0)
    with pytest.raises(ValueError, match="the loss runs away"):
        trainer.check(2 * guess + 3, 1.0)


def test_a_huge_learning_rate_is_stopped_and_zero_changes_nothing(tmp_path, text_file):
    wild = tiny_recipe(
        text_file, train={"steps": 60, "optimizer": "adamw", "learning_rate": 1e6, "warmup": 0}
    )
    with pytest.raises(ValueError, match=r"the loss (runs away|is not a finite number)"):
        for _ in start_run(wild, tmp_path / "wild").run():
            pass
    run = train_run(
        tmp_path / "still", text_file, train={"learning_rate": 0, "muon_learning_rate": 0}
    )
    assert len({record["nats_per_token"] for record in run.records("valid")}) == 1


def test_estimating_leaves_no_trace(tmp_path, text_file):
    train_run(tmp_path / "plain", text_file, model={"dropout": 0.1})
    trainer = start_run(tiny_recipe(text_file, model={"dropout": 0.1}), tmp_path / "asked")
    whole = estimate(trainer)
    assert (
        whole.parameters > 0
        and whole.minutes > 0
        and whole.peak_bytes > 0
        and whole.tokens == 6 * 4 * 16
    )
    for _ in trainer.run():
        pass
    assert contents(tmp_path / "plain") == contents(tmp_path / "asked")


def test_a_time_budget_fixes_the_number_of_steps_once_and_stretches_the_schedule(
    tmp_path, text_file
):
    trainer = start_run(
        tiny_recipe(text_file, train={"steps": 100_000, "max_minutes": 0.05}), tmp_path / "run"
    )
    steps = trainer.recipe.train.steps
    assert 1 <= steps < 100_000
    records = list(trainer.run())
    assert len(records) == steps and records[-1].learning_rate < 0.5 * max(
        r.learning_rate for r in records
    )
    assert open_run(tmp_path / "run").recipe.train.steps == steps


def test_metrics_hold_one_record_per_step_and_per_validation(base_run):
    assert [record["step"] for record in base_run.records("train")] == [1, 2, 3, 4, 5, 6]
    assert [record["step"] for record in base_run.records("valid")] == [0, 3, 6]
    assert all(math.isfinite(record["loss"]) for record in base_run.records("train"))
    assert [sample["step"] for sample in base_run.log("samples.jsonl")] == [3, 6]


def test_the_whole_validation_text_is_scored_once(base_run, text_file):
    characters = len(text_file.read_text(encoding="utf-8"))
    valid = characters - int(characters * 0.9)
    assert base_run.records("valid")[0]["tokens"] == valid - 1


def test_a_moved_run_folder_still_resumes_and_samples(tmp_path, text_file):
    train_run(tmp_path / "here", text_file, train={"stop_after": 3})
    shutil.move(tmp_path / "here", tmp_path / "a folder with spaces and ü")
    text_file_gone = tmp_path / "a folder with spaces and ü"
    for _ in resume_run(text_file_gone).run():
        pass
    assert load_model(open_run(text_file_gone)).model


def test_a_finished_run_says_so(base_run):
    with pytest.raises(ValueError, match="is finished"):
        resume_run(base_run.folder)


def test_a_failed_start_leaves_no_folder_behind(tmp_path):
    (tmp_path / "short.txt").write_text("fifteen letters", encoding="utf-8")
    with pytest.raises(ValueError, match="fewer than one context"):
        start_run(tiny_recipe(tmp_path / "short.txt"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_compiling_falls_back_in_one_line_where_it_cannot_work(tmp_path, text_file, monkeypatch):
    monkeypatch.setattr(
        torch, "compile", lambda model: (_ for _ in ()).throw(RuntimeError("no compiler"))
    )
    trainer = start_run(tiny_recipe(text_file, train={"compile": True}), tmp_path / "run")
    assert len(list(trainer.run())) == 6
    assert "training without it" in trainer.notices[0]


def test_a_compiled_run_is_the_same_run_also_where_its_steps_are_fitted_into_a_time(
    tmp_path, text_file, monkeypatch
):
    calls = []

    # what torch.compile returns is called in the model's place; no compiler is needed for that
    def compiling(model):
        calls.append(model)
        return lambda ids: model(ids)

    monkeypatch.setattr(torch, "compile", compiling)
    fields = {"compile": True, "max_minutes": 10.0}
    trainer = start_run(tiny_recipe(text_file, train=fields), tmp_path / "compiled")
    assert calls == [trainer.model] and trainer.forward is not trainer.model
    plain = start_run(tiny_recipe(text_file), tmp_path / "plain")
    assert [record.loss for record in trainer.run()] == [record.loss for record in plain.run()]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler here")
def test_a_compiled_run_resumes_to_the_same_bits(tmp_path, text_file):
    fields = {"model": {"dropout": 0.1}, "train": {"compile": True, "precision": "bf16"}}
    whole = start_run(tiny_recipe(text_file, **fields), tmp_path / "whole")
    losses = [record.loss for record in whole.run()]
    fields["train"]["stop_after"] = 2
    parts = [
        record.loss
        for record in start_run(tiny_recipe(text_file, **fields), tmp_path / "parts").run()
    ]
    resumed = resume_run(tmp_path / "parts")
    assert parts + [record.loss for record in resumed.run()] == losses
    assert not whole.notices and not resumed.notices  # all three were compiled
    weights = [
        (tmp_path / name / "model" / "model.safetensors").read_bytes()
        for name in ("whole", "parts")
    ]
    assert weights[0] == weights[1]


def test_the_manifest_tells_where_a_run_comes_from(base_run):
    manifest = base_run.manifest
    assert (
        manifest["seed"] == 1
        and manifest["precision"] == "float32"
        and len(manifest["corpus_sha256"]) == 64
    )
    assert (
        manifest["flops"] > 0 and manifest["tokens"] == 6 * 4 * 16 and manifest["versions"]["torch"]
    )
    assert (
        json.loads((base_run.folder / "recipe.json").read_text(encoding="utf-8"))["model"][
            "vocab_size"
        ]
        > 256
    )


def test_a_document_token_is_dropped_with_a_notice_where_it_would_never_be_seen(
    tmp_path, text_file, base_run
):
    for name, fields in (
        ("undivided", {"corpus": {"document_token": True}}),
        (
            "parent",
            {
                "corpus": {"document_token": True, "separator": "\n\n"},
                "start_from": str(base_run.folder),
            },
        ),
    ):
        trainer = start_run(
            tiny_recipe(text_file, sample={"prompts": ["", "the "]}, **fields), tmp_path / name
        )
        assert "document_token is off" in trainer.notices[0]
        # the empty prompt is left out
        assert {len(record.samples) for record in trainer.run()} == {0, 1}
        assert not open_run(tmp_path / name).recipe.corpus.document_token


def test_a_crash_between_the_weights_and_the_state_is_made_good_by_the_resume(tmp_path, text_file):
    train_run(tmp_path / "whole", text_file)
    train_run(tmp_path / "torn", text_file, train={"stop_after": 5})
    torn = tmp_path / "torn"
    # As if the save at step 6 had moved the new best weights, and the machine had died before the
    # state moved.
    manifest = open_run(torn).manifest
    shutil.copy(tmp_path / "whole/model/model.safetensors", torn / "model/model.safetensors")
    manifest["pending"] = {"model/model.safetensors": file_entry(torn / "model/model.safetensors")}
    write_manifest(torn, manifest)
    for _ in resume_run(torn).run():
        pass
    assert contents(tmp_path / "whole") == contents(torn)


def test_a_save_moves_the_state_last(tmp_path, text_file, monkeypatch):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    moved = []
    real = Path.replace
    monkeypatch.setattr(
        Path,
        "replace",
        lambda self, target: (moved.append(Path(target).name), real(self, target))[1],
    )
    for _ in trainer.run():
        pass
    saves = "".join(f"{name}/" for name in moved).split("manifest.json/")
    assert any("model.safetensors" in save for save in saves)
    assert all(
        save.rstrip("/").endswith("state.safetensors")
        for save in saves
        if "model.safetensors" in save
    )


def test_a_log_that_began_after_the_last_save_is_emptied_by_the_resume(tmp_path, text_file):
    fields = {"train": {"evaluate_every": 4}}
    train_run(tmp_path / "whole", text_file, **fields)
    for record in start_run(tiny_recipe(text_file, **fields), tmp_path / "killed").run():
        if record.step == 3:  # the first samples; the manifest of step 0 knows no such log
            break
    for _ in resume_run(tmp_path / "killed").run():
        pass
    assert contents(tmp_path / "whole") == contents(tmp_path / "killed")


def test_a_validation_leaves_out_what_the_mask_leaves_out(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    mask = (np.arange(len(trainer.corpus.valid)) % 3 == 0).astype(np.uint8)
    trainer.corpus = replace(trainer.corpus, valid_mask=mask)
    assert trainer.validate()["tokens"] == mask[1:].sum()  # nothing predicts the first token


def test_gradients_are_clipped_to_the_norm_of_the_recipe(tmp_path, text_file, monkeypatch):
    trainer, norms = start_run(tiny_recipe(text_file, train={"clip": 1e-3}), tmp_path / "run"), []
    update = trainer.optimizers.step

    def step(number):
        squares = (w.grad.square().sum() for w in trainer.model.parameters() if w.grad is not None)
        norms.append(float(sum(squares)) ** 0.5)
        return update(number)

    monkeypatch.setattr(trainer.optimizers, "step", step)
    records = list(trainer.run())
    assert norms == pytest.approx([1e-3] * len(norms), rel=1e-3)
    assert min(record.grad_norm for record in records) > 1e-2  # told as it was before


def test_equal_weights_write_equal_samples_at_every_look(tmp_path, text_file):
    still = {"learning_rate": 0.0, "muon_learning_rate": 0.0}
    run = train_run(tmp_path / "run", text_file, train=still)
    samples = run.log("samples.jsonl")
    assert len(samples) == 2 and len({sample["text"] for sample in samples}) == 1


def test_a_fine_tune_may_read_shorter_windows_than_its_parent(tmp_path, base_run, text_file):
    fields = {"context": base_run.model_config.context // 2}
    for name, lora in (("full", None), ("adapter", {"rank": 2})):
        run = train_run(
            tmp_path / name, text_file, start_from=str(base_run.folder), model=fields, lora=lora
        )
        assert load_model(run).model.config.context == run.model_config.context == fields["context"]
    with pytest.raises(ValueError, match=r"model.context = .* keeps its parent's shape"):
        longer = {"context": 2 * base_run.model_config.context}
        train_run(tmp_path / "x", text_file, start_from=str(base_run.folder), model=longer)
