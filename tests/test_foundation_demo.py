"""demo --foundation with a small model in the place of the real one, and its comparison with runs
that were trained here."""

import json

import pytest

from tests.formats.test_gguf import random_model, write_gguf
from tinylm import cli
from tinylm.commands.foundation import foundation_demo
from tinylm.compare.judge import compare_runs
from tinylm.compare.origins import ORIGINS, training_of
from tinylm.compare.samples import LARGE, SMOKE, effort_for
from tinylm.formats import smollm2
from tinylm.runs import open_run


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder that holds the demo, at smoke scale, with its third stage."""
    place = tmp_path_factory.mktemp("foundation")
    write_gguf(place / "m.gguf", random_model("llama", context=512), "llama")
    foundation_demo(place / "m.gguf", place / "out", smoke=True, reward=True)
    return place / "out"


def comparison(folder) -> dict:
    return json.loads((folder / "comparison.json").read_text(encoding="utf-8"))


def row(result: dict, name: str) -> dict:
    return next(row for row in result["scoreboard"] if row["name"] == name)


def test_the_demo_leaves_the_import_two_adapters_and_a_page(demo):
    parents = {"verse": "smollm2", "rewarded": "verse"}
    for name, parent in parents.items():
        run = open_run(demo / name)
        assert run.recipe.lora is not None and run.manifest["status"] == "finished"
        assert run.manifest["parent"]["fingerprint"] == open_run(demo / parent).fingerprint
    assert (demo / "compare" / "index.html").is_file()
    assert [run["run"] for run in comparison(demo / "compare")["runs"]] == [
        "smollm2",
        "verse",
        "rewarded",
    ]


def test_a_second_demo_replaces_the_first_as_one(demo):
    source = demo.parent / "m.gguf"
    foundation_demo(source, demo, smoke=True, reward=False)
    assert not (demo / "rewarded").exists()
    assert len(comparison(demo / "compare")["runs"]) == 2
    foundation_demo(source, demo, smoke=True, reward=True)


def test_runs_of_different_tokenizers_are_compared_and_only_the_taught_are_asked_for_facts(
    demo, tmp_path, capsys
):
    base = tmp_path / "base"
    fields = ["--train.steps", "2", "--corpus.size", "60000", "--tokenizer.vocab-size", "300"]
    fields += ["--model.depth", "1", "--model.width", "32", "--sample.every", "2"]
    cli.main(["train", "demo-base", "--out", str(base), *fields])
    capsys.readouterr()
    compare_runs([base, demo / "smollm2", demo / "verse"], tmp_path / "c", effort=SMOKE)
    result = comparison(tmp_path / "c")
    assert [value is None for value in row(result, "Facts known")["values"]] == [False, True, True]
    bits = [r for r in result["scoreboard"] if r["unit"] == "bits/byte"]
    assert bits and all(None not in r["values"] for r in bits)
    markup = (tmp_path / "c" / "index.html").read_text(encoding="utf-8")
    assert "What went into them" in markup and "paid for by its makers" in markup


def test_a_training_is_told_from_its_beginning(demo):
    told = training_of(open_run(demo / "rewarded"))
    assert told.startswith("an unknown number of tokens, paid for by its makers, then ")
    assert told.count("minutes here") == 2


def test_the_real_model_is_known_by_its_file():
    assert set(ORIGINS) == {smollm2.SHA256}


def test_large_models_are_measured_with_less_effort(demo):
    run = open_run(demo / "smollm2")
    assert effort_for([run]) != LARGE
    run.manifest["parameters"] = 134_515_008
    assert effort_for([run]) == LARGE


@pytest.mark.parametrize(
    "words, told",
    [
        (["--reward"], "--reward works only with --foundation"),
        (["--foundation", "--resume-from", "x.zip"], "leave out --foundation"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, told, capsys):
    with pytest.raises(SystemExit):
        cli.main(["demo", *words])
    assert told in capsys.readouterr().err
