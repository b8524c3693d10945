"""The ledger: the state of everything that is managed, and the changes that can be made to it.

Each method is one change. It fires a machine of :mod:`.lifecycle` and updates records, index, timers, counters and effects together, so
that they agree when it returns. Nothing is chosen here: :mod:`.placement` and :mod:`.coordinator` choose which change is made.

Example: ``grant`` moves the request to ``granted`` and an idle instance to ``active``, disarms both of their deadlines, lists the
instance where it belongs, counts the call, and adds the effect that tells the driver.
"""

from __future__ import annotations

from typing import Final

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
from .lifecycle import (
    INSTANCE,
    MANAGER,
    POOL,
    REQUEST,
    InstanceTrigger,
    Kind,
    ManagerState,
    PoolTrigger,
    RequestTrigger,
)
from .timers import Timers

__all__ = ["Ledger", "holder"]

_INSTANCES: Final = INSTANCE.table
_REQUESTS: Final = REQUEST.table
_POOLS: Final = POOL.table


class Ledger:
    """The state of the coordinator and the changes to it.

    ``now`` (the driver's clock, seconds) and ``effects`` belong to the present step. With ``record`` each change of an instance, a
    request or a pool is added to the effects as a Transition.
    """

    def __init__(self, config: ProviderManagerConfig, *, record: bool) -> None:
        self.config = config
        self.record = record
        self.state: ManagerState = "new"
        self.pools: dict[PoolKey, Pool] = {}
        self.requests: dict[int, Request] = {}
        self.instances: dict[int, Instance] = {}
        self.timers = Timers()
        self.tally = Tally()
        self.next_instance = 1
        self.now = 0.0
        self.effects: list[Effect] = []

    # ---- a request ----

    def assign(self, pool: Pool, instance: Instance, request: Request) -> None:
        """Reserve a lease of ``instance``, which is planned or starting, for ``request``."""
        self.fire_request(request, "assign")
        request.queued += self.now - request.since
        request.since = self.now
        request.instance = instance
        if not instance.assigned:
            instance.cause = request.ticket  # also where the first requester has gone: a failure must reach one
        instance.assigned[request.ticket] = request
        pool.reindex(instance)

    def grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        """Lease ``instance``, which is idle or active, to ``request``."""
        now, state = self.now, request.state
        if state != "new":  # a newcomer has not waited, and has no deadline yet
            if state == "assigned":
                request.loading += now - request.since
            else:
                request.queued += now - request.since
            self.timers.disarm(ACQUIRE, request.ticket)
        self.fire_request(request, "grant")
        if instance.state == "idle":
            self.fire_instance(instance, "acquire")
            if pool.idle_timeout is not None:
                self.timers.disarm(IDLE, instance.id)
        request.instance = instance
        request.since = now
        pool.add_lease(instance, request)
        pool.reindex(instance)
        self.tally.calls[request.demand.model] += 1
        self.effects.append(Grant(request.ticket, instance.id, request.queued, request.loading))

    def unassign(self, pool: Pool, request: Request) -> None:
        """Take ``request`` from the instance that it is assigned to. A start goes on without its requester; a mere plan is dropped."""
        instance = request.instance
        assert instance is not None, "an assigned request has an instance"
        request.instance = None
        del instance.assigned[request.ticket]
        leaving = instance.predecessor
        if leaving is None or instance.assigned:
            pool.reindex(instance)
            return
        leaving.successor = instance.predecessor = None
        self.forget(pool, instance)
        pool.reindex(leaving)

    def requeue(self, pool: Pool, request: Request) -> None:
        """Put ``request`` back into the queue: the start that it had joined failed."""
        self.fire_request(request, "requeue")
        request.loading += self.now - request.since
        request.since = self.now
        request.instance = None
        pool.enqueue(request)

    def reject(self, request: Request, cause: Cause, pool: Pool | None = None, failed: Instance | None = None) -> None:
        """End ``request`` without a lease. ``pool``: where it competed; ``failed``: the instance whose start failed for it."""
        self.fire_request(request, "reject" if failed is None else "fail")
        del self.requests[request.ticket]
        self.timers.disarm(ACQUIRE, request.ticket)
        self.tally.counts["rejections"] += 1
        self.emit_reject(request, cause, pool, failed)

    def emit_reject(self, request: Request, cause: Cause, pool: Pool | None, failed: Instance | None = None) -> None:
        """Add the Reject effect of ``request``."""
        waited = self.now - request.arrived
        if pool is None:
            self.effects.append(Reject(request.ticket, request.demand, cause, waited))
            return
        held_by = holder(pool)
        self.effects.append(
            Reject(
                request.ticket,
                request.demand,
                cause,
                waited,
                holder=None if held_by is None else held_by.demand,
                limit=self.config.max_waiting if cause is Cause.QUEUE_FULL else pool.limit,
                instance=None if failed is None else failed.id,
                own=pool.leases_held_by(request),
                agents=() if held_by is None else agents_of(held_by),
            )
        )

    # ---- an instance ----

    def new_instance(self, pool: Pool, demand: Demand) -> Instance:
        """Add a planned instance."""
        instance = Instance(self.next_instance, demand)
        self.next_instance += 1
        self.instances[instance.id] = pool.instances[instance.id] = instance
        return instance

    def start(self, pool: Pool, instance: Instance) -> None:
        """Start ``instance``, which has a place and at least one request assigned."""
        self.fire_instance(instance, "start")
        instance.cause = min(instance.assigned)  # the request that made the plan may have gone
        pool.live += 1
        pool.reindex(instance)
        self.tally.started(pool.key if pool.is_slot else None, instance.demand.signature)
        self.arm(START, instance.id, self.config.start_timeout)
        self.effects.append(StartInstance(instance.id, instance.demand))

    def rest(self, pool: Pool, instance: Instance) -> None:
        """Record that ``instance`` is idle from now on."""
        instance.idle_since = self.now
        pool.reindex(instance)
        if pool.idle_timeout is not None:
            self.timers.arm(IDLE, instance.id, self.now + pool.idle_timeout)

    def keep(self, pool: Pool, instance: Instance, end: float) -> None:
        """Begin a pause: keep ``instance``, which is idle, until ``end``."""
        pool.kept = instance
        self.timers.arm(PAUSE, instance.id, end)

    def end_pause(self, pool: Pool) -> None:
        """End a pause, and tell the policy: also of one for which there was no instance to keep."""
        kept, pool.kept = pool.kept, None
        idle = 0.0
        if kept is not None:
            self.timers.disarm(PAUSE, kept.id)
            idle = self.now - kept.idle_since
        pool.policy.paused(round(1000 * idle))

    def drain(self, pool: Pool, instance: Instance) -> None:
        """Grant no further lease of ``instance``, which has leases."""
        if instance.state == "active":
            self.fire_instance(instance, "drain")
            pool.reindex(instance)

    def stop(self, pool: Pool, instance: Instance) -> None:
        """Shut ``instance`` down, whatever live state it is in. A start under way has to be interrupted before."""
        if instance.state == "idle":
            if pool.idle_timeout is not None:
                self.timers.disarm(IDLE, instance.id)
        elif instance.state == "starting":
            self.timers.disarm(START, instance.id)
        self.fire_instance(instance, "stop")
        self._shut_down(pool, instance)

    def fail_start(self, pool: Pool, instance: Instance, *, constructed: bool) -> None:
        """Record that the start of ``instance`` failed. If an adapter was constructed, shut it down."""
        if constructed:
            self.fire_instance(instance, "fail")
            self._shut_down(pool, instance)
        else:
            self.fire_instance(instance, "abort")
            pool.live -= 1
            self.forget(pool, instance)

    def _shut_down(self, pool: Pool, instance: Instance) -> None:
        self.arm(STOP, instance.id, self.config.shutdown_timeout)
        pool.reindex(instance)
        self.effects.append(StopInstance(instance.id))

    def forget(self, pool: Pool, instance: Instance) -> None:
        """Remove ``instance`` from everything that lists it."""
        pool.forget(instance)
        del self.instances[instance.id]

    # ---- a pool, and the manager ----

    def new_pool(self, key: PoolKey) -> Pool:
        """Add the pool that ``key`` names."""
        config = self.config
        if key.kind == "slot":
            policy = Prioritised(config.policy_factory)
            pool = Pool(key, 1, None, config.on_conflict == "raise", policy, is_charged=policy.charges)
        else:
            provider = config.provider(key.name)
            limit, idle_timeout = config.limit_of(provider), config.idle_timeout_of(provider)
            pool = Pool(key, limit, idle_timeout, config.on_limit == "raise", Fifo(), is_charged=False)
        self.pools[key] = pool
        return pool

    def update(self, pool: Pool) -> None:
        """Make the state of ``pool`` agree with its places, at the end of a step."""
        if pool.held >= pool.limit:
            if pool.state == "open":
                self.fire_pool(pool, "saturate")
        elif pool.state == "saturated":
            self.fire_pool(pool, "relax")

    def drop_if_empty(self, pool: Pool) -> None:
        """Drop ``pool`` if nothing is left in it and it is the slot of an endpoint, or the manager closes."""
        if pool.instances:
            return
        if pool.state == "closing":
            self.finish()
        elif pool.is_slot and not pool.waiting and self.config.local_scope == "endpoint":
            self.fire_pool(pool, "close")
            self._remove_pool(pool)

    def finish(self) -> None:
        """Drop the pools that are empty, while the manager closes; with the last one it is closed."""
        for pool in list(self.pools.values()):
            if not pool.instances:
                self._remove_pool(pool)
        if not self.pools and self.state == "closing":
            MANAGER.fire(self, "finish")
            self.timers.disarm(GRACE, 0)
            self.effects.append(Closed())

    def _remove_pool(self, pool: Pool) -> None:
        self.fire_pool(pool, "finish")
        del self.pools[pool.key]

    # ---- timers and transitions ----

    def arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        """Set a deadline in ``seconds`` from now; None: no deadline."""
        if seconds is not None:
            self.timers.arm(kind, subject, self.now + seconds)

    # ---- the machines: a method for each kind, as Python makes a look-up fast where it meets one type ----

    def fire_request(self, request: Request, trigger: RequestTrigger) -> None:
        """Move ``request`` by ``trigger``. Raises MachineError, and changes nothing, where that is illegal."""
        source = request.state
        try:
            request.state = _REQUESTS[trigger][source]
        except KeyError:
            REQUEST.fire(request, trigger)  # which says what is wrong
        if self.record:
            self._tell("request", request.ticket, trigger, source, request.state, request.demand, request.agent)

    def fire_instance(self, instance: Instance, trigger: InstanceTrigger) -> None:
        """Move ``instance`` by ``trigger``. Raises MachineError, and changes nothing, where that is illegal."""
        source = instance.state
        try:
            instance.state = _INSTANCES[trigger][source]
        except KeyError:
            INSTANCE.fire(instance, trigger)  # which says what is wrong
        if self.record:
            self._tell("instance", instance.id, trigger, source, instance.state, instance.demand)

    def fire_pool(self, pool: Pool, trigger: PoolTrigger) -> None:
        """Move ``pool`` by ``trigger``. Raises MachineError, and changes nothing, where that is illegal."""
        source = pool.state
        try:
            pool.state = _POOLS[trigger][source]
        except KeyError:
            POOL.fire(pool, trigger)  # which says what is wrong
        if self.record:
            self._tell("pool", pool.key, trigger, source, pool.state)

    def _tell(
        self,
        kind: Kind,
        subject: int | PoolKey,
        trigger: str,
        source: str,
        dest: str,
        demand: Demand | None = None,
        agent: str | None = None,
    ) -> None:
        self.effects.append(Transition(self.now, kind, subject, trigger, source, dest, demand, agent))


def holder(pool: Pool) -> Instance | None:
    """Return the instance whose signature holds a local slot: a planned successor before the one that is stopping.

    None for a vacant slot, and for an API provider's pool.
    """
    if not pool.is_slot or not pool.instances:
        return None
    first = next(iter(pool.instances.values()))
    return first.successor or first


def agents_of(instance: Instance) -> tuple[str, ...]:
    """Return the names of the agents that use ``instance``, or wait for its start or for its predecessor's shutdown."""
    requests = [*instance.leases.values(), *instance.assigned.values()]
    if instance.predecessor is not None:
        requests += instance.predecessor.leases.values()
    return tuple(dict.fromkeys(request.agent for request in requests if request.agent is not None))
