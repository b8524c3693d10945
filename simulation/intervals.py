"""Which model was in which state when, told by whoever moves the instances: cheaper than to have the model report each transition."""

from __future__ import annotations

from itertools import starmap
from operator import itemgetter

from .record import Interval, ResidencyState

__all__ = ["Intervals"]


class Intervals:
    """Collects what :class:`simulation.record.Residency` would collect from transitions. Times are in seconds from the start."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, ResidencyState, float]] = {}
        self._closed: list[tuple[str, ResidencyState, float, float]] = []

    def enter(self, instance: int, model: str, state: ResidencyState, now: float) -> None:
        """From ``now`` on ``instance`` is in ``state``; no-op if it is already."""
        before = self._open.get(instance)
        if before is not None:
            if before[1] == state:
                return
            if before[2] < now:
                self._closed.append((*before, now))
        self._open[instance] = (model, state, now)

    def leave(self, instance: int, now: float) -> None:
        """``instance`` is gone; no-op if it was."""
        before = self._open.pop(instance, None)
        if before is not None and before[2] < now:
            self._closed.append((*before, now))

    def all(self, end: float) -> tuple[Interval, ...]:
        """All of them, in the order of their start, cut off at ``end``."""
        rows = [*self._closed, *((*last, end) for last in self._open.values())]
        rows.sort(key=itemgetter(2, 3))
        cut = [(model, state, start, to if to < end else end) for model, state, start, to in rows if start < end]
        return tuple(starmap(Interval, cut))
