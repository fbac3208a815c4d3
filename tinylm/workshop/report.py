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
from tinylm.compare.page import (
    Picture,
    findings,
    pictures,
    samples_part,
    scoreboard_table,
    seen_note,
    shown_fact,
)
from tinylm.config import Recipe
from tinylm.lessons.decide import ROWS, arm_text, decision
from tinylm.lessons.lesson import LESSONS
from tinylm.pages import figures
from tinylm.pages.html import (
    Html,
    bullets,
    cards,
    document,
    folded,
    heading,
    image,
    join,
    lines,
    paragraph,
    picture,
    table,
)
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


@dataclass
class Found:
    """What stands in the folders."""

    runs: list[Run] = field(default_factory=list)
    lesson_runs: list[Run] = field(default_factory=list)
    # folder, comparison.json
    comparisons: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    # folder, results.json at full scale
    lessons: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
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
    homes = {folder.parent for folder, _ in contents.lessons}
    contents.lesson_runs = [run for run in contents.runs if homes & set(run.folder.parents)]
    contents.runs = [run for run in contents.runs if run not in contents.lesson_runs]
    contents.lessons.sort(key=lambda lesson: place_of(lesson[1]["lesson"]))
    if not (contents.runs or contents.comparisons or contents.lessons):
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
    if results["scale"] == "full":
        contents.lessons.append((folder, results))
    else:
        contents.tried.append(results["lesson"])


def place_of(lesson: str) -> int:
    """Where a lesson stands in the article; unknown ones come last."""
    module = lesson.replace("-", "_")
    return LESSONS.index(module) if module in LESSONS else len(LESSONS)


# -- the page -------------------------------------------------------------------------------------


def report(contents: Found) -> Html:
    """The whole page."""
    lead = (
        f"{len(contents.lessons)} lessons, {len(contents.comparisons)} comparisons and "
        f"{len(contents.runs)} "
        "runs, as their folders tell it."
    )
    parts = [
        *overview(contents),
        *(part for each in contents.comparisons for part in comparison_part(*each)),
        *decisions(contents),
        *(part for each in contents.lessons for part in lesson_part(*each)),
        *runs_part(contents),
        *commands(contents),
        *machines(contents),
    ]
    return document("What was tried here, and what came out", lead, parts)


def overview(contents: Found) -> Iterator[Html]:
    """The verdicts at a glance, and what could not be read."""
    if contents.lessons:
        yield heading("The claims, and what was measured")
        rows = [
            [r["lesson"], r["claim"], r["verdict"], f"{r['minutes']:.1f}"]
            for _, r in contents.lessons
        ]
        yield table(["lesson", "claim", "verdict", "minutes"], rows)
    if contents.tried:
        yield paragraph(
            f"Tried at smoke scale, from which nothing follows: {', '.join(contents.tried)}."
        )
    if contents.unreadable:
        yield heading("Could not be read")
        yield bullets(contents.unreadable)


def comparison_part(folder: Path, result: dict[str, Any]) -> Iterator[Html]:
    """One comparison: findings, samples side by side, scoreboard; its pictures folded, but for the
    first one."""
    yield heading(f"{' and '.join(run['run'] for run in result['runs'])}, compared ({folder})")
    yield bullets([*findings(result), *seen_note(result)])
    yield from samples_part(result)
    first, *rest = pictures(result)
    yield drawn(first)
    yield folded(
        "The scoreboard: each value with its 95 % interval", table(*scoreboard_table(result))
    )
    yield folded("More pictures", join(map(drawn, rest)))


def drawn(shown: Picture) -> Html:
    return picture(shown.figure, shown.caption, shown.columns, shown.rows)


def decisions(contents: Found) -> Iterator[Html]:
    """The decision page of the lesson decide, from the lessons' verdicts."""
    known = {results["lesson"]: results for _, results in contents.lessons}
    yield heading("What to do about what")
    yield paragraph(
        "Each line rests on the verdict of the lesson beside it, measured here; none is taken on "
        "trust."
    )
    rows = [(row.need, decision(row, known.get(row.lesson)), row.lesson) for row in ROWS]
    yield table(["need", "decision", "lesson"], rows)


