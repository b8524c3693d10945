"""The model's state as a value: to compare, to hash, to go back to. It is exact: restored, the model goes on as if nothing had happened
(what it has counted aside).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from .config import Demand, PoolKey
from .events import PAUSE, Timer
from .lifecycle import InstanceState, PoolState, RequestState
from .model import Model
from .pool import Instance, Pool, Request
from .timers import Timers

__all__ = ["Snapshot", "restore", "snapshot"]


class RequestRecord(NamedTuple):
    """Which instance it has is said there."""

    ticket: int
    demand: Demand
    owner: object
    agent: str | None
    priority: int
    arrived: float
    since: float
    state: RequestState
    queued: float
    loading: float


class InstanceRecord(NamedTuple):
    id: int
    demand: Demand
    state: InstanceState
    leases: tuple[int, ...]
    assigned: tuple[int, ...]
    cause: int | None
    successor: int | None
    idle_since: float


class PoolRecord(NamedTuple):
    key: PoolKey
    state: PoolState
    waiting: tuple[int, ...]
    idle: tuple[int, ...]  # least recently used first
    loading: tuple[int, ...]
    vacating: tuple[int, ...]
    policy: Hashable


class Snapshot(NamedTuple):
    """All of a model's state, as tuples."""

    closing: bool
    closed: bool
    next_instance: int
    requests: tuple[RequestRecord, ...]
    instances: tuple[InstanceRecord, ...]
    pools: tuple[PoolRecord, ...]
    timers: tuple[tuple[Timer, float], ...]


def snapshot(model: Model) -> Snapshot:
    """The exact state of ``model``."""
    return Snapshot(
        model.closing,
        model.closed,
        model.next_instance,
        tuple(_request(request) for request in model.requests.values()),
        tuple(_instance(instance) for instance in model.instances.values()),
        tuple(_pool(pool) for pool in model.pools.values()),
        tuple(sorted(model.timers.armed.items())),
    )


def _request(r: Request) -> RequestRecord:
    return RequestRecord(
        r.ticket, r.demand, r.owner, r.agent, r.priority, r.arrived, r.since, r.state, r.queued, r.loading
    )


def _instance(i: Instance) -> InstanceRecord:
    successor = None if i.successor is None else i.successor.id
    return InstanceRecord(i.id, i.demand, i.state, tuple(i.leases), tuple(i.assigned), i.cause, successor, i.idle_since)


def _pool(p: Pool) -> PoolRecord:
    loading = tuple(instance.id for signature in sorted(p.loading) for instance in p.loading[signature])
    memory = p.policy.snapshot(lambda ticket: ticket)
    return PoolRecord(p.key, p.state, tuple(sorted(p.waiting)), tuple(p.idle), loading, tuple(p.vacating), memory)


def restore(model: Model, saved: Snapshot) -> None:
    """Put ``model``, which has the same configuration, into the state ``saved``; nothing of the state that it was in is left."""
    _empty(model)
    model.closing, model.closed, model.next_instance = saved.closing, saved.closed, saved.next_instance
    requests, instances = model.requests, model.instances
    for ticket, demand, owner, agent, priority, arrived, since, state, queued, loading in saved.requests:
        requests[ticket] = Request(ticket, demand, owner, agent, priority, arrived, since, state, None, queued, loading)
    for i in saved.instances:
        instances[i.id] = Instance(i.id, i.demand, i.state, cause=i.cause, idle_since=i.idle_since)
    for p in saved.pools:
        _restore_queue(model, p)
    for i in saved.instances:
        _restore_instance(model, i)
    for p in saved.pools:
        _restore_shelves(model.pools[p.key], p)
    model.timers = Timers(saved.timers)
    for kind, subject in model.timers.armed:
        if kind is PAUSE:
            kept = instances[subject]
            model.pools[kept.demand.pool].kept = kept


def _empty(model: Model) -> None:
    """Forget everything, and leave no cycle of references behind: a search does this for every edge."""
    for request in model.requests.values():
        request.instance = None
    for instance in model.instances.values():
        instance.predecessor = instance.successor = None
    model.requests.clear()
    model.instances.clear()
    model.pools.clear()


def _restore_queue(model: Model, record: PoolRecord) -> None:
    pool = model.new_pool(record.key)
    pool.state = record.state
    for ticket in record.waiting:
        pool.enqueue(model.requests[ticket])
    pool.policy.restore(record.policy)


def _restore_instance(model: Model, record: InstanceRecord) -> None:
    instance = model.instances[record.id]
    pool = model.pools[record.demand.pool]
    pool.instances[record.id] = instance
    pool.live += record.state != "absent"
    for ticket in record.assigned:
        instance.assigned[ticket] = model.requests[ticket]
    for ticket in record.leases:
        pool.lend(instance, model.requests[ticket])
    for ticket in (*record.assigned, *record.leases):
        model.requests[ticket].instance = instance
    if record.successor is not None:
        instance.successor = model.instances[record.successor]
        instance.successor.predecessor = instance


def _restore_shelves(pool: Pool, record: PoolRecord) -> None:
    for id in (*record.idle, *record.loading, *record.vacating, *pool.instances):  # the first three keep their order
        pool.refile(pool.instances[id])
