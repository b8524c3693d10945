"""R2 to R4: what a task does takes effect at once, and what interrupts a task touches nothing before the task goes on.

Tasks call from their own first function here, from whose frame it must be told that nothing stands between it and the manager.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    ConfigurationError,
    Fifo,
    LocalProviderConflictError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    Transition,
)
from statemachine.policies import Waiter
from tests.contract.recording import Recorder, Script, local_manager, spawn, want

A = want("api", "a")
X, Y = want("local", "x"), want("local", "y")


def watched(observer: Callable[[Transition], None], limit: int = 2) -> ProviderManager:
    config = ProviderManagerConfig([ProviderConfig("api", Recorder(), limit=limit)])
    return ProviderManager(config, observers=[observer])


async def in_a_task(act: Callable[[], Awaitable[None]]) -> None:
    """``act`` is the first function of a task."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(act)


def in_a_thread(act: Callable[[], object]) -> None:
    """Nothing else of the run happens meanwhile."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


# ---- what a task does ----


async def test_what_a_task_does_with_its_lease_takes_effect_at_once() -> None:
    seen: list[str] = []
    async with watched(lambda change: seen.append(f"{change.machine} {change.trigger}")) as manager:

        async def release() -> None:
            lease = await manager.get_adapter(A)
            seen.clear()
            lease.release()
            assert "request release" in seen

        async def drain() -> None:
            lease = await manager.get_adapter(A)
            seen.clear()
            lease.drain()
            assert "instance drain" in seen
            lease.release()

        async def drop() -> None:
            (await manager.get_adapter(A)).release()
            lease = manager.acquire_nowait(A)
            assert not lease.released
            seen.clear()
            with pytest.warns(ResourceWarning):
                del lease
            assert "request release" in seen

        for act in (release, drain, drop):
            await in_a_task(act)


async def test_what_another_thread_has_released_is_free_for_a_task_at_once() -> None:
    """Its word takes a moment; a task that looks before that finds it said."""
    async with local_manager(Recorder()) as manager:

        async def look() -> None:
            lease = await manager.get_adapter(X)
            in_a_thread(lease.release)
            assert manager.statistics().slots["local"].leases == 0

        async def acquire() -> None:
            lease = await manager.get_adapter(X)
            in_a_thread(lease.release)
            (await manager.get_adapter(Y)).release()

        async def acquire_nowait() -> None:
            lease = await manager.get_adapter(X)
            in_a_thread(lease.release)
            manager.acquire_nowait(X).release()

        for act in (look, acquire, acquire_nowait):
            await in_a_task(act)


# ---- what interrupts a task ----


class Interrupting(float):
    """A deadline that calls something while trio takes it: as a signal handler does, in the middle of trio's own code."""

    act: Callable[[], None]

    def __float__(self) -> float:
        self.act()
        return float.__add__(self, 0.0)


async def test_what_comes_in_the_middle_of_trios_code_touches_nothing() -> None:
    inside = False
    seen: list[tuple[bool, str]] = []
    async with watched(lambda change: seen.append((inside, change.trigger))) as manager:
        (await manager.get_adapter(A)).release()
        other = await manager.get_adapter(want("api", "b"))
        seen.clear()

        def interrupt() -> None:
            nonlocal inside
            inside = True
            other.release()
            assert other.released
            assert manager.statistics().providers["api"].active == 1, "it is told a moment later"
            with pytest.raises(trio.WouldBlock):
                manager.acquire_nowait(A)
            inside = False

        deadline = Interrupting(trio.current_time() + 1000)
        deadline.act = interrupt
        with trio.CancelScope() as scope:
            scope.deadline = deadline
            assert seen == []
            await wait_all_tasks_blocked()
            assert seen == [(False, "release"), (False, "release")]
        assert manager.statistics().providers["api"].idle == 2


# ---- acquire_nowait ----


async def test_a_lease_that_is_taken_at_once_belongs_to_the_task(autojump_clock: MockClock) -> None:
    """So it is refused what would never come, while it waits for nothing else."""
    async with local_manager(Recorder(), on_conflict="wait") as manager:
        (await manager.get_adapter(X)).release()
        lease = manager.acquire_nowait(X)
        with pytest.raises(LocalProviderConflictError, match="you hold it"):
            await manager.get_adapter(Y, timeout=5)
        lease.release()


async def test_policies_are_told_who_takes_something_at_once() -> None:
    told: list[tuple[str | None, int]] = []

    class Curious(Fifo):
        def served(self, waiter: Waiter, milliseconds: int) -> None:
            told.append((waiter.agent, waiter.priority))

    async with local_manager(Recorder(), policy=Curious) as manager:
        (await manager.get_adapter(X)).release()
        manager.acquire_nowait(X, "ann", 3).release()
        manager.acquire_nowait(X).release()
        with pytest.raises(ConfigurationError, match="agent"):
            manager.acquire_nowait(X, 5)  # type: ignore[arg-type]  # the mistake
    assert told == [(None, 0), ("ann", 3), (None, 0)]


async def test_who_has_waited_too_long_is_in_nobodys_way(autojump_clock: MockClock) -> None:
    """Also in the very moment of the deadline, before anybody has been woken."""
    async with local_manager(Recorder(), parallel=2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        async with manager.acquire(X):
            waiter = await spawn(nursery, manager, Y, timeout=5)
            with pytest.raises(trio.WouldBlock):
                manager.acquire_nowait(X)  # it would overtake
            autojump_clock.jump(5)
            manager.acquire_nowait(X).release()
    assert isinstance(waiter.error, TimeoutError)


async def test_the_error_of_an_observer_leaves_no_request_behind(autojump_clock: MockClock) -> None:
    """Here where its answer has not come yet."""

    def observer(change: Transition) -> None:
        if (change.machine, change.trigger) == ("request", "assign"):
            raise KeyboardInterrupt

    config = ProviderManagerConfig([ProviderConfig("api", Recorder(a=Script(load=2)))])
    async with ProviderManager(config, observers=[observer]) as manager:
        with pytest.raises(KeyboardInterrupt):
            await manager.get_adapter(A)
        assert not manager.outstanding().requests
