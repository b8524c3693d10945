"""The state of a coordinator as a value: to compare, to hash and to restore.

A snapshot is exact: a restored coordinator takes the same steps as the original. Only the counters are left out, because no decision
reads them.
"""

from __future__ import annotations

from collections.abc import Hashable
from operator import attrgetter
from typing import Final, NamedTuple

from ..config.providers import Demand, PoolKey
from .coordinator import Coordinator
from .events import PAUSE
from .index import Instance, Pool, Request
from .lifecycle import InstanceState, ManagerState, PoolState, RequestState
from .timers import TimerKey

__all__ = ["Snapshot", "restore", "snapshot"]


class RequestRecord(NamedTuple):
    """The fields of a Request, but its instance: that is the one whose record names its ticket."""

    ticket: int
    demand: Demand
    owner: object
    agent: str | None
    priority: int
    arrived: float
    since: float
    held_above: tuple[int, ...]
    state: RequestState
    queued: float
    loading: float


class InstanceRecord(NamedTuple):
    """An instance. ``leases`` and ``assigned`` are tickets, ``successor`` is the id of a planned instance."""

    id: int
    demand: Demand
    state: InstanceState
    leases: tuple[int, ...]
    assigned: tuple[int, ...]
    cause: int | None
    successor: int | None
    idle_since: float


class PoolRecord(NamedTuple):
    """A pool. ``waiting`` are tickets; ``idle``, ``loading`` and ``vacating`` are instance ids; ``policy`` is what the policy remembers."""

    key: PoolKey
    state: PoolState
    waiting: tuple[int, ...]
    idle: tuple[int, ...]  # least recently used first
    loading: tuple[int, ...]
    vacating: tuple[int, ...]
    policy: Hashable


class Snapshot(NamedTuple):
    """The state of a coordinator, as tuples."""

    state: ManagerState
    next_instance: int
    requests: tuple[RequestRecord, ...]
    instances: tuple[InstanceRecord, ...]
    pools: tuple[PoolRecord, ...]
    timers: tuple[tuple[TimerKey, float], ...]


def snapshot(coordinator: Coordinator) -> Snapshot:
    """Take the exact state of ``coordinator``."""
    return Snapshot(
        coordinator.state,
        coordinator.ledger.next_instance,
        tuple(_request(request) for request in coordinator.requests.values()),
        tuple(_instance(instance) for instance in coordinator.instances.values()),
        tuple(_pool(pool) for pool in coordinator.pools.values()),
        tuple(sorted(coordinator.timers.armed.items())),
    )


_fields: Final = attrgetter(*RequestRecord._fields)


def _request(request: Request) -> RequestRecord:
    return RequestRecord._make(_fields(request))


def _instance(i: Instance) -> InstanceRecord:
    successor = None if i.successor is None else i.successor.id
    return InstanceRecord(i.id, i.demand, i.state, tuple(i.leases), tuple(i.assigned), i.cause, successor, i.idle_since)


def _pool(p: Pool) -> PoolRecord:
    loading = tuple(instance.id for signature in sorted(p.loading) for instance in p.loading[signature])
    memory = p.policy.snapshot(lambda ticket: ticket)
    return PoolRecord(p.key, p.state, tuple(sorted(p.waiting)), tuple(p.idle), loading, tuple(p.vacating), memory)


def restore(coordinator: Coordinator, saved: Snapshot) -> None:
    """Replace the state of ``coordinator`` by ``saved``, which was taken of one with the same configuration."""
    _empty(coordinator)
    coordinator.ledger.state, coordinator.ledger.next_instance = saved.state, saved.next_instance
    requests, instances = coordinator.requests, coordinator.instances
    for record in saved.requests:
        requests[record[0]] = Request(*record)
    for i in saved.instances:
        instances[i.id] = Instance(i.id, i.demand, i.state, cause=i.cause, idle_since=i.idle_since)
    for p in saved.pools:
        _restore_queue(coordinator, p)
    for i in saved.instances:
        _restore_instance(coordinator, i)
    for p in saved.pools:
        _restore_index(coordinator.pools[p.key], p)
    coordinator.timers.replace(saved.timers)
    for kind, subject in coordinator.timers.armed:
        if kind is PAUSE:
            kept = instances[subject]
            coordinator.pools[kept.demand.pool].kept = kept


def _empty(coordinator: Coordinator) -> None:
    """Drop all records, and break their cycles of references: a search restores once for each edge, and needs the memory back."""
    for request in coordinator.requests.values():
        request.instance = None
    for instance in coordinator.instances.values():
        instance.predecessor = instance.successor = None
    coordinator.requests.clear()
    coordinator.instances.clear()
    coordinator.pools.clear()


def _restore_queue(coordinator: Coordinator, record: PoolRecord) -> None:
    pool = coordinator.ledger.new_pool(record.key)
    pool.state = record.state
    for ticket in record.waiting:
        pool.enqueue(coordinator.requests[ticket])
    pool.policy.restore(record.policy)


def _restore_instance(coordinator: Coordinator, record: InstanceRecord) -> None:
    instance = coordinator.instances[record.id]
    pool = coordinator.pools[record.demand.pool]
    pool.instances[record.id] = instance
    pool.live += record.state != "absent"
    for ticket in record.assigned:
        instance.assigned[ticket] = coordinator.requests[ticket]
    for ticket in record.leases:
        pool.add_lease(instance, coordinator.requests[ticket])
    for ticket in (*record.assigned, *record.leases):
        coordinator.requests[ticket].instance = instance
    if record.successor is not None:
        instance.successor = coordinator.instances[record.successor]
        instance.successor.predecessor = instance


def _restore_index(pool: Pool, record: PoolRecord) -> None:
    for id in (*record.idle, *record.loading, *record.vacating, *pool.instances):  # the first three keep their order
        pool.reindex(pool.instances[id])
