"""The report tells what stands in the folders, all of it, on one page that needs nothing else."""

import json
import shlex

import pytest

from tests.conftest import tiny_recipe, train_run
from tests.pages.test_html import parsed
from tinylm import cli
from tinylm.pages.figures import canvas, save_figure
from tinylm.recipes import load_recipe
from tinylm.runs import open_run, write_json
from tinylm.workshop import report as workshop_report
from tinylm.workshop import tables
from tinylm.workshop.report import changes, command_of, find, report, run_row


@pytest.fixture(scope="module")
def home(text_file, tmp_path_factory):
    """A folder with a run, a comparison of two others, lessons at both scales, and a damaged
    run."""
    home = tmp_path_factory.mktemp("home") / "runs"
    train_run(home / "alone", text_file, sample={"prompts": ["the <b>"]}, train={"seed": 2})
    train_run(home / "demo" / "base", text_file)
    train_run(
        home / "demo" / "verse",
        text_file,
        start_from=str(home / "demo" / "base"),
        model={"context": 16},
    )
    cli.main(["compare", str(home / "demo/base"), str(home / "demo/verse"), "--out",
    str(home / "demo/compare"),
              "--scale", "smoke"])  # fmt: skip
    for lesson, scale in (("tools", "full"), ("retrieval", "full"), ("style", "smoke")):
        folder = home / ("lessons" if scale == "full" else "lessons-smoke") / lesson
        folder.mkdir(parents=True)
        write_json(folder / "results.json", results_of(lesson, scale))
        with canvas("A picture") as figure:
            figure.subplots().plot([1, 2])
        save_figure(figure, folder / "arms.png")
    train_run(home / "lessons" / "tools" / "runs" / "bare-seed-1", text_file)
    (home / "torn").mkdir()
    (home / "torn" / "manifest.json").write_text("{", encoding="utf-8")
    return home


def results_of(lesson, scale):
    return {
        "lesson": lesson,
        "scale": scale,
        "claim": f"{lesson} help.",
        "verdict": "supported",
        "sentence": "They <do>.",
        "arms": {"with": {"unit": "share", "mean": 0.9, "low": 0.8, "high": None}},
        "bars": {"half of them": True},
        "figures": ["arms.png", "../../secret.png"],
        "minutes": 3.0,
        "base_minutes": 1.0,
    }


@pytest.fixture(scope="module")
def page(home):
    return report(find([home]))


def test_everything_is_found_once_and_in_the_order_of_the_article(home):
    found = find([home, home / "demo"])
    assert [run.name for run in found.runs] == ["alone", "base", "verse"]
    assert [run.name for run in found.lesson_runs] == ["bare-seed-1"]
    assert [results["lesson"] for _, results in found.lessons] == ["retrieval", "tools"]
    assert found.tried == ["style"] and len(found.comparisons) == 1
    (damaged,) = found.unreadable
    assert "torn" in damaged


def test_the_page_is_one_file_of_plain_text_pictures_and_tables(page):
    tags = parsed(page)
    assert "script" not in tags.seen and "They <do>." in tags.text and "the <b>" in tags.text
    assert page.count('<img alt="They &lt;do&gt;." src="data:image/png;base64,') == 2
    assert "://" not in page.replace("http://www.w3.org/", "")


def test_the_page_tells_verdicts_decisions_samples_machine_and_what_was_left_out(page):
    text = parsed(page).text
    for told in (
        "retrieval: supported",
        "0.9 share",
        "half of them: met",
        "Retrieve: search the documents",
        "Not decided. Run: tinylm lesson style",
        "base and verse, compared",
        "torch",
        "threads",
        "damaged JSON",
        "Run at smoke scale only, which is too small for a conclusion: style",
        "bits per byte",
        "tinylm lesson tools",
    ):
        assert told in text, told


def test_names_and_samples_are_shown_letter_by_letter(home):
    hostile = "<script>x</script> {{ 7*7 }} {% raw %}"
    contents = find([home])
    (_, result), *_ = contents.comparisons
    result["runs"][0]["run"] = result["side_by_side"][0]["texts"][0]["text"] = hostile
    contents.lessons[0][1]["sentence"] = hostile
    contents.unreadable, contents.tried = [hostile], [hostile]
    tags = parsed(report(contents))
    assert "script" not in tags.seen and tags.text.count(hostile) > 10


def test_a_verdict_says_when_a_run_was_interrupted(text_file, tmp_path):
    train_run(tmp_path / "half", text_file, train={"stop_after": 3})
    assert "interrupted after step 3" in report(find([tmp_path]))


