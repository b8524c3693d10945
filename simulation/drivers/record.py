"""What a replay writes down: one record per request, and which model was resident when, in which state."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import eq, itemgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias, overload

from statemachine.core.events import Transition

__all__ = ["CallRecord", "CallRecords", "Interval", "Residency", "ResidencyState", "json_lines"]

ResidencyState: TypeAlias = Literal["loading", "busy", "resident", "unloading"]

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


class CallRecords(Sequence[CallRecord]):
    """The records of a run, kept as columns: a third of the memory that as many tuples take. They are made when they are asked for."""

    def __init__(self, columns: Sequence[Sequence[Any]], outcomes: Mapping[int, str]) -> None:
        """``columns`` are the fields of :class:`CallRecord` up to ``total`` (``ttft`` NaN: none); ``outcomes`` only those not ``"ok"``."""
        self._columns = columns
        self._outcomes = outcomes

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, index: int) -> CallRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[CallRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> CallRecord | tuple[CallRecord, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        place = range(len(self))[index]
        return self._record(place, tuple(column[place] for column in self._columns))

    def __iter__(self) -> Iterator[CallRecord]:
        return map(self._record, range(len(self)), zip(*self._columns, strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # compared by value

    def _record(self, place: int, row: tuple[Any, ...]) -> CallRecord:
        call, agent, model, prompt, output, arrived, queued, loading, ttft, total = row
        first = None if ttft != ttft else ttft  # only NaN differs from itself
        outcome = self._outcomes.get(place, "ok")
        return CallRecord(call, agent, model, prompt, output, arrived, queued, loading, first, total, outcome)


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
        self._lives: dict[int, _Life] = {}
        self._over = _Columns()

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
            self._lives[instance] = _Life(model, state, now)
        else:
            life.change(state, now, self._over)

    def leave(self, instance: int, now: float) -> None:
        """``instance`` is gone; no-op if it was."""
        life = self._lives.pop(instance, None)
        if life is not None:
            life.end(now, self._over)

    def intervals(self, end: float) -> tuple[Interval, ...]:
        """All of them, in the order of their start, cut off at ``end``, without what only rounding puts before it."""
        last = end - 1e-9 * max(1.0, end)
        rows = self._over.copy()
        for life in self._lives.values():
            life.end(math.inf, rows)
        found = (Interval(model, state, start, min(to, end)) for model, state, start, to in rows if start < last)
        return tuple(sorted(found, key=itemgetter(2, 3)))


class _Columns:
    """Intervals that are over, as columns: a long run has millions."""

    def __init__(self) -> None:
        self._models: list[str] = []
        self._states: list[ResidencyState] = []
        self._times = array("d"), array("d")

    def add(self, model: str, state: ResidencyState, start: float, end: float) -> None:
        self._models.append(model)
        self._states.append(state)
        self._times[0].append(start)
        self._times[1].append(end)

    def copy(self) -> _Columns:
        other = _Columns()
        other._models, other._states = self._models[:], self._states[:]
        other._times = self._times[0][:], self._times[1][:]
        return other

    def __iter__(self) -> Iterator[tuple[str, ResidencyState, float, float]]:
        return zip(self._models, self._states, *self._times, strict=True)


class _Life:
    """What an instance is, since when, and what it was before: that one may still go on, if the present one lasts no time."""

    __slots__ = ("before", "model", "since", "state")

    def __init__(self, model: str, state: ResidencyState, now: float) -> None:
        self.model = model
        self.state = state
        self.since = now
        self.before: tuple[ResidencyState, float] | None = None

    def change(self, state: ResidencyState, now: float, over: _Columns) -> None:
        """From ``now`` on it is in ``state``; what is over by that goes to ``over``."""
        if now > self.since:
            if state != self.state:
                self._close_before(over)
                self.before, self.state, self.since = (self.state, self.since), state, now
        elif self.before is not None and self.before[0] == state:
            (self.state, self.since), self.before = self.before, None
        else:
            self.state = state

    def end(self, now: float, over: _Columns) -> None:
        """It is gone, from ``now`` on."""
        self._close_before(over)
        if now > self.since:
            over.add(self.model, self.state, self.since, now)

    def _close_before(self, over: _Columns) -> None:
        if self.before is not None:
            over.add(self.model, *self.before, self.since)


def json_lines(records: Iterable[CallRecord]) -> str:
    """One JSON object per line, in the order of the calls."""
    return "".join(json.dumps(record._asdict()) + "\n" for record in sorted(records, key=lambda record: record.call))
