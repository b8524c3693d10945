"""What is in use, in odd hands: copied, pickled, left without being entered, entered twice, released at the end of the stack."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import sys
from collections.abc import Awaitable, Callable

import pytest
import trio

from adapters import FakeAdapter
from statemachine import (
    AsyncioProviderManager,
    CallOptions,
    ConfigurationError,
    Lease,
    ManagerClosedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    SyncProviderManager,
)
from tests.contract.recording import Recorder, api_manager, want

A = want("api", "a")


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
async def test_what_is_in_use_cannot_be_copied(how: Callable[[object], object]) -> None:
    """A copy of a lease would release it when it is dropped."""
    async with api_manager(Recorder(), limit=2) as manager:
        engine = ReasoningEngine(manager)
        async with manager.acquire(A) as lease, engine.call([], CallOptions(A)) as stream:
            for one in (lease, manager, stream, manager.acquire(A), engine.call([], CallOptions(A))):
                with pytest.raises(TypeError, match=f"{type(one).__name__} is in use here, and cannot be copied"):
                    how(one)
            gc.collect()
            assert not lease.released
            assert manager.statistics().providers["api"].active == 2


async def test_a_block_that_was_not_entered_says_so_when_it_is_left() -> None:
    async with api_manager(Recorder()) as manager:
        with pytest.raises(RuntimeError, match=r"^the block was not entered: write \(async\) with manager.acquire"):
            await manager.acquire(A).__aexit__(None, None, None)
        with pytest.raises(RuntimeError, match=r"was not entered: async with engine.call"):
            await ReasoningEngine(manager).call([], CallOptions(A)).__aexit__(None, None, None)
    with pytest.raises(ManagerClosedError, match=r"^the manager has not been entered$"):
        await api_manager(Recorder()).__aexit__(None, None, None)


def test_the_other_sides_enter_a_block_once_too() -> None:
    config = ProviderManagerConfig([ProviderConfig("api", FakeAdapter)])

    async def main() -> None:
        async with AsyncioProviderManager(config) as manager:
            block = manager.acquire(A)
            with pytest.raises(RuntimeError, match="was not entered"):
                await block.__aexit__(None, None, None)
            async with block:
                with pytest.raises(RuntimeError, match="once"):
                    await block.__aenter__()
            assert manager.statistics().providers["api"].active == 0

    asyncio.run(main())
    with SyncProviderManager(config) as manager:
        block = manager.acquire(A)
        with pytest.raises(RuntimeError, match="was not entered"):
            block.__exit__(None, None, None)
        with block, pytest.raises(RuntimeError, match="once"):
            block.__enter__()
        assert manager.statistics().providers["api"].active == 0


# ---- the end of the stack ----


def deep(frames: int, act: Callable[[], None]) -> None:
    """Call ``act`` below as many frames."""
    if frames:
        deep(frames - 1, act)
    else:
        act()


async def adeep(frames: int, act: Callable[[], Awaitable[Lease]]) -> Lease:
    """The same for a coroutine."""
    return await (adeep(frames - 1, act) if frames else act())


async def test_a_release_at_the_end_of_the_stack_is_whole_or_not_made() -> None:
    refused = 0
    async with api_manager(Recorder(), limit=1) as manager:
        for frames in range(sys.getrecursionlimit() - 250, sys.getrecursionlimit()):
            lease = await manager.get_adapter(A)
            try:
                deep(frames, lease.release)
            except RecursionError:
                refused += 1
                lease.release()
            await trio.lowlevel.checkpoint()
            assert lease.released
            assert manager.statistics().providers["api"].active == 0, frames
    assert 0 < refused < 250


async def test_an_acquire_at_the_end_of_the_stack_is_whole_or_not_made() -> None:
    refused = 0
    async with api_manager(Recorder(), limit=1) as manager:
        (await manager.get_adapter(A)).release()
        for frames in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit()):
            try:
                (await adeep(frames, lambda: manager.get_adapter(A))).release()
            except RecursionError:
                refused += 1
            provider = manager.statistics().providers["api"]
            assert (provider.active, provider.waiting, provider.assigned) == (0, 0, 0), frames
        with trio.fail_after(5):
            (await manager.get_adapter(A)).release()
    assert 0 < refused < 300


async def deeper(act: Callable[[], Awaitable[Lease]], left: int) -> Lease:
    """Call ``act`` where as many frames are left on the stack."""
    try:
        sys._getframe(sys.getrecursionlimit() - left)
    except ValueError:
        return await deeper(act, left)
    return await act()


async def test_at_the_end_of_the_stack_nothing_is_asked_for() -> None:
    """Where an event could end in the middle, it is not begun."""
    async with api_manager(Recorder()) as manager:
        with pytest.raises(RecursionError, match=r"^the stack is too deep to ask for a lease$"):
            await deeper(lambda: manager.get_adapter(A), 130)
        assert manager.statistics().counters.starts == 0


def test_a_factory_of_policies_that_fails_is_refused_when_it_is_given() -> None:
    def fails() -> object:
        raise ZeroDivisionError

    for policy in (fails, lambda wanted: wanted):
        with pytest.raises(ConfigurationError, match="policy: must be callable without arguments"):
            ProviderManagerConfig([ProviderConfig("api", FakeAdapter)], policy=policy)  # type: ignore[arg-type]


async def test_a_manager_that_was_never_entered_has_nothing_to_close() -> None:
    manager = ProviderManager(ProviderManagerConfig([ProviderConfig("api", FakeAdapter)]))
    with pytest.raises(ManagerClosedError):
        await manager.__aexit__(None, None, None)
    async with manager:
        (await manager.get_adapter(A)).release()
