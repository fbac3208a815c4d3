"""What a loss costs from one start, as a share of what it costs from another.

Design. No claim is tested here: see foundation.py.

    constant        the goal: the loss that random weights, the stranger, reach with everything
    effect          the price of the goal from the base over the stranger's own price
    null            1
    price           none: it is read off from validations that were made on the way

Trade-off: between two points a straight line is supposed, so a share is as fine as its points.
"""

from itertools import pairwise

import numpy as np

from tinylm.runs import Run

Curve = list[tuple[float, float]]  # (price, bits per byte of unseen text), from the cheapest on
NEVER = 2.0  # share where the base does not get there: beyond the null, whatever it would take


def curve_of(run: Run) -> Curve:
    """A run's validations in order, as (step, bits per byte)."""
    # Step 0 is validated too: what the start is worth before it has learned anything.
    return [(float(record["step"]), record["bits_per_byte"]) for record in run.records("valid")]


def best_of(curve: Curve) -> float:
    """The lowest and not the last loss: a model may have learned its text by heart since."""
    return min(value for _, value in curve)


def price_of(curve: Curve, goal: float) -> float | None:
    """The price at which a curve first comes down to `goal`, on straight lines between its points;
    None: never.

    >>> (price_of([(0, 5.0), (10, 3.0), (20, 2.0)], goal=2.5),
    ...  price_of([(0, 5.0), (10, 3.0)], goal=2.5))
    (15.0, None)
    """
    if curve[0][1] <= goal:  # there at the lowest price
        return float(curve[0][0])
    for (before, high), (after, low) in pairwise(curve):
        if low <= goal:
            # The first point at or below the goal: the curve crosses it on the line before.
            return before + (after - before) * (high - goal) / (high - low)
    return None


def steps_share(stranger: Curve, educated: Curve) -> float:
    """The base's steps to the stranger's best over the stranger's own; NEVER where it does not get
    there."""
    goal = best_of(stranger)
    own, reached = price_of(stranger, goal), price_of(educated, goal)
    # At least one step: no division by zero.
    return NEVER if reached is None else reached / max(own or 0.0, 1.0)


def documents_share(stranger: Curve, educated: Curve) -> float:
    """The same for documents: curves are (share of the documents, lowest bits per byte).

    >>> documents_share([(1 / 8, 4.0), (1.0, 3.0)], [(1 / 8, 3.5), (1.0, 2.0)])
    0.25
    """
    # What all documents bring is the goal, not the best of the parts: of that a stranger is sure.
    goal = stranger[-1][1]
    # Over the logarithm: each doubling of a text brings about as much as the one before.
    own, reached = (
        price_of([(float(np.log2(part)), value) for part, value in curve], goal)
        for curve in (stranger, educated)
    )
    return NEVER if own is None or reached is None else float(2 ** (reached - own))
