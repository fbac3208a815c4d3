"""The row about the playground: how soon a page shows its first probabilities, and how fast it
writes.

Pages with models of the demo's size are opened from disk in headless Chromium, as a double click
would, and asked what they measured themselves. The weights are random: neither time depends on what
they are.

Trade-off: the browser is open already and has nothing else to do; its own start, a second or more,
is not counted.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tinylm.bench.measure import Bar, Reading, Setup, Skip
from tinylm.bench.training import make_trainer
from tinylm.playground.export import write_page
from tinylm.runs import open_run

OPENINGS = 7
SETTLED = 2.0  # seconds until a browser that was just started does nothing of its own any more
TOKENS = 200
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WRITE = {"which": 0, "tokens": TOKENS, "seed": 0, "begin": None}  # no token ends the text early
# milliseconds since the page was asked for
FIRST = "performance.getEntriesByName('probabilities')[0].startTime"
SPEED = (
    "request => ask('write', { ...request, ids: state.ids, sampling: sampling() }).then(r => "
    "r.made / r.seconds)"
)


def page(setup: Setup) -> Iterator[Reading]:
    """A playground page in Chromium: time to its first probabilities, and tokens per second."""
    with browser() as window:
        trainer = make_trainer(
            setup, "demo-base", {"corpus.size": "1000000", "train.device": "cpu"}
        )
        trainer.begin()  # writes the run folder, at step 0
        run = open_run(trainer.folder)
        for runs, what in (([run], "one model"), ([run, run], "two models")):
            file = write_page(runs, setup.scratch / f"{what}.html")
            opened = [measure_page(window, file) for _ in range(OPENINGS)]
            yield Reading(
                "page",
                f"opening a page of {what} to its first probabilities",
                "ms",
                tuple(first for first, _ in opened),
                Bar("<=", 300),
                f"a file of {file.stat().st_size / 1e6:.1f} MB",
            )
            if runs == [run]:
                speeds = tuple(speed for _, speed in opened)
                yield Reading(
                    "page",
                    "writing in a page, on one core",
                    "tokens/s",
                    speeds,
                    Bar(">=", 150),
                    f"{TOKENS} tokens in {TOKENS / median(speeds):.2f} s",
                )


@contextmanager
def browser() -> Iterator[Any]:
    """A window of the system's Chromium, else of playwright's own; Skip where there is neither."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise Skip(
            "needs playwright: pip install playwright, then: playwright install chromium"
        ) from None
    path = next((executable for name in BROWSERS if (executable := shutil.which(name))), None)
    with sync_playwright() as started:
        try:
            chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            raise Skip(
                f"needs Chromium ({str(error).splitlines()[0][:100]}): playwright install chromium"
            ) from None
        chromium.new_context().new_page()
        time.sleep(SETTLED)
        yield chromium.contexts[0]
        chromium.close()


def measure_page(window: Any, file: Path) -> tuple[float, float]:
    """Milliseconds until a newly opened page shows its first probabilities, and the tokens it then
    writes a second."""
    opened = window.new_page()
    time.sleep(SETTLED / 4)
    opened.goto(file.as_uri())
    opened.wait_for_selector("#lens td")  # all of it is drawn
    figures = opened.evaluate(FIRST), opened.evaluate(SPEED, WRITE)
    opened.close()
    return figures
