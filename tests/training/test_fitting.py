"""A recipe that leaves vocabulary, steps and dropout open gets them from the size of its text."""

import pytest

from tests.conftest import tiny_recipe
from tinylm.recipes import load_recipe
from tinylm.runs import open_run
from tinylm.training.alerts import watched
from tinylm.training.fitting import fit_training, fit_vocabulary
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run


def open_recipe(**fields):
    """A recipe that leaves everything open but for `fields`."""
    return load_recipe("your-text", fields)


@pytest.mark.parametrize(
    ("tokens", "steps", "dropout"),
    [
        (12_000, 118, 0.2),  # 20 kB: read 20 times
        (105_000, 600, 0.1),  # 230 kB: the most steps read it 12 times
        (300_000, 600, 0.1),
        (2_000_000, 600, 0.0),  # never a second time
    ],
)
def test_steps_and_dropout_follow_from_how_often_the_text_is_read(tokens, steps, dropout):
    fitted = fit_training(open_recipe(), tokens, context=256)
    assert (fitted.train.steps, fitted.model.dropout) == (steps, dropout)
    assert fitted.train.evaluate_every == fitted.sample.every == -(-steps // 6)


@pytest.mark.parametrize(("size", "vocabulary"), [(20_000, 323), (1_000_000, 730), (400, 265)])
def test_the_vocabulary_grows_with_the_root_of_the_training_text(tmp_path, size, vocabulary):
    path = tmp_path / "text.txt"
    path.write_text("word " * (size // 5), encoding="utf-8")
    fitted = fit_vocabulary(open_recipe(**{"corpus.text": str(path)}))
    assert fitted.tokenizer.vocab_size == vocabulary


def test_what_is_given_stays_and_other_recipes_are_left_alone():
    given = {"train.steps": "33", "model.dropout": "0.4", "train.evaluate_every": "5"}
    fitted = fit_training(open_recipe(**given), 12_000, context=256)
    assert (fitted.train.steps, fitted.model.dropout) == (33, 0.4)
    assert fitted.train.evaluate_every == 5
    given = {"tokenizer.vocab_size": "300", "corpus.text": "nowhere.txt"}
    assert fit_vocabulary(open_recipe(**given)).tokenizer.vocab_size == 300
    characters = open_recipe(**{"tokenizer.kind": "char", "corpus.text": "nowhere.txt"})
    assert fit_vocabulary(characters) == characters  # nor is the text read
    closed = load_recipe("demo-base")
    assert fit_training(closed, 12_000, 256) == fit_vocabulary(closed) == closed


def test_the_run_says_in_one_line_what_was_chosen_and_records_it(tmp_path, text_file):
    recipe = tiny_recipe(text_file).model_copy(update={"fit_to_text": True})
    open_train = recipe.train.model_copy()
    open_train.__pydantic_fields_set__.discard("steps")
    recipe = recipe.model_copy(update={"train": open_train})
    trainer = start_run(recipe, tmp_path / "run")
    steps = trainer.recipe.train.steps
    assert steps > 6
    (note,) = [line for line in trainer.notices if line.startswith("fitted to ")]
    assert note.endswith(f"tokens of text: {steps:,} steps, dropout 0.1")
    next(trainer.run())
    assert open_run(tmp_path / "run").recipe.train.steps == steps
    assert open_run(tmp_path / "run").model_config.dropout == 0.1


def test_a_run_that_no_longer_improves_ends_early_and_says_so(tmp_path, text_file):
    wild = {"learning_rate": 0.5, "muon_learning_rate": 0.5, "warmup": 0, "decay": 0}
    train = {"steps": 60, "evaluate_every": 2, "patience": 3, "clip": 1000, **wild}
    trainer = start_run(tiny_recipe(text_file, train=train), tmp_path / "run")
    records = list(watched(trainer.run(), trainer))
    run = open_run(tmp_path / "run")
    best = run.manifest["best"]["step"]
    assert run.manifest["status"] == "finished"
    assert run.manifest["step"] == records[-1].step == best + 6 < 60
    assert "training ends early: 3 validations without a new best" in records[-1].notice
    with pytest.raises(ValueError, match=rf"is finished: {records[-1].step} of 60 steps are done"):
        resume_run(tmp_path / "run")


def test_patience_counts_over_an_interruption(tmp_path, text_file):
    wild = {"learning_rate": 0.5, "muon_learning_rate": 0.5, "warmup": 0, "decay": 0}
    train = {"steps": 60, "evaluate_every": 2, "patience": 3, "clip": 1000, **wild}
    whole = start_run(tiny_recipe(text_file, train=train), tmp_path / "whole")
    last = list(whole.run())[-1].step
    stopped = tiny_recipe(text_file, train={**train, "stop_after": last - 2})
    list(start_run(stopped, tmp_path / "parts").run())
    assert open_run(tmp_path / "parts").manifest["status"] == "running"
    assert list(resume_run(tmp_path / "parts").run())[-1].step == last
