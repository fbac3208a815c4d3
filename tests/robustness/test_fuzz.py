"""Whatever is put in, what comes out is a result or one clear error (hypothesis draws and shrinks
the inputs).

Tokenizers and the metre scorer are drawn at in their own tests (tests/text/test_tokenizers.py,
test_bpe.py and tests/evaluation/test_meter.py); what is here had no such test.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import train_run
from tinylm.assistant.retrieval import Index
from tinylm.config import Recipe, Sampling
from tinylm.corpora.documents import READERS, html_to_text, read_documents
from tinylm.evaluation.meter import scan
from tinylm.generation import Request, generate
from tinylm.recipes import parse_recipe, put
from tinylm.runs import open_run
from tinylm.text.tokenizer_files import tokenizer_from_dict
from tinylm.training.load import load_model
from tinylm.training.resume import resume_run

FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Every place in a JSON value, as the keys that lead there."""
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def changed(tree: Any, path: tuple, value: Any) -> Any:
    """The same JSON value with another one at a place."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(tree[path[0]], path[1:], value)
    return copy


def one_line(error: ValueError) -> bool:
    return "\n" not in str(error) and str(error) != ""


RECIPE = Recipe().model_dump(mode="json")


@FEW
@given(st.sampled_from(places(RECIPE)), ANY_JSON)
def test_any_recipe_is_valid_or_its_mistakes_are_told(place, value):
    try:
        assert isinstance(parse_recipe(changed(RECIPE, place, value), "here"), Recipe)
    except ValueError as error:
        assert str(error).startswith("here: ")


@FEW
@given(
    st.lists(st.sampled_from(["train", "steps", "lora", "x", ""]), min_size=1, max_size=4),
    st.text(max_size=20),
)
def test_any_override_is_taken_or_its_mistake_is_told(keys, value):
    tree = {"train": {"steps": 5}}
    try:
        put(tree, keys, value)
        parse_recipe(tree, "here")
    except ValueError as error:
        assert str(error)


@FEW
@given(
    st.dictionaries(
        st.sampled_from([*Sampling.model_fields]),
        st.floats() | st.integers() | st.none(),
        max_size=4,
    ),
    st.text(max_size=40),
    st.integers(1, 6),
    st.integers(0, 2**63 - 1),
)
def test_any_sampling_parameters_give_text_or_one_error(base_run, fields, prompt, tokens, seed):
    model, tokenizer, _ = load_model(base_run)
    try:
        rows = generate(model, tokenizer, Request(prompt, tokens, Sampling(**fields), seed))
    except ValueError as error:
        assert str(error)
    else:
        assert len(rows) == 1 and 0 < rows[0].tokens <= tokens


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, text_file) -> Path:
    return train_run(
        tmp_path_factory.mktemp("fuzz") / "run", text_file, train={"stop_after": 3}
    ).folder


@settings(FEW, max_examples=100)
@given(st.data())
def test_any_change_to_a_file_of_a_run_is_one_error_or_none(stopped, data):
    name = data.draw(
        st.sampled_from(
            ["manifest.json", "recipe.json", "model/config.json", "model/tokenizer.json"]
        )
    )
    tree = json.loads((stopped / name).read_text(encoding="utf-8"))
    if name == "manifest.json":
        del tree["sha256"]  # somebody who means harm would not leave it there
        tree = {key: tree[key] for key in ("format", "files", "pending", "step", "status")} | tree
    known = name != "manifest.json"
    place = data.draw(
        st.sampled_from(
            [path for path in places(tree) if known or len(path) < 2 or path[0] == "files"]
        )
    )
    value = data.draw(ANY_JSON)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        shutil.copytree(stopped, folder)
        (folder / name).write_text(json.dumps(changed(tree, place, value)), encoding="utf-8")
        try:
            run = open_run(folder)
            load_model(run)
            assert run.records("train") and run.log("samples.jsonl") is not None
            resume_run(folder)
        except ValueError as error:
            assert one_line(error), error


@FEW
@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=200), max_size=4), st.text(max_size=60)
)
def test_any_documents_and_any_question_give_passages_of_those_documents(documents, question):
    for found in Index(documents).search(question):
        assert found.score > 0 and found.passage.source in documents


@FEW
@given(st.binary(max_size=400), st.sampled_from(sorted(READERS)))
def test_any_bytes_in_a_document_are_text_or_one_error(body, suffix):
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"document{suffix}"
        path.write_bytes((b"%PDF-1.4\n" if suffix == ".pdf" else b"") + body)
        try:
            assert all(text.strip() for text in read_documents(path).texts)
        except ValueError as error:
            assert one_line(error)


@FEW
@given(st.text(alphabet="<>/!-&#;\"'= \nabscriptye19", max_size=200))
def test_any_page_becomes_text_without_tags_of_scripts(html):
    assert "<script>" not in html_to_text(html)


@FEW
@given(st.text(max_size=120))
def test_any_line_can_be_scanned(line):
    assert 0 <= scan(line).score <= 1


@FEW
@given(ANY_JSON)
def test_any_json_is_a_tokenizer_or_one_error(tree):
    for content in (
        tree,
        {"format": "tinylm-tokenizer", "version": 1, "kind": "bpe", "merges": tree, "specials": []},
    ):
        try:
            tokenizer_from_dict(content)
        except ValueError as error:
            assert one_line(error)
