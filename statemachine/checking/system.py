"""A scenario as a system to search: the production coordinator itself, the scenario's requests, and everything that may happen to them.

A step of the search restores a snapshot, gives the coordinator one event, looks at the result through every property, and takes the next
snapshot. Time is abstract: no clock runs, but any armed deadline may be the next to expire. That allows more than a real clock does, so
what holds here holds for every choice of time-outs and delays. Only policies that learn from durations are given some (:mod:`.ageing`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache, partial
from itertools import chain
from typing import Final

from ..config.providers import Demand
from ..config.runtime import RuntimeProviderConfig
from ..core.coordinator import Coordinator
from ..core.events import (
    AcquireRequested,
    Cancelled,
    CloseRequested,
    Event,
    Expired,
    FoundBroken,
    Opened,
    Released,
    StartFailed,
    StartSucceeded,
    Stopped,
    Timer,
    TimerKind,
)
from ..core.snapshot import Snapshot, restore, snapshot
from ..properties import ALWAYS, SOMETIMES, close_ends, every_waiter_is_served
from ..properties.property import OfStep, Step, of_states, of_steps, picture
from .ageing import age, in_every_time
from .canonical import Names, Symmetry, WishKind, instances_of, memories, requests_of, structure, tickets_of
from .checker import Arrival, Outcome
from .coverage import Last, covered_by, split
from .liveness import NEW
from .passing import Account, after, within_bounds
from .scenario import Move, Scenario, State

__all__ = ["CoordinatorSystem"]

OVERTAKING_WITHIN_BOUND: Final = "overtaking_within_bound"  # always: none is overtaken more often than the policy says
COORDINATOR_NEVER_FAILS: Final = "coordinator_never_fails"  # always: no event makes the coordinator raise an exception
REQUEST_OVERTAKEN: Final = "request_is_overtaken"  # sometimes
OVER: Final = 0  # a ticket that no request has: to the coordinator as one that is over

_OF_STATES: Final = of_states(ALWAYS)


class CoordinatorSystem:
    """A scenario as a system for :func:`statemachine.checking.checker.check`. ``make``: the class of coordinator, such as a mutant.

    ``symmetric``: states that differ by a renaming of configurations count as one. Requests of one wish are interchangeable in any case.
    """

    def __init__(
        self, scenario: Scenario, make: Callable[..., Coordinator] = Coordinator, *, symmetric: bool = True
    ) -> None:
        if any(wish.watched and (wish.renew or wish.times != 1) for wish in scenario.wishes):
            raise ValueError(f"{scenario.name}: a watched wish is for a single request that is not renewed")
        if (scenario.closing or any(wish.watched for wish in scenario.wishes)) and len(
            scenario.config.available_providers
        ) > 1:
            raise ValueError(f"{scenario.name}: liveness is checked in one pool only")
        self.scenario: Final = scenario
        self._coordinator: Final = make(scenario.config, record=True)  # it is put into the state that is to be stepped
        self._coordinator.step(Opened(), 0.0)
        self._nothing: Final = snapshot(self._coordinator)
        resolve = scenario.config.resolve
        self.demands: Final = [resolve(RuntimeProviderConfig(wish.provider, wish.model)) for wish in scenario.wishes]
        self._watched: Final = {
            index: f"{every_waiter_is_served.name}[{wish.model}]"
            for index, wish in enumerate(scenario.wishes)
            if wish.watched
        }
        expected = [p for p in SOMETIMES if p.name in scenario.shows]
        self._shown_by_steps: Final = of_steps(expected)
        self._shown_by_states: Final = of_states(expected)
        self._to_come: Final = of_states([close_ends] if scenario.closing else [])
        self._symmetry: Final = Symmetry(self._kinds(symmetric and not self._watched))
        self._structures: Final[
            dict[Hashable, Hashable]
        ] = {}  # one copy of each: thousands of states share some dozens
        self._takes_time: Final = scenario.durations != (0.0,)
        self._pauses: Final = not scenario.config.policy_factory().work_conserving
        self._stepped: State | None = None  # the state stepped last; the two below are the same for all of its steps
        self._before = picture(self._coordinator)
        self._due: list[_Duty] = []

    def _kinds(self, interchangeable: bool) -> list[WishKind]:
        """Return the wishes as the symmetry sees them. A watched wish is known by its name, so then none are interchangeable."""
        fixed = [None if interchangeable else index for index in range(len(self.demands))]
        return [
            WishKind(
                demand.pool,
                demand.signature,
                wish.owner,
                (fixed[index], wish._replace(model="", owner=None, below=None)),
                wish.below,
            )
            for index, (wish, demand) in enumerate(zip(self.scenario.wishes, self.demands, strict=True))
        ]

    def always(self) -> Sequence[str]:
        """Return the names of all properties that must hold."""
        return [*(p.name for p in ALWAYS), OVERTAKING_WITHIN_BOUND, COORDINATOR_NEVER_FAILS]

    def sometimes(self) -> Sequence[str]:
        """Return the names of the ``sometimes`` properties that the scenario is expected to show."""
        return self.scenario.shows

    def eventually(self) -> Sequence[str]:
        """Return the names of the liveness properties: that the request of each watched wish is served, and that close ends."""
        return [*self._watched.values(), *(name for name, _ in self._to_come)]

    def initial(self) -> tuple[State, Hashable]:
        """Return the state in which nothing is managed and every wish is still to come, and its key."""
        coordinator = self._coordinator
        restore(coordinator, self._nothing)
        state = State(self._nothing, tuple(wish.times for wish in self.scenario.wishes), (), 0, (), {})
        return state, self._key(coordinator, state.left, (), (), {})

    # ---- steps ----

    def step(self, state: State, move: Move) -> Outcome[State]:
        """Take one step of the coordinator, and check it by every property."""
        coordinator = self._coordinator
        restore(coordinator, state.coordinator)
        if state is not self._stepped:
            self._stepped, self._before, self._due = state, picture(coordinator), _duties(coordinator)
        if self._takes_time:
            age(coordinator, move)
        try:
            effects, fired = split(coordinator.step(move.event, 0.0))
        except Exception:  # whatever it is, no driver could go on
            return Outcome(COORDINATOR_NEVER_FAILS, partial(_nowhere, state), [COORDINATOR_NEVER_FAILS])
        step = Step(self._before, move.event, effects, coordinator)
        left, wishes = self._asked(state, move, coordinator)
        account = after(state.account, step)
        kinds = frozenset(map(type, (move.event, *effects)))
        violations = [name for name, holds in _to_look_at(kinds) if not holds(step)]
        shown = [name for name, holds in self._shown_by_steps if holds(step)]
        if any(waiter.passes or waiter.late for waiter in account):
            shown.append(REQUEST_OVERTAKEN)
            if not within_bounds(coordinator, account):
                violations.append(OVERTAKING_WITHIN_BOUND)
        last, covered = covered_by(step, fired, state.last)
        kept = _what_became_of(self._due, _duties(coordinator)) if self._watched or coordinator.state != "open" else ()
        issued = state.issued + (move.wish is not None)
        arrive = partial(self._arrive, coordinator, left, account, issued, wishes, last)
        return Outcome(self._key(coordinator, left, account, wishes, last), arrive, violations, shown, covered, kept)

    def _asked(
        self, state: State, move: Move, coordinator: Coordinator
    ) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Return how many requests each wish still has, and the wish of each live request, after ``move``.

        While the manager closes, no request counts as made.
        """
        wishes = state.wishes
        if move.wish is None and len(coordinator.requests) == len(wishes):
            return state.left, wishes
        left = list(state.left)
        if move.wish is not None and state.coordinator.state == "open":
            left[move.wish] -= 1
            wishes = (*wishes, (state.issued + 1, move.wish))
        for ticket, wish in wishes:
            left[wish] += ticket not in coordinator.requests and self.scenario.wishes[wish].renew
        return tuple(left), tuple([one for one in wishes if one[0] in coordinator.requests])

    def _key(
        self,
        coordinator: Coordinator,
        left: tuple[int, ...],
        account: Account,
        wishes: tuple[tuple[int, int], ...],
        last: Last,
    ) -> Hashable:
        requests, instances, tickets, whose = (
            requests_of(coordinator),
            instances_of(coordinator),
            tickets_of(coordinator),
            dict(wishes),
        )
        names = Names(
            tuple([instance.demand.signature for instance in instances]),
            tuple([whose[request.ticket] for request in requests]),
            memories(coordinator, tickets),
            left,
            tuple([waiter.canonical(tickets[coordinator.requests[waiter.ticket].demand.pool]) for waiter in account]),
        )
        form = structure(coordinator, requests, instances)
        return (
            self._structures.setdefault(form, form),
            self._symmetry.least(names),
            self._history(coordinator, last) if self.scenario.history else (),
        )

    def _history(self, coordinator: Coordinator, last: Last) -> Hashable:
        """Return how each pool, instance and request came into its state."""
        subjects = (
            ("pool", sorted(coordinator.pools)),
            ("instance", coordinator.instances),
            ("request", coordinator.requests),
        )
        return tuple([last.get((machine, subject)) for machine, every in subjects for subject in every])

    def _arrive(
        self,
        coordinator: Coordinator,
        left: tuple[int, ...],
        account: Account,
        issued: int,
        wishes: tuple[tuple[int, int], ...],
        last: Last,
    ) -> Arrival[State]:
        """Return the state that a step has led to, checked by every property of states."""
        violations = [name for name, holds in _OF_STATES if not holds(coordinator)]
        shown = [name for name, holds in self._shown_by_states if holds(coordinator)]
        state = State(snapshot(coordinator), left, account, issued, wishes, last)
        return Arrival(state, violations, shown, self._pending(coordinator, dict(wishes)))

    def _pending(self, coordinator: Coordinator, wishes: dict[int, int]) -> frozenset[str]:
        """Return the ``eventually`` properties that are not fulfilled now."""
        pending = {name for name, holds in self._to_come if not holds(coordinator)}
        if self._watched:
            waiting = (wishes[r.ticket] for r in coordinator.requests.values() if r.state in ("waiting", "assigned"))
            pending.update(self._watched[wish] for wish in waiting if wish in self._watched)
        return frozenset(pending)

    # ---- what may happen next ----

    def events(self, state: State) -> Iterator[Move]:
        """Return every event that may happen next."""
        moves = chain(self._acquires(state), map(Move, self._others(state.coordinator)))
        if not self._takes_time:
            return moves
        return in_every_time(moves, state.coordinator, self.scenario.durations, self._pauses)

    def _others(self, saved: Snapshot) -> Iterator[Event]:
        if self.scenario.closing and saved.state != "closed":
            if saved.state == "open":
                yield CloseRequested()
            yield CloseRequested(grace=False)
        yield from self._of_requests(saved)
        yield from self._of_instances(saved)
        yield from (Expired(Timer(*t)) for t, _ in saved.timers if self.scenario.faults or t[0] is TimerKind.PAUSE)
        if self.scenario.faults:
            yield Released(OVER)

    def _acquires(self, state: State) -> Iterator[Move]:
        ticket = state.issued + 1
        if state.coordinator.state == "closed":
            return
        for index, (wish, demand) in enumerate(zip(self.scenario.wishes, self.demands, strict=True)):
            if state.left[index] and not (wish.owner and _is_busy(state.coordinator, wish.owner)):
                owner = wish.owner or f"task {ticket}"
                above = _leases_of(state.coordinator, wish.below, demand) if wish.below else ()
                event = AcquireRequested(ticket, demand, owner, wish.agent, wish.priority, wish.timeout, above)
                yield Move(event, index)

    def _of_requests(self, saved: Snapshot) -> Iterator[Event]:
        for request in saved.requests:
            if request.state == "granted":
                yield Released(request.ticket)
                if self.scenario.faults:
                    yield Released(request.ticket, broken=True)
                    yield FoundBroken(request.ticket)
            if self.scenario.faults:
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
                if self.scenario.faults:
                    yield Stopped(instance.id, failed=True)


