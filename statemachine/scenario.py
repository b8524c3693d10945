"""Scenarios for the checker: the production model itself, a few requests, and everything that may happen to them.

Time is abstract: no deadline passes by itself, but any armed one may be the next to expire, whenever. That allows more than any real clock
does, so what holds here holds for every choice of time-outs and delays.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from .adapter import Adapter, AdapterConfig
from .checker import Outcome
from .config import ProviderConfig, ProviderManagerConfig
from .events import (
    AcquireRequested,
    Cancelled,
    CloseRequested,
    Event,
    Expired,
    Released,
    StartFailed,
    StartSucceeded,
    Stopped,
)
from .model import Model
from .passing import Account, after
from .policies import Affinity, Gated
from .properties import ALWAYS, SOMETIMES, Step, picture, violated
from .runtime import RuntimeProviderConfig
from .snapshot import Snapshot, canonical, restore, snapshot

__all__ = ["STANDARD", "ModelSystem", "Move", "Scenario", "State", "Wish"]

PASSING_WITHIN_BOUND: Final = "passing_within_bound"  # always: nobody is passed over more often than the policy says
SOMEBODY_PASSED_OVER: Final = "somebody_is_passed_over"  # sometimes
TIMEOUT: Final = 1.0  # any number: time does not pass


class Wish(NamedTuple):
    """``times`` interchangeable requests for one configuration. Requests with the same ``owner`` come from one task."""

    provider: str
    model: str
    times: int
    owner: str | None = None
    priority: int = 0
    timeout: float | None = None


@dataclass(frozen=True)
class Scenario:
    """What the checker explores. ``faults`` allows failing starts and shutdowns, cancels, overdue deadlines and broken releases;
    ``closing`` allows the manager to close at any moment. ``shows`` are the ``sometimes`` properties expected in it."""

    name: str
    config: ProviderManagerConfig
    wishes: tuple[Wish, ...]
    shows: tuple[str, ...] = ()
    faults: bool = True
    closing: bool = True


class State(NamedTuple):
    """The model's exact state, how many requests of each wish are still to come, and who has been passed over."""

    model: Snapshot
    left: tuple[int, ...]
    account: Account = ()


class Move(NamedTuple):
    """An event, and the wish that it fulfils where it is an acquire."""

    event: Event
    wish: int | None = None

    def __str__(self) -> str:
        return str(self.event)


class ModelSystem:
    """A scenario as a system for :func:`statemachine.checker.check`. ``make`` lets a mutant take the model's place."""

    def __init__(self, scenario: Scenario, make: Callable[[ProviderManagerConfig], Model] = Model) -> None:
        self.scenario = scenario
        self._make = make
        self._demands = [scenario.config.resolve(RuntimeProviderConfig(w.provider, w.model)) for w in scenario.wishes]
        self._wanted = tuple(w.times for w in scenario.wishes)

    def always(self) -> Sequence[str]:
        """The names of all properties that must hold."""
        return [*(p.name for p in ALWAYS), PASSING_WITHIN_BOUND]

    def sometimes(self) -> Sequence[str]:
        """The names of those that the scenario is expected to show."""
        return self.scenario.shows

    def initial(self) -> tuple[State, Hashable]:
        """Nothing managed, every wish to come."""
        model = self._make(self.scenario.config)
        return State(snapshot(model), self._wanted), (canonical(model), self._wanted, ())

    def step(self, state: State, move: Move) -> Outcome[State]:
        """One step of the model, looked at through every property."""
        model = self._make(self.scenario.config)
        restore(model, state.model)
        before = picture(model)
        step = Step(before, move.event, model.step(move.event, 0.0), model)
        left = tuple(n - (index == move.wish) for index, n in enumerate(state.left))
        account = after(state.account, step)
        violations = [p.name for p in violated(step)]
        if not self._kept(model, account):
            violations.append(PASSING_WITHIN_BOUND)
        shown = [p.name for p in SOMETIMES if p.holds(step)]
        if any(waiter.passes or waiter.late for waiter in account):
            shown.append(SOMEBODY_PASSED_OVER)
        tickets = sorted(model.requests)
        key = canonical(model), left, tuple(waiter.canonical(tickets) for waiter in account)
        return Outcome(State(snapshot(model), left, account), key, violations, shown)

    def _kept(self, model: Model, account: Account) -> bool:
        """Whether every policy has kept its bound."""
        return all(
            waiter.within(model.pools[model.requests[waiter.ticket].demand.pool].policy.bound) for waiter in account
        )

    def events(self, state: State) -> Iterator[Move]:
        """Every event that may come next."""
        saved = state.model
        if not saved.closing:
            yield from self._acquires(state)
            if self.scenario.closing:
                yield Move(CloseRequested())
        if self.scenario.closing and not saved.closed:
            yield Move(CloseRequested(grace=False))
        yield from map(Move, self._of_requests(saved))
        yield from map(Move, self._of_instances(saved))
        if self.scenario.faults:
            yield from (Move(Expired(timer)) for timer, _ in saved.timers)

    def _acquires(self, state: State) -> Iterator[Move]:
        ticket = 1 + sum(self._wanted) - sum(state.left)
        for index, (wish, demand) in enumerate(zip(self.scenario.wishes, self._demands, strict=True)):
            owner = wish.owner or f"task {ticket}"
            if state.left[index] and not _is_busy(state.model, owner):
                yield Move(AcquireRequested(ticket, demand, owner, None, wish.priority, wish.timeout), index)

    def _of_requests(self, saved: Snapshot) -> Iterator[Event]:
        for request in saved.requests:
            if request.state == "granted":
                yield Released(request.ticket)
                if self.scenario.faults:
                    yield Released(request.ticket, broken=True)
            elif self.scenario.faults:
                yield Cancelled(request.ticket)

    def _of_instances(self, saved: Snapshot) -> Iterator[Event]:
        for instance in saved.instances:
            if instance.state == "starting":
                yield StartSucceeded(instance.id)
                if self.scenario.faults:
                    yield StartFailed(instance.id)
                    yield StartFailed(instance.id, constructed=False)
            elif instance.state == "stopping":
                yield Stopped(instance.id)


