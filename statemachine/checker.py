"""Bounded exhaustive breadth-first search: every state that a system can reach, every property at every step.

General: a :class:`System` is anything with an initial state, the events that may happen next, a step, and a key under which states count
as the same. The search is breadth-first, so the first violation of a property has the fewest events that any violation
of it can have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

__all__ = ["Counterexample", "Outcome", "Result", "System", "Verdict", "check"]

StateT = TypeVar("StateT")
EventT = TypeVar("EventT")


class Verdict(Enum):
    """UNDETERMINED: a bound was hit before the search was complete; it never counts as a pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDETERMINED = "UNDETERMINED"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[StateT]):
    """A step: where it leads, the key of that state, the ``always`` properties it violates, the ``sometimes`` ones it shows.

    States with equal keys have equal futures, up to renaming.
    """

    state: StateT
    key: Hashable
    violations: Sequence[str]
    shown: Sequence[str]


class System(Protocol[StateT, EventT]):
    """What is searched."""

    def initial(self) -> tuple[StateT, Hashable]:
        """Where it begins, and the key of that state."""
        ...

    def events(self, state: StateT) -> Iterable[EventT]:
        """What may happen next in ``state``."""
        ...

    def step(self, state: StateT, event: EventT) -> Outcome[StateT]:
        """What ``event`` leads to."""
        ...

    def always(self) -> Sequence[str]:
        """The names of all ``always`` properties."""
        ...

    def sometimes(self) -> Sequence[str]:
        """The names of all ``sometimes`` properties that are expected to be shown."""
        ...


@dataclass(frozen=True, slots=True)
class Counterexample(Generic[StateT, EventT]):
    """The shortest way to a violation: the events from the initial state, and the state before each."""

    events: tuple[EventT, ...]
    states: tuple[StateT, ...]


@dataclass(slots=True)
class Result(Generic[StateT, EventT]):
    """What a search found. ``complete`` tells whether every reachable state was expanded."""

    states: int = 0
    edges: int = 0
    depth: int = 0
    seconds: float = 0.0
    complete: bool = False
    counterexamples: dict[str, Counterexample[StateT, EventT]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    always: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Each property's verdict."""
        unknown = Verdict.PASS if self.complete else Verdict.UNDETERMINED
        unseen = Verdict.FAIL if self.complete else Verdict.UNDETERMINED
        verdicts = {name: Verdict.FAIL if name in self.counterexamples else unknown for name in self.always}
        return verdicts | {name: Verdict.PASS if name in self.shown else unseen for name in self.sometimes}

    @property
    def passed(self) -> bool:
        """Whether every property passed."""
        return all(verdict is Verdict.PASS for verdict in self.verdicts.values())


def check(
    system: System[StateT, EventT],
    *,
    most_states: int = 1_000_000,
    progress: Callable[[Result[StateT, EventT]], None] | None = None,
) -> Result[StateT, EventT]:
    """Search ``system``; stop cleanly at ``most_states``. ``progress`` is called now and then. A violating step is not expanded."""
    result: Result[StateT, EventT] = Result(always=tuple(system.always()), sometimes=tuple(system.sometimes()))
    began = time.perf_counter()
    search = _Search(system, result)
    while search.frontier and result.states < most_states:
        search.expand_level(most_states, progress)
        result.seconds = time.perf_counter() - began
    result.complete = not search.frontier
    return result


class _Search(Generic[StateT, EventT]):
    """The frontier, what was seen, and by which event from which state each was first reached."""

    def __init__(self, system: System[StateT, EventT], result: Result[StateT, EventT]) -> None:
        self.system = system
        self.result = result
        start, key = system.initial()
        self.states: list[StateT | None] = [start]  # forgotten once expanded
        self.came_from: list[tuple[int, EventT] | None] = [None]
        self.seen = {key}
        self.frontier = [0]
        result.states = 1

    def expand_level(self, most_states: int, progress: Callable[[Result[StateT, EventT]], None] | None) -> None:
        """Expand every state of the frontier, which becomes the next level."""
        frontier, self.frontier = self.frontier, []
        for position, index in enumerate(frontier):
            if self.result.states >= most_states:
                self.frontier += frontier[position:]
                return
            self._expand(index)
            if progress is not None and position % 1000 == 0:
                progress(self.result)
        if self.frontier:
            self.result.depth += 1

    def _expand(self, index: int) -> None:
        state = self.states[index]
        assert state is not None, "a state is expanded once"
        self.states[index] = None
        for event in self.system.events(state):
            outcome = self.system.step(state, event)
            self.result.edges += 1
            self.result.shown.update(outcome.shown)
            for name in outcome.violations:
                if name not in self.result.counterexamples:
                    self.result.counterexamples[name] = self._counterexample(index, event)
            if not outcome.violations and outcome.key not in self.seen:
                self.seen.add(outcome.key)
                self.result.states += 1
                self.frontier.append(len(self.states))
                self.states.append(outcome.state)
                self.came_from.append((index, event))

    def _counterexample(self, index: int, last: EventT) -> Counterexample[StateT, EventT]:
        events = [last]
        step = self.came_from[index]
        while step is not None:
            events.append(step[1])
            step = self.came_from[step[0]]
        events.reverse()
        states = [self.system.initial()[0]]
        for event in events[:-1]:
            states.append(self.system.step(states[-1], event).state)
        return Counterexample(tuple(events), tuple(states))
