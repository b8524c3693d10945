"""The coordinator: every decision of the library, as ``coordinator.step(event, now) -> effects``.

It contains no await, clock, randomness, logging or I/O. A driver (the manager, the checker, a simulator) reports what happened as an
event and carries out the effects that ``step`` returns. A slow effect ends in another event. Time is an argument.

Example: ``step(AcquireRequested(1, demand, owner), now)`` returns ``[StartInstance(1, demand)]`` where there is room. When the start
has ended, ``step(StartSucceeded(1), now)`` returns ``[Grant(1, 1, 0.0, loading)]``.

The coordinator says what each event means. It chooses who gets an instance through :mod:`.placement`, which asks :mod:`.admission` who
must not wait; both change the state through :mod:`.ledger`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias

from ..config.providers import Demand, ProviderManagerConfig
from .admission import Admission
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
    Opened,
    Released,
    Revoke,
    StartFailed,
    StartSucceeded,
    Stopped,
    Wake,
)
from .index import Instance, Pool, Request
from .ledger import Ledger
from .lifecycle import MANAGER, ManagerState
from .placement import Placement

__all__ = ["Coordinator", "Watch"]

Watch: TypeAlias = "Callable[[Coordinator, Event], Callable[[list[Effect]], None] | None]"
"""A function that is called before each change, which is an event or an expired deadline.

