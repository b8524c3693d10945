"""What the instances did lately: when each was loading, busy, resident and unloading. For the strip on the status page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from statemachine import RuntimeProviderConfig, Transition
from statemachine.config.providers import Demand

__all__ = ["History", "Segment"]

SEGMENTS: Final = 400
"""How many ended segments are remembered."""
_STATES: Final = {
    "starting": "loading",
    "active": "busy",
    "draining": "busy",
    "idle": "resident",
    "stopping": "unloading",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One instance in one state. ``end`` is None while it lasts; times are on the manager's clock."""

    instance: int
    provider: str
    model: str
    state: str
    start: float
    end: float | None = None


class History:
    """An observer of a ProviderManager."""

    def __init__(self) -> None:
        self._ended: deque[Segment] = deque(maxlen=SEGMENTS)
        self._current: dict[int, Segment] = {}
        self._demands: dict[int, Demand] = {}  # of the living instances

    def __call__(self, transition: Transition) -> None:
        if transition.machine != "instance" or not isinstance(transition.subject, int) or transition.demand is None:
            return
        before = self._current.pop(transition.subject, None)
        state = _STATES.get(transition.dest)
        if before is not None and state == before.state:  # active to draining is busy all along
            self._current[transition.subject] = before
            return
        if before is not None:
            self._ended.append(_until(before, transition.time))
        self._demands.pop(transition.subject, None)
        if state is not None:
            demand = self._demands[transition.subject] = transition.demand
            self._current[transition.subject] = Segment(
                transition.subject, demand.provider, demand.model, state, transition.time
            )

    def configuration(self, part: Segment) -> RuntimeProviderConfig | None:
        """Return what a living instance is an instance of; None where it has ended. It may hold secrets."""
        if (demand := self._demands.get(part.instance)) is None:
            return None
        return RuntimeProviderConfig(demand.provider, demand.model, demand.adapter.options)

    def __iter__(self) -> Iterator[Segment]:
        """All remembered segments, those that last at the end."""
        yield from tuple(self._ended)
        yield from self.lasting()

    def lasting(self) -> tuple[Segment, ...]:
        """Return the segments that last: what each living instance does now."""
        return tuple(self._current.values())


def _until(segment: Segment, end: float) -> Segment:
    return Segment(segment.instance, segment.provider, segment.model, segment.state, segment.start, end)
