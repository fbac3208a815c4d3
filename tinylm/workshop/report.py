"""Everything that was tried, on one page: lessons with their verdicts, comparisons, decisions,
runs, commands.

    Path("report.html").write_text(report(find([Path("runs")])), encoding="utf-8")

A pure function of the files in the folders: nothing is trained or measured, no model is loaded. A
folder that cannot be read is named on the page with its reason, so that nothing is missing without
a word.

Trade-off: pictures of lessons are carried as they were drawn (PNG); those of comparisons and runs
are drawn again from their numbers, sharp at every size.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinylm.compare.judge import KIND
from tinylm.compare.page import pictures, shown_fact, view
from tinylm.config import Recipe
from tinylm.lessons.decide import decided, numbers
from tinylm.lessons.lesson import LESSONS, control_verdict, is_control
from tinylm.pages import figures
from tinylm.pages.html import Line, Picture, data_uri, render
from tinylm.recipes import load_recipe, shipped
from tinylm.runs import Run, open_run, read_json

NEEDED = {
    "lesson",
    "scale",
    "claim",
    "verdict",
    "sentence",
    "bars",
    "arms",
    "figures",
    "minutes",
    "base_minutes",
}
CURVES = 6  # runs in one picture: as many as the palette has colours


@dataclass(frozen=True)
class LessonView:
    """What the page shows of a lesson."""

    results: dict[str, Any]
    images: list[str]  # data URIs
    numbers: list[tuple[str, str]]
    control: dict[str, Any] | None  # the results of its control, where it was run
    control_verdict: str


@dataclass
class Found:
    """What stands in the folders."""

    runs: list[Run] = field(default_factory=list)
    lesson_runs: list[Run] = field(default_factory=list)
    # folder, comparison.json
    comparisons: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    # folder, results.json at full scale
    lessons: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    controls: list[tuple[Path, dict[str, Any]]] = field(
        default_factory=list
    )  # the same of controls
    tried: list[str] = field(default_factory=list)  # lessons at smoke scale
    unreadable: list[str] = field(default_factory=list)


def find(folders: Sequence[Path]) -> Found:
    """Everything below the folders, by name; ValueError where a folder is missing, or nothing was
    made yet."""
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise ValueError(f"there is no folder {missing[0]}")
    contents = Found()
    for path in sorted(
        {path.resolve(): path for f in folders for path in f.rglob("*.json")}.values()
    ):
        try:
            if path.name == "manifest.json":
                contents.runs.append(checked_run(path.parent))
            elif path.name == "comparison.json" and (result := read_json(path)).get("kind") == KIND:
                contents.comparisons.append((path.parent, result))
            elif path.name == "results.json" and "lesson" in (results := read_json(path)):
                add_lesson(contents, path.parent, results)
        except ValueError as error:
            contents.unreadable.append(str(error))
    homes = {folder.parent for folder, _ in contents.lessons + contents.controls}
    contents.lesson_runs = [run for run in contents.runs if homes & set(run.folder.parents)]
    contents.runs = [run for run in contents.runs if run not in contents.lesson_runs]
    for results in (contents.lessons, contents.controls):
        results.sort(key=lambda lesson: place_of(lesson[1]["lesson"]))
    if not (contents.runs or contents.comparisons or contents.lessons or contents.controls):
        raise ValueError(
            f"no runs, comparisons or lessons in {', '.join(map(str, folders))}; begin with: "
            "tinylm demo"
        )
    return contents


def checked_run(folder: Path) -> Run:
    """A run whose recipe can be read."""
    run = open_run(folder)
    _ = run.recipe  # ValueError names the field that is wrong
    return run


def add_lesson(contents: Found, folder: Path, results: dict[str, Any]) -> None:
    """File a lesson's results under their scale; ValueError where they lack something."""
    if missing := NEEDED - results.keys():
        raise ValueError(
            f"{folder / 'results.json'} lacks {min(missing)}: it was written by another version"
        )
    control = is_control(results)
    if results["scale"] == "full":
        (contents.controls if control else contents.lessons).append((folder, results))
    else:
        contents.tried.append(results["lesson"] + (" (control)" if control else ""))


