"""A policy that pauses, in the coordinator: how long an instance is kept, what ends that, and where no request may be made to wait."""

from __future__ import annotations

from typing import Any

import pytest

from statemachine import AdapterConfig, ProviderConfig, ProviderManagerConfig, RuntimeProviderConfig
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import (
    PAUSE,
    AcquireRequested,
    Cancelled,
    Cause,
    CloseRequested,
    Effect,
    Grant,
    Opened,
    Reject,
    Released,
    StartInstance,
    StartSucceeded,
    StopInstance,
    Wake,
)
from statemachine.errors import InvariantError
from statemachine.policies import BasePolicy, Bound, Choice, Pause, Waiter
from statemachine.properties.invariants import watch_invariants


class Keeps(BasePolicy):
    """First come, first served; but each model is kept for eight seconds after its answer."""

    bound = Bound(passes=None, late=None)
    work_conserving = False
    told: list[int]

    def __init__(self) -> None:
        self.waiting: dict[int, str] = {}
        self.served_last: str | None = None
        Keeps.told = []

    def arrived(self, waiter: Waiter) -> None:
        self.waiting[waiter.ticket] = waiter.signature

    def placed(self, waiter: Waiter) -> None:
        del self.waiting[waiter.ticket]

    left = placed

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        self.served_last = waiter.signature

    def paused(self, milliseconds: int) -> None:
        Keeps.told.append(milliseconds)
        self.served_last = None

    def choose(self) -> Choice | Pause | None:
        mine = [ticket for ticket, signature in self.waiting.items() if signature == self.served_last]
        if self.waiting and not mine and self.served_last is not None:
            return Pause(self.served_last, 8000, "kept")
        return Choice(min(mine or self.waiting), "its own, or the oldest") if self.waiting else None


class Slot:
    """A slot whose model ``a`` has been loaded at 0 s, and answered from then on until 10 s."""

    def __init__(self, parallel: int = 1, **options: Any) -> None:
        def adapter(config: AdapterConfig) -> Any:
            raise AssertionError("nothing is called")

        provider = ProviderConfig("local", adapter, is_local=True, parallel=parallel)
        self.config = ProviderManagerConfig([provider], **{"policy": Keeps, "on_conflict": "wait", **options})
        self.complaints: list[InvariantError] = []
        self.model = Coordinator(self.config, watch=watch_invariants(self.complaints.append))
        self.model.step(Opened(), 0.0)
        self.tickets = 0
        self.ask("a", 0.0)
        self.model.step(StartSucceeded(1), 0.0)
        self.model.step(Released(1), 10.0)

    def ask(self, name: str, now: float) -> list[Effect]:
        self.tickets += 1
        demand = self.config.resolve(RuntimeProviderConfig("local", name))
        return self.step(AcquireRequested(self.tickets, demand, self.tickets), now)

    def step(self, event: Any, now: float) -> list[Effect]:
        effects = self.model.step(event, now)
        assert self.complaints == []
        return effects

    @property
    def pauses(self) -> list[float]:
        return [deadline for (kind, _), deadline in self.model.timers.armed.items() if kind is PAUSE]


def test_an_instance_is_kept_from_its_answer_on_whenever_somebody_comes() -> None:
    slot = Slot()
    assert slot.pauses == [], "no request waits"
    assert slot.ask("b", 13.0) == []
    assert slot.pauses == [18.0]
    assert slot.ask("c", 14.0) == []
    assert slot.pauses == [18.0], "it is not prolonged"
    (stop,) = slot.step(Wake(), 18.0)
    assert isinstance(stop, StopInstance)
    assert (slot.pauses, Keeps.told) == ([], [8000])


def test_a_pause_is_not_prolonged_by_a_policy_that_asks_for_more_whenever_somebody_comes() -> None:
    class Longer(Keeps):
        def choose(self) -> Choice | Pause | None:
            pause = super().choose()
            return Pause(pause.signature, 8000 * len(self.waiting), "longer") if isinstance(pause, Pause) else pause

    slot = Slot(policy=Longer)
    slot.ask("b", 13.0)
    slot.ask("c", 14.0)
    assert slot.pauses == [18.0]


def test_whoever_comes_back_in_time_is_served() -> None:
    slot = Slot()
    slot.ask("b", 11.0)
    (grant,) = slot.ask("a", 12.5)
    assert isinstance(grant, Grant)
    assert (grant.ticket, slot.pauses, Keeps.told) == (3, [], [2500])


def test_whoever_comes_too_late_for_a_pause_does_not_wait() -> None:
    slot = Slot()
    (stop,) = slot.ask("b", 18.0)
    assert isinstance(stop, StopInstance)
    assert Keeps.told == [0]


def test_a_pause_is_over_when_nobody_waits_any_more() -> None:
    slot = Slot()
    slot.ask("b", 11.0)
    slot.step(Cancelled(2), 12.0)
    assert (slot.pauses, Keeps.told) == ([], [2000])


def test_closing_ends_a_pause() -> None:
    slot = Slot()
    slot.ask("b", 11.0)
    effects = slot.step(CloseRequested(), 12.0)
    assert {type(effect) for effect in effects} == {Reject, StopInstance}
    assert slot.pauses == []


@pytest.mark.parametrize("options", [{"on_conflict": "raise"}, {"max_waiting": 0}])
def test_where_nobody_may_wait_there_are_no_pauses(options: dict[str, Any]) -> None:
    slot = Slot(**options)
    (stop,) = slot.ask("b", 11.0)
    assert isinstance(stop, StopInstance)
    assert (slot.pauses, Keeps.told) == ([], [0])


def test_a_queue_that_is_just_full_may_wait_for_a_pause() -> None:
    slot = Slot(max_waiting=1)
    assert slot.ask("b", 11.0) == []
    assert slot.pauses == [18.0]


def test_nothing_is_kept_that_is_not_there() -> None:
    slot = Slot()
    slot.ask("a", 10.0)
    slot.ask("b", 11.0)
    (stop,) = slot.step(Released(2, broken=True), 12.0)
    assert isinstance(stop, StopInstance)
    assert (slot.pauses, Keeps.told) == ([], [0])
    assert slot.model.requests[3].state == "assigned"


def test_a_policy_that_never_ends_its_pauses_makes_nobody_spin() -> None:
    class Stubborn(Keeps):
        def paused(self, milliseconds: int) -> None:
            pass

    slot = Slot()
    stubborn = Stubborn()
    stubborn.served_last = "gone"
    slot.model.pools[slot.config.resolve(RuntimeProviderConfig("local", "a")).pool].policy = stubborn
    assert not any(isinstance(effect, StartInstance) for effect in slot.model.step(_ask(slot, "b"), 11.0))
    assert [complaint.property for complaint in slot.complaints] == ["every_waiter_can_be_woken"]


def _ask(slot: Slot, name: str, ticket: int = 2) -> AcquireRequested:
    return AcquireRequested(ticket, slot.config.resolve(RuntimeProviderConfig("local", name)), "t")


def test_nobody_holds_what_a_pause_of_somebody_else_waits_for() -> None:
    """One of two leases is its own; who asks for the second one would wait for a pause that only the end of the first one could begin."""
    slot = Slot(parallel=2)
    slot.step(_ask(slot, "a"), 11.0)
    policy = Keeps()
    policy.served_last = "gone"
    slot.model.pools[slot.config.resolve(RuntimeProviderConfig("local", "a")).pool].policy = policy
    (reject,) = slot.step(_ask(slot, "a", ticket=3), 12.0)
    assert isinstance(reject, Reject)
    assert reject.cause is Cause.BUSY
