"""What today's managers do wrong, case by case, on the real manager in virtual time. The cases are those of the README's table."""

from __future__ import annotations

import itertools
import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AcquireTimeoutError,
    AdapterInstantiationError,
    CallOptions,
    ConfigurationError,
    Fifo,
    ManagerClosedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    QueueFullError,
    ReasoningEngine,
    RuntimeProviderConfig,
)
from tests.contract.recording import Attempt, Recorder, Script, api_manager, local_manager, spawn, want

A, B, C = (want("api", model) for model in "abc")
X, Y, Z = (want("local", model) for model in "xyz")


async def test_d01_the_limit_counts_instances_and_not_configurations(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=1, unload=1))
    async with api_manager(recorder, limit=2) as manager, trio.open_nursery() as nursery:
        attempts = [await spawn(nursery, manager, A, 10) for _ in range(6)]
        await trio.sleep(5)
        live = manager.statistics().providers["api"]
        assert (live.active, live.waiting, live.limit) == (2, 4, 2)
    assert [attempt.granted for attempt in attempts] == [1, 1, 11, 11, 21, 21]
    assert recorder.most_live() == 2


async def test_d02_overlapping_leases_of_one_config_orphan_no_adapter(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=1))
    async with api_manager(recorder, limit=3) as manager, trio.open_nursery() as nursery:
        for seconds in (5, 3, 4):
            await spawn(nursery, manager, A, seconds)
    assert len(recorder.made) == 3
    assert recorder.each_shut_down_once()


async def test_d03_the_limit_holds_when_an_idle_instance_is_reused(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=1), b=Script(unload=1))
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, B)  # B becomes idle
        first = await spawn(nursery, manager, A, 10)
        second = await spawn(nursery, manager, B, 10)
        await trio.sleep(5)
        assert manager.statistics().providers["api"].active == 1
    assert (first.granted, second.granted) == (1, 12)
    assert recorder.most_live() == 1


async def test_d04_no_waiter_of_a_provider_waits_while_it_could_be_served(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, names=("p", "q")) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, want("p", "held"), 10)
        await spawn(nursery, manager, want("q", "held"), 2)
        p2 = await spawn(nursery, manager, want("p", "next"))
        q2 = await spawn(nursery, manager, want("q", "next"))
    assert (q2.granted, p2.granted) == (2, 10)


async def test_d05_a_local_release_leaves_the_order_of_api_requests_alone(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    providers = [ProviderConfig("api", recorder, limit=1), ProviderConfig("local", recorder, is_local=True)]
    async with ProviderManager(ProviderManagerConfig(providers)) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 10)
        waiting = [await spawn(nursery, manager, want("api", f"w{i}"), 1) for i in range(4)]
        for _ in range(3):
            await spawn(nursery, manager, X)  # comes and goes
    assert [attempt.granted for attempt in waiting] == [10, 11, 12, 13]


@pytest.mark.parametrize("script", [Script(construct_error=OSError("no")), Script(start_error=OSError("no"), load=1)])
async def test_d06_a_failed_start_frees_its_place_and_serves_the_next(
    autojump_clock: MockClock, script: Script
) -> None:
    recorder = Recorder(b=script)
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 5)
        head = await spawn(nursery, manager, B)
        following = await spawn(nursery, manager, C)
    assert isinstance(head.error, AdapterInstantiationError)
    assert following.granted == 5 + script.load


async def test_d07_release_is_idempotent_and_bound_to_its_lease(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        first = await manager.get_adapter(A)
        second = await spawn(nursery, manager, A, 10)
        third = await spawn(nursery, manager, A)
        first.release()
        await wait_all_tasks_blocked()
        assert second.granted == 0
        first.release()
        first.release(broken=True)
        await trio.sleep(5)
        assert second.lease is not None
        assert not second.lease.released
    assert third.granted == 10


async def test_d08_one_owner_of_the_local_slot_across_every_await(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(1, 3), y=Script(1, 3), z=Script(1, 3))
    async with local_manager(recorder, on_conflict="wait", policy=Fifo) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        await trio.sleep(2)
        switches = [await spawn(nursery, manager, config, 1) for config in (Y, Z, Y)]
    assert recorder.most_live() == 1
    spans = [(s.granted, s.ended) for s in switches]
    assert all(a[1] is not None and b[0] is not None and a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert recorder.each_shut_down_once()


async def test_d09_no_lease_on_a_stopping_instance(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=10))
    async with api_manager(recorder, api_instance_idle_timeout_seconds=5) as manager:
        async with manager.acquire(A) as lease:
            evicted = lease.adapter
        await trio.sleep(7)  # its shutdown is under way since 5
        async with manager.acquire(A) as lease:
            assert trio.current_time() == 15
            assert lease.adapter is not evicted
            await trio.sleep(20)
            assert recorder.times("shutdown") == [5]


async def test_d10_no_waiter_is_left_behind_by_an_eviction(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=10))
    async with api_manager(recorder, api_instance_idle_timeout_seconds=5) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A)
        await trio.sleep(7)
        during = await spawn(nursery, manager, A, 1)
        queued = [await spawn(nursery, manager, config, 1) for config in (A, B)]
    assert during.granted == 15
    assert [attempt.granted for attempt in queued] == [16, 27]


async def test_d11_a_timer_acts_only_on_the_idle_period_that_armed_it(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, api_instance_idle_timeout_seconds=5) as manager:
        async with manager.acquire(A):
            pass
        await trio.sleep(4)
        async with manager.acquire(A):
            await trio.sleep(20)
            assert recorder.times("shutdown") == []
        await trio.sleep(4.5)
        assert recorder.times("shutdown") == []
        await trio.sleep(1)
        assert recorder.times("shutdown") == [29]


