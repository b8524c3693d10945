"""The contract's section on waiting, and the one on self-deadlock."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AcquireTimeoutError,
    AdapterInstantiationError,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ManagerClosedError,
    ProviderLimitError,
    QueueFullError,
)
from statemachine.manager.manager import ProviderManager
from tests.contract.recording import Attempt, Recorder, Script, api_manager, local_manager, spawn, want

A, B, C = (want("api", model) for model in "abc")
X, Y, Z = (want("local", model) for model in "xyz")


@pytest.mark.parametrize(
    ("configured", "given", "ended"),
    [(None, None, 100), (20, None, 20), (20, 7, 7), (7, 20, 20), (20, math.inf, 100), (None, math.inf, 100)],
)
async def test_a_call_is_bounded_by_its_own_or_the_configured_time(
    autojump_clock: MockClock, configured: float | None, given: float | None, ended: float
) -> None:
    async with api_manager(Recorder(), acquire_timeout=configured) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 100, timeout=math.inf)
        waiter = await spawn(nursery, manager, A, timeout=given)
    assert waiter.ended == ended
    if ended == 100:
        assert waiter.granted == 100
    else:
        assert isinstance(waiter.error, AcquireTimeoutError)
        assert isinstance(waiter.error, TimeoutError)
        assert waiter.error.waited == ended


async def test_it_bounds_queue_shutdown_and_load_together_and_the_load_survives(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=4), y=Script(load=10))
    async with local_manager(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 3)
        late = await spawn(nursery, manager, Y, timeout=12)
        await trio.sleep(20)
        assert isinstance(late.error, AcquireTimeoutError)
        assert late.ended == 12
        assert manager.statistics().slots["local"].model == "y"
        async with manager.acquire(Y):
            assert trio.current_time() == 20


async def test_it_does_not_bound_the_lease(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), acquire_timeout=5) as manager:
        async with manager.acquire(X, timeout=2) as lease:
            await trio.sleep(100)
            assert not lease.released


async def test_it_ends_with_a_refusal_or_a_cancellation(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=2, start_error=OSError("no"), unload=1))
    async with local_manager(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        told = await spawn(nursery, manager, X, timeout=20)
        gone = await spawn(nursery, manager, Y, timeout=20)
        gone.scope.cancel()
        await trio.sleep(30)
        assert isinstance(told.error, AdapterInstantiationError)
        assert manager.statistics().counters.timeouts == 0


async def test_queueing_and_loading_are_told_apart(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=4), y=Script(load=10))
    async with local_manager(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 3)
        switched = await spawn(nursery, manager, Y)
        await trio.sleep(50)
        reused = await spawn(nursery, manager, Y)
    for attempt, queued, loading in ((switched, 3, 14), (reused, 0, 0)):
        assert attempt.lease is not None
        assert (attempt.lease.queued_seconds, attempt.lease.loading_seconds) == (queued, loading)


async def test_max_waiting_bounds_the_waiting_not_the_assigned(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=5), b=Script(load=5))
    async with api_manager(recorder, limit=2, max_waiting=2) as manager, trio.open_nursery() as nursery:
        for config in (A, B):
            await spawn(nursery, manager, config, 10)  # assigned
        waiting = [await spawn(nursery, manager, C) for _ in range(2)]
        refused = await spawn(nursery, manager, C)
        assert isinstance(refused.error, QueueFullError)
        assert refused.ended == 0
        waiting[0].scope.cancel()
        await wait_all_tasks_blocked()
        assert (await spawn(nursery, manager, C)).error is None  # one has left


async def test_max_waiting_is_per_pool_and_may_be_none_at_all(autojump_clock: MockClock) -> None:
    async with api_manager(Recorder(), names=("p", "q"), max_waiting=1) as manager, trio.open_nursery() as nursery:
        attempts = [await spawn(nursery, manager, want(name, "m"), 1) for name in "ppqq"]
        assert not any(attempt.error for attempt in attempts)
    async with api_manager(Recorder(), max_waiting=0) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 1)
        assert isinstance((await spawn(nursery, manager, B)).error, QueueFullError)


async def test_a_release_in_the_very_moment_of_the_timeout_comes_too_late(autojump_clock: MockClock) -> None:
    for _ in range(20):  # trio wakes tasks of one moment in any order
        async with api_manager(Recorder()) as manager, trio.open_nursery() as nursery:
            await spawn(nursery, manager, A, 5)
            waiter = await spawn(nursery, manager, A, timeout=5)
        assert isinstance(waiter.error, AcquireTimeoutError)


async def test_a_load_that_ends_in_the_very_moment_of_the_timeout_comes_too_late(autojump_clock: MockClock) -> None:
    for _ in range(20):
        async with local_manager(Recorder(x=Script(load=5))) as manager, trio.open_nursery() as nursery:
            waiter = await spawn(nursery, manager, X, timeout=5)
            await trio.sleep(6)
            assert manager.statistics().slots["local"].state == "resident"
        assert isinstance(waiter.error, AcquireTimeoutError)


async def test_equal_timeouts_expire_in_the_order_of_arrival(autojump_clock: MockClock) -> None:
    ended: list[int] = []

    async def wait(manager: ProviderManager, number: int) -> None:
        with pytest.raises(AcquireTimeoutError):
            await manager.get_adapter(B, timeout=5)
        ended.append(number)

    async with api_manager(Recorder()) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 10)
        for number in range(8):
            nursery.start_soon(wait, manager, number)
            await wait_all_tasks_blocked()
        await trio.sleep(6)
        assert sorted(ended) == list(range(8))
        assert manager.statistics().counters.timeouts == 8


async def test_waiting_is_first_in_first_out_for_hundreds(autojump_clock: MockClock) -> None:
    attempts: list[Attempt] = []
    async with api_manager(Recorder()) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 1)
        for number in range(300):
            attempts.append(await spawn(nursery, manager, want("api", f"m{number % 7}"), 1))
    assert [attempt.granted for attempt in attempts] == [1 + number for number in range(300)]


# ---- self-deadlock ----


@pytest.mark.parametrize("config", [X, Y])
async def test_a_task_does_not_wait_for_its_own_lease_on_a_slot(autojump_clock: MockClock, config: object) -> None:
    error = LocalInstanceBusyError if config is X else LocalProviderConflictError
    async with local_manager(Recorder(), on_conflict="wait") as manager:
        async with manager.acquire(X):
            with pytest.raises(error):
                await manager.get_adapter(config, timeout=100)  # type: ignore[arg-type]  # parametrized
            assert trio.current_time() == 0
        async with manager.acquire(config):  # type: ignore[arg-type]  # parametrized
            pass


async def test_a_task_does_not_wait_for_its_own_leases_on_a_provider(autojump_clock: MockClock) -> None:
    async with api_manager(Recorder(), limit=2) as manager:
        async with manager.acquire(A), manager.acquire(B):
            with pytest.raises(ProviderLimitError):
                await manager.get_adapter(C, timeout=100)
            assert trio.current_time() == 0


async def test_it_may_wait_for_what_others_hold(autojump_clock: MockClock) -> None:
    async with api_manager(Recorder(), limit=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 5)
        async with manager.acquire(B):
            async with manager.acquire(C):
                assert trio.current_time() == 5
    async with local_manager(Recorder(), 2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 5)
        async with manager.acquire(X), manager.acquire(X):
            assert trio.current_time() == 10


async def test_the_acquiring_task_owns_the_lease_and_not_its_children(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), on_conflict="wait") as manager, trio.open_nursery() as nursery:
        async with manager.acquire(X):
            child = await spawn(nursery, manager, Y)
            assert child.error is None
    assert child.granted == 0


async def test_somebodys_broken_release_may_leave_a_task_waiting_for_itself(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), 2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        other = await manager.get_adapter(X)

        async def both() -> None:
            async with manager.acquire(X):
                with pytest.raises(LocalInstanceBusyError):
                    await manager.get_adapter(X)
                assert trio.current_time() == 5

        nursery.start_soon(both)
        await trio.sleep(5)
        other.release(broken=True)


async def test_a_waiter_behind_someone_who_waits_for_it_is_refused(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), 2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        async with manager.acquire(X):
            other = await spawn(nursery, manager, Y)
            with pytest.raises(LocalInstanceBusyError):
                await manager.get_adapter(X)  # a slot is free, but Y is first, and waits for us
    assert other.granted == 0


@pytest.mark.parametrize("refused_for", ["holding the slot itself", "a full queue"])
async def test_a_newcomer_that_is_refused_itself_drives_nobody_out(autojump_clock: MockClock, refused_for: str) -> None:
    """The waiter waits for another task's lease only. The newcomer would go before it, but is refused at once."""
    most = 1 if refused_for == "a full queue" else None
    waiter, go = Attempt(), trio.Event()
    async with local_manager(Recorder(), 2, on_conflict="wait", max_waiting=most) as manager:
        async with trio.open_nursery() as nursery:

            async def hold_and_wait() -> None:
                async with manager.acquire(X):
                    await go.wait()
                    await waiter.run(manager, X, 1)

            nursery.start_soon(hold_and_wait)
            await wait_all_tasks_blocked()
            async with manager.acquire(X):
                go.set()
                await wait_all_tasks_blocked()
                if refused_for == "a full queue":
                    newcomer = await spawn(nursery, manager, Y, priority=1)
                    assert isinstance(newcomer.error, QueueFullError)
                else:
                    with pytest.raises(LocalProviderConflictError):
                        await manager.get_adapter(Y, priority=1)
                await trio.sleep(5)
        assert waiter.error is None
        assert waiter.granted == 5