@cache
def _to_look_at(kinds: frozenset[type]) -> list[tuple[str, OfStep]]:
    """Return the ``always`` properties that concern a step with events and effects of these ``kinds``."""
    return of_steps([p for p in ALWAYS if p.concerns(kinds)])


def _nowhere(state: State) -> Arrival[State]:
    return Arrival(state)


def _is_busy(saved: Snapshot, owner: str) -> bool:
    """Return whether the task waits for a lease: it makes one call at a time."""
    return any(r.owner == owner and r.state in ("waiting", "assigned") for r in saved.requests)


def _leases_of(saved: Snapshot, owner: str, demand: Demand) -> tuple[int, ...]:
    """Return the tickets of the leases that the task holds in the pool of ``demand``."""
    own = (r for r in saved.requests if r.owner == owner and r.state == "granted")
    return tuple([request.ticket for request in own if request.demand.pool == demand.pool])


_Duty = tuple[str, int]


def _duties(coordinator: Coordinator) -> list[_Duty]:
    """Return the duties: what has to end at some time (leases, starts, shutdowns, pauses), in the same order in equal states."""
    leases = [("granted", r.ticket) for r in coordinator.requests.values() if r.state == "granted"]
    changes = [(i.state, i.id) for i in coordinator.instances.values() if i.state in ("starting", "stopping")]
    return (
        leases + changes + [("pause", number) for kind, number in coordinator.timers.armed if kind is TimerKind.PAUSE]
    )


def _what_became_of(before: list[_Duty], now: list[_Duty]) -> tuple[int, ...]:
    return tuple([before.index(duty) if duty in before else NEW for duty in now])
