"""Faults that once were planted and went unnoticed: each is caught here."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.conftest import tiny_recipe, train_run
from tests.model.test_gpt import build
from tinylm.compare.effect import value_of
from tinylm.corpora.build import Split, build_corpus
from tinylm.evaluation.novelty import novelty
from tinylm.evaluation.statistics import interval
from tinylm.formats.folders import write_data
from tinylm.pages.figures import shares
from tinylm.runs import open_run
from tinylm.text.batches import IGNORE, Batch
from tinylm.text.token_files import read_ids
from tinylm.text.tokenizers import CharTokenizer
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run


@pytest.mark.parametrize("mlp", ["swiglu", "gelu", "relu2"])
def test_every_block_begins_as_the_identity(mlp):
    model = build(mlp=mlp)
    model.initialise(torch.Generator().manual_seed(0))
    for name, weight in model.named_parameters():
        if ".o." in name or ".down." in name:
            assert not weight.any(), name
    x = torch.randn(1, 5, model.config.width)
    rotation = (model.cos[:5, None], model.sin[:5, None])
    assert torch.equal(model.blocks[0](x, rotation, None), x)


def test_gradients_are_divided_by_the_unmasked_targets_alone(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    batch = trainer.batches[0]
    targets = batch.targets.copy()
    targets[:, 4:] = IGNORE
    trainer.accumulate(Batch(batch.inputs, targets))
    masked = [w.grad.clone() for w in trainer.model.parameters()]
    trainer.model.zero_grad()
    trainer.accumulate(Batch(batch.inputs[:, :4].copy(), batch.targets[:, :4].copy()))
    for one, other in zip(masked, (w.grad for w in trainer.model.parameters())):
        assert torch.allclose(one, other, atol=1e-6)


def test_dropout_drops_something_else_in_every_step(tmp_path, text_file):
    recipe = tiny_recipe(text_file, model={"dropout": 0.5})
    trainer = start_run(recipe, tmp_path / "run")
    batch = trainer.batches[0]
    losses = []
    for step in (0, 1, 0):
        trainer.step = step
        losses.append(trainer.accumulate(batch))
    assert losses[0] != losses[1] and losses[0] == losses[2]


def test_seconds_add_up_over_a_resume(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, train={"stop_after": 3})
    before = run.manifest["seconds"]
    trainer = resume_run(run.folder)
    assert before > 0 and trainer.seconds == before
    *_, last = trainer.run()
    assert last.seconds > before
    assert open_run(run.folder).manifest["seconds"] > before


def test_a_resume_remembers_for_how_long_validation_has_risen(tmp_path, text_file):
    train = {"steps": 40, "evaluate_every": 2, "learning_rate": 1.0, "optimizer": "adamw"}
    trainer = start_run(tiny_recipe(text_file, train=train), tmp_path / "run")
    for _ in trainer.run():
        if trainer.rising == 1:
            trainer.stop()
    assert trainer.rising == 1
    assert resume_run(tmp_path / "run").rising == 1


def test_the_tokenizer_learns_from_training_text_alone(tmp_path):
    text = "ab " * 3000 + "xy " * 200  # only the end, kept aside for validation, holds x and y
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    recipe = tiny_recipe(path, tokenizer={"kind": "bpe", "vocab_size": 258})
    (tmp_path / "data").mkdir()
    tokenizer = build_corpus(recipe, tmp_path / "data").tokenizer
    pieces = [tokenizer.token_bytes(id) for id in range(256, tokenizer.vocab_size)]
    assert pieces and not any(b"x" in piece or b"y" in piece for piece in pieces)


def test_an_interval_over_seeds_is_students_of_the_standard_error():
    values = np.array([0.31, 0.36, 0.38])
    measured = interval(values, groups=range(3))
    half = stats.t.ppf(0.975, df=2) * values.std(ddof=1) / 3**0.5
    assert measured.mean == pytest.approx(values.mean())
    assert (measured.low, measured.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=1e-4
    )


def test_a_copied_line_is_noticed_where_the_training_text_has_blanks_at_its_ends():
    result = novelty("  the cat sat \non the mat\t\n", {"model": ["the cat sat\na new line\n"]})
    assert result["model"].copied_lines.mean == pytest.approx(0.5)


def test_the_picture_of_a_comparison_shows_each_run_its_own_share():
    values = [{"mean": 0.1}, None, {"mean": 0.4}]
    result = {"scoreboard": [{"name": "Lines that scan", "values": values}]}
    assert [value_of(result, "Lines that scan", run) for run in range(3)] == [0.1, None, 0.4]
    assert value_of(result, "Rhyming lines", 0) is None


def test_an_interval_that_is_not_even_is_drawn_the_right_way_round():
    row = {"name": "Lines that scan", "values": [{"mean": 0.5, "low": 0.4, "high": 0.8}]}
    (bars,) = shares([row], ["verse"], "title").axes[0].containers
    ((segment,),) = (lines.get_segments() for lines in bars.lines[2])
    assert segment[:, 0] == pytest.approx([40, 80])


def test_an_imported_model_is_judged_on_text_that_was_kept_aside(tmp_path):
    tokenizer = CharTokenizer.train(["abcdef "])
    judged = Split(lambda: iter(["abc"]), lambda: iter(["def"]), documents=False)
    write_data(tmp_path, judged, tokenizer, document_token=False)
    train, valid = (read_ids(next(tmp_path.glob(f"{side}.*"))) for side in ("train", "valid"))
    assert tokenizer.decode(valid.tolist()) == "def" and len(train) == 0
