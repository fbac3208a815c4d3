"""The law of loss: how it falls with parameters and tokens, fitted to measured points.

    loss = E + A / N^alpha + B / D^beta

Source: Hoffmann et al. 2022 ("Training compute-optimal large language models"), section 3.3; they
fit it by descent. Trade-off: five numbers for a few dozen points. Where sizes and tokens vary by a
factor of ten, what the law says inside and a little beyond that range is worth more than any single
number of it; E above all is hardly known.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Point(NamedTuple):
    """One measured loss."""

    parameters: float
    tokens: float
    loss: float  # nats per token


class Law(NamedTuple):
    """loss = E + A / N^alpha + B / D^beta."""

    E: float  # nats per token that no size and no text removes: the entropy of the text itself
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Nats per token that the law predicts for a model of this size and this much text."""
        return self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta

    @property
    def share(self) -> float:
        """The exponent a of the best size for a budget, N ~ C^a."""
        return self.beta / (self.alpha + self.beta)

    def best_size(self, flops: float) -> float:
        """Parameters that reach the lowest loss with so many operations, the rest going into
        tokens."""
        # With C = 6 N D, put D = C / (6 N) into the law and set its derivative by N to zero:
        #     N^(alpha + beta) = (alpha A) / (beta B) x (C / 6)^beta
        ratio = (self.alpha * self.A) / (self.beta * self.B)
        return float(ratio ** (1 / (self.alpha + self.beta)) * (flops / 6) ** self.share)


def fit(points: Sequence[Point]) -> Law:
    """The law with the smallest squared relative errors; all zeros where losses rise with size and
    no law fits.

    Once both exponents are chosen, the law is a sum of three known columns and the best E, A and B
    are found exactly. So only the exponents are searched: on a grid, then twice on a finer one
    around the best pair. Quick, and it cannot get stuck as a descent over all five numbers can.
    """
    # Equal ratios between neighbours: an exponent's order of magnitude is what is unknown.
    alphas = betas = np.geomspace(0.02, 3, 40)
    for _ in range(3):
        fits = [
            (*given_exponents(points, alpha, beta), alpha, beta)
            for alpha in alphas
            for beta in betas
        ]
        # Tuples are compared by their first entry, the error.
        _, E, A, B, alpha, beta = min(fits)
        # One step of the grid to each side holds the best pair; the next grid is finer there.
        steps = (alphas[1] / alphas[0], betas[1] / betas[0])
        alphas, betas = (
            np.geomspace(x / step, x * step, 15) for x, step in zip((alpha, beta), steps)
        )
    return Law(E, A, float(alpha), B, float(beta))


def given_exponents(
    points: Sequence[Point], alpha: float, beta: float
) -> tuple[float, float, float, float]:
    """The error of the best law with these exponents, then its E, A and B: none of them below 0, or
    it is no law."""
    n, d, loss = np.array(points).T  # (points,) each
    # Sizes and tokens in units of their geometric middle, so that the columns have like scale:
    # 1e6 ** -3 beside a column of ones would be lost in rounding.
    middle = np.exp(np.log([n, d]).mean(axis=1))
    # Divided by the loss, each row asks for 1, so that errors count as shares of the loss.
    columns = (
        np.stack([np.ones_like(n), (n / middle[0]) ** -alpha, (d / middle[1]) ** -beta], axis=1)
        / loss[:, None]
    )
    for first in (0, 1):  # with E; where that would be negative, without
        numbers = np.linalg.lstsq(columns[:, first:], np.ones(len(n)), rcond=None)[0]
        # Least squares knows no signs. A negative A or B would mean that size or text harms.
        if (numbers >= 0).all():
            error = float(((columns[:, first:] @ numbers - 1) ** 2).sum())
            # Back to units of one parameter and one token.
            E, A, B = np.concatenate([np.zeros(first), numbers]).tolist()
            return error, E, float(A * middle[0] ** alpha), float(B * middle[1] ** beta)
    return math.inf, 0.0, 0.0, 0.0
