"""The customers of one server, drawn before they are simulated: the same ones for every simulator. It needs only Python."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

__all__ = ["Customers", "Visit"]

UTILISATION: Final = 0.8
MODELS: Final = ("model", "other")

Visit = tuple[float, float, float]
"""When a customer came, began to be served, and left: seconds from the start."""


@dataclass(frozen=True)
class Customers:
    """``arrivals`` in seconds from the start, ascending; ``service`` in seconds; ``models``: what each wants.

    ``switch_seconds``: what it takes to serve another model than before, the first one included.
    """

    arrivals: tuple[float, ...]
    service: tuple[float, ...]
    models: tuple[str, ...]
    switch_seconds: float = 0.0

    @classmethod
    def drawn(cls, count: int, seed: int = 0, *, switch_seconds: float = 0.0) -> Customers:
        """As in the M/M/1 queue, at a utilisation of 0.8: most of them wait. With a switch, half of them switch, and come more slowly."""
        rng = random.Random(seed)
        rate = UTILISATION / (1.0 + switch_seconds / 2)
        arrivals = tuple(accumulate(rng.expovariate(rate) for _ in range(count)))
        service = tuple(rng.expovariate(1.0) for _ in range(count))
        models = tuple(rng.choice(MODELS) for _ in range(count)) if switch_seconds else MODELS[:1] * count
        return cls(arrivals, service, models, switch_seconds)

    @property
    def gaps(self) -> list[float]:
        """Seconds between arrivals."""
        before = (0.0, *self.arrivals)
        return [time - earlier for earlier, time in zip(before, self.arrivals, strict=False)]
