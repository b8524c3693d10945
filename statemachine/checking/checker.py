"""Bounded exhaustive breadth-first search: visit every state that a system can reach, and check every property at every step.

The search knows nothing of coordinators. A :class:`System` has an initial state, the events that may happen next, a step, and a key:
states with equal keys count as one. Breadth-first means that the first violation found has the fewest events of any violation of that
property. With ``liveness`` the edges are kept, and afterwards searched for fair infinite waits (:mod:`.liveness`).
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from .liveness import StateGraph, fair_lasso

__all__ = ["Arrival", "Counterexample", "Outcome", "Result", "System", "Verdict", "check"]

StateT = TypeVar("StateT")
EventT = TypeVar("EventT")
SAMPLE: Final = 2000  # states whose memory is measured


class Verdict(Enum):
    """What the search says of a property. UNDETERMINED: a bound was reached before the end; it never counts as a pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDETERMINED = "UNDETERMINED"


class Arrival(NamedTuple, Generic[StateT]):
    """A state that is reached for the first time, with the properties of states that it violates and shows.

    ``pending``: the ``eventually`` properties that are not fulfilled in it yet. All of this is the same for states with equal keys, so
    it is computed once for each key.
    """

    state: StateT
    violations: Sequence[str] = ()
    shown: Sequence[str] = ()
    pending: frozenset[str] = frozenset()


class Outcome(NamedTuple, Generic[StateT]):
    """A step: the key of the state that it leads to, and the properties of steps that it violates and shows.

    States with equal keys have equal futures, up to renaming. ``arrive`` makes the state; it is called where the key is new, before the
    next step. ``fired`` is what is counted as covered. ``kept`` is for liveness: for each duty in the new state, its position among the
    duties before the step, or :data:`statemachine.checking.liveness.NEW`.
    """

    key: Hashable
    arrive: Callable[[], Arrival[StateT]]
    violations: Sequence[str] = ()
    shown: Sequence[str] = ()
    fired: Sequence[Hashable] = ()
    kept: tuple[int, ...] = ()


class System(Protocol[StateT, EventT]):
    """What is searched."""

    def initial(self) -> tuple[StateT, Hashable]:
        """Return the initial state, in which nothing is pending and there are no duties, and its key."""
        ...

    def events(self, state: StateT) -> Iterable[EventT]:
        """Return what may happen next in ``state``: in states with equal keys the same, up to renaming, in the same order."""
        ...

    def step(self, state: StateT, event: EventT) -> Outcome[StateT]:
        """Take the step of ``event``, and return what it leads to."""
        ...

    def always(self) -> Sequence[str]:
        """Return the names of all ``always`` properties."""
        ...

    def sometimes(self) -> Sequence[str]:
        """Return the names of all ``sometimes`` properties that are expected to be shown."""
        ...

    def eventually(self) -> Sequence[str]:
        """Return the names of all ``eventually`` properties."""
        ...


@dataclass(frozen=True, slots=True)
class Counterexample(Generic[StateT, EventT]):
    """The shortest way to a violation: the events from the initial state, and the state before each.

    For an ``eventually`` property the last ``cycle`` events can be repeated without end (up to renaming). A ``cycle`` of 0: nothing more
    has to happen after the last event.
    """

    events: tuple[EventT, ...]
    states: tuple[StateT, ...]
    cycle: int | None = None  # None: for any other property

    @property
    def prefix(self) -> tuple[EventT, ...]:
        """The events that happen once."""
        return self.events[: len(self.events) - (self.cycle or 0)]


