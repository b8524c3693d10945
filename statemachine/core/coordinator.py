"""The pure model: every decision of the library, as ``step(event, now) -> effects``.

There is no await, clock, randomness, logging or I/O in here. Drivers (the manager, the checker, a simulator) tell the model
what happened and carry out what it answers; slow effects end in another event. Time is an argument.

Here is what each event means; who is placed where is decided in :mod:`.placing`, who must not wait in :mod:`.refusing`, and the
moves themselves are in :mod:`.moves`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..config.providers import Demand, ProviderManagerConfig
from .events import (
    ACQUIRE,
    GRACE,
    IDLE,
    PAUSE,
    START,
    STOP,
    AbandonStop,
    AcquireRequested,
    Cancelled,
    Cause,
    CloseRequested,
    Effect,
    Event,
    Expired,
    FoundBroken,
    InterruptStart,
    Released,
    Revoke,
    StartFailed,
    StartSucceeded,
    Stopped,
    Wake,
)
from .index import Instance, Pool, Request
from .lifecycle import INSTANCE, POOL, REQUEST
from .placement import Placing

__all__ = ["Coordinator"]


class Coordinator(Placing):
    """The state of everything managed. Not thread-safe and not re-entrant: one step at a time.

    With ``record`` every state change is reported as a Transition effect.
    """

    def __init__(self, config: ProviderManagerConfig, *, record: bool = False) -> None:
        super().__init__(config, record=record)
        self._handlers: dict[type, Callable[[Any], None]] = {
            AcquireRequested: self._acquire,
            Cancelled: self._cancelled,
            Released: self._released,
            FoundBroken: self._found_broken,
            StartSucceeded: self._start_succeeded,
            StartFailed: self._start_failed,
            Stopped: self._stopped,
            CloseRequested: self._close,
            Expired: self._expired,
            Wake: lambda event: None,
        }

    @property
    def next_deadline(self) -> float:
        """When to call ``step`` with Wake at the latest (the driver's clock, seconds; infinity: never). May be early, never late."""
        return self.timers.next_deadline

    def is_ready(self, demand: Demand) -> bool:
        """Whether a request for ``demand`` would be granted at once: an instance is ready, and no earlier request waits."""
        pool = self.pools.get(demand.pool)
        return pool is not None and not self.closing and not pool.waiting and demand.signature in pool.usable

    def step(self, event: Event, now: float) -> list[Effect]:
        """Expire what is due, then handle ``event``. Returns what the driver has to do, in order."""
        effects: list[Effect] = []
        self._effects = effects
        self._now = now
        if self.timers.next_deadline <= now:
            while (timer := self.timers.due(now)) is not None:
                self._expired(Expired(timer))
        self._handlers[type(event)](event)
        return effects

    # ---- acquiring ----

    def _acquire(self, event: AcquireRequested) -> None:
        now, ticket, demand = self._now, event.ticket, event.demand
        if ticket in self.requests:
            raise ValueError(f"ticket {ticket} is in use")
        priority = event.priority if demand.pool[0] == "slot" else 0
        pool = None if self.closing else self.pools.get(demand.pool) or self.new_pool(demand.pool)
        request = Request(ticket, demand, event.owner, event.agent, priority, now, now)
        self.requests[ticket] = request
        if pool is None:
            self._reject(request, Cause.CLOSED)
            return
        if pool.is_slot or pool.waiting or not self._place(pool, request):  # a slot's policy is told of everybody
            self._queue_up(pool, request)
        if event.timeout is not None and request.state in ("waiting", "assigned"):
            self._arm(ACQUIRE, ticket, event.timeout)
        self._update(pool)

    # ---- leaving ----

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            return  # a second release, or one after a revocation
        self._fire(REQUEST, request, "release")
        self._end_lease(request, event.broken)

    def _end_lease(self, request: Request, broken: bool) -> None:
        pool, instance = self.pools[request.demand.pool], request.instance
        assert instance is not None, "a granted request has an instance"
        del self.requests[request.ticket]
        pool.take_back(instance, request)
        held = self._now - request.since
        self.tally.busy[request.demand.model] += held
        if pool.is_charged:
            pool.policy.served(request, round(1000 * held))
        if not instance.leases:
            if broken or self.closing or instance.state == "draining":
                self._stop(pool, instance)
            else:
                self._fire(INSTANCE, instance, "release")
                self._rest(pool, instance)
        elif broken:
            self._drain(instance)
        pool.refile(instance)
        self._serve(pool)
        self._update(pool)

    def _found_broken(self, event: FoundBroken) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            return  # it was revoked
        pool, instance = self.pools[request.demand.pool], request.instance
        assert instance is not None, "a granted request has an instance"
        self._drain(instance)
        pool.refile(instance)
        self._serve(pool)

    def _drain(self, instance: Instance) -> None:
        if instance.state == "active":
            self._fire(INSTANCE, instance, "drain")

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is None:
            return
        if request.state == "granted":
            self._released(Released(event.ticket))
        else:
            self.tally.counts["cancellations"] += 1
            self._give_up(request, "cancel")

    def _give_up(self, request: Request, trigger: str) -> None:
        """A waiting or assigned request ends without a lease, and leaves no trace."""
        pool = self.pools[request.demand.pool]
        waiting = request.state == "waiting"
        self._fire(REQUEST, request, trigger)
        del self.requests[request.ticket]
        self.timers.disarm(ACQUIRE, request.ticket)
        if waiting:
            pool.dequeue(request)
        else:
            self._unassign(pool, request)
        self._serve(pool)
        self._update(pool)

    # ---- starting and stopping ----

    def _start_succeeded(self, event: StartSucceeded) -> None:
        instance = self.instances.get(event.instance)
        if instance is None or instance.state != "starting":
            return  # it was given up on
        pool = self.pools[instance.demand.pool]
        self.timers.disarm(START, instance.id)
        self._tell_of_load(pool, instance)
        if self.closing:
            self._stop(pool, instance)
        elif instance.assigned:
            self._fire(INSTANCE, instance, "activate")
            joined, instance.assigned = instance.assigned, {}
            for request in joined.values():
                self._grant(pool, instance, request)
        else:
            self._fire(INSTANCE, instance, "settle")
            self._rest(pool, instance)
        pool.refile(instance)
        self._serve(pool)
        self._update(pool)

    def _start_failed(self, event: StartFailed) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.state == "starting":
            self._fail(instance, Cause.START_FAILED, event.constructed)

    def _fail(self, instance: Instance, cause: Cause, constructed: bool) -> None:
        """The failure reaches the request that caused the start; the others go back to their places in the queue."""
        pool = self.pools[instance.demand.pool]
        self.tally.counts["start_failures"] += 1
        self.timers.disarm(START, instance.id)
        self._tell_of_load(pool, instance)
        told = instance.assigned.pop(instance.cause, None) if instance.cause is not None else None
        joined, instance.assigned = instance.assigned, {}
        if constructed:
            self._stop(pool, instance, "fail")
        else:
            self._fire(INSTANCE, instance, "abort")
            pool.live -= 1
            self._forget(pool, instance)
        if told is not None:
            self._reject(told, cause, pool, instance)
        for request in sorted(joined.values(), key=_ticket, reverse=True):
            self._requeue(pool, request)
        self._serve(pool)
        self._update(pool)

    def _tell_of_load(self, pool: Pool, instance: Instance) -> None:
        since = min((request.since for request in instance.assigned.values()), default=None)
        milliseconds = None if since is None else round(1000 * (self._now - since))
        pool.policy.loaded(instance.demand.signature, milliseconds)

    def _stopped(self, event: Stopped) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.state == "stopping":
            self._evict(instance, event.failed)

    def _evict(self, instance: Instance, failed: bool) -> None:
        """It is down, or given up on: its place goes to its successor. Without one nobody waits, as whoever waited would be that."""
        pool = self.pools[instance.demand.pool]
        self._fire(INSTANCE, instance, "evict")
        self.timers.disarm(STOP, instance.id)
        self.tally.counts["stops"] += 1
        self.tally.counts["shutdown_failures"] += failed
        pool.live -= 1
        self._forget(pool, instance)
        if (planned := instance.successor) is not None:
            planned.predecessor = instance.successor = None
            self._start(pool, planned)
        self._update(pool)

    # ---- time ----

    def _expired(self, event: Expired) -> None:
        kind, subject = event.timer
        self.timers.disarm(*event.timer)  # for an Expired from outside: ``due`` has done it already
        if kind is ACQUIRE:
            self._time_out(self.requests[subject])
        elif kind is IDLE:
            instance = self.instances[subject]
            self.tally.counts["evictions"] += 1
            self._stop(self.pools[instance.demand.pool], instance)
        elif kind is PAUSE:
            pool = self.pools[self.instances[subject].demand.pool]
            self._end_pause(pool)
            self._serve(pool)
            self._update(pool)
        elif kind is START:
            self._effects.append(InterruptStart(subject))
            self._fail(self.instances[subject], Cause.START_OVERDUE, constructed=True)
        elif kind is STOP:
            self._effects.append(AbandonStop(subject))
            self._evict(self.instances[subject], failed=True)
        else:
            self._end_grace()

    def _time_out(self, request: Request) -> None:
        pool = self.pools[request.demand.pool]
        self.tally.counts["timeouts"] += 1
        self._emit_reject(request, Cause.TIMED_OUT, pool)
        self._give_up(request, "time_out")

    # ---- closing ----

    def _close(self, event: CloseRequested) -> None:
        if not self.closing:
            self.closing = True
            for pool in list(self.pools.values()):
                self._close_pool(pool)
            if self.requests or any(i.state == "starting" for i in self.instances.values()):
                self._arm(GRACE, 0, self.config.close_grace)
        if not event.grace:
            self._end_grace()
        self._finish()

    def _close_pool(self, pool: Pool) -> None:
        self._fire(POOL, pool, "close")
        for ticket in sorted(pool.waiting):
            request = pool.waiting[ticket]
            pool.dequeue(request)
            self._reject(request, Cause.CLOSED)
        if pool.kept is not None:
            self._end_pause(pool)
        for instance in list(pool.instances.values()):
            for request in list(instance.assigned.values()):
                self._unassign(pool, request)
                self._reject(request, Cause.CLOSED)
            if instance.state == "idle":
                self._stop(pool, instance)

    def _end_grace(self) -> None:
        """Outstanding leases are revoked and starts interrupted; everything stops."""
        self.timers.disarm(GRACE, 0)
        for request in list(self.requests.values()):
            self._fire(REQUEST, request, "revoke")
            self.tally.counts["revocations"] += 1
            self._effects.append(Revoke(request.ticket))
            self._end_lease(request, broken=False)
        for instance in list(self.instances.values()):
            if instance.state == "starting":
                self._effects.append(InterruptStart(instance.id))
                self._stop(self.pools[instance.demand.pool], instance)


def _ticket(request: Request) -> int:
    return request.ticket
