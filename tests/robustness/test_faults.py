"""What goes wrong in training is told in words that say what to do, and spoils nothing that was
saved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import tiny_recipe, train_run
from tinylm.runs import open_run
from tinylm.text.batches import Batches
from tinylm.training.alerts import watched
from tinylm.training.load import load_model
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run


def told(trainer) -> list[str]:
    """The notices of a whole run."""
    return [record.notice for record in watched(trainer.run(), trainer) if record.notice]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_the_step_the_cure_and_the_checkpoint_that_is_good(
    tmp_path, text_file, number
):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    trainer.forward = lambda ids: trainer.model(ids) * (number if trainer.step == 4 else 1.0)
    with pytest.raises(ValueError) as error:
        told(trainer)
    for words in (
        "step 5: the loss is not a finite number (loss nan, gradient norm",
        "Try a third of train.learning_rate",
        f"The checkpoint of step 3 in {tmp_path / 'run'} is good",
    ):
        assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert open_run(tmp_path / "run").manifest["step"] == 3
    assert all(
        torch.isfinite(w).all() for w in load_model(open_run(tmp_path / "run")).model.parameters()
    )


def test_a_jump_of_the_gradient_is_clipped_told_once_a_jump_and_ends_nothing(tmp_path, text_file):
    recipe = tiny_recipe(text_file, train={"steps": 30, "evaluate_every": 30}, sample={"every": 30})
    trainer = start_run(recipe, tmp_path / "run")

    def forward(ids: torch.Tensor) -> torch.Tensor:
        logits = trainer.model(ids)
        if trainer.step == 19:
            logits.register_hook(lambda gradient: gradient * 1000)
        return logits

    trainer.forward = forward
    records = list(watched(trainer.run(), trainer))
    (found,) = [record for record in records if record.notice]
    assert found.step == 20
    assert (
        "the gradient jumped to" in found.notice
        and "times its usual norm and was clipped" in found.notice
    )
    assert "lower train.learning_rate" in found.notice
    assert records[-1].step == 30 and records[-1].loss < records[0].loss


def test_a_batch_with_nothing_to_learn_is_told_once_and_harms_nothing(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    mask = np.zeros(len(trainer.corpus.train), dtype=np.uint8)
    trainer.corpus = replace(trainer.corpus, train_mask=mask)
    trainer.batches = Batches(trainer.corpus, trainer.model.config.context, 4, seed=1)
    (notice,) = told(trainer)
    assert (
        notice
        == "the loss is exactly 0: the batch held no token to learn, or nothing that is not known"
    )
    assert all(torch.isfinite(weight).all() for weight in trainer.model.parameters())


def test_a_text_shorter_than_the_context_says_which_number_to_change(tmp_path):
    (tmp_path / "short.txt").write_text("fifteen letters", encoding="utf-8")
    with pytest.raises(
        ValueError,
        match=r"fewer than one context of 16 .* use more text or a smaller model.context",
    ):
        start_run(tiny_recipe(tmp_path / "short.txt"), tmp_path / "run")


def test_a_text_of_one_character_says_that_there_is_nothing_to_learn_and_trains(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 2000, encoding="utf-8")
    trainer = start_run(
        tiny_recipe(tmp_path / "a.txt", sample={"prompts": ["a"]}), tmp_path / "run"
    )
    assert trainer.notices == [
        "the training text repeats a single token: there is nothing to learn from it but that"
    ]
    assert len(list(trainer.run())) == 6


def test_a_vocabulary_that_the_text_cannot_fill_says_which_size_it_can(tmp_path):
    (tmp_path / "abc.txt").write_text("aaabdaaabac" * 9, encoding="utf-8")
    recipe = tiny_recipe(tmp_path / "abc.txt", tokenizer={"kind": "bpe", "vocab_size": 1000})
    with pytest.raises(
        ValueError, match=r"vocab_size 1000 asks for 744 merges, but only \d+ merges were possible"
    ):
        start_run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_learning_rate_of_zero_is_told_and_changes_no_weight(tmp_path, text_file):
    still = tiny_recipe(text_file, train={"learning_rate": 0, "muon_learning_rate": 0})
    trainer = start_run(still, tmp_path / "run")
    assert trainer.notices == ["the learning rate is 0: the run measures, but learns nothing"]
    before = [weight.clone() for weight in trainer.model.parameters()]
    told(trainer)
    assert all(torch.equal(old, new) for old, new in zip(before, trainer.model.parameters()))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_learning_rate_of_a_million_is_stopped_with_advice(tmp_path, text_file, optimizer):
    rates = {"learning_rate": 1e6, "muon_learning_rate": 1e6, "warmup": 0}
    recipe = tiny_recipe(text_file, train={"steps": 60, "optimizer": optimizer, **rates})
    with pytest.raises(
        ValueError, match=r"the loss (runs away|is not a finite number).*Try a third of"
    ) as error:
        told(start_run(recipe, tmp_path / "run"))
    assert "\n" not in str(error.value)
    assert load_model(open_run(tmp_path / "run")).model


def test_a_run_that_fails_leaves_the_folder_resumable(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    trainer.forward = lambda ids: trainer.model(ids) * (float("nan") if trainer.step == 4 else 1.0)
    with pytest.raises(ValueError, match="step 5"):
        told(trainer)
    assert len(list(resume_run(tmp_path / "run").run())) == 3
    whole = train_run(tmp_path / "whole", text_file)
    assert (whole.folder / "metrics.jsonl").read_bytes() == (
        tmp_path / "run/metrics.jsonl"
    ).read_bytes()


def notices_at(factor, trainer) -> list[str]:
    """The notices of a run whose training loss is `factor` times the start's at every step."""
    first = trainer.begin() or trainer.best["nats_per_token"]
    records = (replace(record, loss=factor * first) for record in trainer.run())
    return [record.notice for record in watched(records, trainer) if record.notice]


def test_a_fine_tune_that_makes_its_model_worse_says_so_early_and_once(
    tmp_path, base_run, text_file
):
    train = {"steps": 12, "evaluate_every": 12, "learning_rate": 0, "muon_learning_rate": 0}
    recipe = tiny_recipe(text_file, start_from=str(base_run.folder), train=train)
    dropped = recipe.model_copy(update={"model": recipe.model.model_copy(update={"dropout": 0.1})})
    (worse,) = notices_at(1.3, start_run(dropped, tmp_path / "wild"))
    assert "is far above that of the model before the first step" in worse
    assert "a third of train.learning_rate" in worse and "model.dropout 0" in worse
    (worse,) = notices_at(1.3, start_run(recipe, tmp_path / "rates"))
    assert "dropout" not in worse
    assert notices_at(1.1, start_run(recipe, tmp_path / "calm")) == []


def test_a_loss_that_rises_in_pretraining_is_not_compared_with_a_parent(tmp_path, text_file):
    train = {"steps": 12, "evaluate_every": 12}
    trainer = start_run(tiny_recipe(text_file, train=train), tmp_path / "run")
    assert not any("far above" in notice for notice in notices_at(1.3, trainer))