def test_the_command_of_a_run_names_what_differs_from_its_recipe(text_file, tmp_path):
    changed = load_recipe(
        "demo-base", {"train.steps": "7", "sample.prompts": '["a b", ""]', "train.compile": "true"}
    )
    assert changes(changed, load_recipe("demo-base")) == [
        "--sample.prompts", '["a b", ""]', "--train.compile", "true", "--train.steps", "7",
    ]  # fmt: skip
    words = shlex.split(command_of(train_run(tmp_path / "run", text_file, name="demo-base")))
    assert words[:3] == ["tinylm", "train", "demo-base"] and words[-2:] == [
        "--out",
        str(tmp_path / "run"),
    ]
    assert words[words.index("--model.width") + 1] == "16"


def test_the_command_of_a_fine_tune_leaves_its_parents_shape_out(home):
    words = shlex.split(command_of(open_run(home / "demo" / "verse")))
    assert words == ["tinylm", "train", "tiny.toml", "--start-from", str(home / "demo" / "base"),
    "--out",
                     str(home / "demo" / "verse")]  # fmt: skip
    verse = load_recipe("demo-verse")
    wide = tiny_recipe("x").model.model_copy(update={"dropout": verse.model.dropout})
    assert changes(verse.model_copy(update={"model": wide}), verse) == []
    fewer = verse.model.model_copy(update={"dropout": 0.35})  # its own, whatever its parent's was
    changed = changes(verse.model_copy(update={"model": fewer}), verse)
    assert changed == ["--model.dropout", "0.35"]


def test_results_of_another_version_are_left_out_and_named(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "results.json").write_text(
        json.dumps({"lesson": "tools"}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="tinylm demo"):
        find([tmp_path])


def test_a_control_is_told_beside_its_lesson_and_a_supported_one_is_a_problem(tmp_path):
    takes_away = {"control": True, "control_takes_away": "Less."}
    for name, verdict in (("tools", "supported"), ("style", "not supported")):
        control = (
            results_of(name, "full") | takes_away | {"verdict": verdict, "sentence": f"No {name}."}
        )
        write_results(tmp_path / "elsewhere" / f"{name}-control", control | {"sentence": "Far."})
        write_results(tmp_path / f"{name}-control", control)
    write_results(tmp_path / "tools", results_of("tools", "full"))
    write_results(tmp_path / "retrieval", results_of("retrieval", "full"))
    write_results(tmp_path / "quality", results_of("quality", "smoke") | takes_away)
    found = find([tmp_path])
    assert workshop_report.claims(found) == [
        ["retrieval", "retrieval help.", "supported", "not run", "3.0"],
        ["tools", "tools help.", "supported", "PROBLEM: supported", "3.0"],
        ["style", "style help.", "not run", "not supported", "–"],
        ["style", "style help.", "not run", "not supported", "–"],
    ]
    text = " ".join(parsed(report(found)).text.split())
    for told in (
        "The verdict of its control: not run. To run it: tinylm lesson retrieval --control",
        "PROBLEM: supported. The effect shows without its cause",
        "No tools.",
        "quality (control)",
        "tinylm lesson tools --control --out",
    ):
        assert told in text, told
    assert "Far." not in text


def write_results(folder, results):
    folder.mkdir(parents=True)
    write_json(folder / "results.json", results)


def test_an_empty_or_missing_folder_is_told(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SystemExit) as stop:
            cli.main(["report", str(folder)])
        assert stop.value.code == 2 and capsys.readouterr().err.startswith("tinylm: ")


def test_the_command_writes_the_page(home, tmp_path, capsys):
    cli.main(
        [
            "report",
            str(home / "alone"),
            str(home / "torn"),
            "--out",
            str(tmp_path / "page" / "report.html"),
        ]
    )
    assert "left out" in capsys.readouterr().err
    assert (
        (tmp_path / "page" / "report.html")
        .read_text(encoding="utf-8")
        .startswith("<!doctype html>")
    )


def test_texts_are_named_after_what_the_runs_of_the_demo_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DEMO", tmp_path / "demo.json")
    names = ("Bits per byte, text of base", "Bits per byte, text of verse and rewarded", "Facts")
    rows = [{"name": name, "unit": "share", "values": []} for name in names]
    write_json(tmp_path / "comparison.json", {"runs": [{"run": "base"}], "scoreboard": rows})
    tables.take_over(tmp_path)
    kept = json.loads((tmp_path / "demo.json").read_text(encoding="utf-8"))["rows"]
    told = ["Bits per byte, stories", "Bits per byte, verse", "Facts"]
    assert [row["name"] for row in kept] == told


def test_a_run_is_told_with_its_minutes(home):
    run = open_run(home / "alone")
    run.manifest["seconds"] = 150.0
    assert run_row(run)[-2] == "2.5"


def test_curves_are_drawn_of_the_runs_that_no_comparison_holds(home, monkeypatch):
    drawn, losses = [], workshop_report.losses
    monkeypatch.setattr(workshop_report, "losses", lambda runs: drawn.extend(runs) or losses(runs))
    report(find([home]))
    assert [run.name for run in drawn] == ["alone"]