def _is_busy(saved: Snapshot, owner: str) -> bool:
    """A task makes one call at a time."""
    return any(r.owner == owner and r.state in ("waiting", "assigned") for r in saved.requests)


def _never_called(config: AdapterConfig) -> Adapter:
    raise AssertionError("the checker runs no adapter")


def _local(**options: Any) -> ProviderManagerConfig:
    parallel = options.pop("parallel", 1)
    return ProviderManagerConfig([ProviderConfig("local", _never_called, is_local=True, parallel=parallel)], **options)


def _api(limit: int, **options: Any) -> ProviderManagerConfig:
    return ProviderManagerConfig([ProviderConfig("api", _never_called, limit=limit)], **options)


STANDARD: Final = (
    Scenario(
        "api-wait",
        _api(2),
        (Wish("api", "a", 2, timeout=TIMEOUT), Wish("api", "b", 1), Wish("api", "c", 1)),
        ("saturation", "eviction_for_room", "failure_with_waiters", "succession", "close"),
    ),
    Scenario(
        "api-raise", _api(1, on_limit="raise"), (Wish("api", "a", 2), Wish("api", "b", 2)), ("contention", "close")
    ),
    Scenario(
        "slot-raise",
        _local(parallel=2),
        (Wish("local", "a", 3), Wish("local", "b", 2)),
        ("contention", "eviction_for_room", "succession", "close"),
    ),
    Scenario(
        "slot-wait",
        _local(on_conflict="wait"),
        (Wish("local", "a", 2, timeout=TIMEOUT), Wish("local", "b", 1, priority=1), Wish("local", "c", 1)),
        ("saturation", "failure_with_waiters", "succession", "close"),
    ),
    Scenario(
        "slot-parallel",
        _local(on_conflict="wait", parallel=2),
        (Wish("local", "a", 2, owner="t"), Wish("local", "a", 1), Wish("local", "b", 1, priority=1)),
        ("contention", "succession", "close"),
    ),
    Scenario(
        "slot-gated",
        _local(on_conflict="wait", policy=Gated),
        (Wish("local", "a", 4), Wish("local", "b", 2), Wish("local", "c", 1)),
        ("succession", SOMEBODY_PASSED_OVER),
        faults=False,
        closing=False,
    ),
    Scenario(
        "slot-gated-faults",
        _local(on_conflict="wait", policy=partial(Gated, 1), parallel=2),
        (Wish("local", "a", 2), Wish("local", "b", 2)),
        ("succession", "failure_with_waiters", SOMEBODY_PASSED_OVER),
        closing=False,
    ),
    Scenario(
        "slot-affinity",
        _local(on_conflict="wait", policy=partial(Affinity, 1)),
        (Wish("local", "a", 3), Wish("local", "b", 2)),
        ("succession", "failure_with_waiters", SOMEBODY_PASSED_OVER),
        closing=False,
    ),
)
"""Small enough to be explored whole in seconds; their state counts are pinned in the tests."""
