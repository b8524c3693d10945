"""The records by themselves: which index lists an instance, what its place is worth to others, and what a record weighs."""

from __future__ import annotations

from typing import get_args

import pytest

from adapters import FakeAdapter
from statemachine import Fifo, ProviderConfig, ProviderManagerConfig, RuntimeProviderConfig
from statemachine.config.providers import Demand, PoolKey
from statemachine.core.counters import Counters, ModelUsage
from statemachine.core.index import Index, Instance, Listing, Pool, Request
from statemachine.core.lifecycle import InstanceState, RequestState

KEY = PoolKey("slot", "local")


def demand(parallel: int = 2) -> Demand:
    local = ProviderConfig("local", FakeAdapter, is_local=True, parallel=parallel)
    return ProviderManagerConfig([local]).resolve(RuntimeProviderConfig("local", "m"))


def request(ticket: int) -> Request:
    return Request(ticket, demand(), "owner", None, 0, 0.0, 0.0)


LISTINGS: list[tuple[InstanceState, int, int, bool, Index | None, bool]] = [
    # state, leases, assigned, with a successor: index, and whether it holds its place
    ("absent", 0, 1, False, "loading", False),
    ("absent", 0, 2, False, None, False),
    ("starting", 0, 0, False, "loading", True),
    ("starting", 0, 2, False, None, True),
    ("active", 1, 0, False, "spare", True),
    ("active", 2, 0, False, None, True),
    ("idle", 0, 0, False, "idle", False),
    ("draining", 1, 0, False, None, True),
    ("stopping", 0, 0, False, "vacating", False),
    ("stopping", 0, 0, True, None, True),
    ("evicted", 0, 0, False, None, False),
]


def test_every_state_and_every_index_is_in_the_table() -> None:
    assert {row[0] for row in LISTINGS} == set(get_args(InstanceState))
    assert {row[4] for row in LISTINGS} == {*get_args(Index), None}


@pytest.mark.parametrize(("state", "leases", "assigned", "successor", "index", "holds"), LISTINGS)
def test_an_instance_is_listed_where_its_state_says(
    state: InstanceState, leases: int, assigned: int, successor: bool, index: Index | None, holds: bool
) -> None:
    instance = Instance(1, demand(), state)
    instance.leases = {ticket: request(ticket) for ticket in range(leases)}
    instance.assigned = {ticket: request(ticket) for ticket in range(assigned)}
    instance.successor = Instance(2, demand()) if successor else None
    assert instance.listing_of_state() == Listing(index, holds)
    pool = Pool(KEY, 1, None, False, Fifo(), is_charged=False)
    pool.instances[1] = instance
    pool.live = 1
    pool.reindex(instance)
    assert (instance.listing, pool.held) == (Listing(index, holds), int(holds))
    listed_in = {
        "idle": instance.id in pool.idle,
        "spare": [instance] in pool.eligible.values() and not pool.idle,
        "loading": [instance] in pool.loading.values(),
        "vacating": instance.id in pool.vacating,
        None: not any((pool.idle, pool.eligible, pool.loading, pool.vacating)),
    }
    assert listed_in[index]
    pool.forget(instance)
    assert (pool.held, pool.instances) == (0, {})
    assert not any((pool.idle, pool.eligible, pool.loading, pool.vacating))


def test_of_several_starts_the_one_in_the_middle_ends_first() -> None:
    pool, instances = Pool(KEY, 3, None, False, Fifo(), is_charged=False), [Instance(n, demand()) for n in (1, 2, 3)]
    for instance in instances:
        instance.state = "starting"
        pool.reindex(instance)
    instances[1].state = "idle"
    pool.reindex(instances[1])
    first, second, third = instances
    assert list(pool.loading.values()) == [[first, third]]
    assert list(pool.eligible.values()) == [[second]]


def test_of_several_instances_the_one_that_was_used_last_is_used_first() -> None:
    pool, (first, second) = Pool(KEY, 2, None, False, Fifo(), is_charged=False), [Instance(n, demand()) for n in (1, 2)]
    for instance in (first, second):
        instance.state = "idle"
        pool.reindex(instance)
    assert list(pool.eligible.values()) == [[first, second]]
    first.state = "active"
    pool.reindex(first)
    assert (list(pool.eligible.values()), [*pool.idle]) == ([[second, first]], [2])
    second.state = "active"
    pool.reindex(second)
    second.state = "idle"
    pool.reindex(second)
    assert (list(pool.eligible.values()), [*pool.idle]) == ([[first, second]], [2])


def test_an_owner_may_wait_twice() -> None:
    pool, waiting = Pool(KEY, 1, None, False, Fifo(), is_charged=False), [request(1), request(2)]
    for one in waiting:
        pool.enqueue(one)
    assert pool.waiting_by_owner == {"owner": waiting}
    for one in waiting:
        pool.dequeue(one)
    assert (pool.waiting, pool.waiting_by_owner) == ({}, {})


def below(ticket: int, *above: int) -> Request:
    """A request of a task for whose end the holders of the leases ``above`` wait."""
    return Request(ticket, demand(), "child", None, 0, 0.0, 0.0, above)


def test_a_request_below_leases_that_has_left_the_queue_is_not_remembered() -> None:
    pool, child = Pool(KEY, 1, None, False, Fifo(), is_charged=False), below(2, 1)
    pool.enqueue(child)
    assert pool.waiting_below == {2: child}
    pool.dequeue(child)
    assert pool.waiting_below == {}


def test_an_owner_keeps_its_own_leases_by_waiting_and_those_above_it() -> None:
    pool, instance = Pool(KEY, 1, None, False, Fifo(), is_charged=False), Instance(1, demand(), "active")
    pool.instances[1] = instance
    for holder in (request(1), request(2), below(3)):
        pool.add_lease(instance, holder)
    assert pool.leases_held_by(below(4, 1, 2, 9)) == 3, "one of its own and two above it; 9 is released"
    assert pool.leases_held_by(below(4)) == 1


def test_only_a_request_with_an_instance_on_its_way_is_assigned() -> None:
    one = request(1)
    for state in get_args(RequestState):
        one.state = state
        assert one.is_assigned is (state == "assigned")


def test_records_are_light_and_never_equal_by_mistake() -> None:
    assert request(1) != request(1)
    assert Instance(1, demand()) != Instance(1, demand())
    for record in (request(1), Instance(1, demand()), Counters(), ModelUsage(1, 1.0)):
        assert not hasattr(record, "__dict__")
