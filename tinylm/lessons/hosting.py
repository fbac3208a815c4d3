"""Hosting a model of one's own or paying for each request: which is cheaper, at whose prices. No
torch here.

A host costs the same whether it is busy or not; a request that is paid for costs nothing when
nobody asks. So the own host pays from some number of requests a day, if it can answer so many.

With every new version of the base, a fine-tune has to be made again. What that takes is computed
here too, for a model of any size.

Design. A calculation, with nothing drawn by chance.

    manipulated     requests a day
    constant        tokens of a request and of its answer, prices, the speed of a host
    effect          dollars a day of hosts of one's own, minus those paid per request
    null            0: the number of requests at which both cost the same
    price           every figure is an assumption and a parameter, to be replaced by one's own. The
                    defaults are list prices, each with the page and the day it was read on

Trade-off: the people who keep a host running are not in the bill, and they are the larger part of
it.
"""

import math
from dataclasses import dataclass

from tinylm.lessons.published import GPUS, Bill, bill


@dataclass(frozen=True)
class Prices:
    """What hosting and requests cost, in dollars; every figure is to be replaced by the reader's
    own."""

    host_per_hour: float = 3.99
    """Dollars for an hour of a host of one's own; here: one rented H100, which carries 8 billion
    parameters. RunPod's list price of an H100 SXM in its Secure Cloud, on 9 November 2026
    (runpod.io/pricing, as a third party copied it)."""
    host_tokens_per_second: float = 1000.0
    """Tokens that the host writes, all its conversations together; a cautious round number, to be
    measured."""
    million_tokens_in: float = 0.20
    """Dollars for a million tokens read, paid per request; here: OpenAI's list price of GPT-5.4
    nano since March 2026 (developers.openai.com/api/docs/models/gpt-5.4-nano)."""
    million_tokens_out: float = 1.25
    """Dollars for a million tokens written; from the same page."""
    # Reading is cheaper than writing, and a request with documents is mostly read.
    tokens_in: int = 1000
    """Tokens of one request: about 700 words of instructions and documents."""
    tokens_out: int = 300
    """Tokens of its answer."""
    parameters: float = 8e9
    """Weights of the model that is fine-tuned again with every version of its base."""
    tuning_tokens: float = 100e6
    """Tokens that the fine-tune reads: 25 million of one's own, four times over."""


def redoing(prices: Prices) -> Bill:
    """What one fine-tune takes on one H100, at the price of the host.

    >>> f"{redoing(Prices(parameters=8e9, tuning_tokens=100e6)).flops:.1e}"
    '4.8e+18'
    """
    # By arithmetic: 6 FLOPs for each parameter and token (Kaplan et al. 2020).
    return bill(prices.parameters, prices.tuning_tokens, GPUS["h100"], prices.host_per_hour)


def per_request(prices: Prices) -> float:
    """Dollars for one request where requests are paid one by one.

    >>> round(per_request(Prices(million_tokens_in=1, million_tokens_out=2, tokens_in=1000,
    ...     tokens_out=500)), 6)
    0.002
    """
    # Prices are for a million tokens; what is read and what is written have prices of their own.
    spent = (
        prices.tokens_in * prices.million_tokens_in + prices.tokens_out * prices.million_tokens_out
    )
    return spent / 1e6


def per_day(prices: Prices, requests: float) -> float:
    """Dollars a day for hosts of one's own: as many as so many requests need, busy or idle, one at
    least."""
    # Requests a day that one host answers: 86,400 seconds of writing, shared among the answers.
    # Reading the request is far faster than writing, and is left out.
    capacity = 86_400 * prices.host_tokens_per_second / prices.tokens_out
    # Whole hosts: each more is paid for by the day, even if it is needed for one request.
    return float(24 * prices.host_per_hour * max(1, math.ceil(requests / capacity)))


def break_even(prices: Prices) -> float | None:
    """Requests a day from which a host of one's own is cheaper; None where one host could not
    answer so many.

    >>> break_even(Prices(host_per_hour=1, million_tokens_in=1, million_tokens_out=2,
    ...     tokens_in=1000, tokens_out=500))
    12000.0
    """
    # What one host costs a day, spent on requests instead: so many cost the same either way.
    requests = 24 * prices.host_per_hour / per_request(prices)
    # Where so many need a second host, the own side costs more again: then there is no such point.
    return requests if per_day(prices, requests) == per_day(prices, 1) else None
