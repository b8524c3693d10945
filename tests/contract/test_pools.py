"""The contract's section on pools of API providers."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import ProviderConfig, ProviderLimitError, ProviderManager, ProviderManagerConfig
from tests.contract.recording import Recorder, Script, api_manager, spawn, want

A, B, C = (want("api", model) for model in "abc")


async def test_every_state_but_absent_and_evicted_counts_towards_the_limit(autojump_clock: MockClock) -> None:
    slow = Script(load=10, unload=10)
    recorder = Recorder(a=slow, b=slow, c=slow)
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 5)
        await spawn(nursery, manager, B)
        third = await spawn(nursery, manager, C)
        pool = manager.statistics().providers["api"]
        assert (pool.starting, pool.waiting, pool.live) == (2, 1, 2)
        await trio.sleep(11)
        pool = manager.statistics().providers["api"]
        assert (pool.active, pool.stopping, pool.waiting, pool.live) == (1, 1, 0, 2)
    assert third.granted == 30
    assert recorder.most_live() == 2


async def test_five_instances_unless_configured(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    providers = [ProviderConfig("five", recorder), ProviderConfig("two", recorder, limit=2)]
    async with ProviderManager(ProviderManagerConfig(providers)) as manager, trio.open_nursery() as nursery:
        for name in ("five", "two"):
            for _ in range(7):
                await spawn(nursery, manager, want(name, "m"), 1)
        pools = manager.statistics().providers
        assert [(pools[name].active, pools[name].limit) for name in ("five", "two")] == [(5, 5), (2, 2)]


async def test_the_managers_limit_is_the_default_of_each_provider(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    providers = [ProviderConfig("p", recorder), ProviderConfig("q", recorder)]
    config = ProviderManagerConfig(providers, max_parallel_api_instances_per_provider=1)
    async with ProviderManager(config) as manager, trio.open_nursery() as nursery:
        attempts = [await spawn(nursery, manager, want(name, "m"), 5) for name in ("p", "q", "p")]
    assert [attempt.granted for attempt in attempts] == [0, 0, 5]


async def test_an_idle_instance_of_the_signature_is_taken_first(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=5))
    async with api_manager(recorder, limit=3) as manager:
        for _ in range(3):
            async with manager.acquire(A) as lease:
                assert lease.adapter is recorder.made[0]
    assert len(recorder.made) == 1


async def test_of_two_idle_instances_the_one_used_last_is_taken(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        for seconds in (5, 3):
            await spawn(nursery, manager, A, seconds)
        await trio.sleep(6)
        async with manager.acquire(A) as lease:
            assert lease.adapter is recorder.made[0]


async def test_an_api_instance_has_one_lease(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=5))
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        attempts = [await spawn(nursery, manager, A, 1) for _ in range(2)]
    assert [attempt.granted for attempt in attempts] == [5, 5]
    assert len(recorder.made) == 2


async def test_room_is_used_before_anything_is_evicted(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, limit=2) as manager:
        for config in (A, B):
            async with manager.acquire(config):
                pass
        assert recorder.times("shutdown") == []
        assert manager.statistics().providers["api"].idle == 2


async def test_the_least_recently_used_idle_instance_makes_room(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 5)
        await spawn(nursery, manager, B, 3)  # taken last, given back first
        await trio.sleep(6)
        await spawn(nursery, manager, C)
        assert recorder.story("shutdown") == [("shutdown", "b")]
        assert manager.statistics().counters.evictions == 1


async def test_a_leased_instance_is_never_evicted(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 10)
        await spawn(nursery, manager, B, 10)
        third = await spawn(nursery, manager, C)
        await trio.sleep(9)
        assert recorder.times("shutdown") == []
    assert third.granted == 10


async def test_first_come_first_served_even_if_a_later_one_could_be_served(autojump_clock: MockClock) -> None:
    recorder = Recorder(c=Script(load=3))
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 10)
        await spawn(nursery, manager, B, 10)
        head = await spawn(nursery, manager, C, 1)
        newcomer = await spawn(nursery, manager, A, 1)
        await trio.sleep(5)
        assert newcomer.granted is None
    assert head.granted == 13
    assert newcomer.granted == 10  # as soon as the head has room assigned, it is no longer waiting


async def test_only_the_head_is_examined(autojump_clock: MockClock) -> None:
    """B's instance is idle, but a newcomer for it stands behind a head that needs the place of B."""
    recorder = Recorder(b=Script(unload=4))
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, B, 5)
        head = await spawn(nursery, manager, A, 1)
        again = await spawn(nursery, manager, B)
    assert (head.granted, again.granted) == (9, 10)


