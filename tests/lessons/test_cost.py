"""What training costs: the law, the arithmetic, the command."""

import pytest

from tinylm.cli import main
from tinylm.lessons.cost import finding
from tinylm.lessons.published import GPUS, MODELS, bill
from tinylm.lessons.scaling_law import Law, Point, fit

TRUE = Law(E=1.2, A=40.0, alpha=0.4, B=300.0, beta=0.45)


def losses(parameters, factor=1.0):
    return [
        Point(parameters, d, factor * TRUE.loss(parameters, d)) for d in (2e5, 4e5, 6e5, 8e5, 1e6)
    ]


SIZES = (4e4, 6e4, 9e4, 1.8e5, 3.3e5, 6.4e5)


def test_the_fit_finds_a_law_again_and_predicts_a_larger_size():
    found = fit([point for size in SIZES for point in losses(size)])
    assert found.loss(2e6, 2e6) == pytest.approx(TRUE.loss(2e6, 2e6), rel=0.01)
    assert found.share == pytest.approx(TRUE.share, abs=0.1)


def test_the_best_size_of_a_budget_is_better_than_its_neighbours():
    flops = 1e15
    best = TRUE.best_size(flops)
    lowest = TRUE.loss(best, flops / 6 / best)
    assert all(TRUE.loss(size, flops / 6 / size) > lowest for size in (0.8 * best, 1.25 * best))


def test_a_larger_size_that_breaks_the_law_is_reported_as_a_miss():
    def measured(factor):
        return {seed: [*map(losses, SIZES), losses(1e6, factor)] for seed in (1, 2, 3)}

    bar = "error on the held-back size <= 3%"
    kept, broken = (finding(measured(factor), speed=1e11) for factor in (1.0, 0.9))
    assert kept.bars[bar] and kept.verdict == "supported"
    assert not broken.bars[bar] and broken.verdict != "supported"


def test_most_published_gpu_hours_come_out_within_a_factor_of_two_and_misses_are_named():
    within = [model for model in MODELS if 0.5 <= model.ratio <= 2]
    assert len(within) >= 5 and all(model.source for model in MODELS)
    missed = [model for model in MODELS if model not in within]
    sentence = finding({1: [*map(losses, SIZES), losses(1e6)]}, speed=1e11).sentence
    assert all(model.name in sentence for model in missed)


def test_a_bill_follows_from_parameters_tokens_and_price():
    one = bill(7e9, 2e12, GPUS["h100"], dollars_per_hour=2.0)
    assert one.flops == 8.4e22
    assert one.gpu_hours == pytest.approx(8.4e22 / (0.4 * 989e12) / 3600)
    assert one.dollars == pytest.approx(2 * one.gpu_hours)
    assert bill(14e9, 2e12, GPUS["h100"]).kilowatt_hours == pytest.approx(2 * one.kilowatt_hours)


def test_the_command_prints_the_bill(capsys):
    main(["cost", "--parameters", "7e9", "--tokens", "2e12", "--gpu", "a100", "--price", "2.5"])
    shown = capsys.readouterr().out
    hours = bill(7e9, 2e12, GPUS["a100"]).gpu_hours
    assert "8.4e+22" in shown and f"{hours:,.0f}" in shown and f"${2.5 * hours:,.0f}" in shown


def test_the_command_refuses_numbers_that_no_model_has(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["cost", "--parameters", "-7e9", "--tokens", "2e12"])
    assert ended.value.code == 2
    assert "--parameters" in capsys.readouterr().err


def test_the_smoke_lesson_fits_a_law_and_draws_it(smoke_lesson, lessons_folder):
    results = smoke_lesson("cost")
    assert len(results["details"]["laws"]) == len(results["seeds"])
    assert len(results["details"]["published"]) == len(MODELS)
    assert all((lessons_folder / "cost" / name).is_file() for name in results["figures"])
