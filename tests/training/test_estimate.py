"""What a run will take counts all that it does, and a time budget is filled and not overrun."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import tiny_recipe
from tinylm.runs import open_run, temporary
from tinylm.training.checkpoint import STATE
from tinylm.training.estimate import Costs, due, fit_into, measured_costs, save_seconds
from tinylm.training.resume import resume_run
from tinylm.training.start import start_run

COSTS = Costs(step=1, validation=100, save=10_000, samples=1_000_000)


def count_parts(trainer) -> Counter[str]:
    """How often each part of a run is done; the trainer counts from here on."""
    counts: Counter[str] = Counter()

    def counted(name, method):
        def call(*args, **more):
            counts[name] += 1
            return method(*args, **more)

        return call

    for name in ("compute_gradients", "validate", "save", "sample"):
        setattr(trainer, name, counted(name, getattr(trainer, name)))
    return counts


def total(counts: Counter[str]) -> float:
    seconds = {"compute_gradients": 1, "validate": 100, "save": 10_000, "sample": 1_000_000}
    return sum(seconds[name] * count for name, count in counts.items())


@pytest.mark.parametrize(
    ("steps", "evaluate_every", "sample_every"), [(6, 3, 3), (7, 3, 2), (5, 10, 10), (4, 1, 3)]
)
def test_every_step_validation_save_and_sample_is_counted(
    tmp_path, text_file, steps, evaluate_every, sample_every
):
    train = {"steps": steps, "evaluate_every": evaluate_every}
    recipe = tiny_recipe(text_file, train=train, sample={"every": sample_every})
    trainer = start_run(recipe, tmp_path / "run")
    counts = count_parts(trainer)
    foreseen = COSTS.seconds(trainer, steps)
    list(trainer.run())
    assert total(counts) == foreseen


def test_a_resumed_run_is_estimated_from_where_it_stands(tmp_path, text_file):
    train = {"steps": 8, "evaluate_every": 3, "stop_after": 5}
    list(start_run(tiny_recipe(text_file, train=train), tmp_path / "run").run())
    trainer = resume_run(tmp_path / "run")
    counts = count_parts(trainer)
    foreseen = COSTS.seconds(trainer, 8)
    list(trainer.run())
    assert total(counts) == foreseen
    assert due(3, 5, 8) == 2 and due(3, 8, 8) == 0


def test_a_budget_takes_the_most_steps_that_fit_with_validation_saves_and_samples(
    tmp_path, text_file
):
    train = {"steps": 10_000, "evaluate_every": 50}
    trainer = start_run(tiny_recipe(text_file, train=train), tmp_path / "run")
    trainer.costs = Costs(step=0.1, validation=4.0, save=1.0, samples=2.0)
    shorter = fit_into(5.0, trainer)
    steps = shorter.recipe.train.steps
    left = 300 - 5  # starting has taken less than five seconds
    assert left - 10 < trainer.costs.seconds(shorter, steps) <= 300
    assert trainer.costs.seconds(shorter, steps + 50) > left
    assert f"{steps:,} of 10,000 steps fit into 5 minutes" in shorter.notices
    # Nothing but steps: the steps alone would be many more.
    assert steps < 0.6 * left / 0.1


def test_what_starting_took_is_part_of_the_budget(tmp_path, text_file):
    train = {"steps": 10_000, "evaluate_every": 10_000}
    trainer = start_run(tiny_recipe(text_file, train=train), tmp_path / "run")
    trainer.costs = Costs(step=1.0, validation=0.0, save=0.0, samples=0.0)
    trainer.started -= 120
    assert 170 <= fit_into(5.0, trainer).recipe.train.steps <= 180


def test_a_budget_that_even_one_step_overruns_says_so(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    trainer.costs = Costs(step=1.0, validation=200.0, save=1.0, samples=1.0)
    shorter = fit_into(1.0, trainer)
    assert shorter.recipe.train.steps == 1
    assert any("one step takes 6.7 minutes with its start" in line for line in shorter.notices)


def test_measuring_finds_a_time_for_each_part_and_is_done_once(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    before = sorted(path.name for path in trainer.folder.rglob("*"))
    costs = measured_costs(trainer)
    assert min(costs.step, costs.validation, costs.save, costs.samples) > 0
    assert measured_costs(trainer) is costs
    assert sorted(path.name for path in trainer.folder.rglob("*")) == before
    list(trainer.run())
    assert open_run(tmp_path / "run").manifest["status"] == "finished"


def test_a_start_that_is_killed_while_a_save_is_timed_can_be_made_again(tmp_path, text_file):
    trainer = start_run(tiny_recipe(text_file), tmp_path / "run")
    left: list[str] = []
    write = Path.write_bytes

    def killed(path: Path, data: bytes) -> int:
        left.append(path.relative_to(tmp_path / "run").as_posix())
        return write(path, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", killed)
        save_seconds(trainer)
    (name,) = left
    (trainer.folder / name).write_bytes(b"half of it")
    assert name == temporary(Path(STATE)).as_posix()
    del trainer
    assert start_run(tiny_recipe(text_file), tmp_path / "run").step == 0