It returns a function to call after the change, with the effects of that change alone, or None. Neither may change the coordinator or
raise."""


class Coordinator:
    """The decisions and the state of one manager, from its entry to its close. Not thread-safe and not re-entrant: one step at a time.

    ``record``: return each state change as an effect as well (Transition). ``watch`` is told of every change. A subclass can replace a
    part by one of the three class attributes.
    """

    ledger_type: ClassVar[type[Ledger]] = Ledger
    admission_type: ClassVar[type[Admission]] = Admission
    placement_type: ClassVar[type[Placement]] = Placement

    def __init__(self, config: ProviderManagerConfig, *, record: bool = False, watch: Watch | None = None) -> None:
        self.config = config
        self.ledger = self.ledger_type(config, record=record)
        self.placement = self.placement_type(self.ledger, self.admission_type(config.max_waiting))
        handlers: dict[type[Event], Callable[[Any], None]] = {
            Opened: self._opened,
            AcquireRequested: self._acquire,
            Cancelled: self._cancelled,
            Released: self._released,
            FoundBroken: self._found_broken,
            StartSucceeded: self._start_succeeded,
            StartFailed: self._start_failed,
            Stopped: self._stopped,
            CloseRequested: self._close,
            Expired: self._expired,
            Wake: self._wake,
        }
        if watch is not None:
            handlers = {kind: partial(self._watched, watch, handler) for kind, handler in handlers.items()}
        self._handlers: Final = handlers
        # for reading only
        self.pools = self.ledger.pools
        self.requests = self.ledger.requests
        self.instances = self.ledger.instances
        self.timers = self.ledger.timers
        self.tally = self.ledger.tally

    @property
    def state(self) -> ManagerState:
        """The state of the manager: ``new``, ``open``, ``closing`` or ``closed``."""
        return self.ledger.state

    @property
    def next_deadline(self) -> float:
        """When to call ``step`` with Wake at the latest (seconds on the driver's clock; infinity: never). It may be early, never late."""
        return self.timers.next_deadline

    def is_ready(self, demand: Demand) -> bool:
        """Return whether a request for ``demand`` would be granted at once: an instance is ready, and no request waits before it."""
        pool = self.pools.get(demand.pool)
        return pool is not None and self.state == "open" and not pool.waiting and demand.signature in pool.eligible

    def step(self, event: Event, now: float) -> list[Effect]:
        """Expire the deadlines up to ``now``, then handle ``event``. Return what the driver has to do, in order.

        ``now``: seconds on the driver's clock, which never goes back. Deadlines expire in the order of time, kind and number, so a tie has
        one outcome. Raises ValueError for a ticket that is in use.
        """
        ledger = self.ledger
        effects: list[Effect] = []
        ledger.effects = effects
        ledger.now = now
        if self.timers.next_deadline <= now:
            while (timer := self.timers.due(now)) is not None:
                self._handlers[Expired](Expired(timer))
        self._handlers[event.__class__](event)
        return effects

    def _watched(self, watch: Watch, handler: Callable[[Any], None], event: Event) -> None:
        after = watch(self, event)
        first = len(self.ledger.effects)
        handler(event)
        if after is not None:
            after(self.ledger.effects[first:])

    def _opened(self, event: Opened) -> None:
        MANAGER.fire(self.ledger, "open")

    def _wake(self, event: Wake) -> None:
        """Do nothing: what has expired was handled before."""

    # ---- acquiring ----

    def _acquire(self, event: AcquireRequested) -> None:
        ledger, ticket, demand = self.ledger, event.ticket, event.demand
        if ticket in self.requests:
            raise ValueError(f"ticket {ticket} is in use")
        now, key = ledger.now, demand.pool
        request = Request(ticket, demand, event.owner, event.agent, event.priority, now, now, event.held_above)
        self.requests[ticket] = request
        if ledger.state != "open":
            ledger.reject(request, Cause.CLOSED)
            return
        pool = self.pools.get(key) or ledger.new_pool(key)
        if not pool.is_slot:
            request.priority = 0  # an API provider is first come, first served
        if pool.waiting or not self.placement.place_alone(pool, request):
            self.placement.place_or_queue(pool, request)
        if event.timeout is not None and request.state in ("waiting", "assigned"):
            ledger.arm(ACQUIRE, ticket, event.timeout)
        ledger.update(pool)

    # ---- leaving ----

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            return  # it was released before, or revoked
        self.ledger.fire_request(request, "release")
        self._end_lease(request, event.broken)

    def _end_lease(self, request: Request, broken: bool) -> None:
        ledger, pool, instance = self.ledger, self.pools[request.demand.pool], request.instance
        assert instance is not None, "a granted request has an instance"
        del self.requests[request.ticket]
        pool.remove_lease(instance, request)
        held = ledger.now - request.since
        ledger.tally.busy[request.demand.model] += held
        if pool.is_charged:
            pool.policy.served(request, round(1000 * held))
        if instance.leases:
            if broken:
                ledger.drain(pool, instance)
            pool.reindex(instance)
        elif broken or ledger.state != "open" or instance.state == "draining":
            ledger.stop(pool, instance)
        else:
            ledger.fire_instance(instance, "release")
            ledger.rest(pool, instance)
        if pool.waiting:
            self.placement.serve(pool)
        ledger.update(pool)

    def _found_broken(self, event: FoundBroken) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            return  # it was revoked
        pool, instance = self.pools[request.demand.pool], request.instance
        assert instance is not None, "a granted request has an instance"
        self.ledger.drain(pool, instance)
        self.placement.serve(pool)

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is None:
            return
        if request.state == "granted":
            self._released(Released(event.ticket))
            return
        self.ledger.tally.counts["cancellations"] += 1
        was_waiting = request.state == "waiting"
        self.ledger.fire_request(request, "cancel")
        self._remove(request, was_waiting)

    def _time_out(self, request: Request) -> None:
        pool = self.pools[request.demand.pool]
        self.ledger.tally.counts["timeouts"] += 1
        self.ledger.emit_reject(request, Cause.TIMED_OUT, pool)
        was_waiting = request.state == "waiting"
        self.ledger.fire_request(request, "time_out")
        self._remove(request, was_waiting)

    def _remove(self, request: Request, was_waiting: bool) -> None:
        """Remove a request that ended without a lease, and serve the requests behind it."""
        ledger, pool = self.ledger, self.pools[request.demand.pool]
        del self.requests[request.ticket]
        ledger.timers.disarm(ACQUIRE, request.ticket)
        if was_waiting:
            pool.dequeue(request)
        else:
            ledger.unassign(pool, request)
        self.placement.serve(pool)
        ledger.update(pool)
        ledger.drop_if_empty(pool)

    # ---- starting and stopping ----

    def _start_succeeded(self, event: StartSucceeded) -> None:
        instance = self.instances.get(event.instance)
        if instance is None or instance.state != "starting":
            return  # it was interrupted, and is stopping
        ledger, pool = self.ledger, self.pools[instance.demand.pool]
        ledger.timers.disarm(START, instance.id)
        self._report_load(pool, instance)
        if ledger.state != "open":
            ledger.stop(pool, instance)
        elif instance.assigned:
            ledger.fire_instance(instance, "activate")
            joined, instance.assigned = instance.assigned, {}
            for request in joined.values():
                ledger.grant(pool, instance, request)
        else:
            ledger.fire_instance(instance, "settle")
            ledger.rest(pool, instance)
        self.placement.serve(pool)
        ledger.update(pool)

    def _start_failed(self, event: StartFailed) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.state == "starting":
            self._fail(instance, Cause.START_FAILED, event.constructed)

    def _fail(self, instance: Instance, cause: Cause, constructed: bool) -> None:
        """End a start that failed: reject the request that caused it, and put those that joined it back into the queue.

        They get their former positions: a policy orders by ticket.
        """
        ledger, pool = self.ledger, self.pools[instance.demand.pool]
        ledger.tally.counts["start_failures"] += 1
        ledger.timers.disarm(START, instance.id)
        self._report_load(pool, instance)
        requester = instance.assigned.pop(instance.cause, None) if instance.cause is not None else None
        joined, instance.assigned = instance.assigned, {}
        ledger.fail_start(pool, instance, constructed=constructed)
        if requester is not None:
            ledger.reject(requester, cause, pool, instance)
        for request in sorted(joined.values(), key=_ticket, reverse=True):
            ledger.requeue(pool, request)
        self.placement.serve(pool)
        ledger.update(pool)
        ledger.drop_if_empty(pool)

    def _report_load(self, pool: Pool, instance: Instance) -> None:
        """Tell the policy how long its oldest request waited for the load; None if no request waits for it any more."""
        milliseconds = None
        if instance.assigned:
            since = min([request.since for request in instance.assigned.values()])
            milliseconds = round(1000 * (self.ledger.now - since))
        pool.policy.loaded(instance.demand.signature, milliseconds)

    def _stopped(self, event: Stopped) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.state == "stopping":
            self._evict(instance, event.failed)

    def _evict(self, instance: Instance, failed: bool) -> None:
        """Remove an instance that is down, or whose shutdown was abandoned, and start its successor.

        Without a successor no request waits: a waiting request would have reserved the place.
        """
        ledger, pool = self.ledger, self.pools[instance.demand.pool]
        ledger.fire_instance(instance, "evict")
        ledger.timers.disarm(STOP, instance.id)
        ledger.tally.counts["stops"] += 1
        ledger.tally.counts["shutdown_failures"] += failed
        pool.live -= 1
        ledger.forget(pool, instance)
        if (planned := instance.successor) is not None:
            planned.predecessor = instance.successor = None
            ledger.start(pool, planned)
        ledger.update(pool)
        ledger.drop_if_empty(pool)

    # ---- time ----

    def _expired(self, event: Expired) -> None:
        ledger, (kind, subject) = self.ledger, event.timer
        ledger.timers.disarm(kind, subject)  # needed where a driver sends Expired itself: ``due`` has disarmed its own
        if kind is ACQUIRE:
            self._time_out(self.requests[subject])
        elif kind is IDLE:
            instance = self.instances[subject]
            ledger.tally.counts["evictions"] += 1
            ledger.stop(self.pools[instance.demand.pool], instance)
        elif kind is PAUSE:
            pool = self.pools[self.instances[subject].demand.pool]
            ledger.end_pause(pool)
            self.placement.serve(pool)
            ledger.update(pool)
        elif kind is START:
            ledger.effects.append(InterruptStart(subject))
            self._fail(self.instances[subject], Cause.START_OVERDUE, constructed=True)
        elif kind is STOP:
            ledger.effects.append(AbandonStop(subject))
            self._evict(self.instances[subject], failed=True)
        else:
            self._end_grace()

    # ---- closing ----

    def _close(self, event: CloseRequested) -> None:
        ledger = self.ledger
        if ledger.state in ("new", "open"):
            MANAGER.fire(ledger, "close")
            for pool in list(self.pools.values()):
                self._close_pool(pool)
            if self.requests or any(i.state == "starting" for i in self.instances.values()):
                ledger.arm(GRACE, 0, self.config.close_grace)
        if not event.grace:
            self._end_grace()
        ledger.finish()

    def _close_pool(self, pool: Pool) -> None:
        ledger = self.ledger
        ledger.fire_pool(pool, "close")
        for ticket in sorted(pool.waiting):
            request = pool.waiting[ticket]
            pool.dequeue(request)
            ledger.reject(request, Cause.CLOSED)
        if pool.kept is not None:
            ledger.end_pause(pool)
        for instance in list(pool.instances.values()):
            for request in list(instance.assigned.values()):
                ledger.unassign(pool, request)
                ledger.reject(request, Cause.CLOSED)
            if instance.state == "idle":
                ledger.stop(pool, instance)

    def _end_grace(self) -> None:
        """End the grace: revoke outstanding leases, interrupt starts, and stop every instance."""
        ledger = self.ledger
        ledger.timers.disarm(GRACE, 0)
        for request in list(self.requests.values()):
            ledger.fire_request(request, "revoke")
            ledger.tally.counts["revocations"] += 1
            ledger.effects.append(Revoke(request.ticket))
            self._end_lease(request, broken=False)
        for instance in list(self.instances.values()):
            if instance.state == "starting":
                ledger.effects.append(InterruptStart(instance.id))
                ledger.stop(self.pools[instance.demand.pool], instance)


def _ticket(request: Request) -> int:
    return request.ticket
