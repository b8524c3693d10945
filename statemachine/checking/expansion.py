"""What is searched: a system of states and steps; and the expansion of one state, which takes every step out of it.

The search knows nothing of coordinators. A :class:`System` has an initial state, the events that may happen next, a step, and a key:
states with equal keys count as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

__all__ = ["Arrival", "Outcome", "StepCounts", "System", "TakenStep", "expand"]

StateT = TypeVar("StateT")
EventT = TypeVar("EventT")


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


class TakenStep(NamedTuple, Generic[StateT]):
    """An edge of the search: one step out of a state. ``arrival`` is None where the state that it leads to is known already."""

    key: Hashable
    violations: Sequence[str]
    kept: tuple[int, ...]
    arrival: Arrival[StateT] | None


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What steps and states have shown and fired."""

    shown: set[str] = field(default_factory=set)
    fired: Counter[Hashable] = field(default_factory=Counter)

    def add(self, outcome: Outcome[Any]) -> None:
        """Count one step."""
        self.shown.update(outcome.shown)
        for one in outcome.fired:  # Counter.update() asks each time whether it is given a mapping
            self.fired[one] += 1

    def merge(self, other: StepCounts) -> None:
        """Add what was counted elsewhere."""
        self.shown.update(other.shown)
        self.fired.update(other.fired)


def expand(
    system: System[StateT, EventT],
    state: StateT,
    is_known: Callable[[Hashable], bool],
    counts: StepCounts,
    told: Callable[[Hashable], Hashable] = lambda key: key,
) -> Iterator[TakenStep[StateT]]:
    """Yield every step out of ``state``, in the order of its events. The state that a step leads to is made unless its key is known.

    ``told``: what a key is told by, to ``is_known`` and in what is yielded.
    """
    for event in system.events(state):
        outcome = system.step(state, event)
        counts.add(outcome)
        key, violations, arrival = told(outcome.key), outcome.violations, None
        if not is_known(key):
            arrival = outcome.arrive()
            counts.shown.update(arrival.shown)
            violations = [*violations, *arrival.violations]
        yield TakenStep(key, violations, outcome.kept, arrival)
