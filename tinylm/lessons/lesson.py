"""What all lessons share: a claim, a question, and results that say only what was measured.

A lesson is a file with a record `LESSON` and a function `run(experiment)`, a generator: it yields
progress and returns a `Result`. `run_lesson` writes that down as results.json with the pictures
beside it.

Two things are kept apart.

    verdict    on the claim: is the effect beyond its null? Computed from whole intervals (`above`,
               `below`, `together`), never from means. An effect whose interval holds the null is
               "no measurable difference". The null is 0 (or a ratio of 1) unless the claim itself
               needs a margin, such as "does not copy"; the header of the lesson states it.
    targets    how large the effect was hoped to be, set in advance and compared with the means. A
               missed target stays missed, and does not change the verdict.

A lesson can be wrong in a third way: its verdict could be "supported" whatever the world is like.
`--control` shows that it is not. The same code runs at the same scale without the cause that the
claim names (`Lesson.control` says what is taken away), and its verdict must not be "supported".
With an effect of nothing, chance alone supports one control in forty: the intervals are of 95 %,
and only one of their sides counts. What a control leaves out is stated before it is run.

Every lesson's header states its design: what is manipulated and what is constant, the effect and
its null, the control, the price, the seeds, what was tried before, the trade-off.

Trade-off: a verdict by intervals over three seeds is slow to support anything. A true effect may
stay "no measurable difference" until it is large or the seeds are more.
"""

import math
import os
import platform
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from tinylm.config import closest
from tinylm.evaluation.statistics import Interval, interval
from tinylm.files import write_whole
from tinylm.lessons.experiment import Experiment, Progress, Scale, folder_name
from tinylm.pages.figures import MARKERS, canvas, colour, figure_file
from tinylm.runs import read_json, to_json

# Of the claim, not of the model: "no measurable difference" is no failure.
Verdict = Literal["supported", "not supported", "no measurable difference"]

# The modules, in the order of the article.
LESSONS = (
    "next_token",
    "emergence",
    "memorise",
    "reasoning",
    "cost",
    "style",
    "reward",
    "quality",
    "lock_in",
    "foundation",
    "domain",
    "retrieval",
    "tools",
    "assistant",
    "decide",
)


@dataclass(frozen=True)
class Arm:
    """One of the things compared: a value for each seed, and the interval they give."""

    name: str
    unit: str
    # One a seed, in the order of `Experiment.seeds`; one in all where no seed plays a part.
    values: Sequence[float]
    # Where more than the seeds was sampled; default: Student t over the seeds.
    spread: Interval | None = None

    @property
    def interval(self) -> Interval:
        """The mean over the values with its 95 % interval."""
        return self.spread or interval(self.values, groups=range(len(self.values)))


@dataclass(frozen=True)
class Result:
    """What a lesson measured, and what follows from it."""

    verdict: Verdict  # on the claim: the effect's interval against the null
    sentence: str  # the outcome with its numbers
    arms: Sequence[Arm]
    figures: dict[str, Figure]  # file name -> picture
    # Hoped-for size of an effect -> whether the mean reached it; "bars" in results.json.
    targets: dict[str, bool] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)  # JSON values: all that the pictures draw


@dataclass(frozen=True)
class Lesson:
    """One claim, and how it is put to the test."""

    name: str
    claim: str
    question: str
    control: str  # what the control takes away, in one sentence
    minutes: float  # of its own at full scale on 2 cores
    base_minutes: float  # of the shared runs it needs, where they are not there yet
    run: Callable[[Experiment], Generator[Progress, None, Result]]


def lessons() -> list[Lesson]:
    """All lessons."""
    return [import_module(f"tinylm.lessons.{module}").LESSON for module in LESSONS]


def find_lesson(name: str) -> Lesson:
    """The lesson called `name`; ValueError names the closest one."""
    # Names are typed on a command line: lock-in, where Python wants lock_in.
    names = [module.replace("_", "-") for module in LESSONS]
    if name not in names:
        raise ValueError(f"no lesson {name}{closest(name, names)}; there are: {', '.join(names)}")
    lesson: Lesson = import_module(f"tinylm.lessons.{LESSONS[names.index(name)]}").LESSON
    return lesson


