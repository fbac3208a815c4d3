"""The tables of the guides, written from measured results and never by hand.

    python -m tinylm.workshop.tables                      # what `make tables` runs
    python -m tinylm.workshop.tables runs/demo/compare    # take over the figures of a demo first
    python -m tinylm.workshop.tables runs/lessons/reward  # or those of a lesson, or of a control

A guide holds a table between two marks, `<!-- NAME -->` and `<!-- end of NAME -->`. The results
that it is made from are committed beside the guides; a test compares the two.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinylm.files import write_text, write_whole
from tinylm.lessons.lesson import LESSONS as LESSON_NAMES
from tinylm.lessons.lesson import control_verdict, is_control, lessons
from tinylm.recipes import ROOT, load_recipe

CLONE = ROOT.parent
DEMO, LESSONS = CLONE / "notebooks" / "demo.json", CLONE / "notebooks" / "results.json"

# The front page's rows: the name of a measure in comparison.json, and what it means in plain words.
FRONT_ROWS = {
    "Lines that scan": "lines that keep the metre (iambic pentameter)",
    "Same lines, words shuffled": "the same lines with their words shuffled",
    "Text cut at ten syllables": "the text cut at every tenth syllable, line breaks ignored",
    "Different words": "different words in 50 lines, of all their words",
    "Copied lines": "lines copied from the training text",
    "Bits per byte, verse": "bits per byte of unseen verse (lower: better predicted)",
    "Bits per byte, stories": "bits per byte of unseen stories",
    "Facts known": "facts of the town known, four-way questions (guessing: 25 %)",
}


def main(arguments: Sequence[str]) -> None:
    """Write all tables; with folders of comparisons or lessons, take their figures over first."""
    for folder in map(Path, arguments):
        (take_over if (folder / "comparison.json").is_file() else take_over_lesson)(folder)
    for guide, name, table in tables():
        path = CLONE / guide
        write_text(path, filled(path.read_text(encoding="utf-8"), name, table()))


def tables() -> list[tuple[str, str, Callable[[], str]]]:
    """Every generated table: the guide, the name of its marks, and what writes it."""
    return [
        ("README.md", "demo", front_table),
        ("notebooks/RESULTS.md", "demo", demo_table),
        ("notebooks/RESULTS.md", "lessons", lessons_table),
        ("notebooks/RESULTS.md", "controls", controls_table),
        ("notebooks/RESULTS.md", "frontier", frontier_table),
        ("configs/README.md", "recipes", recipes_table),
    ]


def filled(guide: str, name: str, table: str) -> str:
    """The guide with `table` between the marks called `name`.

    >>> filled("a\\n<!-- x -->\\nold\\n<!-- end of x -->\\nb", "x", "new")
    'a\\n<!-- x -->\\nnew\\n<!-- end of x -->\\nb'
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = guide.partition(begin)
    _, marked, after = rest.partition(end)
    if not marked:
        raise ValueError(f"the guide has no marks {begin.strip()} and {end}")
    return f"{before}{begin}{table}\n{end}{after}"


def take_over(comparison: Path) -> None:
    """Keep what the guides show of a comparison, and its picture of the effect."""
    result = json.loads((comparison / "comparison.json").read_text(encoding="utf-8"))
    kept = {"runs": [run["run"] for run in result["runs"]], "rows": []}
    for row in result["scoreboard"]:
        name = row["name"]
        if name.startswith("Bits per byte"):  # named after runs there; here after their texts
            name = "Bits per byte, " + ("stories" if "base" in name else "verse")
        kept["rows"].append({"name": name, "unit": row["unit"], "values": row["values"]})
    write_text(DEMO, json.dumps(kept, indent=1) + "\n")
    if (comparison / "effect.svg").is_file():
        picture = CLONE / "notebooks" / "images" / "effect.svg"
        write_whole({picture: (comparison / "effect.svg").read_bytes()})


