"""The moves of the pure model: each carries one change through machine, records, shelves, timers, counters and effects.

Nothing is chosen here; :mod:`.placing`, :mod:`.refusing` and :mod:`.model` decide which move is made when.
"""

from __future__ import annotations

from collections.abc import Callable

from ..config.providers import Demand, PoolKey, ProviderManagerConfig
from ..policies import Fifo, Prioritised
from .counters import Tally
from .events import (
    ACQUIRE,
    GRACE,
    IDLE,
    PAUSE,
    START,
    STOP,
    Cause,
    Closed,
    Effect,
    Grant,
    Reject,
    StartInstance,
    StopInstance,
    TimerKind,
    Transition,
)
from .index import Instance, Pool, Request
from .lifecycle import INSTANCE, POOL, REQUEST, FastMachine
from .timers import Timers

__all__ = ["Moves", "holder"]


class Moves:
    """The model's state, and the ways in which it changes."""

    def __init__(self, config: ProviderManagerConfig, *, record: bool) -> None:
        self.config = config
        self._fire: Callable[[FastMachine, Request | Instance | Pool, str], None]
        self._fire = self._fire_and_record if record else FastMachine.fire
        self.pools: dict[PoolKey, Pool] = {}
        self.requests: dict[int, Request] = {}
        self.instances: dict[int, Instance] = {}
        self.timers = Timers()
        self.tally = Tally()
        self.closing = False
        self.closed = False
        self.next_instance = 1
        self._now = 0.0
        self._effects: list[Effect] = []

    # ---- the request ----

    def _assign(self, pool: Pool, instance: Instance, request: Request) -> None:
        self._fire(REQUEST, request, "assign")
        request.queued += self._now - request.since
        request.since = self._now
        request.instance = instance
        if not instance.assigned:
            instance.cause = request.ticket  # also of a start whose requester has gone: its failure must reach somebody
        instance.assigned[request.ticket] = request
        pool.refile(instance)

    def _grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        now, state = self._now, request.state
        if state == "assigned":
            request.loading += now - request.since
        else:
            request.queued += now - request.since
        if state != "new":  # only who has to wait has a deadline
            self.timers.disarm(ACQUIRE, request.ticket)
        self._fire(REQUEST, request, "grant")
        if instance.state == "idle":
            self._fire(INSTANCE, instance, "acquire")
            if pool.idle_timeout is not None:
                self.timers.disarm(IDLE, instance.id)
        request.instance = instance
        request.since = now
        pool.lend(instance, request)
        pool.refile(instance)
        self.tally.calls[request.demand.model] += 1
        self._effects.append(Grant(request.ticket, instance.id, request.queued, request.loading))

    def _unassign(self, pool: Pool, request: Request) -> None:
        """A start outlives its requester; a start that was only planned does not."""
        instance = request.instance
        assert instance is not None, "an assigned request has an instance"
        request.instance = None
        del instance.assigned[request.ticket]
        leaving = instance.predecessor
        if leaving is None or instance.assigned:
            pool.refile(instance)
            return
        leaving.successor = instance.predecessor = None
        self._forget(pool, instance)
        pool.refile(leaving)

    def _requeue(self, pool: Pool, request: Request) -> None:
        self._fire(REQUEST, request, "requeue")
        request.loading += self._now - request.since
        request.since = self._now
        request.instance = None
        pool.enqueue(request)

    def _reject(self, request: Request, cause: Cause, pool: Pool | None = None, failed: Instance | None = None) -> None:
        trigger = "fail" if failed is not None else "reject"
        self._fire(REQUEST, request, trigger)
        del self.requests[request.ticket]
        self.timers.disarm(ACQUIRE, request.ticket)
        self.tally.counts["rejections"] += 1
        self._emit_reject(request, cause, pool, failed)

    def _emit_reject(self, request: Request, cause: Cause, pool: Pool | None, failed: Instance | None = None) -> None:
        held_by = None if pool is None else holder(pool)
        self._effects.append(
            Reject(
                request.ticket,
                request.demand,
                cause,
                self._now - request.arrived,
                None if held_by is None else held_by.demand,
                None if pool is None else pool.limit,
                None if failed is None else failed.id,
            )
        )

    # ---- the instance ----

    def _new_instance(self, pool: Pool, demand: Demand) -> Instance:
        instance = Instance(self.next_instance, demand)
        self.next_instance += 1
        self.instances[instance.id] = pool.instances[instance.id] = instance
        return instance

    def _start(self, pool: Pool, instance: Instance) -> None:
        self._fire(INSTANCE, instance, "start")
        instance.cause = min(instance.assigned)  # of a planned start the first may have gone
        pool.live += 1
        pool.refile(instance)
        self.tally.started(pool.key if pool.is_slot else None, instance.demand.signature)
        self._arm(START, instance.id, self.config.start_timeout)
        self._effects.append(StartInstance(instance.id, instance.demand))

    def _rest(self, pool: Pool, instance: Instance) -> None:
        instance.idle_since = self._now
        if pool.idle_timeout is not None:
            self._arm(IDLE, instance.id, pool.idle_timeout)

    def _pause(self, pool: Pool, instance: Instance, end: float) -> None:
        """Keep ``instance``, which is idle, until ``end``."""
        pool.kept = instance
        self.timers.arm((PAUSE, instance.id), end)

    def _end_pause(self, pool: Pool) -> None:
        """The policy is told that its pause is over, whether or not there was an instance to keep."""
        kept, pool.kept = pool.kept, None
        idle = 0.0
        if kept is not None:
            self.timers.disarm(PAUSE, kept.id)
            idle = self._now - kept.idle_since
        pool.policy.paused(round(1000 * idle))

    def _stop(self, pool: Pool, instance: Instance, trigger: str = "stop") -> None:
        self._fire(INSTANCE, instance, trigger)
        self.timers.disarm(IDLE, instance.id)
        self.timers.disarm(START, instance.id)
        self._arm(STOP, instance.id, self.config.shutdown_timeout)
        pool.refile(instance)
        self._effects.append(StopInstance(instance.id))

    def _forget(self, pool: Pool, instance: Instance) -> None:
        pool.forget(instance)
        del self.instances[instance.id]

    # ---- the pool ----

    def new_pool(self, key: PoolKey) -> Pool:
        config = self.config
        if key[0] == "slot":
            policy = Prioritised(config.policy)
            pool = Pool(key, 1, None, config.on_conflict == "raise", policy, is_charged=policy.charges)
        else:
            provider = config.provider(key[1])
            limit, idle_timeout = config.limit_of(provider), config.idle_timeout_of(provider)
            pool = Pool(key, limit, idle_timeout, config.on_limit == "raise", Fifo(), is_charged=False)
        self.pools[key] = pool
        return pool

    def _update(self, pool: Pool) -> None:
        """Bring the pool's own state up to date at the end of a step; drop an endpoint's slot that nobody needs."""
        if pool.state == "saturated":
            if pool.held < pool.limit:
                self._fire(POOL, pool, "relax")
                self._update(pool)
        elif pool.state == "open":
            if pool.held >= pool.limit:
                self._fire(POOL, pool, "saturate")
            elif pool.is_slot and not (pool.instances or pool.waiting) and self.config.local_scope == "endpoint":
                self._fire(POOL, pool, "close")
                self._finish_pool(pool)
        elif not pool.instances:
            self._finish()

    def _finish(self) -> None:
        for pool in list(self.pools.values()):
            if not pool.instances:
                self._finish_pool(pool)
        if not self.pools and not self.closed:
            self.closed = True
            self.timers.disarm(GRACE, 0)
            self._effects.append(Closed())

    def _finish_pool(self, pool: Pool) -> None:
        self._fire(POOL, pool, "finish")
        del self.pools[pool.key]

    # ---- all of them ----

    def _arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        if seconds is not None:
            self.timers.arm((kind, subject), self._now + seconds)

    def _fire_and_record(self, machine: FastMachine, subject: Request | Instance | Pool, trigger: str) -> None:
        source = subject.state
        machine.fire(subject, trigger)
        if isinstance(subject, Pool):
            what: int | PoolKey = subject.key
            demand = None
        else:
            what = subject.id if isinstance(subject, Instance) else subject.ticket
            demand = subject.demand
        self._effects.append(Transition(self._now, machine.kind, what, trigger, source, subject.state, demand))


def holder(pool: Pool) -> Instance | None:
    """Whose signature holds a local slot: the successor's, where there is one. None for the many places of an API provider."""
    if not pool.is_slot or not pool.instances:
        return None
    first = next(iter(pool.instances.values()))
    return first.successor or first
