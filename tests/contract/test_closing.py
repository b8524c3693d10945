"""The contract's section on closing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    CallOptions,
    LeaseReleasedError,
    ManagerClosedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    Transition,
    UnknownProviderError,
)
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import GRACE, STOP, AcquireRequested, CloseRequested, Opened, StartSucceeded
from tests.contract.recording import Attempt, Recorder, Script, api_manager, local_manager, spawn, want

A, B, C = (want("api", model) for model in "abc")
X, Y = want("local", "x"), want("local", "y")


async def test_idle_instances_stop_at_once_and_in_parallel(autojump_clock: MockClock) -> None:
    slow = Script(unload=10)
    recorder = Recorder(a=slow, b=slow, c=slow)
    async with api_manager(recorder, limit=3) as manager:
        for config in (A, B, C):
            async with manager.acquire(config):
                pass
    assert recorder.times("shutdown") == [0, 0, 0]
    assert trio.current_time() == 10


async def test_waiting_and_assigned_requests_are_rejected(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=10))
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder) as manager:
            assigned = await spawn(nursery, manager, A)
            waiting = await spawn(nursery, manager, B)
            await trio.sleep(1)
        for attempt in (assigned, waiting):
            assert isinstance(attempt.error, ManagerClosedError)
            assert attempt.ended == 1
    assert recorder.times("started") == [10]  # a start is given the grace, and then shut down
    assert recorder.times("shutdown") == [10]


async def test_a_request_whose_room_is_being_made_is_rejected(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10))
    async with trio.open_nursery() as nursery:
        async with local_manager(recorder) as manager:
            await spawn(nursery, manager, X)
            planned = await spawn(nursery, manager, Y)
            await trio.sleep(1)
    assert isinstance(planned.error, ManagerClosedError)
    assert (planned.ended, trio.current_time()) == (1, 10)
    assert recorder.story("construct") == [("construct", "x")]


async def test_a_release_stops_its_instance(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=2))
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder, limit=2) as manager:
            for seconds in (5, 9):
                await spawn(nursery, manager, A, seconds)
        assert trio.current_time() == 11
    assert recorder.times("shutdown") == [5, 9]


@pytest.mark.parametrize(("configured", "closed"), [({}, 30), ({"close_grace": 4}, 4), ({"close_grace": None}, 500)])
async def test_after_the_grace_leases_are_revoked(
    autojump_clock: MockClock, configured: dict[str, Any], closed: float
) -> None:
    recorder = Recorder()
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder, **configured) as manager:
            holder = await spawn(nursery, manager, A, 500)
        assert trio.current_time() == closed
        assert holder.lease is not None
        assert holder.lease.released
        with pytest.raises(LeaseReleasedError):
            _ = holder.lease.adapter
        assert manager.statistics().counters.revocations == (closed < 500)
    assert holder.error is None  # its own release was a no-op
    assert recorder.times("shutdown") == [closed]


async def test_a_revocation_says_nothing_against_the_instance(autojump_clock: MockClock) -> None:
    seen: list[Transition] = []
    local = ProviderConfig("local", Recorder(), is_local=True, parallel=2)
    config = ProviderManagerConfig([local], close_grace=4)
    async with trio.open_nursery() as nursery:
        async with ProviderManager(config, observers=[seen.append]) as manager:
            for _ in range(2):
                await spawn(nursery, manager, X, 500)
    assert [one.trigger for one in seen if one.machine == "instance"] == ["start", "activate", "stop", "evict"]
    assert manager.statistics().counters.revocations == 2


def test_a_grace_that_is_cut_short_leaves_no_deadline() -> None:
    config = ProviderManagerConfig([ProviderConfig("api", Recorder())])
    model = Coordinator(config)
    model.step(Opened(), 0.0)
    model.step(AcquireRequested(1, config.resolve(A), "task"), 0.0)
    model.step(StartSucceeded(1), 0.0)
    model.step(CloseRequested(), 1.0)
    assert set(model.timers.armed) == {(GRACE, 0)}
    model.step(CloseRequested(grace=False), 2.0)
    assert set(model.timers.armed) == {(STOP, 1)}


async def test_after_the_grace_starts_are_interrupted(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=math.inf, unload=2))
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder) as manager:
            await spawn(nursery, manager, A)
    assert trio.current_time() == 32
    assert recorder.story() == [("construct", "a"), ("start", "a"), ("shutdown", "a"), ("down", "a")]


async def test_a_start_that_was_interrupted_by_the_grace_is_not_overdue_besides(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=math.inf, unload=7))
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder, close_grace=5, start_timeout=10) as manager:
            await spawn(nursery, manager, A)
    assert trio.current_time() == 12
    assert manager.statistics().counters.start_failures == 0
    assert recorder.times("down") == [12]


async def leave_at_once(recorder: Recorder) -> None:
    """Leave the manager by an exception in the very moment in which a start is asked for."""
    asked = trio.Event()

    def tell(_: Transition) -> None:
        asked.set()

    config = ProviderManagerConfig([ProviderConfig("api", recorder)])
    async with trio.open_nursery() as nursery:
        with pytest.raises(KeyError):
            async with ProviderManager(config, observers=[tell]) as manager:
                nursery.start_soon(Attempt().run, manager, A, 0)
                await asked.wait()
                raise KeyError


async def test_a_start_that_has_hardly_begun_is_dropped(autojump_clock: MockClock) -> None:
    for _ in range(20):  # the adapter may have been constructed, or not: trio runs tasks in any order
        recorder = Recorder(a=Script(load=50))
        await leave_at_once(recorder)
        assert recorder.each_shut_down_once()
    assert trio.current_time() == 0


async def test_a_shutdown_that_hangs_at_close_is_bounded(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=math.inf), b=Script(unload=math.inf))
    async with api_manager(recorder, limit=2, shutdown_timeout=7) as manager:
        for config in (A, B):
            async with manager.acquire(config):
                pass
    assert trio.current_time() == 7
    assert manager.statistics().counters.shutdown_failures == 2


async def test_a_shutdown_that_hangs_is_bounded_when_the_body_fails(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError):
        async with api_manager(Recorder(a=Script(unload=math.inf)), shutdown_timeout=7) as manager:
            async with manager.acquire(A):
                pass
            raise KeyError
    assert trio.current_time() == 7


async def test_acquiring_while_it_closes_fails(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    late: list[Attempt] = []

    async def come_late(manager: ProviderManager) -> None:
        await trio.sleep(1)
        for config in (A, B):
            late.append(Attempt())
            await late[-1].run(manager, config, 0)

    async with trio.open_nursery() as nursery:
        async with api_manager(recorder) as manager:
            await spawn(nursery, manager, A, 5)
            nursery.start_soon(come_late, manager)
    assert [type(attempt.error) for attempt in late] == [ManagerClosedError] * 2


async def test_use_before_and_after_raises() -> None:
    manager = api_manager(Recorder())
    engine = ReasoningEngine(manager)
    said = ["the manager has not been entered"]

    async def is_closed() -> None:
        with pytest.raises(ManagerClosedError) as caught:
            await manager.get_adapter(A)
        assert str(caught.value) in said
        with pytest.raises(ManagerClosedError):
            async with manager.acquire(A):
                pass
        with pytest.raises(ManagerClosedError):
            async with engine.call([], CallOptions(A)):
                pass

    await is_closed()
    async with manager:
        with pytest.raises(UnknownProviderError):
            await manager.get_adapter(want("nobody", "m"))
    said = [f"the manager closed before {manager.config.resolve(A)} was granted"]
    await is_closed()
    assert manager.statistics().providers["api"].live == 0


async def test_it_is_entered_once() -> None:
    manager = api_manager(Recorder())
    async with manager:
        with pytest.raises(ManagerClosedError) as caught:
            await manager.__aenter__()
        assert str(caught.value) == "a manager is entered only once"
        async with manager.acquire(A):  # and the failed attempt does no harm
            pass
    with pytest.raises(ManagerClosedError):
        async with manager:
            raise AssertionError("entered")


def test_it_is_of_one_trio_run() -> None:
    manager = api_manager(Recorder())

    async def enter() -> None:
        async with manager:
            pass

    async def use() -> None:
        with pytest.raises(ManagerClosedError):
            await manager.get_adapter(A)
        with pytest.raises(ManagerClosedError):
            await enter()

    trio.run(enter)
    trio.run(use)


@pytest.mark.parametrize(
    "make", [lambda: KeyError("mine"), lambda: ExceptionGroup("mine", [KeyError()]), KeyboardInterrupt]
)
async def test_the_bodys_exception_leaves_bare_and_skips_the_grace(
    autojump_clock: MockClock, make: Callable[[], BaseException]
) -> None:
    recorder = Recorder(a=Script(unload=3), b=Script(load=50))
    mine = make()
    async with trio.open_nursery() as nursery:
        try:
            async with api_manager(recorder, limit=2) as manager:
                holder = await spawn(nursery, manager, A, 20)
                await spawn(nursery, manager, B)
                raise mine
        except BaseException as error:
            caught = error
        assert caught is mine
        assert caught.__cause__ is None
        assert trio.current_time() == 3
        assert holder.lease is not None
        assert holder.lease.released
    assert recorder.each_shut_down_once()


async def test_cancellation_skips_the_grace_and_the_shutdowns_are_shielded(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=3))
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(5) as scope:
            async with api_manager(recorder) as manager:
                await spawn(nursery, manager, A, 20)
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 8
    assert recorder.story("down") == [("down", "a")]


async def test_cancellation_during_the_grace_ends_it(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=3))
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(5) as scope:
            async with api_manager(recorder) as manager:
                await spawn(nursery, manager, A, 20)
        assert scope.cancelled_caught
        assert trio.current_time() == 8
    assert recorder.story("down") == [("down", "a")]


async def test_the_bodys_exception_is_not_lost_to_a_cancellation_while_it_closes(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=5))
    with pytest.raises(KeyError, match="mine"), trio.move_on_after(2):
        async with api_manager(recorder) as manager:
            async with manager.acquire(A):
                pass
            raise KeyError("mine")
    assert recorder.story("down") == [("down", "a")]


async def test_leases_of_the_body_itself_are_revoked(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with api_manager(recorder, close_grace=6) as manager:
        lease = await manager.get_adapter(A)
    assert lease.released
    lease.release()
    lease.release(broken=True)
    assert trio.current_time() == 6
    assert recorder.times("shutdown") == [6]


async def test_nothing_is_left_behind(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=1, unload=1), b=Script(load=1, start_error=OSError("no")))
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        async with api_manager(recorder, limit=2) as manager:
            for config in (A, B, C, A):
                await spawn(nursery, manager, config, 1)
            await trio.sleep(0.5)
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before
    statistics = manager.statistics()
    assert (statistics.providers["api"].live, statistics.providers["api"].waiting) == (0, 0)
    assert recorder.each_shut_down_once()
