"""What training costs: the law, the arithmetic, the command."""

import re

import pytest

from tests.conftest import train_run
from tinylm.cli import main
from tinylm.config import ModelConfig
from tinylm.lessons.cost import conclude, points_of
from tinylm.lessons.published import GPUS, MODELS, bill
from tinylm.lessons.scaling_law import Law, Point, fit
from tinylm.model.size import size_of

TRUE = Law(E=1.2, A=40.0, alpha=0.4, B=300.0, beta=0.45)


def losses(parameters, factor=1.0):
    return [
        Point(parameters, d, factor * TRUE.loss(parameters, d)) for d in (2e5, 4e5, 6e5, 8e5, 1e6)
    ]


SIZES = (4e4, 6e4, 9e4, 1.8e5, 3.3e5, 6.4e5)


def test_the_fit_finds_a_law_again_and_predicts_a_larger_size():
    result = fit([point for size in SIZES for point in losses(size)])
    assert result.loss(2e6, 2e6) == pytest.approx(TRUE.loss(2e6, 2e6), rel=0.01)
    assert result.share == pytest.approx(TRUE.share, abs=0.1)


def test_the_best_size_of_a_budget_is_better_than_its_neighbours():
    flops = 1e15
    best = TRUE.best_size(flops)
    lowest = TRUE.loss(best, flops / 6 / best)
    assert all(TRUE.loss(size, flops / 6 / size) > lowest for size in (0.8 * best, 1.25 * best))


def test_a_larger_size_that_breaks_the_law_is_reported_as_a_miss():
    def measured(factor):
        return {seed: [*map(losses, SIZES), losses(1e6, factor)] for seed in (1, 2, 3)}

    target = "error on the held-back size <= 3%"
    kept, broken = (conclude(measured(factor), speed=1e11) for factor in (1.0, 0.9))
    assert kept.targets[target] and kept.verdict == "supported"
    assert not broken.targets[target]


def test_a_law_that_foresees_less_than_no_change_does_not_support_the_claim():
    surprise = {
        seed: [*map(losses, SIZES), losses(1e6, 1.0 + 0.001 * seed + 0.05)] for seed in (1, 2, 3)
    }
    assert conclude(surprise, speed=1e11).verdict == "not supported"


def test_most_published_gpu_hours_come_out_within_a_factor_of_two_and_misses_are_named():
    within = [model for model in MODELS if 0.5 <= model.ratio <= 2]
    assert len(within) >= 5 and all(model.source for model in MODELS)
    missed = [model for model in MODELS if model not in within]
    sentence = conclude({1: [*map(losses, SIZES), losses(1e6)]}, speed=1e11).sentence
    assert all(model.name in sentence for model in missed)


def test_the_published_gpu_hours_agree_with_what_their_sources_say_beside_them():
    hours = {model.name: model.gpu_hours for model in MODELS}
    # LLaMA, table 15: MWh = GPU-hours x 400 W x 1.1, cut off at whole ones.
    energy = {"LLaMA 7B": 36, "LLaMA 13B": 59, "LLaMA 33B": 233, "LLaMA 65B": 449}
    assert {name: int(hours[name] * 0.4 * 1.1 / 1000) for name in energy} == energy
    # BLOOM, table 1: 433,196 kWh at 400 W.
    assert hours["BLOOM 176B"] * 0.4 == pytest.approx(433_196, abs=1)
    # Llama 2, model card: tons of CO2, at one rate for all; Llama 3.1: 39.3 million hours in all.
    tons = {"Llama 2 7B": 31.22, "Llama 2 13B": 62.44, "Llama 2 70B": 291.42}
    assert {round(hours[name] / ton) for name, ton in tons.items()} == {5903, 5904}
    assert sum(hours[f"Llama 3.1 {size}"] for size in ("8B", "70B", "405B")) == 39_300_000
    # DeepSeek-V3: 5.328 million dollars at 2 an hour; 180,000 hours for each 10^12 tokens.
    deepseek = hours["DeepSeek-V3 (37B active, fp8)"]
    assert 2 * deepseek == 5_328_000 and deepseek / 14.8 == 180_000


def test_every_published_figure_names_the_place_where_it_stands():
    for model in MODELS:
        assert re.search(r"arXiv:\d{4}\.\d{5}|model card|blog", model.source), model.name
        assert re.search(r"table \d|table of |section ", model.source), model.name


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("LLaMA 7B", (32, 4096, 32, 32, 11008, 32_000)),
        ("LLaMA 13B", (40, 5120, 40, 40, 13824, 32_000)),
        ("LLaMA 33B", (60, 6656, 52, 52, 17920, 32_000)),
        ("LLaMA 65B", (80, 8192, 64, 64, 22016, 32_000)),
        ("Llama 2 70B", (80, 8192, 64, 8, 28672, 32_000)),
        ("Llama 3.1 8B", (32, 4096, 32, 8, 14336, 128_256)),
        ("Llama 3.1 70B", (80, 8192, 64, 8, 28672, 128_256)),
        ("Llama 3.1 405B", (126, 16384, 128, 8, 53248, 128_256)),
    ],
)
def test_the_sizes_are_those_of_the_published_shapes(name, shape):
    depth, width, heads, kv_heads, mlp_width, vocabulary = shape
    config = ModelConfig(
        vocab_size=vocabulary, depth=depth, width=width, heads=heads, kv_heads=kv_heads,
        mlp_width=mlp_width, mlp="swiglu", qk_norm=False, tied=False,
    )  # fmt: skip
    (model,) = (model for model in MODELS if model.name == name)
    assert size_of(config).total == pytest.approx(model.parameters, rel=0.01)


def test_the_law_is_fitted_to_losses_from_the_middle_of_a_run_on(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, train={"steps": 8, "evaluate_every": 1})
    points = points_of(run)
    records = run.records("valid")[4:]
    assert [record["step"] for record in records] == [4, 5, 6, 7, 8]
    assert [point.loss for point in points] == [record["nats_per_token"] for record in records]
    assert [point.tokens for point in points] == [4 * 16 * step for step in (4, 5, 6, 7, 8)]


def test_a_bill_follows_from_parameters_tokens_and_price():
    one = bill(7e9, 2e12, GPUS["h100"], dollars_per_hour=2.0)
    assert one.flops == 8.4e22
    assert one.gpu_hours == pytest.approx(8.4e22 / (0.4 * 989e12) / 3600)
    assert one.dollars == pytest.approx(2 * one.gpu_hours)
    assert one.kilowatt_hours == pytest.approx(one.gpu_hours * 0.7 * 1.2)  # 700 W, and the building


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
