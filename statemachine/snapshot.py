"""The model's state as a value: to compare, to hash, to go back to.

:func:`snapshot` is exact: restored, the model goes on as if nothing had happened (what it has counted aside).
:func:`canonical` keeps only what decides the future up to renaming: tickets, ids and owners become ranks, times are left out. Two
models with the same canonical state allow the same behaviour if any armed deadline may expire next, which is how the checker sees time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

from .config import Demand, PoolKey
from .events import Timer, TimerKind
from .lifecycle import InstanceState, PoolState, RequestState
from .model import Model
from .policy import Rank
from .pool import Instance, Pool, Request

__all__ = ["Snapshot", "canonical", "restore", "snapshot"]


class RequestRecord(NamedTuple):
    ticket: int
    demand: Demand
    owner: object
    agent: str | None
    priority: int
    state: RequestState
    instance: int | None
    arrived: float
    since: float
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
    instance = None if r.instance is None else r.instance.id
    return RequestRecord(
        r.ticket, r.demand, r.owner, r.agent, r.priority, r.state, instance, r.arrived, r.since, r.queued, r.loading
    )


def _instance(i: Instance) -> InstanceRecord:
    successor = None if i.successor is None else i.successor.id
    return InstanceRecord(i.id, i.demand, i.state, tuple(i.leases), tuple(i.assigned), i.cause, successor)


def _pool(p: Pool) -> PoolRecord:
    loading = tuple(id for signature in sorted(p.loading) for id in p.loading[signature])
    memory = p.policy.snapshot(lambda ticket: ticket)
    return PoolRecord(p.key, p.state, tuple(sorted(p.waiting)), tuple(p.idle), loading, tuple(p.vacating), memory)


def restore(model: Model, saved: Snapshot) -> None:
    """Put ``model``, which is new and has the same configuration, into the state ``saved``."""
    model.closing, model.closed, model.next_instance = saved.closing, saved.closed, saved.next_instance
    for r in saved.requests:
        model.requests[r.ticket] = Request(
            r.ticket, r.demand, r.owner, r.agent, r.priority, r.arrived, r.since, r.state, None, r.queued, r.loading
        )
    for i in saved.instances:
        model.instances[i.id] = Instance(i.id, i.demand, i.state, cause=i.cause)
    for p in saved.pools:
        _restore_queue(model, p)
    for i in saved.instances:
        _restore_instance(model, i)
    for p in saved.pools:
        _restore_shelves(model.pools[p.key], p)
    for timer, deadline in saved.timers:
        model.timers.arm(timer, deadline)


def _restore_queue(model: Model, record: PoolRecord) -> None:
    pool = model.pool_of(record.key)
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


def canonical(model: Model) -> Hashable:
    """What decides the future of ``model``, up to the names of tickets, instances and owners, and apart from times."""
    tickets = _ranks(model.requests)
    ids = _ranks(model.instances)
    owners: dict[object, int] = {}
    requests = tuple(
        (
            r.demand.signature,
            owners.setdefault(r.owner, len(owners)),
            r.agent,
            r.priority,
            r.state,
            None if r.instance is None else ids[r.instance.id],
            (TimerKind.ACQUIRE, r.ticket) in model.timers.armed,
        )
        for r in (model.requests[ticket] for ticket in tickets)
    )
    instances = tuple(
        (
            i.demand.signature,
            i.state,
            tuple(sorted(tickets[t] for t in i.leases)),
            tuple(tickets[t] for t in i.assigned),
            tickets.get(i.cause) if i.cause is not None and i.state == "starting" else None,
            None if i.successor is None else ids[i.successor.id],
        )
        for i in model.instances.values()
    )
    current = list(tickets)
    pools = tuple(
        _canonical_pool(model.pools[key], ids, lambda ticket: bisect_right(current, ticket))
        for key in sorted(model.pools)
    )
    grace = (TimerKind.GRACE, 0) in model.timers.armed
    return model.closing, model.closed, grace, requests, instances, pools


def _canonical_pool(p: Pool, ids: Mapping[int, int], rank: Rank) -> Hashable:
    loading = tuple(ids[id] for signature in sorted(p.loading) for id in p.loading[signature])
    return (
        p.key,
        p.state,
        tuple(ids[i] for i in p.idle),
        loading,
        tuple(ids[i] for i in p.vacating),
        p.policy.snapshot(rank),
    )


def _ranks(names: Iterable[int]) -> dict[int, int]:
    return {name: rank for rank, name in enumerate(sorted(names))}
