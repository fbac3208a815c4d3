"""A source of chance that knows how much information it has spent.

A generator that makes every random choice through one ``Chance`` also knows the probability of what
it wrote: minus log2 of it, in bits, is the length of the text in an ideal code (Shannon, "A
Mathematical Theory of Communication", 1948). Where two different rows of choices lead to the same
text, the text is likelier than either row, so ``bits`` is an upper bound on its information, and
exact where no two rows coincide.

Trade-off: only ``random.Random.random`` is used, one call per choice. Python guarantees that stream
for a seed on every platform and version, which it does not for ``choice`` and ``shuffle``; the
price is a bias below 2**-45 in favour of the first options.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Seeded choices, with the sum of minus log2 of their probabilities in ``bits``.

    >>> chance = Chance(seed=0)
    >>> chance.pick(["oar", "net", "key", "bell"]), chance.bits
    ('bell', 2.0)
    >>> chance.happens(1 / 8), chance.bits  # "no" was likely, so it says little: log2(8 / 7) bits
    (False, 2.192645077942396)
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random
        self.bits = 0.0

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``, all equally likely; costs log2(len(options)) bits."""
        count = len(options)
        self.bits += log2(count)
        return options[int(self._random() * count)]

    def happens(self, probability: float) -> bool:
        """True with this ``probability`` (between 0 and 1, both excluded)."""
        outcome = self._random() < probability
        self.bits -= log2(probability if outcome else 1 - probability)
        return outcome
