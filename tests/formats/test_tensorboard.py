import sys
from types import SimpleNamespace

import pytest

from tests.conftest import tiny_recipe
from tinylm.formats.tensorboard import observed, open_tensorboard
from tinylm.runs import open_run
from tinylm.training.start import start_run


class Kept:
    """A tracker that keeps what it is told."""

    def __init__(self):
        self.rows, self.closed = [], False

    def add_scalar(self, tag, scalar_value, global_step):
        self.rows.append((tag, scalar_value, global_step))

    def add_text(self, tag, text_string, global_step):
        self.rows.append((tag, text_string, global_step))

    def close(self):
        self.closed = True


def test_an_observer_is_told_what_the_logs_hold_and_changes_nothing(tmp_path, text_file, base_run):
    kept = Kept()
    records = list(observed(start_run(tiny_recipe(text_file), tmp_path / "run").run(), kept))
    run = open_run(tmp_path / "run")
    assert len(records) == 6 and run.records("train") == base_run.records("train")
    told = {(tag, step): value for tag, value, step in kept.rows}
    assert all(
        told["train/loss", record["step"]] == record["loss"] for record in run.records("train")
    )
    assert all(
        told["valid/bits_per_byte", r["step"]] == r["bits_per_byte"]
        for r in run.records("valid")
        if r["step"]
    )
    assert all(
        told["sample/0", sample["step"]] == sample["prompt"] + sample["text"]
        for sample in run.log("samples.jsonl")
    )
    assert kept.closed


def test_an_observer_is_closed_where_the_stream_is_left_early(tmp_path, text_file):
    kept = Kept()
    stream = observed(start_run(tiny_recipe(text_file), tmp_path / "run").run(), kept)
    next(stream)
    stream.close()
    assert kept.closed


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(ValueError, match=r"tinylm\[tensorboard\]"):
        open_tensorboard(tmp_path)


def test_tensorboard_reads_the_events(tmp_path, text_file):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stream = observed(
        start_run(tiny_recipe(text_file), tmp_path / "run").run(),
        open_tensorboard(tmp_path / "board"),
    )
    losses = [record.loss for record in stream]
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses)
    assert [event.step for event in events.Scalars("valid/nats_per_token")] == [3, 6]


def test_a_resumed_run_hides_what_was_written_behind_its_step_and_keeps_that_step(
    tmp_path, monkeypatch
):
    asked = {}
    writer = SimpleNamespace(SummaryWriter=lambda folder, **options: asked.update(options))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", writer)
    open_tensorboard(tmp_path, step=7)
    assert asked["purge_step"] == 8
