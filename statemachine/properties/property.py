"""What a property is: a name, a sentence, and a function that says whether the sentence is true.

There are three kinds. An ``always`` property is true of every state, or of every step. A ``sometimes`` property is shown by some step of
a scenario; if none shows it, the scenario does not test what it should. An ``eventually`` property comes true in every fair run.

Example::

    @always_of_states("A local slot has at most one live instance.")
    def one_live_instance_per_slot(coordinator: Coordinator) -> bool:
        return all(live(pool) <= 1 for pool in coordinator.pools.values() if pool.is_slot)

Properties of steps get a :class:`Step`: a picture of the state before, the event, its effects, and the coordinator after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from ..core.coordinator import Coordinator
from ..core.events import Effect, Event
from ..core.index import Pool, Request

__all__ = [
    "Kind",
    "OfState",
    "OfStep",
    "Picture",
    "Property",
    "Step",
    "always_of_states",
    "always_of_steps",
    "eventually",
    "live",
    "of_states",
    "of_steps",
    "picture",
    "placed",
    "sometimes_a_state",
    "sometimes_a_step",
]


class Picture(NamedTuple):
    """What a property of steps knows of the state before: by id and ticket, the instances' states and signatures, the requests' states and
    instances."""

    instances: dict[int, str]
    signatures: dict[int, str]
    requests: dict[int, str]
    instance_of: dict[int, int]


def picture(coordinator: Coordinator) -> Picture:
    """Take the picture of ``coordinator``."""
    instances = coordinator.instances.values()
    return Picture(
        {i.id: i.state for i in instances},
        {i.id: i.demand.signature for i in instances},
        {r.ticket: r.state for r in coordinator.requests.values()},
        {r.ticket: r.instance.id for r in coordinator.requests.values() if r.instance is not None},
    )


class Step(NamedTuple):
    """One step: the picture before, the event, its effects, and the coordinator after."""

    before: Picture
    event: Event
    effects: list[Effect]
    after: Coordinator


Kind: TypeAlias = Literal["always", "sometimes", "eventually"]
OfState: TypeAlias = Callable[[Coordinator], bool]
OfStep: TypeAlias = Callable[[Step], bool]


@dataclass(frozen=True, slots=True)
class Property:
    """A named statement. ``holds`` says of a step whether the step, or the state after it, is as the sentence says.

    ``of_state``, where the state alone decides: the same of a state. It may read only what is part of the state's canonical form
    (:mod:`..checking.canonical`), because the checker calls it once for each form. ``about``, where it is not empty: the kinds of events
    and effects that the property is about; it holds for every step that has none of them. For an ``eventually`` property, ``holds``
    means "fulfilled now", which must be so again and again in every run that is fair as ``fairness`` says.
    """

    name: str
    kind: Kind
    sentence: str
    holds: OfStep
    of_state: OfState | None = None
    fairness: str | None = None
    about: frozenset[type] = frozenset()

    def concerns(self, kinds: frozenset[type]) -> bool:
        """Return whether a step with events and effects of these ``kinds`` has to be looked at."""
        return not self.about or not self.about.isdisjoint(kinds)


def always_of_states(sentence: str) -> Callable[[OfState], Property]:
    """Declare a property that is true of every state."""
    return lambda holds: _of_state("always", sentence, holds)


def always_of_steps(sentence: str, *about: type) -> Callable[[OfStep], Property]:
    """Declare a property that is true of every step. ``about``: the kinds of events and effects that it is about; none: any."""
    return lambda holds: Property(holds.__name__, "always", sentence, holds, about=frozenset(about))


def sometimes_a_state(sentence: str) -> Callable[[OfState], Property]:
    """Declare a property that some state shows."""
    return lambda holds: _of_state("sometimes", sentence, holds)


def sometimes_a_step(sentence: str) -> Callable[[OfStep], Property]:
    """Declare a property that some step shows."""
    return lambda holds: Property(holds.__name__, "sometimes", sentence, holds)


def eventually(sentence: str, fairness: str) -> Callable[[OfState], Property]:
    """Declare a property that comes true in every run that is fair."""
    return lambda holds: _of_state("eventually", sentence, holds, fairness)


def _of_state(kind: Kind, sentence: str, holds: OfState, fairness: str | None = None) -> Property:
    return Property(holds.__name__, kind, sentence, lambda step: holds(step.after), holds, fairness)


def of_states(properties: Iterable[Property]) -> list[tuple[str, OfState]]:
    """Return name and function of the properties that a state alone decides."""
    return [(p.name, p.of_state) for p in properties if p.of_state is not None]


def of_steps(properties: Iterable[Property]) -> list[tuple[str, OfStep]]:
    """Return name and function of the properties that need a step."""
    return [(p.name, p.holds) for p in properties if p.of_state is None]


_LIVE: Final = frozenset({"starting", "active", "draining", "idle", "stopping"})


def live(pool: Pool) -> int:
    """Count the live instances of ``pool`` by their states."""
    return sum([i.state in _LIVE for i in pool.instances.values()])


def placed(step: Step) -> Iterator[Request]:
    """Yield the requests that were placed in this step: granted or assigned, and not assigned before."""
    for request in step.after.requests.values():
        if request.state in ("assigned", "granted") and step.before.requests.get(request.ticket) in (None, "waiting"):
            yield request
