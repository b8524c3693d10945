"""Faults on a seeded schedule: loads that fail, answers that crash or stall, and outages of the whole server.

Which load or call is struck depends on the seed and on its own name only, so every policy meets the same faults. An outage freezes the
server: what would end during it, or go on through it, ends that much later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from random import Random

from statemachine.checks import is_number, shown
from statemachine.errors import ConfigurationError

__all__ = ["FaultPlan", "faults_named"]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often what goes wrong. The first three are probabilities from 0 to 1, times are in seconds. Raises ConfigurationError.

    ``load``: a load fails at its end. ``crash``: the model's process dies in the middle of an answer. ``stall``: an answer stands still for
    ``stall_seconds``. An outage of ``outage_seconds`` begins every ``outage_every`` seconds (0: never).
    """

    load: float = 0.0
    crash: float = 0.0
    stall: float = 0.0
    stall_seconds: float = 30.0
    outage_every: float = 0.0
    outage_seconds: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("load", "crash", "stall"):
            _check(name, getattr(self, name), 1.0)
        for name in ("stall_seconds", "outage_every", "outage_seconds"):
            _check(name, getattr(self, name), math.inf)
        if self.outage_every and self.outage_seconds >= self.outage_every:
            raise ConfigurationError("outage_seconds", "must be less than outage_every", shown(self.outage_seconds))

    def load_fails(self, model: str, nth: int) -> bool:
        """Return whether the ``nth`` load of ``model`` fails."""
        return self.load > 0 and self._draw("load", model, nth) < self.load

    def crash_at(self, call: int) -> float | None:
        """Return the part of the answer to ``call`` (0 to 1) at which its instance crashes; None where it does not."""
        drawn = self._draw("crash", call) if self.crash else 1.0
        return drawn / self.crash if drawn < self.crash else None

    def stall_of(self, call: int) -> float:
        """Return for how many seconds the answer to ``call`` stands still."""
        return self.stall_seconds if self.stall and self._draw("stall", call) < self.stall else 0.0

    def lasting(self, now: float, seconds: float) -> float:
        """Return the seconds that work of ``seconds`` takes from ``now`` on, with the outages on the way."""
        if not self.outage_every:
            return seconds
        whole, part = divmod(now, self.outage_every)
        frozen = max(0.0, self.outage_seconds - part) if whole else 0.0  # the first outage begins at outage_every
        working = self.outage_every - max(part, self.outage_seconds if whole else 0.0)
        between = self.outage_every - self.outage_seconds
        outages = 0 if seconds <= working else math.ceil((seconds - working) / between)
        return frozen + seconds + outages * self.outage_seconds

    def _draw(self, *what: str | int) -> float:
        return Random(repr((self.seed, what))).random()


def _check(name: str, value: object, most: float) -> None:
    if not is_number(value) or not 0 <= value <= most or not math.isfinite(value):
        rule = "from 0 to 1" if most == 1 else "of at least 0"
        raise ConfigurationError(name, f"must be a finite number {rule}", shown(value))


def faults_named(text: str, seed: int = 0) -> FaultPlan:
    """Parse the plan of a command line: ``load=0.05,crash=0.01,stall=0.02,outage_every=3600``. Raises ConfigurationError."""
    known = [field.name for field in fields(FaultPlan) if field.name != "seed"]
    values: dict[str, float] = {}
    for pair in text.split(","):
        name, _, number = pair.partition("=")
        try:
            values[name.strip()] = float(number)
        except ValueError:
            raise ConfigurationError("faults", "must be NAME=NUMBER with commas", repr(pair)) from None
        if name.strip() not in known:
            raise ConfigurationError("faults", f"must be among {', '.join(known)}", repr(name))
    return FaultPlan(**values, seed=seed)
