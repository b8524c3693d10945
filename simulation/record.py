"""What a replay writes down: one record per request, and which model was resident when, in which state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias

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


@dataclass(frozen=True, slots=True)
class RequestRecord:
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


@dataclass(frozen=True, slots=True)
class Interval:
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
    """An observer of the manager: collects the intervals of every instance. ``origin`` is the clock's time at the replay's start."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._open: dict[int, tuple[str, ResidencyState, float]] = {}
        self._closed: list[Interval] = []

    def __call__(self, transition: Transition) -> None:
        if transition.machine != "instance" or not isinstance(transition.subject, int) or transition.demand is None:
            return
        now = transition.time - self._origin
        state = _STATES.get(transition.dest)
        before = self._open.get(transition.subject)
        if before is not None:
            if before[1] == state:
                return  # active and draining look the same
            self._close(*self._open.pop(transition.subject), now)
        if state is not None:
            self._open[transition.subject] = (transition.demand.model, state, now)

    def intervals(self, end: float) -> tuple[Interval, ...]:
        """All of them, in the order of their start, cut off at ``end``."""
        last = [Interval(*row, end) for row in self._open.values()]
        rows = (Interval(i.model, i.state, i.start, min(i.end, end)) for i in [*self._closed, *last] if i.start < end)
        return tuple(sorted(rows, key=lambda interval: (interval.start, interval.end)))

    def _close(self, model: str, state: ResidencyState, start: float, now: float) -> None:
        if now > start:
            self._closed.append(Interval(model, state, start, now))


def json_lines(records: Iterable[RequestRecord]) -> str:
    """One JSON object per line, in the order of the calls."""
    return "".join(json.dumps(asdict(record)) + "\n" for record in sorted(records, key=lambda record: record.call))