def lesson_part(folder: Path, results: dict[str, Any]) -> Iterator[Html]:
    """One lesson: verdict, numbers, expectations met or missed, pictures."""
    yield heading(f"{results['lesson']}: {results['verdict']}")
    yield paragraph(f"Claim: {results['claim']}")
    yield paragraph(results["sentence"])
    for name in results["figures"]:
        if (path := folder / Path(name).name).is_file():
            yield image(path.read_bytes(), results["sentence"])
    expected = [
        f"{target}: {'met' if met else 'missed'}" for target, met in results["bars"].items()
    ]
    if expected:
        yield folded("What had been expected", bullets(expected))
    if results["arms"]:
        rows = [(name, arm_text(arm)) for name, arm in results["arms"].items()]
        yield folded(
            "The numbers, with 95 % intervals over the seeds", table(["what", "measured"], rows)
        )


def runs_part(contents: Found) -> Iterator[Html]:
    """All runs in a table, the curves and last samples of those that are in no comparison, the
    lessons' own folded."""
    columns = ["run", "text", "started from", "parameters", "steps", "minutes", "verdict"]
    yield heading("Runs")
    if contents.runs:
        yield table(columns, map(run_row, contents.runs))
    compared = {run["fingerprint"] for _, result in contents.comparisons for run in result["runs"]}
    alone = [
        run for run in contents.runs if run.fingerprint not in compared and run.records("train")
    ]
    for first in range(0, len(alone), CURVES):
        yield losses(alone[first : first + CURVES])
    if samples := [
        (str(run.folder), last_sample(run)) for run in alone if run.log("samples.jsonl")
    ]:
        yield paragraph("What each of them wrote at its last look:")
        yield cards(samples)
    if contents.lesson_runs:
        told_runs = f"{len(contents.lesson_runs)} runs that the lessons trained for themselves"
        yield folded(told_runs, table(columns, map(run_row, contents.lesson_runs)))


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
        return "imported, not train_to_end here"
    stopped = (
        "" if manifest["status"] == "finished" else f"interrupted after step {manifest['step']}; "
    )
    return stopped + figures.losses_title(figures.loss_records([run], [""])).removeprefix(": ")


def losses(runs: Sequence[Run]) -> Html:
    """Loss curves of some runs."""
    curves = figures.loss_records(runs)
    rows = [[c["run"], p["step"], f"{p['bits_per_byte']:.4f}"] for c in curves for p in c["valid"]]
    caption = (
        "Bits per byte are those of each run's own text, so heights compare within one text only."
    )
    return picture(figures.losses(curves), caption, ["run", "step", "bits per byte"], rows)


def last_sample(run: Run) -> Html:
    sample = run.log("samples.jsonl")[-1]
    return lines((line, "", "", None) for line in (sample["prompt"] + sample["text"]).split("\n"))


# -- how to do it again ---------------------------------------------------------------------------


def commands(contents: Found) -> Iterator[Html]:
    """The command that makes each thing on the page again."""
    yield heading("Commands to do it again")
    rows = [
        (str(run.folder), command_of(run))
        for run in contents.runs
        if run.manifest["status"] != "imported"
    ]
    for folder, result in contents.comparisons:
        words = [
            "tinylm",
            "compare",
            *(run["folder"] for run in result["runs"]),
            "--out",
            str(folder),
        ]
        rows.append((str(folder), shlex.join(words)))
    rows += [
        (str(folder), f"tinylm lesson {results['lesson']} --out {folder}")
        for folder, results in contents.lessons
    ]
    yield table(["makes", "command"], rows)
    yield paragraph(
        "Same recipe, seed, machine and number of threads: the same numbers, to the bit."
    )


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


def machines(contents: Found) -> Iterator[Html]:
    """Which machine and which versions everything was made with; in most reports one line."""
    runs_of: dict[str, list[str]] = {}
    for run in [*contents.runs, *contents.lesson_runs]:
        manifest = run.manifest
        versions = [f"{name} {version}" for name, version in manifest.get("versions", {}).items()]
        facts = [manifest.get("platform"), manifest.get("device"), manifest.get("precision")]
        threads = f"{manifest['threads']} threads" if "threads" in manifest else None
        runs_of.setdefault(
            ", ".join(filter(None, [*facts, threads, *versions])) or "not recorded", []
        ).append(run.name)
    yield heading("Machine and versions")
    few = {
        facts: ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        for facts, names in runs_of.items()
    }
    yield table(
        ["machine", "runs", "which"],
        ((facts, len(runs_of[facts]), few[facts]) for facts in runs_of),
    )
