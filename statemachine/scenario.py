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
from .coverage import split
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
from .liveness import EVERY_WAITER_IS_SERVED, NEW
from .model import Model
from .passing import Account, after
from .policies import Affinity, Gated
from .policy import Fifo, PolicyFactory
from .properties import ALWAYS, SOMETIMES, Step, picture, violated
from .runtime import RuntimeProviderConfig
from .snapshot import Snapshot, canonical, restore, snapshot

__all__ = ["LARGE", "STANDARD", "ModelSystem", "Move", "Scenario", "State", "Wish"]

PASSING_WITHIN_BOUND: Final = "passing_within_bound"  # always: nobody is passed over more often than the policy says
MODEL_NEVER_FAILS: Final = "model_never_fails"  # always: no event makes the model raise an exception
SOMEBODY_PASSED_OVER: Final = "somebody_is_passed_over"  # sometimes
TIMEOUT: Final = 1.0  # any number: time does not pass


class Wish(NamedTuple):
    """``times`` interchangeable requests for one configuration. Requests with the same ``owner`` come from one task.

    ``renew``: whoever has been served may ask again, for ever; there are ``times`` at once at most. ``watched``: it is a single request,
    which has to be served in the end, whatever the others do.
    """

    provider: str
    model: str
    times: int
    owner: str | None = None
    priority: int = 0
    timeout: float | None = None
    renew: bool = False
    watched: bool = False
    agent: str | None = None


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
    """The model's exact state, how many requests of each wish may still be made, who has been passed over, the last ticket, and
    (where wishes are renewed or watched) whose wish each live request is."""

    model: Snapshot
    left: tuple[int, ...]
    account: Account = ()
    issued: int = 0
    wishes: tuple[tuple[int, int], ...] = ()  # ticket and wish, by ticket


class Move(NamedTuple):
    """An event, and the wish that it fulfils where it is an acquire."""

    event: Event
    wish: int | None = None

    def __str__(self) -> str:
        return str(self.event)


class ModelSystem:
    """A scenario as a system for :func:`statemachine.checker.check`. ``make`` lets a mutant take the model's place."""

    def __init__(self, scenario: Scenario, make: Callable[..., Model] = Model) -> None:
        if any(wish.watched and (wish.renew or wish.times != 1) for wish in scenario.wishes):
            raise ValueError(f"{scenario.name}: a watched wish is for a single request that is not renewed")
        self.scenario = scenario
        self._make = make
        self._demands = [scenario.config.resolve(RuntimeProviderConfig(w.provider, w.model)) for w in scenario.wishes]
        self._wanted = tuple(w.times for w in scenario.wishes)
        self._tells_apart = any(w.renew or w.watched for w in scenario.wishes)
        self._watched = {
            index: f"{EVERY_WAITER_IS_SERVED.name}[{w.model}]" for index, w in enumerate(scenario.wishes) if w.watched
        }

    def always(self) -> Sequence[str]:
        """The names of all properties that must hold."""
        return [*(p.name for p in ALWAYS), PASSING_WITHIN_BOUND, MODEL_NEVER_FAILS]

    def sometimes(self) -> Sequence[str]:
        """The names of those that the scenario is expected to show."""
        return self.scenario.shows

    def eventually(self) -> Sequence[str]:
        """One name for each watched wish: that every waiter is served, whichever request it is."""
        return list(self._watched.values())

    def initial(self) -> tuple[State, Hashable]:
        """Nothing managed, every wish to come."""
        model = self._make(self.scenario.config)
        return State(snapshot(model), self._wanted), (canonical(model), self._wanted, (), ())

    def step(self, state: State, move: Move) -> Outcome[State]:
        """One step of the model, looked at through every property."""
        model = self._make(self.scenario.config, record=True)
        restore(model, state.model)
        before = picture(model)
        try:
            effects, fired = split(model.step(move.event, 0.0))
        except Exception:  # whatever it is, no driver could go on
            return Outcome(state, MODEL_NEVER_FAILS, [MODEL_NEVER_FAILS], [])
        step = Step(before, move.event, effects, model)
        account = after(state.account, step)
        violations = [p.name for p in violated(step)]
        if not self._kept(model, account):
            violations.append(PASSING_WITHIN_BOUND)
        shown = [p.name for p in SOMETIMES if p.holds(step)]
        if any(waiter.passes or waiter.late for waiter in account):
            shown.append(SOMEBODY_PASSED_OVER)
        reached = self._reached(state, move, model, account)
        kept = _what_became_of(_duties(state.model), _duties(reached.model))
        return Outcome(reached, self._key(model, reached), violations, shown, fired, self._pending(reached), kept)

    def _reached(self, state: State, move: Move, model: Model, account: Account) -> State:
        left, issued, wishes = list(state.left), state.issued, state.wishes
        if move.wish is not None:
            left[move.wish] -= 1
            issued += 1
        if self._tells_apart:
            if move.wish is not None:
                wishes += ((issued, move.wish),)
            for ticket, wish in wishes:
                left[wish] += ticket not in model.requests and self.scenario.wishes[wish].renew
            wishes = tuple(one for one in wishes if one[0] in model.requests)
        return State(snapshot(model), tuple(left), account, issued, wishes)

    def _key(self, model: Model, state: State) -> Hashable:
        tickets = sorted(model.requests)
        account = tuple(waiter.canonical(tickets) for waiter in state.account)
        return canonical(model), state.left, account, tuple(wish for _, wish in state.wishes)

    def _pending(self, state: State) -> frozenset[str]:
        """The properties of the watched requests that wait."""
        if not self._watched:
            return frozenset()
        wishes = dict(state.wishes)
        waiting = (wishes[r.ticket] for r in state.model.requests if r.state in ("waiting", "assigned"))
        return frozenset(self._watched[wish] for wish in waiting if wish in self._watched)

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
        ticket = state.issued + 1
        for index, (wish, demand) in enumerate(zip(self.scenario.wishes, self._demands, strict=True)):
            owner = wish.owner or f"task {ticket}"
            if state.left[index] and not _is_busy(state.model, owner):
                yield Move(AcquireRequested(ticket, demand, owner, wish.agent, wish.priority, wish.timeout), index)

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


