"""When to train, fine-tune, retrieve or call a tool: a page of decisions, each with its evidence.

Design. Nothing is measured here. The results of the other lessons are read, and every row of the
page says what was found on this machine, with its interval. A row whose lesson was not run at full
scale is not decided; it names the command to run. At least one row needs results.

    manipulated     nothing: each row rests on the manipulation of its own lesson
    constant        the rule from a verdict to an advice, written down before any result
    effect          the verdict of one lesson for each row
    null            a row whose claim was refuted gives the opposite advice
    control         a row without results stays undecided: nothing is advised by default
    price           one sentence for each need; the numbers behind it stand on the same page
    seeds           those of the lessons
    control run     every row rests on the control of its lesson. Expected: no advice is borne out,
                    or a lesson would support it without its cause
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
from tinylm.lessons.experiment import Experiment, Progress, folder_name
from tinylm.lessons.lesson import Lesson, Result, Verdict
from tinylm.pages.figures import canvas
from tinylm.pages.html import render
from tinylm.runs import read_json

PAGE = "decision.html"


@dataclass(frozen=True)
class Row:
    """A need, the lesson that knows about it, and the advice for each of its verdicts."""

    need: str  # what somebody wants of a model
    lesson: str
    supported: str  # the advice where the lesson's claim was borne out
    not_supported: str  # and where it was refuted


# By effort: looking up and calling train nothing, fine-tunes train a little, the last row trains
# everything from nothing.
ROWS = (
    Row(
        # Right answers: looked up against from the weights, before and after a new edition.
        "Facts that change, or that the model never saw",
        "retrieval",
        "Retrieve: search the documents and let the model read.",
        "Do not rely on retrieval yet: reading is too weak.",
    ),
    Row(
        # Right answers with and without tools, on numbers and orders that are new.
        "Numbers, records, actions",
        "tools",
        "Call a tool: the program calculates, looks up and writes.",
        "Do not hand this to tools yet: calls go wrong.",
    ),
    Row(
        # Right answers and first decisions in mixed messages.
        "All of it in one conversation",
        "assistant",
        "Combine a pretrained base, retrieval and tools.",
        "Keep the parts separate: the model decides wrongly.",
    ),
    Row(
        # Lines that scan after a fine-tune, and no facts gained by it.
        "Another tone, style or format",
        "style",
        "Fine-tune: behaviour changes, most facts stay.",
        "Do not fine-tune for style here: it changes too little.",
    ),
    Row(
        # Bits per byte after fine-tunes on fewer and on spoiled poems.
        "Little or poor data for a fine-tune",
        "quality",
        "Clean the data before anything else.",
        "Data quality made no difference here: look elsewhere first.",
    ),
    Row(
        # Steps to a loss, from the base and from random weights.
        "A new skill on a small budget",
        "foundation",
        "Start from a pretrained base.",
        "Training from scratch costs no more here.",
    ),
    Row(
        # New facts known by a base's next version and by the child of the last one.
        "A base that keeps improving",
        "lock-in",
        "Count the fine-tune as work to redo with each new base.",
        "A fine-tune need not be redone here.",
    ),
    Row(
        # Tokens per word, bits per byte and right answers, before and after adapting.
        "A domain with its own vocabulary",
        "domain",
        "Adapt or train on the domain: the general model pays for every word.",
        "Keep the general model.",
    ),
    Row(
        # An estimate from a law fitted here, held against published figures.
        "A model of your own from nothing",
        "cost",
        "Do not train from scratch at size: see the estimate.",
        "The estimate does not hold here: measure first.",
    ),
)


def run(experiment: Experiment) -> Generator[Progress, None, Result]:
    """Read what is there, decide row by row, write the page."""
    # Lessons stand beside each other, so this one finds the others without being told where.
    results_by_lesson = {
        row.lesson: saved_results(
            experiment.out.parent / folder_name(row.lesson, experiment.control), experiment.scale
        )
        for row in ROWS
    }
    # A page without a single number would only repeat common advice.
    if not any(results_by_lesson.values()):
        raise ValueError(
            f"no lesson was run at {experiment.scale} scale in {experiment.out.parent}, so there "
            f"is nothing to decide on; begin with: {command('retrieval', experiment.control)}"
        )
    # Lessons with results, of all that the page needs.
    present = sum(results is not None for results in results_by_lesson.values())
    yield Progress("reading results", present, len(ROWS))
    # A page beside the picture: it holds the numbers and is made to be printed and passed on.
    write_text(experiment.out / PAGE, page(results_by_lesson, experiment.control))
    return conclude(results_by_lesson, experiment.control)


def saved_results(folder: Path, scale: str) -> dict[str, Any] | None:
    """The results of a lesson at this scale; None where it was not run."""
    path = folder / "results.json"
    if not path.is_file():
        return None
    results: dict[str, Any] = read_json(path)
    # Smoke results prove that the code runs. They say nothing about any claim.
    return results if results["scale"] == scale else None


def command(lesson: str, control: bool) -> str:
    """What runs a lesson, or its control."""
    return f"tinylm lesson {lesson}" + (" --control" if control else "")


def decision(row: Row, results: dict[str, Any] | None, control: bool = False) -> str:
    """The advice that follows from a lesson's verdict; without results, a refusal that says what to
    run.

    >>> decision(ROWS[0], None)
    'Not decided. Run: tinylm lesson retrieval'
    """
    # A row is never decided by what other lessons found.
    if results is None:
        return f"Not decided. Run: {command(row.lesson, control)}"
    # Only the verdict decides: means and missed targets do not change the advice.
    verdict: Verdict = results["verdict"]
    if verdict == "supported":
        return row.supported
    if verdict == "not supported":
        return row.not_supported
    # Its interval holds the null: neither advice may be given.
    return "Undecided: the lesson found no measurable difference."


def decided(
    results_by_lesson: Mapping[str, dict[str, Any] | None], control: bool = False
) -> list[tuple[str, str, str]]:
    """Each need with its decision and the lesson that it rests on."""
    rows = []
    for row in ROWS:
        advice = decision(row, results_by_lesson.get(row.lesson), control)
        rows.append((row.need, advice, row.lesson))
    return rows


def numbers(results: dict[str, Any]) -> list[tuple[str, str]]:
    """What a lesson measured: each arm with its mean and interval."""
    # The JSON of a lesson and not its code: a lesson that was run last year can still be shown.
    return [(name, arm_text(arm)) for name, arm in results["arms"].items()]


def page(results_by_lesson: Mapping[str, dict[str, Any] | None], control: bool = False) -> str:
    """The decision page: what to do about what, and the numbers that each line rests on."""
    # In the order of the rows, so that the evidence follows the decisions.
    lessons = [(row.lesson, results_by_lesson[row.lesson]) for row in ROWS]
    return render(
        "decision.html",
        title="When to train, fine-tune, retrieve or call a tool",
        # The template escapes every value: results are data, never markup.
        decisions=decided(results_by_lesson, control),
        lessons=[
            {**results, "lesson": lesson, "numbers": numbers(results)}
            for lesson, results in lessons
            if results is not None
        ],
    )


def arm_text(arm: dict[str, Any]) -> str:
    """An arm's mean and interval, such as "87.2 (84.1 to 90.0) % of questions"."""
    ends = ""
    # An end is null where nothing is known of it, as with a single value.
    if arm["low"] is not None and arm["high"] is not None:
        ends = f" ({arm['low']:.3g} to {arm['high']:.3g})"
    return f"{arm['mean']:.3g}{ends} {arm['unit']}"


