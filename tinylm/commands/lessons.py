"""lesson, cost, host: a claim put to the test on this machine, and what training and hosting at any
size take."""

import math
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional

from tinylm.commands.terminal import clean, say
from tinylm.lessons.hosting import Prices, break_even, per_day, per_request, redoing

if TYPE_CHECKING:
    from tinylm.lessons.lesson import Lesson
    from tinylm.lessons.published import Bill, Gpu


def lesson(
    name: Positional[str | None] = None,
    scale: Literal["smoke", "full"] = "full",
    control: bool = False,
    out: Path | None = None,
    list: bool = False,
) -> None:
    """Test one claim about language models on this machine.

    Args:
        name: A lesson; --list shows them.
        again = ["tinylm", "lesson", name, "--scale", scale, *(["--control"] if control else [])]
        again += ["--out", str(out)] if out else []
        say(
            "The lesson was interrupted; what it has done is saved. Continue with: "
            f"{shlex.join(again)}"
        )
    """
    from tinylm.lessons.lesson import find_lesson, lessons

    if list or name is None:
        for each in lessons():
            minutes = f"{each.minutes:4g} min + {each.base_minutes:g} min shared"
            print(f"{each.name:12} {minutes}   {each.claim}\n{'':12} control: {each.control}")
        return
    chosen = find_lesson(name)
    say(f"{chosen.claim}\n{chosen.question}")
    if control:
        say(f"Control: {chosen.control}")
    results = follow(chosen, scale, out, control)
    if results is None:
        again = ["tinylm", "lesson", name, "--scale", scale, *(["--control"] if control else [])]
        again += ["--out", str(out)] if out else []
        say(
            "The lesson was interrupted; what it has done is saved. Continue with: "
            f"{shlex.join(again)}"
        )
        sys.exit(130)
    for line in summary(results):
        print(clean(line))


def follow(
    chosen: "Lesson", scale: Literal["smoke", "full"], out: Path | None, control: bool = False
) -> dict[str, Any] | None:
    """Run a lesson under one progress bar after another; its results, or None where it was
    stopped."""
    from tqdm.auto import tqdm

    from tinylm.lessons.lesson import run_lesson

    steps, bar, part, progress = run_lesson(chosen, scale, out, control), None, "", None
    with interruptions() as stopped:
        for progress in steps:
            if bar is None or progress.part != part:
                if bar is not None:
                    bar.close()
                bar, part = (
                    tqdm(total=progress.total, desc=progress.part, unit="step", mininterval=0.5),
                    progress.part,
                )
            bar.update(progress.done - bar.n)
            if progress.loss is not None:
                bar.set_postfix_str(f"loss {progress.loss:.3f}", refresh=False)
            if stopped:
                steps.close()
                break
    if bar is not None:
        bar.close()
    return progress.results if progress else None


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """A list that Ctrl-C or a polite kill puts something into; a second one ends the program at
    once."""
    received: list[int] = []

    def stop(number: int, _frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        say("\nstopping after this step; press Ctrl-C again to stop at once")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summary(results: dict[str, Any]) -> Iterator[str]:
    """The results as lines of text: the verdict, the arms with their intervals, the bars, where the
    pictures are."""
    yield f"{results['verdict'].upper()}: {results['sentence']}"
    if results["control"]:
        supported = results["verdict"] == "supported"
        judged = "a PROBLEM: the effect shows without its cause" if supported else "as it must be"
        yield f"This is the verdict of the control, {judged}."
    for name, arm in results["arms"].items():
        ends = (
            ""
            if arm["low"] is None or arm["high"] is None
            else f" ({arm['low']:.4g} to {arm['high']:.4g})"
        )
        yield f"  {name:34} {arm['mean']:.4g}{ends} {arm['unit']}"
    for target, met in results["bars"].items():
        yield f"  {'met   ' if met else 'missed'}  {target}"
    yield f"{results['minutes']:.1f} minutes, and {results['base_minutes']:.1f} of shared runs"


def cost(
    parameters: float,
    tokens: float,
    gpu: Literal["v100", "a100", "h100", "h200", "b200"] = "h100",
    price: float | None = None,
) -> None:
    """Calculate what training a model takes: FLOPs, GPU-hours, money and energy.

    Args:
        parameters: Weights of the model (of a mixture of experts: those that one token passes
            through), e.g. 7e9.
        tokens: Tokens it is trained on, e.g. 2e12.
        gpu: The processor, by its datasheet.
        price: Dollars for one GPU-hour. Default: a rough price of renting one.
    """
    from tinylm.lessons.published import GPUS, MODELS, bill

    check_positive(parameters=parameters, tokens=tokens, price=1.0 if price is None else price)
    chosen = GPUS[gpu]
    rate = chosen.dollars_per_hour if price is None else price
    print(
        f"{parameters:.3g} parameters on {tokens:.3g} tokens ({tokens / parameters:.3g} tokens a "
        "parameter)"
    )
    for line in bill_lines(bill(parameters, tokens, chosen, price), chosen, rate):
        print(line)
    low, high = min(model.ratio for model in MODELS), max(model.ratio for model in MODELS)
    say(
        f"The GPU-hours of {len(MODELS)} models are published: this calculation gives {low:.2f} to "
        f"{high:.2f} times those. See: tinylm lesson cost"
    )


def bill_lines(bill: "Bill", gpu: "Gpu", rate: float) -> Iterator[str]:
    """What a training takes, one line for each kind of cost; `rate` in dollars for a GPU-hour."""
    from tinylm.lessons.published import UTILISATION

    hours = bill.gpu_hours
    yield f"FLOPs      {bill.flops:.3g}   (6 x parameters x tokens)"
    yield (
        f"GPU-hours  {hours:,.0f}   ({gpu.name}, {UTILISATION:.0%} of "
        f"{gpu.peak / 1e12:.0f} TFLOP/s)"
    )
    yield f"days       {hours / 24:,.0f} on one GPU, {hours / 24 / 1000:,.1f} on a thousand"
    yield f"money      ${bill.dollars:,.0f}   (${rate:g} a GPU-hour)"
    yield (
        f"energy     {bill.kilowatt_hours:,.0f} kWh   ({gpu.watts:g} W a GPU, a fifth on top for "
        "the building)"
    )


LIST_PRICES = Prices()


def host(prices: OmitArgPrefixes[Prices] = LIST_PRICES) -> None:
    """Compare hosting a model yourself with paying per request: which costs less a day? And what
    does it cost to fine-tune again, with every version of the base?

    Args:
        prices: Your prices.
    """
    check_positive(**asdict(prices))
    each, even = per_request(prices), break_even(prices)
    print(f"{'requests a day':>14}  {'own host':>12}  {'per request':>12}   (dollars a day)")
    for requests in (100, 1_000, 10_000, 100_000, 1_000_000):
        print(f"{requests:>14,}  {per_day(prices, requests):>12,.2f}  {requests * each:>12,.2f}")
    print(f"break-even: {even:,.0f} requests a day" if even else
          "no break-even: one host cannot answer that many requests")  # fmt: skip
    again = redoing(prices)
    print(
        f"fine-tuning again: ${again.dollars:,.2f} ({again.gpu_hours:,.1f} hours of an H100, "
        f"{again.flops:.1e} FLOPs) for each version of the base"
    )


def check_positive(**values: float) -> None:
    """ValueError for an option that is no number above 0."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(
                f"--{name.replace('_', '-')} {value:g} must be a number above 0, such as 7e9"
            )
