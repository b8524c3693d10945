"""Which model was resident when, in which state: what a replay writes down of its instances."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from operator import lt
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from statemachine.core.events import Transition

from .lazy_rows import LazyRows

__all__ = ["Interval", "Intervals", "ResidencyRecorder", "ResidencyState"]

ResidencyState: TypeAlias = Literal["loading", "busy", "resident", "unloading"]

_STATES: Final[dict[str, ResidencyState]] = {
    "starting": "loading",
    "active": "busy",
    "draining": "busy",
    "idle": "resident",
    "stopping": "unloading",
}


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


class _Changes(NamedTuple):
    """What is told of instances, as columns, and each instance's model. A state of None: it is gone."""

    instances: list[int]  # lists, because to append to an array takes several times as long
    states: list[ResidencyState | None]
    times: list[float]
    models: dict[int, str]


class Intervals(LazyRows[Interval]):
    """The intervals of a run, in the order of their start. They are worked out when they are first asked for."""

    def __init__(self, changes: _Changes, end: float) -> None:
        """``changes``, cut off at ``end`` (seconds from the start of the replay)."""
        self._changes = changes
        self._end = end

    @cached_property
    def _columns(self) -> Sequence[Sequence[Any]]:
        return _lived(self._changes, self._end).in_order()

    def _row(self, place: int, fields: tuple[Any, ...]) -> Interval:
        return Interval(*fields)


class ResidencyRecorder:
    """Writes down what each instance is, and from when on. All times are in seconds from the start of the replay.

    A driver tells it of changes, or it observes a manager on whose clock the replay starts at ``origin``.
    """

    def __init__(self, origin: float = 0.0) -> None:
        self._origin = origin
        self._changes = _Changes([], [], [], {})

    def __call__(self, transition: Transition) -> None:
        if transition.machine != "instance" or not isinstance(transition.subject, int) or transition.demand is None:
            return
        self.is_of(transition.subject, transition.demand.model)
        self.change(transition.subject, _STATES.get(transition.dest), transition.time - self._origin)

    def is_of(self, instance: int, model: str) -> None:
        """Note that ``instance``, of which a change is told next, is one of ``model``."""
        self._changes.models[instance] = model

    def change(self, instance: int, state: ResidencyState | None, now: float) -> None:
        """Note that ``instance`` is in ``state`` from ``now`` on (None: it is gone). What it was for no time at all is forgotten."""
        instances, states, times, _ = self._changes
        instances.append(instance)
        states.append(state)
        times.append(now)

    def intervals(self, end: float) -> Intervals:
        """Return all of them, in the order of their start, cut off at ``end``, without what only rounding puts before it."""
        return Intervals(self._changes, end)


class _Lived:
    """Intervals up to ``end``, as columns: model, state, start and end. What only rounding puts before ``end`` is left out."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.last = end - 1e-9 * max(1.0, end)
        self.models: list[str] = []
        self.states: list[ResidencyState] = []
        self.starts = array("d")
        self.ends = array("d")

    def add(self, model: str, state: ResidencyState, start: float, end: float) -> None:
        if start < self.last:
            self.models.append(model)
            self.states.append(state)
            self.starts.append(start)
            self.ends.append(min(end, self.end))

    def in_order(self) -> Sequence[Sequence[Any]]:
        """Return the columns, sorted by start, then by end."""
        columns: Sequence[Sequence[Any]] = (self.models, self.states, self.starts, self.ends)
        if all(map(lt, self.starts, islice(self.starts, 1, None))):
            return columns  # as those of a single slot
        keys = list(zip(self.starts, self.ends, strict=True))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        return [[column[place] for place in order] for column in columns]


class _Life:
    """What an instance is, since when, and what it was before: that one may still go on, if the present one lasts no time."""

    __slots__ = ("before", "model", "since", "state")

    def __init__(self, model: str, state: ResidencyState, now: float) -> None:
        self.model = model
        self.state = state
        self.since = now
        self.before: tuple[ResidencyState, float] | None = None

    def change(self, state: ResidencyState, now: float, over: _Lived) -> None:
        """Note that from ``now`` on it is in ``state``; what is over by that goes to ``over``."""
        if now > self.since:
            if state != self.state:
                self._close_before(over)
                self.before, self.state, self.since = (self.state, self.since), state, now
        elif self.before is not None and self.before[0] == state:
            (self.state, self.since), self.before = self.before, None
        else:
            self.state = state

    def end(self, now: float, over: _Lived) -> None:
        """Note that it is gone, from ``now`` on."""
        self._close_before(over)
        if now > self.since:
            over.add(self.model, self.state, self.since, now)

    def _close_before(self, over: _Lived) -> None:
        if self.before is not None:
            over.add(self.model, *self.before, self.since)


def _lived(changes: _Changes, end: float) -> _Lived:
    """Return the intervals that ``changes`` tell of, up to ``end``."""
    lived = _Lived(end)
    lives: dict[int, _Life] = {}
    for instance, state, now in zip(changes.instances, changes.states, changes.times, strict=True):
        if state is None:
            life = lives.pop(instance, None)
            if life is not None:
                life.end(now, lived)
        elif (known := lives.get(instance)) is not None:
            known.change(state, now, lived)
        else:
            lives[instance] = _Life(changes.models[instance], state, now)
    for life in lives.values():
        life.end(math.inf, lived)
    return lived