def run_lesson(
    lesson: Lesson, scale: Scale, out: Path | None = None, control: bool = False
) -> Generator[Progress, None, None]:
    """Yield progress until all is measured; the last record carries the results, which then stand
    in `out` too. ValueError where `out` has those of the lesson and its control is run, or the
    other way round."""
    # The scales have folders of their own: what was only tried never passes for measured. So have
    # a lesson and its control, one beside the other, since both use the same shared runs.
    home = Path("runs") / ("lessons" if scale == "full" else "lessons-smoke")
    out = out or home / folder_name(lesson.name, control)
    if (out / "results.json").is_file() and is_control(read_json(out / "results.json")) != control:
        own = "the lesson itself" if control else "a control"
        raise ValueError(f"{out} has the results of {own}; give another folder with --out")
    # What an earlier try has trained and measured in `out` is found there.
    experiment = Experiment(scale, out, control)
    # `yield from` passes the progress on, and gives what the generator returns.
    result = yield from lesson.run(experiment)
    results = results_json(lesson, experiment, result)
    # Results and pictures appear together or not at all: none stands beside an older one's numbers.
    drawn = {out / name: figure_file(figure, out / name) for name, figure in result.figures.items()}
    write_whole({**drawn, out / "results.json": to_json(results)})
    yield Progress("results", 1, 1, results=results)


def results_json(lesson: Lesson, experiment: Experiment, result: Result) -> dict[str, Any]:
    """Everything that is found out, as JSON values. A smoke run concludes nothing, whatever its
    numbers are."""
    full = experiment.scale == "full"
    warning = ""
    if not full:
        warning = "Smoke scale: everything ran, nothing was learned, nothing can be concluded. "
    if experiment.control:
        # Whoever quotes the sentence quotes this too: an arm's name says what it stands for in the
        # lesson.
        warning += f"Control: {lesson.control} "
    return {
        "lesson": lesson.name,
        "scale": experiment.scale,
        "control": experiment.control,
        "control_takes_away": lesson.control,
        "claim": lesson.claim,
        "question": lesson.question,
        # An untrained model may differ from another by chance, and look like support.
        "verdict": result.verdict if full else "no measurable difference",
        "sentence": warning + result.sentence,
        "bars": result.targets,
        "seeds": list(experiment.seeds),
        "arms": {arm.name: arm_json(arm, experiment.seeds) for arm in result.arms},
        "figures": sorted(result.figures),
        # All that the pictures draw: they can be drawn again, and anything else counted.
        "details": result.details,
        # Which rates were tried for which arm: whether the comparison was fair can be checked.
        "learning_rate_search": experiment.searches,
        # Of the lesson's own work, and of the shared runs, which other lessons have need of too.
        "minutes": experiment.seconds / 60,
        "base_minutes": experiment.base_seconds / 60,
        "machine": machine(),
    }


def is_control(results: dict[str, Any]) -> bool:
    """Whether results are those of a control. Older results are of lessons: they do not say it."""
    return bool(results.get("control", False))


def control_verdict(results: dict[str, Any] | None) -> str:
    """The verdict of a control for tables; a supported one is marked, since it should not be.

    >>> control_verdict(None), control_verdict({"verdict": "not supported"})
    ('not run', 'not supported')
    >>> control_verdict({"verdict": "supported"})
    'PROBLEM: supported'
    """
    if results is None:
        return "not run"
    # The effect shows without its cause: the experiment cannot tell the claim from its opposite.
    problem = "PROBLEM: " if results["verdict"] == "supported" else ""
    return problem + str(results["verdict"])


def arm_json(arm: Arm, seeds: Sequence[int]) -> dict[str, Any]:
    """An arm's value for each seed, their mean and its 95 % interval; an end that nothing is known
    of is null."""
    # Over the seeds, or over more than those where the lesson sampled more.
    spread = arm.interval
    # An arm without seeds, such as counting, has one value for all of them.
    has_seeds = len(arm.values) == len(seeds)
    names = [str(seed) for seed in seeds] if has_seeds else ["all"] * len(arm.values)
    return {
        "unit": arm.unit,
        "seeds": dict(zip(names, map(float, arm.values))),
        "mean": spread.mean,
        "low": finite_or_none(spread.low),
        "high": finite_or_none(spread.high),
    }


def finite_or_none(value: float) -> float | None:
    """The value; None in the place of an infinity, which JSON has no way to write."""
    return value if math.isfinite(value) else None


def machine() -> dict[str, Any]:
    """What the minutes were measured on."""
    # Minutes without a machine beside them mean nothing to a reader with another one.
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        # What the runs train on where there is one; None: they trained on the processor.
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
    }