@dataclass(slots=True)
class Result(Generic[StateT, EventT]):
    """What a search found. ``complete`` tells whether every reachable state was expanded, ``bytes_per_state`` how much memory
    each one keeps until the end (measured on a sample); ``fired`` counts what the steps fired."""

    states: int = 0
    edges: int = 0
    depth: int = 0
    seconds: float = 0.0  # on the clock
    work_seconds: float = 0.0  # of the processor's time
    complete: bool = False
    counterexamples: dict[str, Counterexample[StateT, EventT]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    always: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    eventually: tuple[str, ...] = ()
    fired: Counter[Hashable] = field(default_factory=Counter)
    bytes_per_state: int = 0

    @property
    def edges_per_second(self) -> int:
        """With all properties, on one core, which may have other work to do."""
        return round(self.edges / self.work_seconds) if self.work_seconds else 0

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Each property's verdict."""
        unknown = Verdict.PASS if self.complete else Verdict.UNDETERMINED
        unseen = Verdict.FAIL if self.complete else Verdict.UNDETERMINED
        must = (*self.always, *self.eventually)
        verdicts = {name: Verdict.FAIL if name in self.counterexamples else unknown for name in must}
        return verdicts | {name: Verdict.PASS if name in self.shown else unseen for name in self.sometimes}

    @property
    def passed(self) -> bool:
        """Whether every property passed."""
        return all(verdict is Verdict.PASS for verdict in self.verdicts.values())


def check(
    system: System[StateT, EventT],
    *,
    liveness: bool = False,
    most_states: int = 1_000_000,
    watch: Callable[[Result[StateT, EventT]], bool] = lambda result: True,
) -> Result[StateT, EventT]:
    """Search ``system``, and return what was found.

    The search ends early at ``most_states``, or when ``watch``, which is called now and then, returns False. It does not go on from a
    step that violates a property. Without ``liveness`` no ``eventually`` property is checked, and none has a verdict.
    """
    result: Result[StateT, EventT] = Result(always=tuple(system.always()), sometimes=tuple(system.sometimes()))
    result.eventually = tuple(system.eventually()) if liveness else ()
    began, worked = time.perf_counter(), time.process_time()
    search = _Search(system, result)
    while search.frontier and search.expand_level(lambda: result.states < most_states and watch(result)):
        pass
    result.complete = not search.frontier
    search.find_lassos()
    result.seconds, result.work_seconds = time.perf_counter() - began, time.process_time() - worked
    result.bytes_per_state = search.bytes_per_state()
    return result


class _Search(Generic[StateT, EventT]):
    """The frontier, what was seen, and by which event from which state each was first reached."""

    def __init__(self, system: System[StateT, EventT], result: Result[StateT, EventT]) -> None:
        self.system = system
        self.result = result
        start, key = system.initial()
        self.states: list[StateT | None] = [start]  # forgotten once expanded
        self.came_from: list[tuple[int, EventT] | None] = [None]
        self.seen = {key: 0}
        self.frontier = [0]
        self.graph = StateGraph() if result.eventually else None
        if self.graph is not None:
            self.graph.add_state(frozenset(), 0)
        result.states = 1

    def expand_level(self, go_on: Callable[[], bool]) -> bool:
        """Expand every state of the frontier; the states they lead to are the new frontier. Return False if ``go_on`` said to stop."""
        frontier, self.frontier = self.frontier, []
        for position, index in enumerate(frontier):
            if position % 100 == 0 and not go_on():
                self.frontier += frontier[position:]
                return False
            self._expand(index)
        if self.frontier:
            self.result.depth += 1
        return True

    def _expand(self, index: int) -> None:
        state = self.states[index]
        assert state is not None, "a state is expanded once"
        self.states[index] = None
        for event in self.system.events(state):
            self._take(index, event, self.system.step(state, event))
        if self.graph is not None:
            self.graph.end_state()

    def _take(self, index: int, event: EventT, outcome: Outcome[StateT]) -> None:
        result = self.result
        result.edges += 1
        result.shown.update(outcome.shown)
        for one in outcome.fired:  # Counter.update() asks each time whether it is given a mapping
            result.fired[one] += 1
        violations = outcome.violations
        target = self.seen.get(outcome.key)
        if target is None:
            arrival = outcome.arrive()
            result.shown.update(arrival.shown)
            violations = [*violations, *arrival.violations]
            if not violations:
                target = self._add(outcome, arrival, (index, event))
        for name in violations:
            if name not in result.counterexamples:
                result.counterexamples[name] = self._counterexample(index, event)
        if self.graph is not None:
            self.graph.add_edge(None if violations else target, outcome.kept)

    def _add(self, outcome: Outcome[StateT], arrival: Arrival[StateT], came_from: tuple[int, EventT]) -> int:
        """Add a new state to the frontier, and return its number."""
        number = len(self.states)
        self.seen[outcome.key] = number
        self.result.states += 1
        self.frontier.append(number)
        self.states.append(arrival.state)
        self.came_from.append(came_from)
        if self.graph is not None:
            self.graph.add_state(arrival.pending, len(outcome.kept))
        return number

    def _events_to(self, index: int) -> list[EventT]:
        events = []
        step = self.came_from[index]
        while step is not None:
            events.append(step[1])
            step = self.came_from[step[0]]
        return events[::-1]

    def _states_before(self, events: Sequence[EventT]) -> list[StateT]:
        states = [self.system.initial()[0]]
        for event in events[:-1]:
            states.append(self._after(states[-1], event))
        return states

    def _after(self, state: StateT, event: EventT) -> StateT:
        return self.system.step(state, event).arrive().state

    def _counterexample(self, index: int, last: EventT) -> Counterexample[StateT, EventT]:
        events = [*self._events_to(index), last]
        return Counterexample(tuple(events), tuple(self._states_before(events)))

    def find_lassos(self) -> None:
        """Search for a violation of each ``eventually`` property."""
        if self.graph is None:
            return
        for name in self.result.eventually:
            lasso = fair_lasso(self.graph, name)
            if lasso is not None:
                self.result.counterexamples[name] = self._lasso(*lasso)

    def _lasso(self, start: int, positions: Sequence[int]) -> Counterexample[StateT, EventT]:
        events = self._events_to(start)
        state = self.system.initial()[0]
        for event in events:
            state = self._after(state, event)
        for position in positions:
            event = list(self.system.events(state))[position]
            state = self._after(state, event)
            events.append(event)
        return Counterexample(tuple(events), tuple(self._states_before(events)), len(positions))

    def bytes_per_state(self) -> int:
        """Measure the memory of a key and the way to it, on a sample of the states. Shared parts count once."""
        every = max(1, len(self.seen) // SAMPLE)
        sample = [(key, self.came_from[number]) for key, number in self.seen.items() if number % every == 0]
        return _size(sample) // len(sample)


def _size(root: object) -> int:
    """Return the bytes of ``root`` and all tuples and lists below it."""
    seen: set[int] = set()
    todo = [root]
    total = 0
    while todo:
        one = todo.pop()
        if id(one) not in seen:
            seen.add(id(one))
            total += sys.getsizeof(one)
            if isinstance(one, (tuple, list)):
                todo += one
    return total