async def test_a_refusal_is_no_garbage(autojump_clock: MockClock) -> None:
    """An error that knew the frame that raised it, which knew the error, would keep all its frames until the collector comes."""

    async def refused(manager: ProviderManager) -> weakref.ref[AcquireTimeoutError]:
        try:
            await manager.get_adapter(A, timeout=1)
        except AcquireTimeoutError as error:
            return weakref.ref(error)
        raise AssertionError("granted")

    async with api_manager(Recorder()) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 5)
        gc.disable()
        try:
            error = await refused(manager)
            await trio.lowlevel.checkpoint()  # trio remembers what it last handed to a task
            assert error() is None
        finally:
            gc.enable()


async def test_nor_is_one_that_is_made_at_once() -> None:
    def refused(manager: ProviderManager) -> weakref.ref[ManagerClosedError]:
        try:
            manager.acquire_nowait(A)
        except ManagerClosedError as error:
            return weakref.ref(error)
        raise AssertionError("granted")

    async with api_manager(Recorder()) as manager:
        pass
    gc.disable()
    try:
        assert refused(manager)() is None
    finally:
        gc.enable()


async def test_a_newcomer_of_higher_priority_may_make_somebody_wait_for_himself(autojump_clock: MockClock) -> None:
    """One holds a lease and waits for a second one, which another's release would give; then a newcomer goes first that needs both."""
    ended: list[tuple[float, str | None, int | None, float]] = []

    async def hold_one_and_want_another(manager: ProviderManager) -> None:
        async with manager.acquire(X):
            await trio.sleep(1)
            with pytest.raises(LocalInstanceBusyError) as caught:
                await manager.get_adapter(X)
            ended.append((trio.current_time(), caught.value.holder, caught.value.limit, caught.value.waited))

    async with local_manager(Recorder(), parallel=2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        nursery.start_soon(hold_one_and_want_another, manager)
        await spawn(nursery, manager, X, 9)
        await trio.sleep(2)
        assert manager.statistics().slots["local"].waiting == 1
        urgent = await spawn(nursery, manager, Y, 1, priority=1)
    assert ended == [(2, str(manager.config.resolve(X)), 1, 1)]
    assert urgent.granted == 9


async def test_somebody_who_finds_an_instance_broken_may_leave_a_task_waiting_for_itself(
    autojump_clock: MockClock,
) -> None:
    """Before the broken lease itself is over."""
    ended: list[float] = []

    async def hold_one_and_want_another(manager: ProviderManager) -> None:
        async with manager.acquire(X):
            with pytest.raises(LocalInstanceBusyError):
                await manager.get_adapter(X)
            ended.append(trio.current_time())

    async with local_manager(Recorder(), parallel=2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        lease = await manager.get_adapter(X)
        nursery.start_soon(hold_one_and_want_another, manager)
        await trio.sleep(3)
        lease.drain()
        await trio.sleep(1)
        lease.release()
    assert ended == [3]
