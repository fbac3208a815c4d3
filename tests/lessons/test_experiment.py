"""The lab: everything is trained and measured once, and goes on where it was interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import tiny_recipe, train_run
from tinylm.lessons.experiment import Lab, at_rate, changed
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
def lab(tmp_path):
    return Lab("smoke", tmp_path / "lessons" / "toy")


def weights(run):
    return load_file(run.path("model/model.safetensors"))


def test_a_value_is_measured_once_for_its_settings(lab):
    calls = []
    for settings in ("a", "a", "b"):
        assert lab.measure("length", settings, lambda: calls.append(1) or 5) == 5
    assert len(calls) == 2


def test_a_run_is_trained_once_and_found_again(lab, text_file):
    recipe = tiny_recipe(text_file)
    count, run = finish(lab.train("arm", recipe))
    assert count == 6 and lab.seconds > 0
    again = Lab("smoke", lab.out)
    count, found = finish(again.train("arm", recipe))
    assert count == 0 and found.folder == run.folder and again.seconds == pytest.approx(lab.seconds)
    count, other = finish(again.train("arm", changed(recipe, seed=9)))
    assert count == 6 and other.folder != run.folder


def test_an_interrupted_run_on_a_masked_corpus_goes_on_to_the_same_weights(
    lab, corpus, tmp_path, text_file
):
    recipe = tiny_recipe(text_file)
    steps = lab.train("sums", recipe, corpus)
    for _ in range(4):
        progress = next(steps)
    steps.close()
    assert (progress.done, open_run(lab.folder("sums", recipe, corpus)).manifest["step"]) == (4, 4)
    count, resumed = finish(lab.train("sums", recipe, corpus))
    _, whole = finish(Lab("smoke", tmp_path / "other" / "toy").train("sums", recipe, corpus))
    assert count == 2
    assert all(
        np.array_equal(a, b) for a, b in zip(weights(resumed).values(), weights(whole).values())
    )
    _, unmasked = finish(lab.train("sums", recipe, replace(corpus, train_mask=None)))
    assert unmasked.folder != resumed.folder
    assert unmasked.records("train")[0]["loss"] != resumed.records("train")[0]["loss"]


def test_masked_validation_counts_answers_only(lab, corpus, text_file):
    _, run = finish(lab.train("sums", tiny_recipe(text_file), corpus))
    assert run.records("valid")[0]["tokens"] == 100


def test_a_fine_tune_on_a_ready_corpus_starts_from_its_parent(lab, text_file, tmp_path):
    parent = train_run(tmp_path / "parent", text_file)
    tokenizer = CharTokenizer.train(text_file.read_text(encoding="utf-8"))
    ids = tokenizer.encode_array(text_file.read_text(encoding="utf-8"))[:400]
    recipe = tiny_recipe(text_file, start_from=str(parent.folder), lora={"rank": 2})
    _, run = finish(lab.train("tuned", recipe, Corpus(tokenizer, ids, ids, "words")))
    assert run.manifest["parent"]["fingerprint"] == parent.fingerprint
    assert run.records("valid")[0]["base_nats_per_token"] == pytest.approx(
        parent.manifest["best"]["nats_per_token"]
    )


def test_the_search_takes_the_rates_that_validate_best(lab, text_file):
    recipe = tiny_recipe(text_file, train={"steps": 40, "evaluate_every": 20})
    _, found = finish(lab.search("arm", recipe, factors=(1e-6, 1.0), share=0.5))
    assert found == at_rate(recipe, 1.0) and found.train.steps == 40
    assert len(lab.searches["arm"]) == 2


def test_the_base_is_shared_between_lessons_and_its_time_is_told_apart(lab):
    count, run = finish(lab.base(1))
    assert count == 6 and lab.seconds == 0 and lab.base_seconds > 0
    count, same = finish(Lab("smoke", lab.out.parent / "other").base(1))
    assert count == 0 and same.folder == run.folder


def test_a_demo_of_the_same_recipe_serves_as_the_base(lab):
    _, run = finish(lab.base(1))
    demo = lab.out.parent.parent / "demo" / "base"
    demo.parent.mkdir()
    run.folder.rename(demo)
    count, found = finish(lab.base(1))
    assert count == 0 and found.folder == demo
