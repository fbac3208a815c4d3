"""The bench: what it says about measured values, how it takes turns, what it skips, and what it
leaves behind."""

import json
import sys

import pytest
import torch

from tests.conftest import tiny_recipe
from tinylm import cli
from tinylm.bench import measure, nanogpt, processes, rows, sampling, texts, training
from tinylm.bench.measure import Bar, Reading, Setup, Skip
from tinylm.corpora.fetch import CORPORA
from tinylm.training.start import start_run


@pytest.fixture
def setup(tmp_path) -> Setup:
    """Without peers and texts."""
    return Setup(tmp_path)


@pytest.fixture(scope="module")
def shakespeare(tmp_path_factory):
    """A folder of texts in which something of tiny Shakespeare's length goes by its name."""
    folder, words = (
        tmp_path_factory.mktemp("texts"),
        [f"{a}{b}{c}" for a in "tnsr" for b in "aeio" for c in "klmnprst"],
    )
    text = "\n".join(f"{first} {second}" for first in words for second in words)
    size = CORPORA["tiny-shakespeare"].size
    (folder / "tinyshakespeare.txt").write_text(
        (text * 9 + "\n" * size)[:size], encoding="utf-8", newline="\n"
    )
    return folder


# -- readings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "bar", "verdict"),
    [
        ((4.0, 9.0, 8.0), Bar(">=", 8, beyond=12), "met"),
        ((11.0, 13.0, 14.0), Bar(">=", 8, beyond=12), "beyond"),
        ((7.9, 7.9, 99.0), Bar(">=", 8), "MISSED"),
        ((0.04,), Bar("<=", 0.05, beyond=0.03), "met"),
        ((0.06,), Bar("<=", 0.05, beyond=0.03), "MISSED"),
        ((1.0,), None, ""),
        ((), Bar(">=", 1), "not measured"),
    ],
)
def test_the_median_is_held_against_the_bar(values, bar, verdict):
    assert Reading("row", "what", "x", values, bar).verdict == verdict


def test_a_figure_not_got_on_the_bars_terms_misses_it_however_good():
    assert (
        Reading("row", "what", "x", (100.0,), Bar(">=", 8, beyond=12), fair=False).verdict
        == "MISSED"
    )


def test_a_reading_becomes_json_with_its_spread():
    record = json.loads(
        json.dumps(Reading("row", "what", "x", (3.0, 1.0, 2.0), Bar(">=", 1 / 3)).record())
    )
    assert (record["value"], record["low"], record["high"], record["verdict"]) == (
        2.0,
        1.0,
        3.0,
        "met",
    )
    assert (
        json.loads(json.dumps(Reading("row", "what", "x", detail="no peer").record()))["value"]
        is None
    )


# -- turns, load, machine -------------------------------------------------------------------------


def test_ratios_pair_the_measurements_of_one_repeat():
    found = measure.contest(
        {"a": iter([2.0, 6.0, 9.0]).__next__, "b": iter([1.0, 2.0, 3.0]).__next__}
    )
    assert measure.ratios(found["a"], found["b"]) == (2.0, 3.0, 3.0)


def test_a_product_far_below_the_best_one_says_that_the_machine_is_busy():
    watch = measure.Watch()
    watch.best *= 100
    assert watch.busy()


def test_a_product_of_two_matrices_counts_a_multiplication_and_an_addition(monkeypatch):
    clock = iter(range(100))  # a second passes at every look; four products between two looks
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    flops = measure.gemm_flops(torch.float32, size=8, least_seconds=3)
    assert flops == 2 * 8**3 * 4


def test_the_machine_is_described_with_what_the_figures_depend_on():
    facts = measure.machine()
    assert (
        facts["processor"] and facts["cores"] >= 1 and facts["threads"] == torch.get_num_threads()
    )
    assert facts["versions"]["torch"] == torch.__version__
    assert measure.version("no-such-package") is None


def test_a_command_that_fails_is_told_by_its_last_line(tmp_path):
    with pytest.raises(Skip, match="ValueError: gone"):
        measure.python(["-c", "raise ValueError('gone')"], tmp_path)


# -- rows -----------------------------------------------------------------------------------------


def test_an_unknown_row_is_refused_with_the_closest_one():
    with pytest.raises(ValueError, match='did you mean "throughput"'):
        rows.chosen(["througput"])


def test_without_names_the_long_rows_are_left_out():
    assert {"memory", "demo"} & set(rows.chosen([])) == set()
    assert set(rows.chosen(["demo"])) == {"demo"}