def _duties(saved: Snapshot) -> list[tuple[str, int]]:
    """What has to come to its end: leases, starts and shutdowns; the same order in equal states."""
    leases = [("granted", r.ticket) for r in saved.requests if r.state == "granted"]
    return leases + [(i.state, i.id) for i in saved.instances if i.state in ("starting", "stopping")]


def _what_became_of(before: list[tuple[str, int]], now: list[tuple[str, int]]) -> tuple[int, ...]:
    return tuple(before.index(duty) if duty in before else NEW for duty in now)


def _never_called(config: AdapterConfig) -> Adapter:
    raise AssertionError("the checker runs no adapter")


def _local(*, parallel: int = 1, policy: PolicyFactory = Fifo, **options: Any) -> ProviderManagerConfig:
    provider = ProviderConfig("local", _never_called, is_local=True, parallel=parallel)
    return ProviderManagerConfig([provider], policy=policy, **options)


def _api(limit: int, **options: Any) -> ProviderManagerConfig:
    return ProviderManagerConfig([ProviderConfig("api", _never_called, limit=limit)], **options)


def _live(name: str, policy: PolicyFactory) -> Scenario:
    """Three tasks that never stop asking, and a request for the model that is asked for less."""
    wishes = Wish("local", "a", 2, renew=True), Wish("local", "b", 1, renew=True), Wish("local", "b", 1, watched=True)
    config = _local(on_conflict="wait", policy=policy)
    return Scenario(name, config, wishes, ("succession", "failure_with_waiters"), closing=False)


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
    Scenario(
        "live-api",
        _api(1),
        (
            Wish("api", "a", 1, renew=True),
            Wish("api", "b", 1, renew=True),
            Wish("api", "a", 1, watched=True),
            Wish("api", "b", 1, watched=True),
        ),
        ("succession", "failure_with_waiters"),
        closing=False,
    ),
    _live("live-fifo", Fifo),
    _live("live-gated", Gated),
    _live("live-gated-extra", partial(Gated, 1)),
    _live("live-affinity", partial(Affinity, 1)),
)
"""Small enough to be explored whole in seconds; their state counts are pinned in the tests."""


def _large(name: str, config: ProviderManagerConfig, shows: tuple[str, ...], times: tuple[int, int, int]) -> Scenario:
    """Three configurations, so many requests for each at once, without end."""
    provider = config.available_providers[0].name
    a, b, c = (Wish(provider, model, n, renew=True) for model, n in zip("abc", times, strict=True))
    return Scenario(name, config, (a._replace(timeout=TIMEOUT), b, c), shows)


LARGE: Final = (
    _large("large-api", _api(2), ("saturation", "eviction_for_room", "succession", "close"), (2, 2, 2)),
    _large("large-slot-raise", _local(), ("contention", "eviction_for_room", "close"), (3, 3, 2)),
    _large("large-slot-raise-2", _local(parallel=2), ("contention", "eviction_for_room", "close"), (3, 3, 2)),
    _large("large-slot-wait", _local(on_conflict="wait"), ("failure_with_waiters", "succession", "close"), (3, 3, 2)),
    _large(
        "large-slot-wait-2",
        _local(on_conflict="wait", parallel=2),
        ("failure_with_waiters", "succession", "close"),
        (3, 3, 2),
    ),
)
"""Requests without end, faults and close at any moment; at most six requests at once on the API pool, eight on a slot."""
