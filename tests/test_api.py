"""The public surface does what its words say: it passes on what it is given."""

import numpy as np
import pytest

from tests.conftest import tiny_recipe
from tinylm import api
from tinylm.config import Sampling
from tinylm.evaluation.likelihood import measure
from tinylm.generation import Request, generate
from tinylm.model.device import choose_compute
from tinylm.runs import open_run
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.load import load_model


@pytest.fixture(scope="module")
def marked_run(tmp_path_factory, text_file):
    """A run whose documents begin with a token of their own."""
    folder = tmp_path_factory.mktemp("api") / "marked"
    corpus = {"text": str(text_file), "separator": "\n\n", "document_token": True}
    for _ in api.train(tiny_recipe(text_file, corpus=corpus), folder):
        pass
    return open_run(folder)


def test_a_text_is_scored_behind_the_token_that_documents_begin_with(marked_run):
    model, tokenizer, _ = load_model(marked_run)
    ids = np.array([tokenizer.special_id(DOCUMENT), *tokenizer.encode("the net and the sea")])
    expected = measure(model, ids, tokenizer, choose_compute("cpu", "fp32"))
    score = api.evaluate(marked_run, "the net and the sea")
    assert score.nats == pytest.approx(expected.nats)
    assert score.tokens == len("the net and the sea")  # the first letter is predicted too


def test_a_sample_is_that_of_its_seed_and_temperature(marked_run):
    model, tokenizer, _ = load_model(marked_run)
    for seed, temperature in ((0, 0.8), (5, 0.8), (5, 1.5)):
        sampling = Sampling(temperature=temperature)
        request = Request("the ", 30, sampling, seed, begin=DOCUMENT)
        text = api.sample(marked_run, "the ", tokens=30, seed=seed, temperature=temperature)
        assert text == generate(model, tokenizer, request)[0].text
    first, other = (api.sample(marked_run, "the ", tokens=30, seed=seed) for seed in (0, 5))
    assert first != other


def test_a_fine_tune_starts_from_the_run_that_was_given(marked_run, text_file, tmp_path):
    corpus = {"text": str(text_file), "separator": "\n\n", "document_token": True}
    recipe = tiny_recipe(text_file, corpus=corpus)
    records = list(api.train(recipe, tmp_path / "child", start_from=marked_run.folder))
    child = open_run(tmp_path / "child")
    assert child.manifest["parent"]["fingerprint"] == marked_run.fingerprint
    start = child.records("valid")[0]["nats_per_token"]
    assert start == pytest.approx(marked_run.manifest["best"]["nats_per_token"], abs=1e-6)
    assert records[-1].step == recipe.train.steps
