"""Which models are being loaded, since when, and how long a load usually takes: read from the manager's transitions."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

from statemachine import Transition

__all__ = ["Loads"]

REMEMBERED: Final = 16
"""How many loads of one model count for its usual time."""
MODELS: Final = 1024
"""How many models are remembered; the one that was loaded least recently is forgotten."""


class Loads:
    """An observer of a ProviderManager."""

    def __init__(self) -> None:
        self._starting: dict[int, tuple[tuple[str, str], float]] = {}  # by instance
        self._seconds: dict[tuple[str, str], deque[float]] = {}

    def __call__(self, transition: Transition) -> None:
        if transition.machine != "instance" or not isinstance(transition.subject, int):
            return
        if transition.dest == "starting" and transition.demand is not None:
            key = (transition.demand.provider, transition.demand.model)
            self._starting[transition.subject] = (key, transition.time)
        elif transition.source == "starting":
            key, since = self._starting.pop(transition.subject)
            if transition.dest in ("active", "idle"):
                self._remember(key, transition.time - since)

    def under_way(self, provider: str, model: str) -> float | None:
        """Return when the load that is under way began, on the manager's clock; None where there is none."""
        return next((since for key, since in self._starting.values() if key == (provider, model)), None)

    def usual_seconds(self, provider: str, model: str) -> float | None:
        """Return the median of the last loads, in seconds; None where there was none."""
        known = self._seconds.get((provider, model))
        return median(known) if known else None

    def _remember(self, key: tuple[str, str], seconds: float) -> None:
        known = self._seconds.pop(key, None) or deque(maxlen=REMEMBERED)
        known.append(seconds)
        self._seconds[key] = known
        if len(self._seconds) > MODELS:
            del self._seconds[next(iter(self._seconds))]