def control_of(contents: Found, folder: Path, lesson: str) -> dict[str, Any] | None:
    """The results of a lesson's control: one beside the lesson's folder before one elsewhere."""
    same = [(place, own) for place, own in contents.controls if own["lesson"] == lesson]
    beside = [own for place, own in same if place.parent == folder.parent]
    return next(iter(beside + [own for _, own in same]), None)


def place_of(lesson: str) -> int:
    """Where a lesson stands in the article; unknown ones come last."""
    module = lesson.replace("-", "_")
    return LESSONS.index(module) if module in LESSONS else len(LESSONS)


# -- the page -------------------------------------------------------------------------------------


def report(contents: Found) -> str:
    """The whole page."""
    results = [each for _, each in contents.lessons]
    compared = {run["fingerprint"] for _, result in contents.comparisons for run in result["runs"]}
    alone = [run for run in contents.runs if run.fingerprint not in compared]
    trained = [run for run in alone if run.records("train")]
    return render(
        "report.html",
        title="Report: lessons, comparisons and runs",
        claims=claims(contents),
        tried=contents.tried,
        unreadable=contents.unreadable,
        comparisons=[(folder, view(each, pictures(each))) for folder, each in contents.comparisons],
        decisions=decided({each["lesson"]: each for each in results}),
        lessons=[lesson_view(contents, *each) for each in contents.lessons],
        runs=list(map(run_row, contents.runs)),
        curves=[losses(trained[i : i + CURVES]) for i in range(0, len(trained), CURVES)],
        samples={str(run.folder): last_sample(run) for run in trained if run.log("samples.jsonl")},
        lesson_runs=list(map(run_row, contents.lesson_runs)),
        commands=commands(contents),
        machines=machines([*contents.runs, *contents.lesson_runs]),
    )


def claims(contents: Found) -> list[list[str]]:
    """Each claim with its verdict and that of its control; a control without its lesson at the
    end."""
    rows = []
    for folder, own in contents.lessons:
        control = control_verdict(control_of(contents, folder, own["lesson"]))
        minutes = f"{own['minutes']:.1f}"
        rows.append([own["lesson"], own["claim"], own["verdict"], control, minutes])
    known = {own["lesson"] for _, own in contents.lessons}
    for _, own in contents.controls:
        if own["lesson"] not in known:
            rows.append([own["lesson"], own["claim"], "not run", control_verdict(own), "–"])
    return rows


def lesson_view(contents: Found, folder: Path, results: dict[str, Any]) -> LessonView:
    """A lesson with its pictures; names that lead out of its folder lead nowhere."""
    paths = (folder / Path(name).name for name in results["figures"])
    images = [data_uri(path.read_bytes()) for path in paths if path.is_file()]
    control = control_of(contents, folder, results["lesson"])
    shown = list(filter(None, images))
    return LessonView(results, shown, numbers(results), control, control_verdict(control))


def run_row(run: Run) -> list[str]:
    """One run in a line."""
    manifest, recipe = run.manifest, run.recipe
    return [
        str(run.folder),
        Path(recipe.corpus.text).name,
        Path(recipe.start_from).name if recipe.start_from else "–",
        shown_fact(manifest.get("parameters")),
        shown_fact(manifest.get("steps")),
        shown_fact(manifest.get("seconds", 0.0) / 60),
        verdict_of(run),
    ]


def verdict_of(run: Run) -> str:
    """How a run went: how far the loss came, whether it turned upward, whether it was
    interrupted."""
    manifest = run.manifest
    if manifest["status"] == "imported":
        return "imported, not trained here"
    stopped = (
        "" if manifest["status"] == "finished" else f"interrupted after step {manifest['step']}; "
    )
    return stopped + figures.losses_title(figures.loss_records([run], [""])).removeprefix(": ")