def take_over_lesson(folder: Path) -> None:
    """Keep the verdict, the sentence and the arms of a lesson, in the lessons' order; those of a
    control with its lesson, where they stay until they are taken over anew."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    if results["scale"] != "full":
        raise ValueError(f"{folder} was run at smoke scale, which concludes nothing")
    missed = [name for name, met in results["bars"].items() if not met]
    measured = results["sentence"] + "".join(f" **Missed**: {name}." for name in missed)
    known = {own["lesson"]: own for own in json.loads(LESSONS.read_text("utf-8"))["lessons"]}
    name = results["lesson"]
    if is_control(results):
        if name not in known:
            raise ValueError(f"{folder} is the control of {name}; take the lesson over first")
        # Targets were set for the lesson. What is taken away stands in a column of its own.
        alone = results["sentence"].removeprefix(f"Control: {results['control_takes_away']} ")
        kept = {"verdict": results["verdict"], "measured": alone, "minutes": results["minutes"]}
        known[name]["control"] = kept
    else:
        new = {key: results[key] for key in ("lesson", "claim", "verdict")}
        new |= {"measured": measured, "minutes": results["minutes"], "arms": results["arms"]}
        control = {"control": known[name]["control"]} if "control" in known.get(name, {}) else {}
        known[name] = new | control
    order = [name.replace("_", "-") for name in LESSON_NAMES]
    every = {"lessons": [known[name] for name in order if name in known]}
    LESSONS.write_text(json.dumps(every, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def demo_cells() -> tuple[list[str], dict[str, list[str]]]:
    """The runs of the demo, and the cells of each measure."""
    demo = json.loads(DEMO.read_text(encoding="utf-8"))
    return demo["runs"], {
        row["name"]: [shown(value, row["unit"]) for value in row["values"]] for row in demo["rows"]
    }


def front_table() -> str:
    """The few figures of the front page, without their intervals."""
    runs, cells = demo_cells()
    rows = []
    for name, words in FRONT_ROWS.items():
        means = [cell.split(" (")[0] for cell in cells[name]]
        rows.append([words, *means])
    return markdown(["", *runs], rows)


def demo_table() -> str:
    """Every measure of the demo with its interval."""
    runs, cells = demo_cells()
    return markdown(["measure", *runs], [[name, *values] for name, values in cells.items()])


def shown(value: dict[str, Any] | None, unit: str) -> str:
    """A measure with its interval.

    >>> shown({"mean": 0.364, "low": 0.33, "high": 0.392}, "share")
    '36 % (33 to 39)'
    """
    if value is None:
        return "–"
    mean, low, high = (value[key] for key in ("mean", "low", "high"))
    if unit in ("share", "points"):
        return f"{100 * mean:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
    digits = 3 if unit == "bits/byte" else 1
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def lessons_table() -> str:
    """The lessons with their claims, verdicts, those of their controls, and figures."""
    rows = []
    for own in json.loads(LESSONS.read_text(encoding="utf-8"))["lessons"]:
        verdicts = [own["verdict"], control_verdict(own.get("control"))]
        rows.append([f"`{own['lesson']}`", own["claim"], *verdicts, own["measured"]])
    return markdown(["lesson", "claim", "verdict", "control", "what was measured"], rows)


def controls_table() -> str:
    """What the control of each lesson takes away, and what was measured then."""
    kept = json.loads(LESSONS.read_text(encoding="utf-8"))["lessons"]
    controls = {own["lesson"]: own.get("control") for own in kept}
    rows = []
    for lesson in lessons():
        control = controls.get(lesson.name)
        measured = control["measured"] if control else "–"
        rows.append([f"`{lesson.name}`", lesson.control, control_verdict(control), measured])
    return markdown(["lesson", "what its control takes away", "verdict", "what was measured"], rows)


def frontier_table() -> str:
    """Lesson reward: what each weight of the KL term gains and costs."""
    kept = json.loads(LESSONS.read_text(encoding="utf-8"))["lessons"]
    arms = next(own["arms"] for own in kept if own["lesson"] == "reward")
    columns = {
        "metre": "lines that scan",
        "shuffled": "with their words shuffled",
        "words": "different words in 50 lines",
        "verse": "bits per byte of unseen verse",
    }
    names = [name.removeprefix("metre: ") for name in arms if name.startswith("metre: ")]
    rows = []
    for name in names:
        own = [arms[f"{measure}: {name}"] for measure in columns]
        rows.append([name, *(shown(value, value["unit"]) for value in own)])
    return markdown(["arm", *columns.values()], rows)


def recipes_table() -> str:
    """The shipped recipes with what their headers say of time and result."""
    rows = []
    for path in sorted((CLONE / "configs").glob("*.toml")):
        rows.append([f"`{path.stem}`", load_recipe(str(path)).purpose, *time_and_result(path)])
    return markdown(["recipe", "purpose", "time", "what comes out"], rows)


def time_and_result(recipe: Path) -> tuple[str, str]:
    """What a recipe's header says behind `Time:` and `Expect:`; two empty texts without them."""
    header = re.match(r"(?:#.*\n)+", recipe.read_text(encoding="utf-8"))
    words = " ".join(line.strip("# ") for line in header[0].splitlines()) if header else ""
    match = re.search(r"Time: (.*?)\. Expect[:,] (.*?)(?:\.(?= |$)|$)", words)
    return (match[1], match[2]) if match else ("", "")


if __name__ == "__main__":
    main(sys.argv[1:])
