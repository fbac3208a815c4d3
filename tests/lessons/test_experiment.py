"""The experiment: everything is trained and measured once, and goes on where it was interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import tiny_recipe, train_run
from tinylm.lessons.experiment import Experiment, with_rates, with_train_settings
from tinylm.runs import open_run
from tinylm.text.batches import Corpus
from tinylm.text.tokenizers import CharTokenizer


def finish(steps):
    """Run a generator to its end: how many records it yielded, and what it returned."""
    count = 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as end:
            return count, end.value


@pytest.fixture
def corpus():
    """Sums with a mask on the answer: `3+4=7` and a line break, over and over."""
    text = "".join(f"{a}+{b}={(a + b) % 10}\n" for a in range(10) for b in range(10))
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode_array(text)
    mask = np.tile(np.array([0, 0, 0, 0, 1, 0], dtype=np.uint8), 100)
    return Corpus(tokenizer, ids, ids, "sums", train_mask=mask, valid_mask=mask)


@pytest.fixture
def experiment(tmp_path):
    return Experiment("smoke", tmp_path / "lessons" / "toy")


def weights(run):
    return load_file(run.path("model/model.safetensors"))


def test_a_value_is_measured_once_for_its_settings(experiment):
    calls = []
    for settings in ("a", "a", "b"):
        assert experiment.measure("length", settings, lambda: calls.append(1) or 5) == 5
    assert len(calls) == 2


def test_a_run_is_trained_once_and_found_again(experiment, text_file):
    recipe = tiny_recipe(text_file)
    count, run = finish(experiment.train("arm", recipe))
    assert count == 6 and experiment.seconds > 0
    again = Experiment("smoke", experiment.out)
    count, result = finish(again.train("arm", recipe))
    assert (
        count == 0
        and result.folder == run.folder
        and again.seconds == pytest.approx(experiment.seconds)
    )
    count, other = finish(again.train("arm", with_train_settings(recipe, seed=9)))
    assert count == 6 and other.folder != run.folder


def test_an_interrupted_run_on_a_masked_corpus_goes_on_to_the_same_weights(
    experiment, corpus, tmp_path, text_file
):
    recipe = tiny_recipe(text_file)
    steps = experiment.train("sums", recipe, corpus)
    for _ in range(4):
        progress = next(steps)
    steps.close()
    assert (
        progress.done,
        open_run(experiment.run_folder("sums", recipe, corpus)).manifest["step"],
    ) == (4, 4)
    count, resumed = finish(experiment.train("sums", recipe, corpus))
    _, whole = finish(Experiment("smoke", tmp_path / "other" / "toy").train("sums", recipe, corpus))
    assert count == 2
    assert all(
        np.array_equal(a, b) for a, b in zip(weights(resumed).values(), weights(whole).values())
    )
    _, unmasked = finish(experiment.train("sums", recipe, replace(corpus, train_mask=None)))
    assert unmasked.folder != resumed.folder
    assert unmasked.records("train")[0]["loss"] != resumed.records("train")[0]["loss"]


def test_masked_validation_counts_answers_only(experiment, corpus, text_file):
    _, run = finish(experiment.train("sums", tiny_recipe(text_file), corpus))
    assert run.records("valid")[0]["tokens"] == 100


def test_a_fine_tune_on_a_ready_corpus_starts_from_its_parent(experiment, text_file, tmp_path):
    parent = train_run(tmp_path / "parent", text_file)
    tokenizer = CharTokenizer.train(text_file.read_text(encoding="utf-8"))
    ids = tokenizer.encode_array(text_file.read_text(encoding="utf-8"))[:400]
    recipe = tiny_recipe(text_file, start_from=str(parent.folder), lora={"rank": 2})
    _, run = finish(experiment.train("tuned", recipe, Corpus(tokenizer, ids, ids, "words")))
    assert run.manifest["parent"]["fingerprint"] == parent.fingerprint
    assert run.records("valid")[0]["base_nats_per_token"] == pytest.approx(
        parent.manifest["best"]["nats_per_token"]
    )


def test_the_search_takes_the_rates_that_validate_best(experiment, text_file):
    recipe = tiny_recipe(text_file, train={"steps": 40, "evaluate_every": 20})
    _, result = finish(
        experiment.search_rates("arm", recipe, factors=(1e-6, 1.0), share_of_steps=0.5)
    )
    assert result == with_rates(recipe, 1.0) and result.train.steps == 40
    assert len(experiment.searches["arm"]) == 2


def test_the_base_is_shared_between_lessons_and_its_time_is_told_apart(experiment):
    count, run = finish(experiment.base(1))
    assert count == 6 and experiment.seconds == 0 and experiment.base_seconds > 0
    count, same = finish(Experiment("smoke", experiment.out.parent / "other").base(1))
    assert count == 0 and same.folder == run.folder


def test_a_demo_of_the_same_recipe_serves_as_the_base(experiment):
    _, run = finish(experiment.base(1))
    demo = experiment.out.parent.parent / "demo" / "base"
    demo.parent.mkdir()
    run.folder.rename(demo)
    count, result = finish(experiment.base(1))
    assert count == 0 and result.folder == demo