def losses(runs: Sequence[Run]) -> Picture:
    """Loss curves of some runs."""
    curves = figures.loss_records(runs)
    return Picture(
        name="losses",
        heading="Loss",
        figure=figures.losses(curves),
        caption="Bits per byte are those of each run's own text. Compare heights within one text "
        "only.",
        columns=["run", "step", "bits per byte"],
        rows=[
            [c["run"], p["step"], f"{p['bits_per_byte']:.4f}"] for c in curves for p in c["valid"]
        ],
    )


def last_sample(run: Run) -> list[Line]:
    """The newest text that a run sampled while it trained, its prompt included, line by line."""
    sample = run.log("samples.jsonl")[-1]
    return list(map(Line, (sample["prompt"] + sample["text"]).split("\n")))


# -- how to do it again ---------------------------------------------------------------------------


def commands(contents: Found) -> list[tuple[str, str]]:
    """What is on the page, and the command that makes each of it again."""
    trained = [run for run in contents.runs if run.manifest["status"] != "imported"]
    rows = [(str(run.folder), command_of(run)) for run in trained]
    for folder, result in contents.comparisons:
        runs = [run["folder"] for run in result["runs"]]
        words = ["tinylm", "compare", *runs, "--out", str(folder)]
        rows.append((str(folder), shlex.join(words)))
    for folder, results in contents.lessons + contents.controls:
        control = ["--control"] if is_control(results) else []
        words = ["tinylm", "lesson", results["lesson"], *control, "--out", str(folder)]
        rows.append((str(folder), shlex.join(words)))
    return rows


def command_of(run: Run) -> str:
    """`tinylm train` with every field that differs from the recipe the run names; of an own recipe,
    its name alone."""
    recipe = run.recipe
    words = ["tinylm", "train", recipe.name]
    if recipe.start_from:
        words += ["--start-from", recipe.start_from]
    if not (shipped("configs") / f"{recipe.name}.toml").is_file():
        # its text is not here; what it said, defaults included, stands in recipe.json
        words[2] += ".toml"
    else:
        words += changes(recipe, load_recipe(recipe.name))
    return shlex.join([*words, "--out", str(run.folder)])


def changes(recipe: Recipe, shipped_one: Recipe) -> list[str]:
    """Options that turn the shipped recipe into this one. A fine-tune's shape is its parent's, all
    but the dropout."""
    own, default = (dict(flat(r.model_dump(mode="json"))) for r in (recipe, shipped_one))
    kept = {"name", "purpose", "start_from", "model.vocab_size", "train.max_minutes"}
    if recipe.start_from:
        kept |= {name for name in own if name.startswith(("model.", "tokenizer."))} - {
            "model.dropout"
        }
    words: list[str] = []
    for name in own.keys() - kept:
        if own[name] != default.get(name):
            words += [f"--{name.replace('_', '-')}", option(own[name])]
    return [word for pair in sorted(zip(words[::2], words[1::2])) for word in pair]


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested sections with their dotted names.

    >>> list(flat({"name": "x", "train": {"steps": 5}}))
    [('name', 'x'), ('train.steps', 5)]
    """
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def option(value: Any) -> str:
    """A field's value as it is written on the command line.

    >>> option(["The tide", ""]), option(None), option(0.1)
    ('["The tide", ""]', 'none', '0.1')
    """
    if isinstance(value, list):
        return "[" + ", ".join(f'"{word}"' for word in value) + "]"
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def machines(runs: Sequence[Run]) -> list[tuple[str, int, str]]:
    """Each machine with its versions, how many runs were made on it, and which; in most reports one
    row."""
    names_of: dict[str, list[str]] = {}
    for run in runs:
        manifest = run.manifest
        versions = [f"{name} {version}" for name, version in manifest.get("versions", {}).items()]
        facts = [manifest.get("platform"), manifest.get("device"), manifest.get("precision")]
        threads = f"{manifest['threads']} threads" if "threads" in manifest else None
        machine = ", ".join(filter(None, [*facts, threads, *versions])) or "not recorded"
        names_of.setdefault(machine, []).append(run.name)
    return [
        (machine, len(names), ", ".join(names[:6]) + (", …" if len(names) > 6 else ""))
        for machine, names in names_of.items()
    ]
