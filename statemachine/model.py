"""The pure model: every decision of the library, as ``step(event, now) -> effects``.

There is no await, clock, randomness, logging or I/O in here. Drivers (the manager, the checker, a simulator) tell the model
what happened and carry out what it answers; slow effects end in another event. Time is an argument.

A request is placed by the first of these that applies: an idle or spare instance of its signature is granted; a start of its
signature that has a free slot is joined; a free place gets a new instance; the least recently used idle instance makes room; a
stopping instance whose place is promised to nobody gets it as successor. Otherwise it waits or is refused. Only the
policy's choice (for API providers: the oldest) is ever placed, so a newcomer overtakes nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .config import ProviderManagerConfig
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
from .lifecycle import INSTANCE, POOL, REQUEST
from .moves import Moves, holder
from .policies import Choice, Pause
from .pool import Instance, Pool, Request

__all__ = ["Model"]


class Model(Moves):
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
        now = self._now
        if event.ticket in self.requests:
            raise ValueError(f"ticket {event.ticket} is in use")
        priority = event.priority if event.demand.pool[0] == "slot" else 0
        pool = None if self.closing else self.pool_of(event.demand.pool)
        request = Request(event.ticket, event.demand, event.owner, event.agent, priority, now, now)
        self.requests[event.ticket] = request
        if pool is None:
            self._reject(request, Cause.CLOSED)
            return
        if pool.is_slot or pool.waiting or not self._place(pool, request):  # a slot's policy is told of everybody
            self._queue_up(pool, request)
        if event.timeout is not None and request.state in ("waiting", "assigned"):
            self._arm(ACQUIRE, event.ticket, event.timeout)
        self._update(pool)

    def _queue_up(self, pool: Pool, request: Request) -> None:
        """It joins the queue, may be its head at once (by priority), and is refused if it would have to wait and must not."""
        pool.enqueue(request)
        self._place_in_order(pool)
        if request.state != "new":
            return
        cause = self._why_not_wait(pool, request)
        if cause is not None:
            pool.dequeue(request)
            self._reject(request, cause, pool)
            return
        self._fire(REQUEST, request, "wait")
        self._refuse_those_who_wait_for_themselves(pool)

    def _why_not_wait(self, pool: Pool, request: Request) -> Cause | None:
        """Why ``request`` must not wait in ``pool``, if there is a reason."""
        if pool.raises or self._waits_for_itself(pool, request):
            return self._contention(pool, request)
        most = self.config.max_waiting
        return Cause.QUEUE_FULL if most is not None and len(pool.waiting) > most else None

    def _contention(self, pool: Pool, request: Request) -> Cause:
        if not pool.is_slot:
            return Cause.LIMIT
        held_by = holder(pool)
        return Cause.BUSY if held_by is not None and held_by.demand.signature == request.signature else Cause.CONFLICT

    def _waits_for_itself(self, pool: Pool, request: Request) -> bool:
        """Whether nobody but the owner of ``request`` could end its waiting, by releasing what it holds here already."""
        own = pool.leases_by_owner.get(request.owner, 0)
        if own < pool.limit:
            return False
        if not pool.is_slot:
            return True
        (held,) = (i for i in pool.instances.values() if i.leases)
        first = pool.policy.choose()
        return (
            held.state == "draining"
            or held.demand.signature != request.signature
            or own >= held.demand.parallel
            # somebody is ahead who waits for this owner's lease to end
            or isinstance(first, Pause)
            or (first is not None and pool.waiting[first.ticket].signature != held.demand.signature)
        )

    def _refuse_those_who_wait_for_themselves(self, pool: Pool) -> None:
        """Somebody's broken release, or a newcomer of higher priority, may have made it so after they began to wait."""
        if not pool.is_slot:
            return  # what an owner of API leases waits for can be held by others only
        for owner in pool.leases_by_owner:  # as many as one instance has leases
            for request in list(pool.waiting_by_owner.get(owner, ())):
                if self._waits_for_itself(pool, request):
                    pool.dequeue(request)
                    self._reject(request, self._contention(pool, request), pool)

    def _serve(self, pool: Pool) -> None:
        """Something has become free, or somebody has left: place who is next, and refuse who now waits in vain."""
        if pool.waiting:
            self._place_in_order(pool)
            self._refuse_those_who_wait_for_themselves(pool)
        elif pool.kept is not None:
            self._end_pause(pool)

    def _place_in_order(self, pool: Pool) -> None:
        """Place waiting requests, in the policy's order, for as long as that goes."""
        while pool.waiting and not pool.has_nothing:
            choice = pool.policy.choose()
            if isinstance(choice, Pause):
                choice = None if self._keep(pool, choice) else self._choose_at_once(pool)
            if choice is None:
                return
            if pool.kept is not None:
                self._end_pause(pool)
            request = pool.waiting[choice.ticket]
            if not self._place(pool, request):
                return
            pool.dequeue(request, placed=True)

    def _keep(self, pool: Pool, pause: Pause) -> bool:
        """Whether nobody is to be placed for now: something else is under way, or an idle instance is kept for those who may come back."""
        if pool.held or pool.kept is not None:
            return True
        most = self.config.max_waiting
        if pool.raises or (most is not None and len(pool.waiting) > most):
            return False
        for instance in pool.idle.values():  # a slot has one at most
            end = instance.idle_since + pause.milliseconds / 1000
            if instance.demand.signature == pause.signature and end > self._now:
                self._pause(pool, instance, end)
                return True
        return False

    def _choose_at_once(self, pool: Pool) -> Choice | None:
        """The choice of a policy that has asked for a pause, when it is over. A policy that asks again gets nobody placed."""
        self._end_pause(pool)
        choice = pool.policy.choose()
        return None if isinstance(choice, Pause) else choice

    def _place(self, pool: Pool, request: Request) -> bool:
        """Give ``request`` an instance, now or when it is ready. False, and nothing is changed, where there is none."""
        signature = request.demand.signature
        if (row := pool.usable.get(signature)) is not None:
            self._grant(pool, row[next(reversed(row))], request)
        elif (row := pool.loading.get(signature)) is not None:
            self._assign(pool, row[next(iter(row))], request)
        elif pool.live < pool.limit:
            instance = self._new_instance(pool, request.demand)
            self._assign(pool, instance, request)
            self._start(pool, instance)
        elif pool.idle:
            victim = pool.idle[next(iter(pool.idle))]
            self.tally.counts["evictions"] += 1
            self._stop(pool, victim)
            self._succeed(pool, victim, request)
        elif pool.vacating:
            self._succeed(pool, pool.vacating[next(iter(pool.vacating))], request)
        else:
            return False
        return True

    def _succeed(self, pool: Pool, leaving: Instance, request: Request) -> None:
        """``request`` gets the place of ``leaving`` when that is down."""
        planned = self._new_instance(pool, request.demand)
        planned.predecessor, leaving.successor = leaving, planned
        self._assign(pool, planned, request)
        pool.refile(leaving)

    # ---- leaving ----

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            return  # a second release, or one after a revocation
        self._fire(REQUEST, request, "release")
        self._end_lease(request, event.broken)

    def _end_lease(self, request: Request, broken: bool) -> None:
        pool, instance = self._where(request)
        del self.requests[request.ticket]
        pool.take_back(instance, request)
        held = self._now - request.since
        self.tally.busy[request.demand.model] += held
        if pool.is_slot:  # elsewhere the policy does not ask
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
        pool, instance = self._where(request)
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
        """It is down, or given up on: its place goes to its successor, or to whoever is next."""
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
        self._serve(pool)
        self._update(pool)

    # ---- time ----

    def _expired(self, event: Expired) -> None:
        kind, subject = event.timer
        self.timers.disarm(*event.timer)  # for an Expired from outside: ``due`` has done it already
        if kind is ACQUIRE:
            self._time_out(self.requests[subject])
        elif kind is IDLE:
            instance = self.instances[subject]
            pool = self.pools[instance.demand.pool]
            self.tally.counts["evictions"] += 1
            self._stop(pool, instance)
            self._update(pool)
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
            self._reject(request, Cause.CLOSED, pool)
        if pool.kept is not None:
            self._end_pause(pool)
        for instance in list(pool.instances.values()):
            for request in list(instance.assigned.values()):
                self._unassign(pool, request)
                self._reject(request, Cause.CLOSED, pool)
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