def conclude(results_by_lesson: dict[str, dict[str, Any] | None], control: bool = False) -> Result:
    """As much of a verdict as the rows allow: all decided and supported, some refuted, or not
    enough known."""
    present = [results for results in results_by_lesson.values() if results is not None]
    verdicts = [results["verdict"] for results in present]
    # Of a page with gaps nobody may say that it is borne out.
    complete = len(present) == len(ROWS)
    # One refuted row refutes the page. Missing rows only keep it from being supported.
    verdict: Verdict = "no measurable difference"
    if complete and set(verdicts) == {"supported"}:
        verdict = "supported"
    elif "not supported" in verdicts:
        verdict = "not supported"
    # Named in the sentence: a gap should be seen without opening the page.
    missing = [row.lesson for row in ROWS if results_by_lesson[row.lesson] is None]
    sentence = (
        f"{verdicts.count('supported')} of {len(ROWS)} pieces of advice were borne out on this "
        "machine"
    )
    if missing:
        sentence += f"; not decided, because they were not run: {', '.join(missing)}"
    sentence += "."
    details = {
        "decisions": {need: advice for need, advice, _ in decided(results_by_lesson, control)},
        "page": PAGE,
    }
    # No arms and no targets: they stand in the results of the lessons.
    figures = {"decide.png": overview(results_by_lesson, control)}
    return Result(verdict, sentence, [], figures, {}, details)


def overview(results_by_lesson: dict[str, dict[str, Any] | None], control: bool) -> Figure:
    """The decisions as a picture: one line a need."""
    decisions = [advice for _, advice, _ in decided(results_by_lesson, control)]
    # Rows with results; the title says how much of the page is known.
    count = sum(results is not None for results in results_by_lesson.values())
    with canvas(f"{count} of {len(ROWS)} decisions made", (9.0, 4.2)) as figure:
        # One axes without ticks; the rows are placed by hand.
        axes = figure.subplots()
        axes.axis("off")  # a table of words, drawn so that it stands beside the other pictures
        for place, (row, words) in enumerate(zip(ROWS, decisions)):
            # In shares of the picture: 0 is its foot, 1 its top, and each row has its middle.
            height = 1 - (place + 0.5) / len(ROWS)
            axes.text(
                0.0, height, row.need, fontsize=9, fontweight="bold", transform=axes.transAxes
            )
            # Needs to the left, advice from 0.42 of the width on.
            axes.text(0.42, height, words, fontsize=9, transform=axes.transAxes)
    return figure


LESSON = Lesson(
    name="decide",
    claim="For most needs, start from a strong foundation model, add knowledge by retrieval and "
    "abilities by tools.",
    question="When to train, to fine-tune, to retrieve, to call a tool, going by what was "
    "measured here?",
    control="Every decision rests on the verdict of the control of its lesson.",
    minutes=0.1,
    base_minutes=0.0,
    run=run,
)
