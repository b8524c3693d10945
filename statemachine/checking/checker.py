"""Bounded exhaustive breadth-first search: visit every state that a system can reach, and check every property at every step.

The search knows nothing of coordinators: see :class:`.expansion.System`. Breadth-first means that the first violation found has the
fewest events of any violation of that property. With ``liveness`` the edges are kept, and afterwards searched for fair infinite waits
(:mod:`.liveness`).
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeVar

from .expansion import Arrival, Outcome, StepCounts, System, TakenStep, expand
from .liveness import StateGraph, fair_lasso

__all__ = ["Arrival", "Counterexample", "Frontier", "Outcome", "Result", "System", "Verdict", "check"]

StateT = TypeVar("StateT")
EventT = TypeVar("EventT")
SAMPLE: Final = 2000  # states whose memory is measured


class Verdict(Enum):
    """What the search says of a property. UNDETERMINED: a bound was reached before the end; it never counts as a pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDETERMINED = "UNDETERMINED"


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


class Frontier(Protocol[StateT]):
    """The states that were reached and are not expanded yet, in the order in which they were reached."""

    def begin(self) -> Hashable:
        """Take the initial state, whose number is 0, and return its key."""
        ...

    def add(self, number: int, key: Hashable, state: StateT) -> None:
        """Take another state."""
        ...

    def expansions(
        self, is_known: Callable[[Hashable], bool], counts: StepCounts
    ) -> Iterator[tuple[int, Iterable[TakenStep[StateT]]]]:
        """Yield the number of each state with the edges out of it, until no state is left."""
        ...


def check(
    system: System[StateT, EventT],
    *,
    liveness: bool = False,
    most_states: int = 1_000_000,
    watch: Callable[[Result[StateT, EventT]], bool] = lambda result: True,
    frontier: Frontier[Any] | None = None,
) -> Result[StateT, EventT]:
    """Search ``system``, and return what was found.

    The search ends early at ``most_states``, or when ``watch``, which is called now and then, returns False. It does not go on from a
    step that violates a property. Without ``liveness`` no ``eventually`` property is checked, and none has a verdict. ``frontier``
    expands the states somewhere else (:mod:`.division`); what is found is the same.
    """
    result: Result[StateT, EventT] = Result(always=tuple(system.always()), sometimes=tuple(system.sometimes()))
    result.eventually = tuple(system.eventually()) if liveness else ()
    began, worked = time.perf_counter(), time.process_time()
    search = _Search(system, result, frontier or _Here(system))
    result.complete = search.run(most_states, watch)
    search.find_lassos()
    result.seconds = time.perf_counter() - began
    result.work_seconds = time.process_time() - worked if frontier is None else result.seconds
    result.bytes_per_state = search.bytes_per_state()
    return result


class _Here(Generic[StateT, EventT]):
    """A frontier whose states are expanded in this process."""

    def __init__(self, system: System[StateT, EventT]) -> None:
        self._system = system
        self._queue: deque[tuple[int, StateT]] = deque()

    def begin(self) -> Hashable:
        state, key = self._system.initial()
        self._queue.append((0, state))
        return key

    def add(self, number: int, key: Hashable, state: StateT) -> None:
        self._queue.append((number, state))

    def expansions(
        self, is_known: Callable[[Hashable], bool], counts: StepCounts
    ) -> Iterator[tuple[int, Iterable[TakenStep[StateT]]]]:
        while self._queue:
            number, state = self._queue.popleft()
            yield number, expand(self._system, state, is_known, counts)


class _Search(Generic[StateT, EventT]):
    """What was seen, and by which step from which state each state was first reached.

    States are numbered in the order in which they are reached, which is the order in which they are expanded. A step is known by its
    place among those of its state.
    """

    def __init__(self, system: System[StateT, EventT], result: Result[StateT, EventT], frontier: Frontier[Any]) -> None:
        self.system = system
        self.result = result
        self.frontier = frontier
        self.seen = {frontier.begin(): 0}
        self.parents = array("I", [0])  # by state: from which one it was reached first,
        self.places = array("I", [0])  # and by which step
        self.graph = StateGraph() if result.eventually else None
        if self.graph is not None:
            self.graph.add_state(frozenset(), 0)
        result.states = 1

    def run(self, most_states: int, watch: Callable[[Result[StateT, EventT]], bool]) -> bool:
        """Expand every state. Return whether none is left; there may be where ``most_states`` or ``watch`` ended it early."""
        result = self.result
        level_end = 0  # the last state that is as far from the initial one as the present state
        expansions = self.frontier.expansions(self.seen.__contains__, StepCounts(result.shown, result.fired))
        for number, edges in expansions:
            if result.states >= most_states or (number % 100 == 0 and not watch(result)):
                return False
            if number > level_end:
                result.depth += 1
                level_end = result.states - 1
            for place, edge in enumerate(edges):
                self._take(number, place, edge)
            if self.graph is not None:
                self.graph.end_state()
        return True

    def _take(self, number: int, place: int, edge: TakenStep[Any]) -> None:
        result = self.result
        result.edges += 1
        target = self.seen.get(edge.key)
        if target is None and not edge.violations:
            target = self._add(number, place, edge)
        for name in edge.violations:
            if name not in result.counterexamples:
                events, states = self._walk([*self._places_to(number), place])
                result.counterexamples[name] = Counterexample(events, states)
        if self.graph is not None:
            self.graph.add_edge(None if edge.violations else target, edge.kept)

    def _add(self, parent: int, place: int, edge: TakenStep[Any]) -> int:
        """Add a new state to the frontier, and return its number."""
        assert edge.arrival is not None, "a state that is not known has been made"
        number = self.seen[edge.key] = self.result.states
        self.result.states += 1
        self.parents.append(parent)
        self.places.append(place)
        if self.graph is not None:
            self.graph.add_state(edge.arrival.pending, len(edge.kept))
        self.frontier.add(number, edge.key, edge.arrival.state)
        return number

    def _places_to(self, number: int) -> list[int]:
        """Return the steps from the initial state to another one."""
        places = []
        while number:
            places.append(self.places[number])
            number = self.parents[number]
        return places[::-1]

    def _walk(self, places: Sequence[int]) -> tuple[tuple[EventT, ...], tuple[StateT, ...]]:
        """Take the steps once more, from the initial state. Return their events, and the state before each."""
        events: list[EventT] = []
        states = [self.system.initial()[0]]
        for place in places:
            if events:
                states.append(self.system.step(states[-1], events[-1]).arrive().state)
            events.append(next(islice(self.system.events(states[-1]), place, None)))
        return tuple(events), tuple(states)

    def find_lassos(self) -> None:
        """Search for a violation of each ``eventually`` property."""
        if self.graph is None:
            return
        for name in self.result.eventually:
            lasso = fair_lasso(self.graph, name)
            if lasso is not None:
                start, cycle = lasso
                events, states = self._walk([*self._places_to(start), *cycle])
                self.result.counterexamples[name] = Counterexample(events, states, len(cycle))

    def bytes_per_state(self) -> int:
        """Measure the memory of a key and the way to it, on a sample of the states. Shared parts count once."""
        every = max(1, len(self.seen) // SAMPLE)
        sample = [key for key, number in self.seen.items() if number % every == 0]
        return _size(sample) // len(sample) + self.parents.itemsize + self.places.itemsize


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
