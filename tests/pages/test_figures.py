"""Pictures say what the numbers say, in one style, and touch no global state."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

from tinylm.pages import figures


def curve(run: str, stage: str, values: list[float], best_step: int = 20) -> dict:
    """A loss curve as comparison.json holds it; one validation every 10 steps of 100 tokens."""
    points = [
        {"step": 10 * i, "tokens": 1000 * i, "bits_per_byte": v, "nats_per_token": v}
        for i, v in enumerate(values)
    ]
    train = [{"tokens": 500 * i, "bits_per_byte": values[0]} for i in range(1, 5)]
    return {"run": run, "stage": stage, "best_step": best_step, "train": train, "valid": points}


def share(mean: float, low: float, high: float) -> dict:
    return {"mean": mean, "low": low, "high": high, "count": 100}


def texts(figure) -> str:
    """Every visible word of a figure."""
    found = [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible()]
    return "\n".join(found)


def flat_title(figure) -> str:
    return figure.get_suptitle().replace("\n", " ")


def test_loss_curves_are_titled_with_how_far_they_came_and_named_where_they_end():
    figure = figures.losses(
        [curve("base", "pretraining", [4, 2, 1.5]), curve("verse", "fine-tuning", [3, 2.5, 2.4])]
    )
    assert (
        flat_title(figure) == "base: 4.00 to 1.50 bits per byte; verse: 3.00 to 2.40 bits per byte"
    )
    assert len(figure.axes) == 2
    assert " base" in texts(figure) and " verse" in texts(figure)
    assert figure.axes[0].get_ylabel() == "bits per byte"
    assert "tokens" in figure.axes[0].get_xlabel()


def test_validation_that_turned_upward_is_said_in_the_title():
    figure = figures.losses([curve("small", "pretraining", [4, 2, 3], best_step=10)])
    assert "best at step 10 of 20" in flat_title(figure)


def test_a_reward_stage_is_titled_with_what_unseen_text_costs_at_its_end():
    rewarded = {**curve("rewarded", "reward", [1.6, 1.9, 1.8], best_step=20), "train": []}
    figure = figures.losses([curve("verse", "fine-tuning", [3, 2.5, 2.4]), rewarded])
    assert "rewarded: 1.60 to 1.80 bits per byte" in flat_title(figure)
    assert [axes.get_xlabel().split(":")[0] for axes in figure.axes] == ["fine-tuning", "reward"]


def test_a_run_judged_only_at_its_start_is_drawn_and_says_so():
    figure = figures.losses([{**curve("new", "pretraining", [4]), "train": []}])
    assert "no validation after its start" in flat_title(figure)


def test_the_numbers_behind_the_loss_curves_come_from_the_run_folder(base_run):
    (found,) = figures.loss_records([base_run], ["mine"])
    valid = base_run.records("valid")
    assert [point["bits_per_byte"] for point in found["valid"]] == [
        record["bits_per_byte"] for record in valid
    ]
    assert found["valid"][-1]["tokens"] == base_run.records("train")[-1]["tokens"]
    ratio = valid[0]["bits_per_byte"] / valid[0]["nats_per_token"]
    assert found["train"][0]["bits_per_byte"] == pytest.approx(
        ratio * base_run.records("train")[0]["loss"]
    )
    assert found["run"] == "mine" and found["stage"] == "pretraining"


def test_the_plot_command_has_its_picture(base_run, tmp_path):
    figures.save_figure(figures.loss_curves([base_run]), tmp_path / "deep" / "curves.png")
    assert (tmp_path / "deep" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_another_ending_than_png_or_svg_is_refused(base_run, tmp_path):
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        figures.save_figure(figures.loss_curves([base_run]), tmp_path / "curves.pdf")


def test_a_picture_is_the_same_file_every_time(tmp_path):
    for name in ("a.svg", "b.svg"):
        figures.save_figure(figures.losses([curve("base", "pretraining", [4, 2])]), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("after", "word"), [(1.5, "forgets"), (1.0, "keeps it"), (0.9, "keeps it")]
)
def test_forgetting_is_claimed_only_where_the_old_text_got_dearer(after, word):
    points = [{"step": 0, "bits_per_byte": 1.0}, {"step": 9, "bits_per_byte": after}]
    title = flat_title(figures.forgetting([{"run": "verse", "place": 1, "points": points}]))
    assert f"verse {word} (1.00 to {after:.2f})" in title


def test_metre_that_rose_within_its_interval_is_no_measurable_difference():
    points = [{"step": 1, **share(0.2, 0.0, 0.6)}, {"step": 2, **share(0.4, 0.1, 0.8)}]
    title = flat_title(figures.metre_steps([{"run": "verse", "place": 0, "points": points}]))
    assert title.endswith("(no measurable difference)")
    points[1] |= share(0.9, 0.85, 0.95)
    assert flat_title(
        figures.metre_steps([{"run": "verse", "place": 0, "points": points}])
    ).endswith("(higher)")


def test_names_of_lines_that_end_together_are_moved_apart():
    figure = figures.losses(
        [curve(name, "pretraining", [4, 2, 1.5]) for name in ("one", "two", "three")]
    )
    heights = [text.xy[1] for text in figure.axes[0].texts]
    low, high = figure.axes[0].get_ylim()
    assert np.diff(sorted(heights)).min() > 0.05 * (high - low)


def test_every_share_shows_its_interval_and_a_missing_one_leaves_a_gap():
    rows = [
        {"name": "Lines that scan", "values": [share(0.1, 0.05, 0.15), share(0.6, 0.5, 0.7)]},
        {"name": "Rhyming lines", "values": [None, share(0.0, 0.0, 0.1)]},
    ]
    figure = figures.shares(rows, ["base", "verse"], "A title")
    first, second = figure.axes[0].containers
    assert list(first.lines[0].get_xdata()) == [10]
    assert second.lines[2][0].get_segments()[0][:, 0] == pytest.approx([50, 70])


def test_next_tokens_names_what_each_model_expects():
    prompt = {"prompt": "The", "tokens": ["␣sea", "⏎"], "probabilities": [[0.7, 0.1], [None, 0.6]]}
    figure = figures.next_tokens([prompt], ["base", "verse"])
    assert flat_title(figure) == "After “The” base expects “␣sea”, verse expects “⏎”"
    assert "base 70 %, verse 60 %" in flat_title(
        figures.next_tokens([prompt, prompt], ["base", "verse"])
    )


def test_the_heat_map_names_the_model_that_expected_the_text_best():
    data = {
        "pieces": ["The", " sea", "\n"],
        "unit": "token",
        "probabilities": [[0.5] * 3, [0.25] * 3],
    }
    title = flat_title(figures.heat(data, ["base", "verse"]))
    assert title == "base expects this text best: base 1.0, verse 2.0 bits per token"


def test_a_grid_with_cells_that_hold_no_lines_is_drawn():
    cell = {"accepted": share(0.5, 0.4, 0.6), "distinct": 1.0}
    grid = {
        "run": "verse",
        "temperatures": [0.5, 1.0],
        "top_p": [1.0],
        "cells": [[cell], [{"accepted": None, "distinct": None}]],
    }
    figure = figures.settings(grid)
    assert "no lines" in texts(figure) and "50 % scan" in texts(figure)
    assert "give or take 10" in flat_title(figure)


def test_signs_that_mean_mathematics_elsewhere_are_plain_text(tmp_path):
    data = {"pieces": ["$x_1$", "<&>", "\t"], "unit": "piece", "probabilities": [[0.5] * 3]}
    figures.save_figure(figures.heat(data, ["a $b$"]), tmp_path / "heat.png")


@pytest.mark.filterwarnings("error")
def test_a_script_that_the_font_lacks_is_drawn_as_boxes_and_without_warnings():
    prompt = {"prompt": "潮", "tokens": ["潮", "\x07"], "probabilities": [[0.7], [0.1]]}
    figure = figures.next_tokens([prompt], ["潮"])
    assert flat_title(figure) == "After “□” □ expects “□”"


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    figures.losses([curve("base", "pretraining", [4, 2])])
    assert dict(matplotlib.rcParams) == before


def test_a_stretch_of_a_loss_curve_is_drawn_at_its_last_step():
    train = [{"step": step, "tokens": 10 * step, "loss": 1.0} for step in range(1, 301)]
    valid = [{"step": 0, "bits_per_byte": 2.0, "nats_per_token": 1.0}]
    logs = {"train": train, "valid": valid}
    recipe = SimpleNamespace(reward=None)
    manifest = {"best": {"step": 0}}
    run = SimpleNamespace(name="x", records=logs.get, manifest=manifest, recipe=recipe)
    (told,) = figures.loss_records([run])
    assert len(told["train"]) == figures.POINTS < 300
    assert told["train"][-1]["tokens"] == 3000
    assert told["train"][0]["tokens"] > 10