# -- verdicts -------------------------------------------------------------------------------------


def above(value: Interval, threshold: float = 0.0) -> Verdict:
    """Whether a number, or the difference of two, lies above a threshold with its whole interval.

    >>> (above(Interval(0.3, 0.1, 0.5)), above(Interval(0.3, 0.1, 0.5), threshold=0.2),
    ...  above(Interval(-1.0, -2.0, -0.5)))
    ('supported', 'no measurable difference', 'not supported')
    """
    if value.low > threshold:
        return "supported"
    # An interval that holds the threshold allows both: that is neither support nor refutation. Only
    # a whole interval on the other side refutes.
    return "not supported" if value.high < threshold else "no measurable difference"


def below(value: Interval, threshold: float = 0.0) -> Verdict:
    """The same for lying below a threshold."""
    # Turned over: the high end becomes the low one.
    return above(Interval(-value.mean, -value.high, -value.low), -threshold)


def together(*verdicts: Verdict) -> Verdict:
    """The verdict on a claim with several parts: it stands with all of them and falls with any.

    >>> together("supported", "no measurable difference"), together("supported", "not supported")
    ('no measurable difference', 'not supported')
    """
    # From worst to best: a chain is as strong as its weakest link.
    order: tuple[Verdict, ...] = ("not supported", "no measurable difference", "supported")
    return min(verdicts, key=order.index)


# -- pictures -------------------------------------------------------------------------------------


def dots(title: str, arms: Sequence[Arm], label: str) -> Figure:
    """Each arm's seeds as faint dots, their mean and its interval beside them; `label` names the
    axis and its unit."""
    # Higher with every arm, so that names and dots never touch.
    with canvas(title, (8.0, 1.8 + 0.48 * len(arms))) as figure:
        dots_on(figure.subplots(), arms, label)
    return figure


def dots_on(axes: Axes, arms: Sequence[Arm], label: str) -> None:
    """The same on axes of a larger picture."""
    for row, arm in enumerate(arms):
        # Colour and marker both: prints are grey, and some readers do not tell colours apart.
        value, mark = arm.interval, MARKERS[row % len(MARKERS)]
        own_row = [row] * len(arm.values)
        axes.plot(arm.values, own_row, mark, color=colour(row), alpha=0.35, markersize=6)
        axes.plot([value.mean], [row], mark, color=colour(row), markersize=9)
        # One value has no interval: its ends are infinite, and no line is drawn.
        if math.isfinite(value.low) and math.isfinite(value.high):
            axes.plot([value.low, value.high], [row, row], color=colour(row))
        # The mean as a number, nine points above its mark.
        axes.annotate(
            f"{value.mean:.3g}", (value.mean, row), (0, 9), textcoords="offset points", ha="center"
        )
    axes.set_yticks(range(len(arms)), [arm.name for arm in arms])
    # Turned over, so that the first arm stands on top.
    axes.set(xlabel=label, ylim=(len(arms) - 0.4, -0.6))
    axes.grid(axis="y", visible=False)


def band(
    axes: Axes, x: Sequence[float], values: Sequence[Interval], place: int, label: str | None = None
) -> None:
    """A curve with its intervals as a band; `place` chooses colour and marker."""
    low = np.array([value.low for value in values])  # (points,), as the next two
    mean = np.array([value.mean for value in values])
    high = np.array([value.high for value in values])
    # Nothing is drawn where an end is unknown.
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(x, low, high, where=known, color=colour(place), alpha=0.16, lw=0)
    axes.plot(x, mean, color=colour(place), marker=MARKERS[place % len(MARKERS)], label=label)


def logarithmic(axis: Axis) -> None:
    """Give an x or y axis a logarithmic scale with plain numbers, fewer of them the more decades it
    spans."""
    axes = axis.axes
    set_scale = axes.set_xscale if axis is axes.xaxis else axes.set_yscale
    set_scale("log")
    low, high = axis.get_data_interval()
    # Numbers at these multiples of each power of ten: few over many decades, or they would touch.
    multiples: tuple[int, ...] = (1, 2, 5)
    if high >= 100 * low:
        multiples = (1, 3)
    if high >= 3000 * low:
        multiples = (1,)
    axis.set_major_locator(LogLocator(subs=multiples))
    # 10,000 and not 10 to the 4: plain numbers are read faster.
    axis.set_major_formatter("{x:,.12g}")
    axis.set_minor_formatter(NullFormatter())
