"""What a replay writes down: one record per request, and which model was resident when, in which state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from operator import itemgetter
from typing import Final, Literal, NamedTuple, TypeAlias

from statemachine.core.events import Transition

__all__ = ["CallRecord", "Interval", "Residency", "ResidencyState", "json_lines"]

ResidencyState: TypeAlias = Literal["loading", "busy", "resident", "unloading"]

_Changes: TypeAlias = list[tuple[float, ResidencyState | None]]
"""From when on an instance was in which state (None: gone)."""

_STATES: Final[dict[str, ResidencyState]] = {
    "starting": "loading",
    "active": "busy",
    "draining": "busy",
    "idle": "resident",
    "stopping": "unloading",
}


class CallRecord(NamedTuple):
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
    """Collects what each instance was, and from when on. All times are in seconds from the start of the replay.

    A driver tells it of changes, or it observes a manager on whose clock the replay starts at ``origin``.
    """

    def __init__(self, origin: float = 0.0) -> None:
        self._origin = origin
        self._lives: dict[int, tuple[str, _Changes]] = {}  # of each instance: its model, and what it was

    def __call__(self, transition: Transition) -> None:
        if transition.machine != "instance" or not isinstance(transition.subject, int) or transition.demand is None:
            return
        state, now = _STATES.get(transition.dest), transition.time - self._origin
        if state is None:
            self.leave(transition.subject, now)
        else:
            self.enter(transition.subject, transition.demand.model, state, now)

    def enter(self, instance: int, model: str, state: ResidencyState, now: float) -> None:
        """From ``now`` on ``instance`` is in ``state``. What it was for no time at all is forgotten."""
        life = self._lives.get(instance)
        if life is None:
            life = self._lives[instance] = model, []
        _change(life[1], state, now)

    def leave(self, instance: int, now: float) -> None:
        """``instance`` is gone; no-op if it was."""
        if instance in self._lives:
            _change(self._lives[instance][1], None, now)

    def intervals(self, end: float) -> tuple[Interval, ...]:
        """All of them, in the order of their start, cut off at ``end``, without what only rounding puts before it."""
        last = end - 1e-9 * max(1.0, end)
        rows = [
            Interval(model, state, start, min(to, end))
            for model, changes in self._lives.values()
            for (start, state), (to, _) in pairwise([*changes, (end, None)])
            if state is not None and start < last
        ]
        return tuple(sorted(rows, key=itemgetter(2, 3)))


def _change(changes: _Changes, state: ResidencyState | None, now: float) -> None:
    if changes and changes[-1][0] == now:
        changes.pop()
    if not changes or changes[-1][1] != state:
        changes.append((now, state))


def json_lines(records: Iterable[CallRecord]) -> str:
    """One JSON object per line, in the order of the calls."""
    return "".join(json.dumps(record._asdict()) + "\n" for record in sorted(records, key=lambda record: record.call))
