"""What a replay writes down: one record per request, and which model was resident when, in which state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from operator import itemgetter
from typing import Final, Literal, NamedTuple, TypeAlias

from statemachine.events import Transition

__all__ = ["Interval", "RequestRecord", "Residency", "ResidencyState", "json_lines"]

ResidencyState: TypeAlias = Literal["loading", "busy", "resident", "unloading"]

_STATES: Final[dict[str, ResidencyState]] = {
    "starting": "loading",
    "active": "busy",
    "draining": "busy",
    "idle": "resident",
    "stopping": "unloading",
}


class RequestRecord(NamedTuple):
    """One request. All times in seconds: ``arrived`` from the start of the replay, the others from the arrival.

    Queueing, loading and generating follow each other, so ``ttft`` (to the first token) and ``total`` (to the end of the answer)
    include the former two. ``ttft`` is None where no token came. ``outcome`` is ``"ok"`` or the name of the error; the queueing and
    loading of a request that was never granted are not known, and count as 0.
    """

    call: int
    agent: str
    model: str
    prompt_tokens: int
    output_tokens: int
    arrived: float
    queued_seconds: float
    loading_seconds: float
    ttft: float | None
    total: float
    outcome: str

    @property
    def granted(self) -> float:
        """When generating began, in seconds from the start of the replay."""
        return self.arrived + self.queued_seconds + self.loading_seconds

    @property
    def finished(self) -> float:
        """When the answer ended, in seconds from the start of the replay."""
        return self.arrived + self.total


class Interval(NamedTuple):
    """A model was in one state from ``start`` to ``end``, in seconds from the start of the replay."""

    model: str
    state: ResidencyState
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.start


class Residency:
    """Collects the intervals of every instance. All times are in seconds from the start of the replay.

    It is told of them by whoever moves the instances, or it is an observer of a manager on whose clock the replay starts at ``origin``.
    """

    def __init__(self, origin: float = 0.0) -> None:
        self._origin = origin
        self._open: dict[int, tuple[str, ResidencyState, float]] = {}
        self._closed: list[tuple[str, ResidencyState, float, float]] = []

    def __call__(self, transition: Transition) -> None:
        if transition.machine != "instance" or not isinstance(transition.subject, int) or transition.demand is None:
            return
        state, now = _STATES.get(transition.dest), transition.time - self._origin
        if state is None:
            self.leave(transition.subject, now)
        else:
            self.enter(transition.subject, transition.demand.model, state, now)

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

    def intervals(self, end: float) -> tuple[Interval, ...]:
        """All of them, in the order of their start, cut off at ``end``, without what only rounding puts before it."""
        rows = [*self._closed, *((*begun, end) for begun in self._open.values())]
        rows.sort(key=itemgetter(2, 3))
        last = end - 1e-9 * max(1.0, end)
        cut = [(model, state, start, to if to < end else end) for model, state, start, to in rows if start < last]
        return tuple(map(Interval._make, cut))


def json_lines(records: Iterable[RequestRecord]) -> str:
    """One JSON object per line, in the order of the calls."""
    return "".join(json.dumps(record._asdict()) + "\n" for record in sorted(records, key=lambda record: record.call))
