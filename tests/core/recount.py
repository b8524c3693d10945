"""What the coordinator counts, counted again from events and effects alone, and the times that it tells."""

from __future__ import annotations

from collections import Counter

from statemachine.config.providers import Demand, PoolKey
from statemachine.core.counters import Counters, ModelUsage
from statemachine.core.events import (
    AbandonStop,
    AcquireRequested,
    Cancelled,
    Cause,
    CloseRequested,
    Effect,
    Event,
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

from .ledger import Ledger

__all__ = ["Recount"]


class Recount:
    """Told of each event before the ledger is, which it asks what was going on until then."""

    def __init__(self, ledger: Ledger, max_waiting: int | None) -> None:
        self._ledger = ledger
        self._max_waiting = max_waiting
        self._counts: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._busy: dict[str, float] = {}
        self._arrived: dict[int, float] = {}
        self._granted: dict[int, tuple[str, float]] = {}  # the model of each lease, and since when
        self._started_last: dict[PoolKey, str] = {}

    def counters(self) -> Counters:
        """What should have been counted."""
        return Counters(**self._counts)

    def usage(self) -> dict[str, ModelUsage]:
        """What each model should have been used for."""
        return {model: ModelUsage(calls, self._busy.get(model, 0.0)) for model, calls in self._calls.items()}

    def write(self, event: Event, effects: list[Effect], now: float) -> None:
        """``event`` happened at ``now``, and had these ``effects``."""
        lives, tickets = self._ledger.lives, self._ledger.tickets
        if isinstance(event, AcquireRequested):
            self._arrived[event.ticket] = now
        elif isinstance(event, Released | Cancelled) and event.ticket in self._granted:
            self._end(event.ticket, now)
        elif isinstance(event, Cancelled):
            self._counts["cancellations"] += tickets[event.ticket].state == "pending"
        elif isinstance(event, StartFailed):
            self._counts["start_failures"] += lives[event.instance].state == "starting"
        elif isinstance(event, Stopped) and lives[event.instance].state == "stopping":
            self._counts["stops"] += 1
            self._counts["shutdown_failures"] += event.failed
        for effect in effects:
            self._write_effect(event, effect, now)

    def _end(self, ticket: int, now: float) -> None:
        model, since = self._granted.pop(ticket)
        self._busy[model] = self._busy.get(model, 0.0) + now - since

    def _write_effect(self, event: Event, effect: Effect, now: float) -> None:
        if isinstance(effect, Grant):
            self._grant(event, effect, now)
        elif isinstance(effect, Reject):
            self._reject(event, effect, now)
        elif isinstance(effect, Revoke):
            self._counts["revocations"] += 1
            self._end(effect.ticket, now)
        elif isinstance(effect, StartInstance):
            self._start(effect)
        elif isinstance(effect, InterruptStart):
            until, grace = self._ledger.lives[effect.instance].until, self._ledger.grace_until
            overdue = until is not None and until <= now and (grace is None or until <= grace)
            self._counts["start_failures"] += overdue  # else it is interrupted by the close
        elif isinstance(effect, StopInstance):
            self._counts["evictions"] += self._was_idle(event, effect.instance)
        elif isinstance(effect, AbandonStop):
            self._counts["stops"] += 1
            self._counts["shutdown_failures"] += 1

    def _demand(self, event: Event, ticket: int) -> Demand:
        if isinstance(event, AcquireRequested) and event.ticket == ticket:
            return event.demand
        return self._ledger.tickets[ticket].demand

    def _reject(self, event: Event, effect: Reject, now: float) -> None:
        demand = self._demand(event, effect.ticket)
        assert effect.demand == demand
        assert effect.waited == now - self._arrived[effect.ticket]
        if effect.cause is not Cause.CLOSED:
            instances = 1 if demand.pool.kind == "slot" else self._ledger.times.limit
            assert effect.limit == (self._max_waiting if effect.cause is Cause.QUEUE_FULL else instances)
        if effect.holder is not None:
            assert effect.holder.pool == demand.pool
            assert demand.pool.kind == "slot", "an instance of many holds nothing up"
        assert (effect.instance is not None) == (effect.cause in (Cause.START_FAILED, Cause.START_OVERDUE))
        self._counts["timeouts" if effect.cause is Cause.TIMED_OUT else "rejections"] += 1

    def _grant(self, event: Event, effect: Grant, now: float) -> None:
        demand = self._demand(event, effect.ticket)
        assert effect.queued + effect.loading == now - self._arrived[effect.ticket]
        self._counts["grants"] += 1
        self._calls[demand.model] += 1
        self._granted[effect.ticket] = demand.model, now

    def _start(self, effect: StartInstance) -> None:
        self._counts["starts"] += 1
        pool = effect.demand.pool
        if pool.kind == "slot":
            self._counts["switches"] += self._started_last.get(pool, effect.demand.signature) != effect.demand.signature
            self._started_last[pool] = effect.demand.signature

    def _was_idle(self, event: Event, instance: int) -> bool:
        """Whether it could have gone on: no lease held it, no holder had found it broken, and the manager was open."""
        life = self._ledger.lives[instance]
        if self._ledger.closing or isinstance(event, CloseRequested) or life.broken:
            return False
        if isinstance(event, Released) and event.broken and self._ledger.tickets[event.ticket].instance == instance:
            return False
        if life.state == "up":
            return not any(ticket in self._granted for ticket in life.leases)
        return isinstance(event, StartSucceeded) and event.instance == instance
