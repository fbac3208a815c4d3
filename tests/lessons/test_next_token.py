"""The ladder from guessing to the source of the text."""

import shutil

import numpy as np
import pytest

from tests.lessons.test_experiment import finish
from tinylm.formats.folders import export_run, import_folder
from tinylm.lessons.experiment import Experiment
from tinylm.lessons.graduate import EVERYDAY, MISSING, everyday, graduate
from tinylm.lessons.ladder import curve_of
from tinylm.lessons.next_token import Shown, conclude, count, per_story
from tinylm.runs import open_run
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer

LIVE = [{"prompt": "a", "tokens": ["b"], "probabilities": [[0.5, 0.6]]}]


def rungs(gpt):
    """A ladder of ten stories; the bits of the GPT are given, for two seeds."""
    fixed = {"uniform": 8.0, "unigram": 4.0, "n-gram": 1.0}
    noise = np.linspace(-0.1, 0.1, 10)
    return {
        "char": {name: [bits + noise] for name, bits in fixed.items()}
        | {"GPT": [gpt + noise, gpt + 0.01 - noise], "generator": [np.full(10, 0.1)]}
    }


def concluded(gpt, everyday=None):
    """The lesson's conclusion on a GPT with so many bits per byte, which it reached in two
    minutes."""
    curves = {"char": [[(1.0, gpt + 0.2), (2.0, gpt)]] * 2}
    return conclude(rungs(gpt), {"char": 6, "bpe": 3}, curves, Shown(LIVE, everyday))


def test_a_descending_ladder_supports_the_claim_and_a_gpt_above_the_n_gram_misses_its_target():
    assert concluded(gpt=0.5).verdict == "supported"
    worse = concluded(gpt=1.5)
    assert worse.verdict == "supported" and not any(worse.targets.values())
    assert "By characters the GPT lacks 0.50 to the 6-gram (1.00) after 2.0" in worse.sentence
    assert "the last doubling brought 0.20" in worse.sentence
    assert "passes the 6-gram (1.00) within 1.0 of its 2.0" in concluded(gpt=0.5).sentence


def test_a_gpt_that_is_no_better_than_one_that_never_looks_back_refutes_the_claim():
    assert concluded(gpt=4.5).verdict == "not supported"


def test_a_story_is_charged_for_its_own_tokens_and_not_for_its_beginning():
    tokenizer = CharTokenizer.train("abc", [DOCUMENT])
    begin, (a, b) = tokenizer.special_id(DOCUMENT), tokenizer.encode("ab")
    ids = np.array([begin, a, b, begin, a, a])
    # of each token after the first; 50 for the second beginning
    bits = np.array([1.0, 2.0, 50.0, 4.0, 5.0])
    assert per_story(bits, ids, tokenizer).tolist() == [3 / 2, 9 / 2]


def test_the_smoke_lesson_has_all_rungs_and_live_probabilities(smoke_lesson, lessons_folder):
    results = smoke_lesson("next-token")
    assert len(results["arms"]) == 10 and all(
        arm["unit"] == "bits/byte" for arm in results["arms"].values()
    )
    assert (
        results["arms"]["generator, characters"]["mean"]
        < results["arms"]["GPT, characters"]["mean"]
    )
    assert len(results["details"]["live"][0]["tokens"]) == 6
    assert all((lessons_folder / "next-token" / name).is_file() for name in results["figures"])
    assert MISSING in results["sentence"]
    curves = results["details"]["curves"]
    assert all(minutes > 0 for own in curves.values() for curve in own for minutes, _ in curve)


def test_longer_n_grams_are_tried_until_one_is_no_better(smoke_lesson, lessons_folder):
    smoke_lesson("next-token")
    folder = next((lessons_folder / "next-token" / "runs").glob("characters-seed-1-*"))
    counted = count(open_run(folder), "char")
    tried = {int(order): bits for order, bits in counted["tried"].items()}
    assert counted["order"] == min(tried, key=tried.get) and len(tried) > 1
    assert np.mean(counted["bits"]["n-gram"]) == tried[counted["order"]]


def test_everyday_words_have_the_probabilities_of_the_real_model_and_of_the_toy(lessons_folder):
    experiment = Experiment("smoke", lessons_folder / "toy")
    base = finish(experiment.base(1))[1]
    rows = everyday(base, base, shown=3)
    assert [row["prompt"] for row in rows] == list(EVERYDAY)
    for row in rows:
        probabilities = [real for _, real in row["probabilities"]]
        assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) < 1
    assert "everyday.png" in concluded(0.5, everyday=rows).figures


def test_the_real_model_is_found_where_it_was_imported_and_only_at_full_scale(lessons_folder):
    base = finish(Experiment("smoke", lessons_folder / "toy").base(1))[1]
    runs = lessons_folder / "imported"
    assert graduate(Experiment("full", runs / "lessons" / "toy")) is None
    # A run that was trained here is none; one out of another tool's folder is.
    shutil.copytree(base.folder, runs / "smollm2")
    assert graduate(Experiment("full", runs / "lessons" / "toy")) is None
    export_run(base, runs / "hf")
    import_folder(runs / "hf", runs / "foundation" / "smollm2")
    found = graduate(Experiment("full", runs / "lessons" / "toy"))
    assert found.folder == runs / "foundation" / "smollm2"
    assert graduate(Experiment("smoke", runs / "lessons" / "toy")) is None


def test_a_curve_has_the_minutes_of_its_run_and_ends_on_the_ladder(lessons_folder):
    base = finish(Experiment("smoke", lessons_folder / "toy").base(1))[1]
    curve, records = curve_of(base, final=0.5), base.records("valid")
    assert len(curve) == len(records) - 1 and curve[0][1] == records[1]["bits_per_byte"]
    assert curve[-1] == pytest.approx((base.manifest["seconds"] / 60, 0.5))
