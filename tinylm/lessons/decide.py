"""When to train, fine-tune, retrieve or call a tool: a page of decisions, each with its evidence.

Nothing is measured here. The results of the other lessons are read, and every row of the page says
what was found on this machine, with its interval. A row whose lesson was not run at full scale is
not decided; it names the command to run. At least one row needs results.

    evidence        the verdict of one lesson per row
    advice          what follows where that claim is supported, and where it is not
    verdict         "supported" if all rows are decided and supported

Trade-off: the thresholds are those of the lessons' own verdicts. They say what a small model does
here. Whether a large one is worth its price elsewhere needs the same measurement there.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tinylm.files import write_text
from tinylm.lessons.experiment import Experiment, Progress
from tinylm.lessons.lesson import Lesson, Result, Verdict
from tinylm.pages.figures import canvas
from tinylm.pages.html import render
from tinylm.runs import read_json

PAGE = "decision.html"


@dataclass(frozen=True)
class Row:
    """A need, the lesson that knows about it, and the advice for each of its verdicts."""

    need: str
    lesson: str
    supported: str
    not_supported: str


ROWS = (
    Row("Facts that change, or that the model never saw", "retrieval",
        "Retrieve: search the documents and let the model "
        "read.", "Do not rely on retrieval yet: reading is too weak."),
    Row("Numbers, records, actions", "tools",
        "Call a tool: the program calculates, looks up and "
        "writes.", "Do not hand this to tools yet: calls go wrong."),
    Row("All of it in one conversation", "assistant",
        "Combine a pretrained base, retrieval and "
        "tools.", "Keep the parts separate: the model decides wrongly."),
    Row("Another tone, style or format", "style",
        "Fine-tune: behaviour changes, most facts "
        "stay.", "Do not fine-tune for style here: it changes too little."),
    Row("Little or poor data for a fine-tune", "quality",
        "Clean the data before anything "
        "else.", "Data quality made no difference here: look elsewhere first."),
    Row("A new skill on a small budget", "foundation",
        "Start from a pretrained base.", "Training from scratch costs no more here."),
    Row("A base that keeps improving", "lock-in",
        "Count the fine-tune as work to redo with each new "
        "base.", "A fine-tune need not be redone here."),
    Row("A domain with its own vocabulary", "domain",
        "Adapt or train on the domain: the general model pays for every "
        "word.", "Keep the general model."),
    Row("A model of your own from nothing", "cost",
        "Do not train from scratch at size: see the "
        "estimate.", "The estimate does not hold here: measure first."),
)  # fmt: skip


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Read what is there, decide row by row, write the page."""
    results_by_lesson = {
        row.lesson: saved_results(experiment.out.parent / row.lesson, experiment.scale)
        for row in ROWS
    }
    if not any(results_by_lesson.values()):
        raise ValueError(
            f"no lesson was run at {experiment.scale} scale in {experiment.out.parent}, so there "
            "is nothing to decide on; begin with: tinylm lesson retrieval"
        )
    yield Progress("reading results", sum(map(bool, results_by_lesson.values())), len(ROWS))
    write_text(experiment.out / PAGE, page(results_by_lesson))
    return conclude(results_by_lesson)


def saved_results(folder: Path, scale: str) -> dict[str, Any] | None:
    """The results of a lesson at this scale; None where it was not run."""
    path = folder / "results.json"
    results = read_json(path) if path.is_file() else None
    return results if results and results["scale"] == scale else None


def decision(row: Row, results: dict[str, Any] | None) -> str:
    """The advice that follows from a lesson's verdict; without results, a refusal that says what to
    run.

    >>> decision(ROWS[0], None)
    'Not decided. Run: tinylm lesson retrieval'
    """
    if results is None:
        return f"Not decided. Run: tinylm lesson {row.lesson}"
    verdict: Verdict = results["verdict"]
    if verdict == "supported":
        return row.supported
    if verdict == "not supported":
        return row.not_supported
    return "Undecided: the lesson found no measurable difference."


def decided(results_by_lesson: Mapping[str, dict[str, Any] | None]) -> list[tuple[str, str, str]]:
    """Each need with its decision and the lesson that it rests on."""
    return [(r.need, decision(r, results_by_lesson.get(r.lesson)), r.lesson) for r in ROWS]


def numbers(results: dict[str, Any]) -> list[tuple[str, str]]:
    """What a lesson measured: each arm with its mean and interval."""
    return [(name, arm_text(arm)) for name, arm in results["arms"].items()]


def page(results_by_lesson: Mapping[str, dict[str, Any] | None]) -> str:
    """The decision page: what to do about what, and the numbers that each line rests on."""
    lessons = [(row.lesson, results_by_lesson[row.lesson]) for row in ROWS]
    return render(
        "decision.html",
        title="When to train, fine-tune, retrieve or call a tool",
        decisions=decided(results_by_lesson),
        lessons=[
            {**results, "lesson": lesson, "numbers": numbers(results)}
            for lesson, results in lessons
            if results is not None
        ],
    )


def arm_text(arm: dict[str, Any]) -> str:
    """An arm's mean and interval, such as "87.2 (84.1 to 90.0) % of questions"."""
    ends = (
        ""
        if arm["low"] is None or arm["high"] is None
        else f" ({arm['low']:.3g} to {arm['high']:.3g})"
    )
    return f"{arm['mean']:.3g}{ends} {arm['unit']}"


def conclude(results_by_lesson: dict[str, dict[str, Any] | None]) -> Result:
    """As much of a verdict as the rows allow: all decided and supported, some refuted, or not
    enough known."""
    present = [results for results in results_by_lesson.values() if results is not None]
    verdicts = [results["verdict"] for results in present]
    complete = len(present) == len(ROWS)
    verdict: Verdict = "no measurable difference"
    if complete and set(verdicts) == {"supported"}:
        verdict = "supported"
    elif "not supported" in verdicts:
        verdict = "not supported"
    missing = [row.lesson for row in ROWS if results_by_lesson[row.lesson] is None]
    sentence = (
        f"{verdicts.count('supported')} of {len(ROWS)} pieces of advice were borne out on this "
        "machine"
    )
    sentence += (
        f"; not decided, because they were not run: {', '.join(missing)}." if missing else "."
    )
    details = {
        "decisions": {row.need: decision(row, results_by_lesson[row.lesson]) for row in ROWS},
        "page": PAGE,
    }
    return Result(verdict, sentence, [], {"decide.png": overview(results_by_lesson)}, {}, details)


def overview(results_by_lesson: dict[str, dict[str, Any] | None]) -> Figure:
    """The decisions as a picture: one line a need."""
    decided = [decision(row, results_by_lesson[row.lesson]) for row in ROWS]
    count = sum(results is not None for results in results_by_lesson.values())
    with canvas(f"{count} of {len(ROWS)} decisions made", (9.0, 4.2)) as figure:
        axes = figure.subplots()
        axes.axis("off")
        for place, (row, words) in enumerate(zip(ROWS, decided)):
            height = 1 - (place + 0.5) / len(ROWS)
            axes.text(
                0.0, height, row.need, fontsize=9, fontweight="bold", transform=axes.transAxes
            )
            axes.text(0.42, height, words, fontsize=9, transform=axes.transAxes)
    return figure


LESSON = Lesson(
    name="decide",
    claim="For most needs, start from a strong foundation model, add knowledge by retrieval and "
    "abilities by tools.",
    question="When to train, to fine-tune, to retrieve, to call a tool, going by what was "
    "measured here?",
    minutes=0.1,
    base_minutes=0.0,
    run=run,
)
