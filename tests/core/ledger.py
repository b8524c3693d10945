"""Who holds what, recounted from events and effects alone: an oracle that shares no code and no state with the coordinator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from statemachine.config.providers import Demand, PoolKey
from statemachine.core.events import (
    AbandonStop,
    AcquireRequested,
    Cancelled,
    Closed,
    CloseRequested,
    Effect,
    Event,
    FoundBroken,
    Grant,
    InterruptStart,
    Reject,
    Released,
    Revoke,
    StartFailed,
    StartInstance,
    StartSucceeded,
    StopInstance,
    Stopped,
)

__all__ = ["Ledger", "Life", "Ticket", "Times"]


@dataclass(frozen=True)
class Times:
    """The configured seconds, None for never, and how many instances may live in a pool."""

    start: float | None
    stop: float | None
    idle: float | None
    grace: float | None
    limit: int


@dataclass
class Ticket:
    """One request. ``until``: when it times out."""

    demand: Demand
    owner: object
    until: float | None
    state: Literal["pending", "granted", "over"] = "pending"
    instance: int | None = None


@dataclass
class Life:
    """One instance. ``until``: when something happens to it if nothing else does: its start or stop is overdue, its idle time is over."""

    demand: Demand
    state: Literal["starting", "failed", "up", "stopping", "gone"]
    until: float | None
    leases: set[int] = field(default_factory=set)
    broken: bool = False


class Ledger:
    """Fed with every event and its effects; each impossible entry is an AssertionError."""

    def __init__(self, times: Times) -> None:
        self.times = times
        self.tickets: dict[int, Ticket] = {}
        self.lives: dict[int, Life] = {}
        self.closing = False
        self.closed = False
        self.grace_until: float | None = None
        self.grace_is_over = False

    # ---- looking ----

    def of(self, state: str) -> list[int]:
        """The tickets in ``state``."""
        return [ticket for ticket, t in self.tickets.items() if t.state == state]

    def instances(self, state: str) -> list[int]:
        """The instances in ``state``."""
        return [id for id, life in self.lives.items() if life.state == state]

    def next_deadline(self) -> float:
        """When something will expire."""
        pending = [t.until for t in self.tickets.values() if t.state == "pending"]
        alive = [life.until for life in self.lives.values() if life.state != "gone"]
        grace = [] if self.closed or self.grace_is_over else [self.grace_until]
        return min((until for until in (*pending, *alive, *grace) if until is not None), default=float("inf"))

    def alive_in(self, pool: PoolKey) -> int:
        """Instances that were started there and are not gone."""
        return sum(life.demand.pool == pool and life.state != "gone" for life in self.lives.values())

    # ---- writing ----

    def write(self, event: Event, effects: list[Effect], now: float) -> None:
        """``event`` happened at ``now``, and ``effects`` are what the coordinator says is to be done."""
        self._write_event(event, now)
        for effect in effects:
            self._write_effect(effect, now)
        for life in self.lives.values():
            assert life.state != "failed", "a failed start is not shut down"
            if life.state == "up" and not life.leases:
                assert not life.broken, "a broken instance is kept"
                assert not self.closing, "an idle instance is kept while closing"
        self.grace_is_over |= self.grace_until is not None and self.grace_until <= now
        if self.grace_is_over:
            assert not self.of("granted"), "a lease outlives the grace"
            assert not self.instances("starting"), "a start outlives the grace"

    def _write_event(self, event: Event, now: float) -> None:
        if isinstance(event, AcquireRequested):
            until = None if event.timeout is None else now + event.timeout
            self.tickets[event.ticket] = Ticket(event.demand, event.owner, until)
        elif isinstance(event, Released) and self.tickets[event.ticket].state == "granted":
            self._end_lease(event.ticket, now, broken=event.broken)
        elif isinstance(event, FoundBroken) and self.tickets[event.ticket].state == "granted":
            self.lives[self.tickets[event.ticket].instance or 0].broken = True
        elif isinstance(event, Cancelled):
            if self.tickets[event.ticket].state == "granted":
                self._end_lease(event.ticket, now)
            self.tickets[event.ticket].state = "over"
        elif isinstance(event, StartSucceeded) and self.lives[event.instance].state == "starting":
            life = self.lives[event.instance]
            life.state, life.until = "up", self._idle_until(life, now)
        elif isinstance(event, StartFailed) and self.lives[event.instance].state == "starting":
            self.lives[event.instance].state = "failed" if event.constructed else "gone"
        elif isinstance(event, Stopped) and self.lives[event.instance].state == "stopping":
            self.lives[event.instance].state = "gone"
        elif isinstance(event, CloseRequested):
            self._close(event.grace, now)

    def _close(self, grace: bool, now: float) -> None:
        if not self.closing and self.times.grace is not None and (self.of("granted") or self.instances("starting")):
            self.grace_until = now + self.times.grace
        self.closing = True
        if not grace:
            self.grace_until, self.grace_is_over = None, True

    def _end_lease(self, ticket: int, now: float, *, broken: bool = False) -> None:
        t = self.tickets[ticket]
        assert t.instance is not None
        life = self.lives[t.instance]
        life.leases.remove(ticket)
        life.broken |= broken
        t.state = "over"
        if not life.leases:
            life.until = self._idle_until(life, now)

    def _idle_until(self, life: Life, now: float) -> float | None:
        return now + self.times.idle if life.demand.pool.kind == "provider" and self.times.idle is not None else None

    def _write_effect(self, effect: Effect, now: float) -> None:
        if isinstance(effect, Grant):
            self._grant(effect)
        elif isinstance(effect, Reject):
            assert self.tickets[effect.ticket].state == "pending", "rejected after its end"
            self.tickets[effect.ticket].state = "over"
        elif isinstance(effect, Revoke):
            assert self.tickets[effect.ticket].state == "granted", "revoked without a lease"
            self._end_lease(effect.ticket, now)
        elif isinstance(effect, StartInstance):
            assert effect.instance not in self.lives, "started twice"
            assert not self.closing, "started while closing"
            until = None if self.times.start is None else now + self.times.start
            limit = 1 if effect.demand.pool.kind == "slot" else self.times.limit
            assert self.alive_in(effect.demand.pool) < limit, "one instance more than there is room for"
            self.lives[effect.instance] = Life(effect.demand, "starting", until)
        elif isinstance(effect, InterruptStart):
            assert self.lives[effect.instance].state == "starting", "an interrupted start that is none"
        elif isinstance(effect, StopInstance):
            self._stop(effect.instance, now)
        elif isinstance(effect, AbandonStop):
            assert self.lives[effect.instance].state == "stopping", "an abandoned shutdown that is none"
            self.lives[effect.instance].state = "gone"
        elif isinstance(effect, Closed):
            assert self.closing
            assert not self.closed
            assert not self.of("pending")
            assert not self.of("granted")
            assert all(life.state == "gone" for life in self.lives.values())
            self.closed = True

    def _grant(self, effect: Grant) -> None:
        t, life = self.tickets[effect.ticket], self.lives[effect.instance]
        assert t.state == "pending", "granted twice, or after its end"
        assert life.state == "up", f"granted an instance that is {life.state}"
        assert not life.broken, "granted a broken instance"
        assert not self.closing, "granted while closing"
        assert life.demand.signature == t.demand.signature, "granted another model"
        assert len(life.leases) < life.demand.parallel, "one lease more than it takes"
        t.state, t.instance, life.until = "granted", effect.instance, None
        life.leases.add(effect.ticket)

    def _stop(self, instance: int, now: float) -> None:
        life = self.lives[instance]
        assert life.state in ("starting", "failed", "up"), f"stopped while {life.state}"
        assert not life.leases, "stopped while leased"
        life.state = "stopping"
        life.until = None if self.times.stop is None else now + self.times.stop