@pytest.mark.parametrize(
    "name", ["nanogpt-loss", "throughput", "meter", *(name for name in rows.ROWS if "gpu-" in name)]
)
def test_a_row_whose_peer_or_text_or_device_is_missing_says_so(name, setup, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (reading,) = rows.read_row(name, setup)
    assert reading.verdict == "not measured"
    assert "needs" in reading.detail


def test_the_training_rows_see_the_optimiser_as_a_part_of_the_step(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    before = trainer.model.blocks[0].attention.q.weight.clone()
    pace = training.pace(trainer, steps=2, warmup=1)
    assert 0 < pace.optimizer < pace.step
    assert not torch.equal(before, trainer.model.blocks[0].attention.q.weight)


def test_the_train_command_reports_its_time_and_its_full_validation_pass(setup, text_file):
    fields = {
        "corpus.text": str(text_file),
        "train.steps": "3",
        "model.width": "16",
        "model.depth": "1",
        "model.heads": "2",
        "model.context": "16",
        "train.device": "cpu",
    }
    made = training.train_command(setup, "shakespeare-char", fields)
    assert made.context == 16 and 0 < made.nats < 6 and made.seconds > 0


def test_bpe_is_measured_against_its_peers(tmp_path, shakespeare, monkeypatch):
    monkeypatch.setattr(texts, "VOCABULARY", 300)
    readings = list(texts.bpe(Setup(tmp_path, texts=shakespeare)))
    assert [reading.what.split(", against ")[1] for reading in readings] == [
        "tokenizers",
        "tokenizers",
        "tiktoken",
    ]
    assert all(len(reading.values) >= 3 for reading in readings)


def test_a_peer_that_is_not_installed_is_said_so(tmp_path, shakespeare, monkeypatch):
    monkeypatch.setattr(texts, "VOCABULARY", 260)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    readings = list(texts.bpe(Setup(tmp_path, texts=shakespeare)))
    assert [reading.verdict for reading in readings] == ["not measured"] * len(readings)
    assert "tiktoken is not installed" in readings[-1].detail


def test_without_a_browser_the_page_is_not_measured(setup, monkeypatch):
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    (reading,) = rows.read_row("page", setup)
    assert reading.verdict == "not measured" and "playwright install chromium" in reading.detail


def test_processes_are_told_how_many_they_are_and_where_to_meet():
    told = processes.meeting_place(2)
    assert told["WORLD_SIZE"] == "2" and int(told["MASTER_PORT"]) > 0


def test_sampling_counts_every_sequences_tokens(monkeypatch):
    monkeypatch.setattr(sampling, "TOKENS", 4)
    monkeypatch.setattr(sampling, "SHAPES", {16: (1, 2, 32)})
    one, eight = ([r for r in sampling.against(16, count, {})] for count in (1, 8))
    assert [r.bar.value for r in one + eight] == [2.5, 2]
    assert all(len(r.values) == 3 and min(r.values) > 0 for r in one + eight)


def test_twice_the_time_of_a_peer_is_half_its_speed(tmp_path, shakespeare, monkeypatch):
    monkeypatch.setattr(texts, "VOCABULARY", 260)
    times = {"TinyLM": [2.0] * 3, "tokenizers": [1.0] * 3, "tiktoken": [1.0] * 3}
    monkeypatch.setattr(texts, "contest", lambda entered, **_: {n: times[n] for n in entered})
    for reading in texts.bpe(Setup(tmp_path, texts=shakespeare)):
        assert reading.values == (0.5,) * 3


def test_another_text_of_that_name_is_not_taken_for_shakespeare(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "data_folder", lambda: tmp_path)
    for name in ("tinyshakespeare.txt", "tiny-shakespeare.txt"):
        (tmp_path / name).write_text("To be", encoding="utf-8")
    with pytest.raises(Skip, match="tiny Shakespeare"):
        Setup(tmp_path, texts=tmp_path).shakespeare()


def test_the_speed_of_sampling_counts_the_tokens_of_all_rows(monkeypatch):
    monkeypatch.setattr(sampling, "TOKENS", 4)
    monkeypatch.setattr(sampling, "SHAPES", {16: (1, 2, 32)})
    monkeypatch.setattr(sampling, "seconds", lambda work: (work(), 2.0)[1])
    (reading,) = sampling.against(16, 8, {})
    assert "16 " in reading.detail  # 8 rows of 4 tokens in 2 s


def test_the_optimisers_share_is_its_part_of_a_step(setup, monkeypatch):
    monkeypatch.setattr(training, "make_trainer", lambda *words: None)
    monkeypatch.setattr(training, "pace", lambda trainer: training.Pace(0.4, 0.01))
    (reading,) = training.optimiser(setup)
    assert reading.value == pytest.approx(2.5)


# -- nanoGPT --------------------------------------------------------------------------------------

# Stands in for the clone: same files, same lines, same checkpoint.
TRAIN = """
import sys, torch
from pathlib import Path
from model import GPT, GPTConfig
out = Path(sys.argv[-1].removeprefix("--out_dir="))
out.mkdir()
shape = {"block_size": 8, "vocab_size": 4}
torch.save({"model": GPT(GPTConfig(**shape)).state_dict(), "model_args": shape, "iter_num": 7},
out / "ckpt.pt")
print("iter 20: loss 1.0, time 30.00ms, mfu 1.00%")
"""
MODEL = """
import torch
from dataclasses import dataclass
@dataclass
class GPTConfig:
    block_size: int
    vocab_size: int
class GPT(torch.nn.Module):  # predicts every character alike: ln(4) nats each
    def __init__(self, config):
        super().__init__()
        self.config, self.scores = config, torch.nn.Parameter(torch.zeros(config.vocab_size))
    def forward(self, x, y):
        assert x.shape == y.shape and x.shape[1] <= self.config.block_size
        logits = self.scores.expand(*x.shape, -1)
        return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
"""
PREPARE = """
import numpy as np, requests
np.array([0, 1, 2, 3] * 25 + [1], dtype=np.uint16).tofile("val.bin")
"""


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    for name, body in (
        ("train.py", TRAIN),
        ("model.py", MODEL),
        ("data/shakespeare_char/prepare.py", PREPARE),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    return folder


def test_nanogpt_works_in_a_copy_and_its_checkpoint_is_scored_by_a_full_pass(
    clone, tmp_path, shakespeare
):
    before = sorted(clone.rglob("*"))
    (tmp_path / "scratch").mkdir()
    nano = nanogpt.NanoGpt(Setup(tmp_path / "scratch", nanogpt=clone, texts=shakespeare))
    spent, printed = nano.train(["config/any.py"])
    assert spent > 0 and nanogpt.step_times(printed) == [0.03]
    score = nano.score()
    assert score.nats == pytest.approx(1.38629, abs=1e-4) and score.context == 8
    assert sorted(clone.rglob("*")) == before


def test_a_folder_that_is_no_clone_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no train\.py there"):
        nanogpt.NanoGpt(Setup(tmp_path, nanogpt=tmp_path))


def test_a_llama2c_model_has_the_size_that_its_header_announces(tmp_path):
    sampling.write_llama2c_model(tmp_path / "model.bin", 128)
    width, hidden, depth, heads, vocabulary, context = 128, 344, 4, 4, 65, 256
    numbers = (
        2 * vocabulary * width + depth * (4 * width**2 + 3 * width * hidden + 2 * width) + width
    )
    assert (tmp_path / "model.bin").stat().st_size == 4 * (7 + numbers + context * width // heads)


# -- the command ----------------------------------------------------------------------------------


def test_the_command_lists_its_rows(capsys):
    cli.main(["bench", "--list"])
    out = capsys.readouterr().out
    assert all(name in out for name in rows.ROWS)


def test_the_command_writes_results_and_a_picture(tmp_path, capsys, monkeypatch):
    def fine(setup: Setup):
        """Something."""
        yield Reading(
            "fine",
            "a thing, against a peer",
            "x",
            (2.0, 3.0, 4.0),
            Bar(">=", 1.0, beyond=2.5),
            "3 s, 1 s",
        )
        raise Skip("the rest needs a peer")

    monkeypatch.setattr(rows, "ROWS", {"fine": rows.Row(fine)})
    cli.main(["bench", "--json", str(tmp_path / "new" / "results.json")])
    printed = capsys.readouterr().out
    assert "bar >= 1, beyond 2.5: beyond" in printed and "the rest needs a peer" in printed
    results = json.loads((tmp_path / "new" / "results.json").read_text(encoding="utf-8"))
    assert [reading["value"] for reading in results["readings"]] == [3.0, None]
    assert results["machine"]["cores"] >= 1
    assert (tmp_path / "new" / "bench.png").stat().st_size > 10_000


def test_a_row_measured_on_a_busy_machine_is_measured_again_and_marked(setup, monkeypatch):
    runs = []

    def slow(setup: Setup):
        runs.append(1)
        yield Reading("slow", "a thing", "x", (1.0,))

    monkeypatch.setattr(rows, "ROWS", {"slow": rows.Row(slow)})
    monkeypatch.setattr(measure, "BUSY_SHARE", 1e9)  # whatever the machine does is too slow
    (reading,) = rows.run_rows(["slow"], setup)
    assert reading.busy and len(runs) == 2
