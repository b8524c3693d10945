"""The contract's section on local slots."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
)
from tests.contract.recording import Recorder, Script, local_manager, spawn, want

X, Y, Z = (want("local", model) for model in "xyz")
SLOW = Script(load=10, unload=10)


def two_locals(recorder: Recorder, **config: Any) -> ProviderManager:
    providers = [ProviderConfig(name, recorder, is_local=True) for name in ("local", "other")]
    return ProviderManager(ProviderManagerConfig(providers, **config))


async def test_all_local_providers_share_one_slot(autojump_clock: MockClock) -> None:
    async with two_locals(Recorder()) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 5)
        refused = await spawn(nursery, manager, want("other", "x"))
        assert isinstance(refused.error, LocalProviderConflictError)
        assert list(manager.statistics().slots) == ["local"]
        assert (refused.error.holder or "").startswith("local/x#")
        assert refused.error.requested.startswith("other/x#")


async def test_a_replacement_waits_until_the_old_one_is_down(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10), y=Script(load=5))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        second = await spawn(nursery, manager, Y, 1)
        slot = manager.statistics().slots["local"]
        assert (slot.state, slot.model, slot.next_model, slot.waiting) == ("unloading", "x", "y", 0)
        await trio.sleep(11)
        assert manager.statistics().slots["local"].state == "loading"
    assert second.granted == 15
    assert recorder.story("shutdown", "down", "construct")[:4] == [
        ("construct", "x"),
        ("shutdown", "x"),
        ("down", "x"),
        ("construct", "y"),
    ]
    assert manager.statistics().counters.switches == 1


async def test_a_resident_instance_has_no_idle_timeout(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with local_manager(recorder, api_instance_idle_timeout_seconds=1) as manager:
        async with manager.acquire(X):
            pass
        await trio.sleep(10**6)
        assert manager.statistics().slots["local"].state == "resident"
        async with manager.acquire(X):
            pass
    assert len(recorder.made) == 1


async def test_conflict_and_busy_are_raised_at_once(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder()) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 5)
        conflict = await spawn(nursery, manager, Y, timeout=100)
        busy = await spawn(nursery, manager, X, timeout=100)
    assert isinstance(conflict.error, LocalProviderConflictError)
    assert isinstance(busy.error, LocalInstanceBusyError)
    assert (conflict.ended, busy.ended) == (0, 0)


async def test_a_starting_slot_is_held_by_its_signature(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(x=SLOW), parallel=2) as manager, trio.open_nursery() as nursery:
        first = await spawn(nursery, manager, X, 1)
        joiner = await spawn(nursery, manager, X, 1)
        conflict = await spawn(nursery, manager, Y)
        busy = await spawn(nursery, manager, X)
    assert (first.granted, joiner.granted) == (10, 10)
    assert isinstance(conflict.error, LocalProviderConflictError)
    assert isinstance(busy.error, LocalInstanceBusyError)


async def test_a_stopping_slot_is_held_by_its_successors_signature(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10))
    async with local_manager(recorder, parallel=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        successors = [await spawn(nursery, manager, Y, 1) for _ in range(2)]
        busy = await spawn(nursery, manager, Y)
        old = await spawn(nursery, manager, X)
        new = await spawn(nursery, manager, Z)
    assert [attempt.granted for attempt in successors] == [10, 10]
    assert isinstance(busy.error, LocalInstanceBusyError)
    assert isinstance(old.error, LocalProviderConflictError)
    assert (old.error.holder or "").startswith("local/y#")
    assert isinstance(new.error, LocalProviderConflictError)


@pytest.mark.parametrize("config", [X, Y])
async def test_a_stopping_instance_takes_the_first_request_as_successor(autojump_clock: MockClock, config: Any) -> None:
    recorder = Recorder(x=Script(unload=10))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        (await manager.get_adapter(X)).release(broken=True)
        await trio.sleep(1)
        successor = await spawn(nursery, manager, config)
        assert successor.error is None
    assert successor.granted == 10


async def test_a_successor_that_gives_up_frees_the_slot_for_the_next(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        gone = await spawn(nursery, manager, Y)
        await trio.sleep(5)
        gone.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        following = await spawn(nursery, manager, Z)
    assert following.granted == 10
    assert recorder.story("construct") == [("construct", "x"), ("construct", "z")]


async def test_a_successor_that_gives_up_leaves_the_shutdown_to_its_joiner(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10))
    async with local_manager(recorder, parallel=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        gone, joiner = [await spawn(nursery, manager, Y) for _ in range(2)]
        gone.scope.cancel()
    assert joiner.granted == 10


async def test_an_active_instance_with_a_free_slot_is_joined(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with local_manager(recorder, parallel=3) as manager, trio.open_nursery() as nursery:
        attempts = [await spawn(nursery, manager, X, 5) for _ in range(3)]
        assert manager.statistics().slots["local"].leases == 3
        assert isinstance((await spawn(nursery, manager, X)).error, LocalInstanceBusyError)
    assert [attempt.granted for attempt in attempts] == [0, 0, 0]
    assert len(recorder.made) == 1


async def test_in_wait_mode_a_newcomer_does_not_overtake_the_head(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), parallel=2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 5)
        other = await spawn(nursery, manager, Y, 5)
        newcomer = await spawn(nursery, manager, X, 5)  # a slot is free for it, but it comes after Y
    assert (other.granted, newcomer.granted) == (5, 10)


async def test_in_wait_mode_higher_priorities_go_first(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 1)
        attempts = [await spawn(nursery, manager, Y, 1, priority=priority) for priority in (0, 2, -1, 2, 1)]
    assert [attempt.granted for attempt in attempts] == [4, 1, 5, 2, 3]


def endpoints(recorder: Recorder, **config: Any) -> ProviderManager:
    def factory(options: Any) -> Any:
        return recorder(options)

    factory.default_base_url = "http://localhost:1234/v1"  # type: ignore[attr-defined]  # functions take attributes
    providers = [
        ProviderConfig("declared", factory, is_local=True),
        ProviderConfig("based", recorder, is_local=True, base_options={"base_url": "HTTP://127.0.0.1:1234"}),
        ProviderConfig("nameless", recorder, is_local=True),
    ]
    return ProviderManager(ProviderManagerConfig(providers, local_scope="endpoint", **config))


async def test_endpoint_scope_has_one_slot_per_server(autojump_clock: MockClock) -> None:
    async with endpoints(Recorder()) as manager, trio.open_nursery() as nursery:
        first = await spawn(nursery, manager, want("declared", "m"), 5)
        same_server = await spawn(nursery, manager, want("based", "m"), 5)
        elsewhere = await spawn(nursery, manager, want("based", "m", base_url="http://gpu-2:1234/"), 5)
        nameless = await spawn(nursery, manager, want("nameless", "m"), 5)
        assert set(manager.statistics().slots) == {"http://localhost:1234", "http://gpu-2:1234", "nameless"}
    assert (first.granted, elsewhere.granted, nameless.granted) == (0, 0, 0)
    assert isinstance(same_server.error, LocalProviderConflictError)


async def test_endpoint_slots_do_not_block_each_other_and_hold_one_instance_each(autojump_clock: MockClock) -> None:
    recorder = Recorder(m=SLOW, n=SLOW)
    async with endpoints(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        urls = ["http://a:1", "http://b:1"]
        attempts = [
            await spawn(nursery, manager, want("nameless", model, base_url=url), 1) for model in "mn" for url in urls
        ]
    assert [attempt.granted for attempt in attempts] == [10, 10, 31, 31]
    assert recorder.most_live() == 2


async def test_a_vacant_endpoint_slot_is_dropped(autojump_clock: MockClock) -> None:
    recorder = Recorder(bad=Script(construct_error=OSError()), m=Script(unload=3))
    async with endpoints(recorder) as manager, trio.open_nursery() as nursery:
        for i in range(3):
            await spawn(nursery, manager, want("nameless", "bad", base_url=f"http://h{i}"))
        assert dict(manager.statistics().slots) == {}
        lease = await manager.get_adapter(want("nameless", "m", base_url="http://h"))
        lease.release(broken=True)
        assert manager.statistics().slots["http://h"].state == "unloading"
        await trio.sleep(4)
        assert dict(manager.statistics().slots) == {}


async def test_the_shared_slot_is_always_shown(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder()) as manager:
        slot = manager.statistics().slots["local"]
        assert (slot.state, slot.model, slot.waiting) == ("vacant", None, 0)
