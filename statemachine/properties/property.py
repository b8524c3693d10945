"""What a property is, and what it looks at: a named statement about states, about steps, or about how things go on.

``always``: about every state, or about every step into one. ``sometimes``: some step of a scenario shows it, or the scenario is vacuous.
``eventually``: about every fair way of going on. Each is one sentence and one function.
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
    """What a step property has to know of the state before: each instance's state and signature, each request's state and instance."""

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
    """A named statement. ``holds`` tells of a step whether it (or the state that it leads to) is as the sentence says.

    ``of_state`` is the same of a state, where that alone decides; then it reads nothing but what a state's canonical form tells
    (:mod:`..checking.canonical`), so that once for each such form is enough. An ``eventually`` property holds in a state where nothing is
    left to come about, and has to hold again and again; ``fairness`` is what that assumes of the world. ``about``, where it names any, are
    the kinds of events and effects that it is about: it holds for every step that has none of them.
    """

    name: str
    kind: Kind
    sentence: str
    holds: OfStep
    of_state: OfState | None = None
    fairness: str | None = None
    about: frozenset[type] = frozenset()

    def concerns(self, kinds: frozenset[type]) -> bool:
        """Whether a step with events and effects of these ``kinds`` has to be looked at."""
        return not self.about or not self.about.isdisjoint(kinds)


def always_of_states(sentence: str) -> Callable[[OfState], Property]:
    """Declare what is true of every state."""
    return lambda holds: _of_state("always", sentence, holds)


def always_of_steps(sentence: str, *about: type) -> Callable[[OfStep], Property]:
    """Declare what is true of every step; ``about`` which kinds of events and effects that is, if only of some."""
    return lambda holds: Property(holds.__name__, "always", sentence, holds, about=frozenset(about))


def sometimes_a_state(sentence: str) -> Callable[[OfState], Property]:
    """Declare what some state shows."""
    return lambda holds: _of_state("sometimes", sentence, holds)


def sometimes_a_step(sentence: str) -> Callable[[OfStep], Property]:
    """Declare what some step shows."""
    return lambda holds: Property(holds.__name__, "sometimes", sentence, holds)


def eventually(sentence: str, fairness: str) -> Callable[[OfState], Property]:
    """Declare what comes about in the end, from every state, if the world is fair."""
    return lambda holds: _of_state("eventually", sentence, holds, fairness)


def _of_state(kind: Kind, sentence: str, holds: OfState, fairness: str | None = None) -> Property:
    return Property(holds.__name__, kind, sentence, lambda step: holds(step.after), holds, fairness)


def of_states(properties: Iterable[Property]) -> list[tuple[str, OfState]]:
    """Those of ``properties`` that a state alone decides."""
    return [(p.name, p.of_state) for p in properties if p.of_state is not None]


def of_steps(properties: Iterable[Property]) -> list[tuple[str, OfStep]]:
    """The others of ``properties``."""
    return [(p.name, p.holds) for p in properties if p.of_state is None]


_LIVE: Final = frozenset({"starting", "active", "draining", "idle", "stopping"})


def live(pool: Pool) -> int:
    """How many instances of ``pool`` live, by their states."""
    return sum([i.state in _LIVE for i in pool.instances.values()])


def placed(step: Step) -> Iterator[Request]:
    """Requests that got an instance in this step, and did not merely change from loading to holding."""
    for request in step.after.requests.values():
        if request.state in ("assigned", "granted") and step.before.requests.get(request.ticket) in (None, "waiting"):
            yield request
