"""The contract's section on leases: those that are dropped unreleased."""

from __future__ import annotations

import gc
import linecache
import threading
import weakref
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from statemachine import AdapterConfig, Lease, ProviderConfig, ProviderManager, ProviderManagerConfig
from statemachine.manager.lease import Lessor
from tests.contract.recording import Recorder, api_manager, local_manager, spawn, want

X, Y = want("local", "x"), want("local", "y")


def drop_here(leases: list[Lease]) -> None:
    leases.clear()
    gc.collect()


def drop_in_a_cycle(leases: list[Lease]) -> None:
    cycle: list[object] = [leases.pop()]
    cycle.append(cycle)
    del cycle
    gc.collect()


def drop_elsewhere(leases: list[Lease]) -> None:
    thread = threading.Thread(target=drop_here, args=(leases,))
    thread.start()
    thread.join()


@pytest.mark.parametrize("drop", [drop_here, drop_in_a_cycle, drop_elsewhere])
async def test_a_dropped_lease_warns_and_is_released(drop: Callable[[list[Lease]], None]) -> None:
    async with local_manager(Recorder(), on_conflict="wait") as manager, trio.open_nursery() as nursery:
        leases = [await manager.get_adapter(X)]
        waiter = await spawn(nursery, manager, Y)
        with pytest.warns(ResourceWarning, match=r"local/x#\w{8}"):
            drop(leases)
        await wait_all_tasks_blocked(0.05)  # a thread's word takes real time
        assert waiter.granted is not None


@pytest.mark.parametrize("drop", [drop_here, drop_in_a_cycle])
async def test_a_lease_that_is_dropped_is_free_for_the_same_task_at_once(drop: Callable[[list[Lease]], None]) -> None:
    """Also one that was waited for: trio keeps what a task is woken with."""
    async with local_manager(Recorder()) as manager:
        for config in (X, Y):
            leases = [await manager.get_adapter(config)]
            with pytest.warns(ResourceWarning):
                drop(leases)
        async with manager.acquire(X):
            pass


async def test_the_warning_says_where_and_what_was_dropped() -> None:
    async with local_manager(Recorder()) as manager:
        leases = [await manager.get_adapter(X)]
        label = manager.config.resolve(X)
        watch = weakref.ref(leases[0])
        await trio.lowlevel.checkpoint()  # trio remembers what it last handed to a task
        with pytest.warns(ResourceWarning) as caught:
            drop_here(leases)
        (warning,) = caught
        assert str(warning.message) == f"a lease of {label} was dropped unreleased"
        assert linecache.getline(warning.filename, warning.lineno).strip() == "leases.clear()"
        assert watch() is not None
        assert warning.source is watch()  # tracemalloc knows where it was made


def test_a_lease_that_outlives_its_run_is_nobodys() -> None:
    """Such as after a crash of trio: there is no manager to tell any more."""
    told: list[object] = []

    async def lend() -> Lease:
        recorder = Recorder()
        config = ProviderManagerConfig([ProviderConfig("local", recorder, is_local=True)])
        return Lessor(told.append).lend(1, config.resolve(X), recorder(AdapterConfig("local", "x", {})), 0, 0)

    leases = [trio.run(lend)]
    leases[0].drain()
    with pytest.warns(ResourceWarning):
        drop_here(leases)
    assert told == []


class Collecting(str):
    """A name that has the garbage collected when it is hashed for the ``countdown``-th time."""

    countdown = 0

    def __hash__(self) -> int:
        Collecting.countdown -= 1
        if Collecting.countdown == 0:
            gc.collect()
        return str.__hash__(self)


def look(manager: ProviderManager) -> None:
    manager.statistics()
    gc.collect()


@pytest.mark.parametrize("moment", range(1, 9))
async def test_a_lease_dropped_by_the_collector_while_statistics_are_taken(moment: int) -> None:
    """Garbage is collected whenever something is allocated: in the middle of the manager's own code too."""
    async with api_manager(Recorder(), names=map(Collecting, "pqr")) as manager:
        gc.disable()
        try:
            for name in "pqr":
                cycle: list[object] = [await manager.get_adapter(want(name, "m"))]
                cycle.append(cycle)
            del cycle
            await trio.lowlevel.checkpoint()  # trio remembers what it last handed to a task
            Collecting.countdown = moment
            with pytest.warns(ResourceWarning):
                look(manager)
        finally:
            gc.enable()
        assert sum(pool.idle for pool in manager.statistics().providers.values()) == 3