async def test_priority_and_policy_concern_local_slots_only(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, check_invariants=True) as manager, trio.open_nursery() as nursery:
        first = await spawn(nursery, manager, A, 5)
        low = await spawn(nursery, manager, A, 1, priority=0)
        high = await spawn(nursery, manager, A, 1, priority=9)
    assert (low.granted, high.granted) == (5, 6)
    assert not any(attempt.error for attempt in (first, low, high)), "and that is no overtaking"


@pytest.mark.parametrize("config", [A, B])
async def test_a_full_provider_may_raise_at_once(autojump_clock: MockClock, config: object) -> None:
    recorder = Recorder()
    async with api_manager(recorder, on_limit="raise") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 5)
        refused = await spawn(nursery, manager, config, timeout=100)  # type: ignore[arg-type]  # parametrized
        assert isinstance(refused.error, ProviderLimitError)
        assert (refused.error.limit, refused.error.waited, refused.ended) == (1, 0, 0)
        await trio.sleep(6)
        served = await spawn(nursery, manager, B)
        assert served.error is None  # idle instances make room, and waiting for that is no conflict
    assert manager.statistics().counters.rejections == 1


async def test_raise_counts_instances_that_nobody_waits_for(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=10), b=Script(unload=10))
    async with api_manager(recorder, on_limit="raise") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A)
        successor = await spawn(nursery, manager, B)
        refused = await spawn(nursery, manager, B)
    assert successor.granted == 10
    assert isinstance(refused.error, ProviderLimitError)


@pytest.mark.parametrize(("seconds", "stopped"), [(299, []), (301, [300])])
async def test_idle_instances_are_evicted_after_300_seconds(
    autojump_clock: MockClock, seconds: float, stopped: list[float]
) -> None:
    recorder = Recorder()
    async with api_manager(recorder) as manager:
        async with manager.acquire(A):
            pass
        await trio.sleep(seconds)
        assert recorder.times("shutdown") == stopped
        await wait_all_tasks_blocked()


async def test_the_idle_timeout_is_the_providers_or_the_managers_or_never(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    providers = [
        ProviderConfig("own", recorder, idle_timeout=7),
        ProviderConfig("default", recorder),
        ProviderConfig("never", recorder, idle_timeout=None),
    ]
    config = ProviderManagerConfig(providers, api_instance_idle_timeout_seconds=9)
    async with ProviderManager(config) as manager:
        for name in ("own", "default", "never"):
            async with manager.acquire(want(name, name)):
                pass
        await trio.sleep(10**6)
        assert recorder.times("shutdown") == [7, 9]
        assert manager.statistics().providers["never"].idle == 1


async def test_an_acquire_at_the_very_end_of_the_idle_timeout_finds_it_gone(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=2))
    async with api_manager(recorder, api_instance_idle_timeout_seconds=5) as manager:
        async with manager.acquire(A):
            pass
        await trio.sleep(5)
        async with manager.acquire(A):
            assert trio.current_time() == 7
    assert len(recorder.made) == 2


async def test_providers_never_block_each_other(autojump_clock: MockClock) -> None:
    recorder = Recorder(stuck=Script(load=1000, unload=1000))
    providers = [ProviderConfig(name, recorder, limit=1) for name in ("p", "q")]
    providers.append(ProviderConfig("local", recorder, is_local=True))
    config = ProviderManagerConfig(providers, shutdown_timeout=None, start_timeout=None, close_grace=1)
    async with ProviderManager(config) as manager, trio.open_nursery() as nursery:
        stuck = await spawn(nursery, manager, want("p", "stuck"))
        others = [await spawn(nursery, manager, want(name, "m")) for name in ("q", "local")]
        stuck.scope.cancel()
        await wait_all_tasks_blocked()
        assert manager.statistics().providers["p"].starting == 1
    assert [other.granted for other in others] == [0, 0]
