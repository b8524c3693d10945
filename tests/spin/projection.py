"""The production model, explored by the checker, with every step written down in the words of the specifications in ``tests/spin``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from statemachine.checking.checker import Outcome, check
from statemachine.checking.scenario import Move, Scenario, State
from statemachine.checking.system import CoordinatorSystem
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import (
    AcquireRequested,
    Cancelled,
    Cause,
    CloseRequested,
    Effect,
    Event,
    Expired,
    FoundBroken,
    Reject,
    Released,
    StartFailed,
    StartSucceeded,
    Stopped,
    TimerKind,
    Transition,
)
from statemachine.core.snapshot import Snapshot

from .second_opinion import NONE, Edge, describe, joined


class Watched(CoordinatorSystem):
    """A scenario as a system for the checker; every step is written down in the specifications' words.

    Its models are called "0", "1" and "2". A step that violates a property is written down, but what follows it is not.
    """

    def __init__(self, scenario: Scenario, make: Callable[..., Coordinator] = Coordinator) -> None:
        self.edges: set[Edge] = set()
        self._effects: list[Effect] = []
        super().__init__(scenario, _overheard(make, self._effects), symmetric=False)

    def events(self, state: State) -> Iterator[Move]:
        """Those that the specifications have a word for."""
        return (move for move in super().events(state) if _is_specified(move.event, state.coordinator))

    def step(self, state: State, move: Move) -> Outcome[State]:
        """One step of the production model."""
        self._effects.clear()
        outcome = super().step(state, move)
        before, after = state.coordinator, outcome.arrive().state.coordinator
        edge = Edge(_projected(before), _word(move.event, before), _ended(before, self._effects), _projected(after))
        self.edges.add(edge)
        return outcome


def _is_specified(event: Event, saved: Snapshot) -> bool:
    """Not what comes too late: a call while the manager closes, a release of what is over, a cancel of what was granted."""
    states = {request.ticket: request.state for request in saved.requests}
    match event:
        case AcquireRequested():
            return saved.state == "open"
        case Released(ticket=ticket):
            return ticket in states
        case Cancelled(ticket=ticket):
            return states[ticket] != "granted"
        case _:
            return True


def _projected(saved: Snapshot) -> str:
    phase = "closed" if saved.state == "closed" else saved.pools[0].state if saved.pools else "open"
    ranks = _ranks(saved)
    requests = [f"{ranks[r.ticket]}:{r.demand.model} {r.state}" for r in saved.requests]
    models = {instance.id: instance.demand.model for instance in saved.instances}
    idle = [models[id] for pool in saved.pools for id in pool.idle]
    return describe(phase, list(_instances(saved, ranks)), requests, idle)


def _ranks(saved: Snapshot) -> dict[int, int]:
    return {ticket: rank for rank, ticket in enumerate(sorted(r.ticket for r in saved.requests))}


REFUSED: Final = {cause: cause.value.replace(" ", "_") for cause in Cause} | {Cause.CLOSED: "shut"}
ENDS: Final = {"released", "revoked", "cancelled", "timed_out"}


def _ended(before: Snapshot, effects: list[Effect]) -> str:
    """Whose requests ended in a step, by their ranks before it, and how."""
    ranks = _ranks(before)
    ended = {}
    for effect in effects:
        if isinstance(effect, Reject):
            ended[effect.ticket] = f"{effect.demand.model} {REFUSED[effect.cause]}"
        elif isinstance(effect, Transition) and effect.dest in ENDS:
            assert isinstance(effect.subject, int), "only requests end so"
            assert effect.demand is not None, "every request demands something"
            ended[effect.subject] = f"{effect.demand.model} {effect.dest}"
    newcomer = len(ranks)
    return joined([f"{ranks.get(ticket, newcomer)}:{how}" for ticket, how in sorted(ended.items())])


def _overheard(make: Callable[..., Coordinator], heard: list[Effect]) -> Callable[..., Coordinator]:
    """``make``, whose coordinators leave the effects of the last step in ``heard``."""

    def watch(_: Coordinator, __: Event) -> Callable[[list[Effect]], None]:
        return heard.extend

    return partial(make, watch=watch)


def _instances(saved: Snapshot, ranks: dict[int, int]) -> Iterator[str]:
    """Live instances: state, configuration, whom its place is promised to, who uses or awaits it, who caused its start."""
    by_id = {instance.id: instance for instance in saved.instances}
    for instance in saved.instances:
        if instance.state != "absent":
            planned = instance if instance.successor is None else by_id[instance.successor]
            users = sum(1 << ranks[ticket] for ticket in (*planned.leases, *planned.assigned))
            promised = NONE if planned is instance else planned.demand.model
            causer = NONE if instance.cause not in instance.assigned else ranks[instance.cause]
            state = "leased" if instance.state == "active" else instance.state  # "active" is a keyword of Promela
            yield f"{state} {instance.demand.model} to {promised} for {users} by {causer}"


def _word(event: Event, saved: Snapshot) -> str:
    """What the specifications call ``event``."""
    match event:
        case AcquireRequested():
            return "ask"
        case Cancelled():
            return "cancel"
        case Released(broken=broken):
            return "release broken" if broken else "release"
        case FoundBroken():
            return "found broken"
        case StartSucceeded():
            return "start succeeds"
        case StartFailed(constructed=constructed):
            return "start fails" if constructed else "construction fails"
        case CloseRequested(grace=False) if saved.state == "open":
            return "close at once"
        case CloseRequested(grace=True):
            return "close"
        case CloseRequested():
            return EXPIRED[TimerKind.GRACE]
        case Stopped():
            return "down"
        case Expired(timer=(kind, _)):
            return EXPIRED[kind]
        case _:
            raise ValueError(f"the specifications have no word for {event}")


EXPIRED: Final = {
    TimerKind.ACQUIRE: "time out",
    TimerKind.START: "start overdue",
    TimerKind.STOP: "down",
    TimerKind.IDLE: "idle time-out",
    TimerKind.GRACE: "grace over",
    TimerKind.PAUSE: "pause over",
}


def explore(scenario: Scenario, make: Callable[..., Coordinator] = Coordinator) -> set[Edge]:
    """Every step of the production model in ``scenario``."""
    watched = Watched(scenario, make)
    assert check(watched).complete
    return watched.edges
