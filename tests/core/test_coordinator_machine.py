"""Hypothesis attacks the pure coordinator: any order of events, any passing of time, deadlines that tie, events that come too late.

Three things were asked of this library above all: one active local instance, no double acquire, release on a stream's error. The ledger
holds them, counting by itself; the named properties are looked at besides, and the policies' bounds by the checker's account; and a twin,
restored from a snapshot now and then, must answer the same although it is told of the passing of time and of the event in two steps.
Hypothesis strives for examples that cover much of the machines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from functools import partial
from itertools import count
from typing import Any, ClassVar

from hypothesis import settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from statemachine import AdapterConfig, ProviderConfig, ProviderManagerConfig, RuntimeProviderConfig
from statemachine.checking.coverage import split
from statemachine.checking.passing import Account, after, within_bounds
from statemachine.config.adapter import Adapter
from statemachine.config.providers import Demand
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import (
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
    Wake,
)
from statemachine.core.snapshot import restore, snapshot
from statemachine.errors import InvariantError
from statemachine.policies import Affinity, CostAware, Fair, Fifo, Gated
from statemachine.properties.invariants import checking, looking
from statemachine.properties.property import Step

from .covered import Covered
from .ledger import Ledger, Times
from .recount import Recount

UNKNOWN = 10_000
PICK = st.integers(0, 12)  # one of those there are, counted round
SECONDS = st.sampled_from([None, None, 2, 3, 5])  # few and small, so that deadlines tie
POLICIES = [Fifo, Gated, partial(Gated, 1), partial(Affinity, 1), CostAware, Fair, partial(Fair, 1, 2000)]
CONFIGS = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(POLICIES),
        "on_limit": st.sampled_from(["wait", "raise"]),
        "on_conflict": st.sampled_from(["wait", "wait", "raise"]),
        "local_scope": st.sampled_from(["all", "endpoint"]),
        "max_waiting": st.sampled_from([None, None, 0, 2]),
        "api_instance_idle_timeout_seconds": SECONDS,
        "start_timeout": SECONDS,
        "shutdown_timeout": SECONDS,
        "close_grace": SECONDS,
    }
)


def _never_called(config: AdapterConfig) -> Adapter:
    raise AssertionError("the coordinator runs no adapter")


class CoordinatorMachine(RuleBasedStateMachine):
    """The coordinator, its ledger, its twin, and the time."""

    steps = 0  # of all examples
    fired: ClassVar[Counter[Hashable]] = Counter()  # of all examples

    @initialize(options=CONFIGS, limit=st.integers(1, 3), parallel=st.sampled_from([1, 2, 2, 3]))
    def configure(self, options: dict[str, Any], limit: int, parallel: int) -> None:
        providers = [
            ProviderConfig("api", _never_called, limit=limit),
            ProviderConfig("local", _never_called, is_local=True, parallel=parallel),
            ProviderConfig("other", _never_called, is_local=True),
        ]
        self.config = ProviderManagerConfig(providers, **options)
        self.complaints: list[InvariantError] = []
        self.covered = Covered()
        self.account: Account = ()
        self.passed_over = 0  # steps after which a request was
        watch = looking(checking(self.complaints.append), self.covered.look, self.keep_account)
        self.model = Coordinator(self.config, record=True, watch=watch)
        self.twin = Coordinator(self.config)
        self.model.step(Opened(), 0.0)
        self.twin.step(Opened(), 0.0)
        self.ledger = Ledger(
            Times(
                self.config.start_timeout,
                self.config.shutdown_timeout,
                self.config.api_instance_idle_timeout_seconds,
                self.config.close_grace,
                limit,
            )
        )
        self.recount = Recount(self.ledger, self.config.max_waiting)
        self.now = 0.0
        self.tickets = count(1)
        self.above: dict[int, tuple[int, ...]] = {}  # by ticket: the leases above it when it was made
        self.late_comers = 0  # they ask when it closes

    def keep_account(self, step: Step) -> bool:
        """Of who is passed over by whom, whatever the policy."""
        self.account = after(self.account, step)
        self.passed_over += any(waiter.passes or waiter.late for waiter in self.account)
        assert within_bounds(step.after, self.account)
        return True

    def happen(self, event: Event) -> None:
        """One step of everybody, and everything that must hold after it."""
        CoordinatorMachine.steps += 1
        expired = self.twin.step(Wake(), self.now)
        handled = self.twin.step(event, self.now)
        effects, _ = split(self.model.step(event, self.now))
        assert effects == expired + handled
        assert snapshot(self.model) == snapshot(self.twin)
        self.recount.write(Wake(), expired, self.now)
        self.ledger.write(Wake(), expired, self.now)
        assert self.now < self.ledger.next_deadline(), "something is overdue"
        self.recount.write(event, handled, self.now)
        self.ledger.write(event, handled, self.now)
        assert self.model.tally.counters() == self.recount.counters()
        assert self.model.tally.usage() == self.recount.usage()
        assert self.complaints == []
        assert self.model.next_deadline <= self.ledger.next_deadline(), "it would wake up too late"

    # ---- what requesters do ----

    @precondition(lambda self: not self.ledger.closing or self.late_comers < 3)
    @rule(
        where=st.sampled_from(["api", "local", "local", "other"]),
        model=st.sampled_from("aaaabbc"),
        owner=st.sampled_from([None, None, "x", "y"]),
        agent=st.sampled_from([None, "p", "q"]),
        priority=st.sampled_from([0, 0, 1]),
        timeout=st.sampled_from([None, None, None, 0, 2, 5]),
        above=st.sampled_from([None, None, None, 0, 1, 2]),
        times=st.sampled_from([1, 1, 2, 3]),
    )
    def acquire(
        self,
        where: str,
        model: str,
        owner: str | None,
        agent: str | None,
        priority: int,
        timeout: float | None,
        above: int | None,
        times: int,
    ) -> None:
        """``above`` picks a task that holds leases and waits for the one that asks, such as its parent."""
        demand = self.config.resolve(RuntimeProviderConfig(where, model))
        for _ in range(times):
            self.late_comers += self.ledger.closing
            ticket = next(self.tickets)
            if any(t.owner == owner and t.state == "pending" for t in self.ledger.tickets.values()):
                owner = None  # a task makes one call at a time
            held_above = () if above is None else self.leases_of_another(owner, demand, above)
            self.above[ticket] = held_above
            self.happen(
                AcquireRequested(ticket, demand, owner or f"task {ticket}", agent, priority, timeout, held_above)
            )

    def leases_of_another(self, owner: str | None, demand: Demand, pick: int) -> tuple[int, ...]:
        """The leases of one of the other tasks in the pool of ``demand``; none where no other holds any."""
        here = [t for t in self.ledger.of("granted") if self.ledger.tickets[t].demand.pool == demand.pool]
        others = [t for t in here if self.ledger.tickets[t].owner != owner]
        if not others:
            return ()
        holder = self.ledger.tickets[_one(others, pick)].owner
        return tuple(t for t in here if self.ledger.tickets[t].owner == holder)

    @precondition(lambda self: not self.ledger.closing and len(self.ledger.of("pending")) < 9)
    @rule(models=st.lists(st.sampled_from("aab"), min_size=3, max_size=6), turns=st.integers(0, 6))
    def a_crowd_comes(self, models: list[str], turns: int) -> None:
        """The short way to much passing over: agents that ask in turn and, some of them, are served in turn."""
        for place, model in enumerate(models):
            demand = self.config.resolve(RuntimeProviderConfig("local", model))
            ticket = next(self.tickets)
            self.happen(AcquireRequested(ticket, demand, f"task {ticket}", "pq"[place % 2]))
        self.adapters_are_quick()
        for _ in range(turns):
            if granted := self.ledger.of("granted"):
                self.happen(Released(granted[0]))
                self.adapters_are_quick()

    @precondition(lambda self: self.ledger.of("granted"))
    @rule(pick=PICK, how=st.sampled_from(["released", "broken", "cancelled"]))
    def end_a_lease(self, pick: int, how: str) -> None:
        """A release, also after a stream's error, which says whether it is ``broken``; or the requester goes just when it is granted."""
        ticket = _one(self.ledger.of("granted"), pick)
        self.happen(Cancelled(ticket) if how == "cancelled" else Released(ticket, broken=how == "broken"))

    @precondition(lambda self: self.ledger.of("granted"))
    @rule(pick=PICK)
    def find_it_broken(self, pick: int) -> None:
        self.happen(FoundBroken(_one(self.ledger.of("granted"), pick)))

    @precondition(lambda self: self.ledger.of("pending"))
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        self.happen(Cancelled(_one(self.ledger.of("pending"), pick)))

    # ---- what adapters do ----

    @precondition(lambda self: self.ledger.instances("starting"))
    @rule(pick=PICK, how=st.sampled_from(["well", "well", "well", "badly", "before construction"]))
    def a_start_ends(self, pick: int, how: str) -> None:
        instance = _one(self.ledger.instances("starting"), pick)
        self.happen(StartSucceeded(instance) if how == "well" else StartFailed(instance, constructed=how == "badly"))

    @precondition(lambda self: self.ledger.instances("stopping"))
    @rule(pick=PICK, failed=st.booleans())
    def stops(self, pick: int, failed: bool) -> None:
        self.happen(Stopped(_one(self.ledger.instances("stopping"), pick), failed))

    @rule()
    def adapters_are_quick(self) -> None:
        """The short way to many leases."""
        while begun := self.ledger.instances("starting") + self.ledger.instances("stopping"):
            starting = begun[0] in self.ledger.instances("starting")
            self.happen(StartSucceeded(begun[0]) if starting else Stopped(begun[0]))

    # ---- what time does ----

    @rule(seconds=st.sampled_from([0, 1, 1, 2, 7]))
    def time_passes(self, seconds: float) -> None:
        """Unnoticed: what is due by then expires in the next step, before its event."""
        self.now += seconds

    @precondition(lambda self: self.ledger.next_deadline() < float("inf"))
    @rule()
    def a_deadline_comes(self) -> None:
        """Exactly; whatever happens next ties with it."""
        self.now = max(self.now, self.ledger.next_deadline())

    # ---- what must make no difference ----

    @precondition(lambda self: self.ledger.tickets)
    @rule(pick=PICK, kind=st.integers(0, 5))
    def something_late(self, pick: int, kind: int) -> None:
        """A second release, or news of what is over, planned, or was never known."""
        self.happen(Wake())
        ended = [t for t in self.ledger.tickets if t not in self.ledger.of("granted")] + [UNKNOWN]
        gone = [*self.ledger.of("over"), UNKNOWN]
        not_starting = [i for i in self.ledger.lives if i not in self.ledger.instances("starting")] + [UNKNOWN]
        not_stopping = [i for i in self.ledger.lives if i not in self.ledger.instances("stopping")] + [UNKNOWN]
        late: list[Event] = [
            Released(_one(ended, pick), broken=pick % 2 == 0),
            Cancelled(_one(gone, pick)),
            FoundBroken(_one(ended, pick)),
            StartSucceeded(_one(not_starting, pick)),
            StartFailed(_one(not_starting, pick), constructed=pick % 2 == 0),
            Stopped(_one(not_stopping, pick)),
        ]
        before = snapshot(self.model)
        assert self.model.step(late[kind], self.now) == []
        assert snapshot(self.model) == before

    @rule()
    def go_back_to_a_snapshot(self) -> None:
        saved = snapshot(self.model)
        self.twin = Coordinator(self.config)
        restore(self.twin, saved)
        assert snapshot(self.twin) == saved

    # ---- the end ----

    @precondition(lambda self: len(self.ledger.tickets) > 8)
    @rule(grace=st.sampled_from([True, True, False]))
    def close(self, grace: bool) -> None:
        self.happen(CloseRequested(grace))

    def teardown(self) -> None:
        """If all leases, starts, shutdowns and pauses end, every request is served, without help from any time-out; and close ends."""
        if not hasattr(self, "ledger"):
            return
        self._a_holder_waits_for_its_child()
        self._everybody_does_his_part()
        assert self.ledger.of("pending") == []
        self.happen(CloseRequested())
        self._everybody_does_his_part()
        assert self.ledger.closed
        CoordinatorMachine.fired.update(self.covered.fired)
        self.covered.aim()
        target(self.passed_over, label="a request is overtaken")

    def _a_holder_waits_for_its_child(self) -> None:
        """Whatever the others do in the end, the oldest request with leases above it is served, though these are not released."""
        self.happen(Wake())
        below = [ticket for ticket in self.ledger.of("pending") if self.above.get(ticket)]
        if below:
            child = below[0]
            owner = self.ledger.tickets[child].owner
            own = [t for t in self.ledger.of("granted") if self.ledger.tickets[t].owner == owner]
            self._everybody_does_his_part({*self.above[child], *own})
            assert child not in self.ledger.of("pending"), "it waits for a lease whose holder waits for it"

    def _everybody_does_his_part(self, kept: Collection[int] = ()) -> None:
        """All leases but those that are ``kept`` end, and so does whatever is under way."""
        self.happen(Wake())
        self.adapters_are_quick()
        while (granted := [t for t in self.ledger.of("granted") if t not in kept]) or (pauses := self._pauses()):
            self.happen(Released(granted[0]) if granted else Expired(pauses[0]))
            self.adapters_are_quick()

    def _pauses(self) -> list[Timer]:
        return [Timer(*timer) for timer in self.model.timers.armed if timer[0] is TimerKind.PAUSE]


def _one(candidates: list[int], pick: int) -> int:
    return candidates[pick % len(candidates)]


TestCoordinatorMachine = CoordinatorMachine.TestCase
TestCoordinatorMachine.settings = settings(max_examples=2 * settings().max_examples)