@pytest.mark.parametrize("timeout", [3.0, None], ids=["timed out", "cancelled"])
async def test_d12_a_waiter_that_gives_up_leaves_no_trace(autojump_clock: MockClock, timeout: float | None) -> None:
    recorder = Recorder()
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 10)
        gone = await spawn(nursery, manager, B, timeout=timeout)
        after = await spawn(nursery, manager, C, 1)
        await trio.sleep(3 if timeout is None else 4)
        gone.scope.cancel()
        await wait_all_tasks_blocked()
        assert manager.statistics().providers["api"].waiting == 1
    assert gone.ended == 3
    assert isinstance(gone.error, AcquireTimeoutError) == (timeout is not None)
    assert after.granted == 10
    assert recorder.story("construct") == [("construct", "a"), ("construct", "c")]


async def test_d13_every_wait_can_be_bounded_cancelled_and_is_rejected_at_close(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    attempts: list[Attempt] = []
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder, max_waiting=2, acquire_timeout=8) as manager:
            await spawn(nursery, manager, A, 50)
            for timeout in (None, math.inf, None):
                attempts.append(await spawn(nursery, manager, B, timeout=timeout))
            await trio.sleep(10)
    default, unbounded, too_many = attempts
    assert isinstance(too_many.error, QueueFullError)
    assert too_many.ended == 0
    assert isinstance(default.error, AcquireTimeoutError)
    assert default.ended == 8
    assert isinstance(unbounded.error, ManagerClosedError)
    assert unbounded.ended == 10


async def test_d14_credentials_are_identity_and_never_shown(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    tenants = [want("api", "a", api_key=f"sk-tenant-{i}") for i in range(2)]
    async with api_manager(recorder, limit=2) as manager:
        for tenant in tenants:
            async with manager.acquire(tenant) as lease:
                assert lease.adapter is recorder.made[-1]
                assert "sk-tenant" not in repr(lease) + repr(tenant) + repr(recorder.made[-1].config)
    assert [adapter.config.options["api_key"] for adapter in recorder.made] == ["sk-tenant-0", "sk-tenant-1"]
    assert tenants[0].config_signature != tenants[1].config_signature


@pytest.mark.parametrize("name", ['a"b', "a'b", "a:b|c/d", 'x","y', "\n", "ä\\"])
async def test_d15_a_providers_name_is_data(autojump_clock: MockClock, name: str) -> None:
    recorder = Recorder(x=Script(unload=1), y=Script(unload=1))
    async with api_manager(recorder, names=(name,)) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, want(name, "x"), 5)
        other = await spawn(nursery, manager, want(name, "y"))
        assert manager.statistics().providers[name].waiting == 1
    assert other.granted == 6
    assert want(name, "x") != want("api", "x")


async def test_d16_a_shutdown_that_hangs_is_bounded_and_reported(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=math.inf), y=Script(unload=math.inf))
    async with local_manager(recorder, shutdown_timeout=7) as manager:
        for config, time in ((X, 0), (Y, 7), (X, 14)):
            async with manager.acquire(config):
                assert trio.current_time() == time
        assert manager.statistics().counters.shutdown_failures == 2
    assert trio.current_time() == 21


async def test_d17_the_local_slot_has_at_most_one_resident_instance(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with local_manager(recorder) as manager:
        for config in (X, Y, Z, X):
            async with manager.acquire(config):
                pass
            assert manager.statistics().providers["local"].live == 1
    assert recorder.most_live() == 1


async def test_d18_a_stream_that_is_never_iterated_leaks_no_lease(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with local_manager(recorder) as manager:
        async with ReasoningEngine(manager).call([], CallOptions(X)):
            pass
        assert manager.statistics().providers["local"].idle == 1
        async with manager.acquire(Y, timeout=1):
            pass


async def test_d19_idle_instances_count_and_the_least_recently_used_makes_room(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    configs = [want("api", f"m{i}") for i in range(50)]
    async with api_manager(recorder) as manager:
        for config in configs:
            async with manager.acquire(config):
                pass
            assert manager.statistics().providers["api"].live == 1
    assert recorder.most_live() == 1
    recorder = Recorder()
    async with api_manager(recorder, limit=2) as manager:
        for config in (A, B, A, C):  # B has rested longest
            async with manager.acquire(config):
                await trio.sleep(1)
        assert recorder.story("shutdown") == [("shutdown", "b")]


async def test_d20_a_failed_switch_is_told_and_leaves_a_usable_slot(autojump_clock: MockClock) -> None:
    recorder = Recorder(y=Script(construct_error=OSError("no such model")))
    async with local_manager(recorder) as manager:
        async with manager.acquire(X):
            pass
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(Y)
        assert isinstance(caught.value.__cause__, OSError)
        slot = manager.statistics().slots["local"]
        assert (slot.state, slot.model) == ("vacant", None)
        async with manager.acquire(X):
            pass


def test_d21_signatures_are_canonical_and_bad_configuration_is_refused() -> None:
    assert want("p", "m", o={"b": [{"y": 1, "x": 2}], "a": 0}) == want("p", "m", o={"a": 0, "b": [{"x": 2, "y": 1}]})
    assert want("p", "m", monkey=1) != want("p", "m", monkey=2)
    assert "s3cret" not in repr(want("p", "m", deep={"api_key": ["s3cret"]}))
    with pytest.raises(ConfigurationError, match=r"adapter_options\.o\[0\]"):
        RuntimeProviderConfig("p", "m", {"o": [math.nan]})
    for field, value in (("idle_timeout", math.inf), ("limit", 0), ("limit", math.nan)):
        with pytest.raises(ConfigurationError, match=field):
            ProviderConfig("p", Recorder(), **{field: value})  # type: ignore[arg-type]  # this is the point
