"""A reader that had no part in the training judges the sense of samples."""

import random

import pytest

from tests.conftest import train_run
from tinylm.compare.judge import compare_runs
from tinylm.compare.reader import reader_rows
from tinylm.compare.samples import SMOKE, Sample, enter
from tinylm.evaluation.surprisal import document_bits
from tinylm.runs import read_json
from tinylm.training.load import load_model

TEXT = "the sea sang and the grey cat slept\n" * 60


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A model that has read a simple text for long enough to expect its words."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return train_run(
        folder / "reader", folder / "text.txt", train={"steps": 60, "learning_rate": 1e-2}
    )


def samples_of(texts):
    return [Sample("", seed, text, (), 0.1) for seed, text in enumerate(texts)]


def test_words_out_of_order_cost_a_reader_more_than_sense(reader):
    line = TEXT.splitlines()[0]
    mixed = "".join(random.Random(0).sample(line, len(line)))
    contestant = enter(reader, "own", SMOKE)
    sense, held_out = reader_rows(
        reader, [contestant] * 2, [samples_of([line] * 4), samples_of([mixed] * 4)], count=4
    )
    ordered, shuffled = (value["mean"] for value in sense["values"])
    assert shuffled > 1.3 * ordered
    assert sense["differences"][1]["verdict"] == "higher"
    # held-out text is the same for both: the yardstick does not depend on what they wrote
    assert held_out["values"][0]["mean"] == pytest.approx(held_out["values"][1]["mean"])
    model, tokenizer, _ = load_model(reader)
    assert ordered == pytest.approx(document_bits(model, tokenizer, [line], False)[0].mean())


def test_a_run_that_wrote_nothing_has_no_value(reader):
    contestant = enter(reader, "own", SMOKE)
    sense, _ = reader_rows(
        reader, [contestant] * 2, [samples_of(["the sea"]), samples_of([" "])], count=2
    )
    assert sense["values"][1] is None and sense["differences"][1] is None


def test_compare_puts_the_reader_on_the_page(reader, tmp_path):
    text = compare_runs([reader.folder] * 2, tmp_path / "c", effort=SMOKE, reader=reader.folder)
    assert "Sense, read by reader" in text
    names = [row["name"] for row in read_json(tmp_path / "c" / "comparison.json")["scoreboard"]]
    assert {"Sense, read by reader", "Sense, read by reader: held-out text"} <= set(names)
    assert "Sense, read by reader" in (tmp_path / "c" / "index.html").read_text(encoding="utf-8")
