"""R13: a task that would wait for a lease whose holder waits for that task is refused at once; others wait as ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    CallOptions,
    ContentionError,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ProviderConfig,
    ProviderLimitError,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
)
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import AcquireRequested, Cause, Opened, Reject, StartSucceeded
from tests.contract.recording import Recorder, Script, api_manager, local_manager, want

X, Y, A = want("local", "x"), want("local", "y"), want("api", "a")
SLOW = Script(answer=[1.0, StreamEvent("token", "a"), 1.0, StreamEvent("end", "stop")])


async def use(manager: ProviderManager, config: RuntimeProviderConfig) -> None:
    async with manager.acquire(config):
        await trio.sleep(1)


async def call(manager: ProviderManager, config: RuntimeProviderConfig) -> None:
    async with ReasoningEngine(manager).call([], CallOptions(config)) as stream:
        async for _ in stream:
            pass


async def grandchild(manager: ProviderManager, config: RuntimeProviderConfig) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(use, manager, config)


@pytest.mark.parametrize("child", [use, call, grandchild])
@pytest.mark.parametrize(
    ("config", "error"), [(X, LocalInstanceBusyError), (Y, LocalProviderConflictError)], ids=["same model", "another"]
)
async def test_r13_a_child_of_the_holder_is_refused_at_once(
    autojump_clock: MockClock,
    child: Callable[[ProviderManager, RuntimeProviderConfig], Awaitable[None]],
    config: RuntimeProviderConfig,
    error: type[ContentionError],
) -> None:
    async with local_manager(Recorder(), on_conflict="wait") as manager:
        with pytest.RaisesGroup(error, flatten_subgroups=True):
            async with manager.acquire(X), trio.open_nursery() as nursery:
                nursery.start_soon(child, manager, config)
        assert trio.current_time() == 0
        await use(manager, Y)


async def test_r13_so_is_one_that_is_called_for_a_tool_in_the_middle_of_an_answer(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(x=SLOW), on_conflict="wait") as manager:
        with pytest.RaisesGroup(LocalProviderConflictError):
            async with ReasoningEngine(manager).call([], CallOptions(X)) as stream:
                async for _ in stream:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(use, manager, Y)
        await use(manager, Y)


async def test_r13_and_one_of_an_api_provider(autojump_clock: MockClock) -> None:
    async with api_manager(Recorder()) as manager:
        with pytest.RaisesGroup(ProviderLimitError):
            async with manager.acquire(A), trio.open_nursery() as nursery:
                nursery.start_soon(use, manager, A)


async def test_r13_after_the_end_of_the_answer_the_lease_is_free(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(x=SLOW), on_conflict="wait") as manager:
        async with ReasoningEngine(manager).call([], CallOptions(X)) as stream:
            async for _ in stream:
                pass
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use, manager, Y)


async def test_r13_beside_a_stream_that_is_read_a_child_waits(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(x=SLOW), on_conflict="wait") as manager:
        async with ReasoningEngine(manager).call([], CallOptions(X)) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(use, manager, Y)
            async for _ in stream:
                pass
        assert manager.statistics().counters.grants == 2


async def test_r13_a_child_in_a_nursery_from_before_the_lease_waits(autojump_clock: MockClock) -> None:
    """The holder does not wait for it."""
    async with local_manager(Recorder(), on_conflict="wait") as manager, trio.open_nursery() as nursery:
        async with manager.acquire(X):
            nursery.start_soon(use, manager, Y)
            await trio.sleep(3)
    assert manager.statistics().counters.grants == 2


async def test_r13_for_a_lease_that_is_released_by_hand_a_child_waits(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), on_conflict="wait") as manager:
        lease = await manager.get_adapter(X)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, manager, Y)
            await trio.sleep(2)
            lease.release()
    assert manager.statistics().counters.grants == 2


async def test_r13_for_a_stream_that_was_given_back_by_hand_a_child_waits_until_it_has_ended(
    autojump_clock: MockClock,
) -> None:
    async def answer() -> AsyncIterator[StreamEvent]:
        try:
            yield StreamEvent("token", "a")
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)

    class Adapter:
        def call(self, prompt: object, options: object) -> AsyncIterator[StreamEvent]:
            return answer()

    providers = [ProviderConfig("local", lambda config: Adapter(), is_local=True), ProviderConfig("api", Recorder())]
    async with ProviderManager(ProviderManagerConfig(providers, on_conflict="wait")) as manager, manager.acquire(A):
        async with ReasoningEngine(manager).call([], CallOptions(X)) as stream:
            await anext(stream)
            stream.lease.release()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use, manager, Y)
    assert trio.current_time() == 4


async def test_r13_with_room_left_a_child_is_served(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), parallel=2, on_conflict="wait") as manager:
        async with manager.acquire(X), trio.open_nursery() as nursery:
            nursery.start_soon(use, manager, X)
    async with api_manager(Recorder(), limit=2) as manager:
        async with manager.acquire(A), trio.open_nursery() as nursery:
            nursery.start_soon(use, manager, A)
            nursery.start_soon(use, manager, A)  # waits for its sibling


@pytest.mark.parametrize(("above", "cause"), [((), None), ((1,), Cause.CONFLICT), ((7,), None)])
def test_r13_the_coordinator_refuses_what_only_leases_above_block(above: tuple[int, ...], cause: Cause | None) -> None:
    config = local_manager(Recorder(), on_conflict="wait").config
    coordinator = Coordinator(config)
    coordinator.step(Opened(), 0.0)
    coordinator.step(AcquireRequested(1, config.resolve(X), "parent"), 0.0)
    coordinator.step(StartSucceeded(1), 0.0)
    effects = coordinator.step(AcquireRequested(2, config.resolve(Y), "child", held_above=above), 1.0)
    assert [effect.cause for effect in effects if isinstance(effect, Reject)] == ([] if cause is None else [cause])


@pytest.mark.parametrize(
    "by_hand", [False, True], ids=["the lease above goes on", "the lease above is released by hand"]
)
async def test_r13_a_wait_that_becomes_one_for_the_parent_is_refused_then(
    autojump_clock: MockClock, by_hand: bool
) -> None:
    """Another holder finds the instance broken, so that it serves no one before the parent's lease is over."""
    async with local_manager(Recorder(), parallel=2, on_conflict="wait", check_invariants=True) as manager:
        other = await manager.get_adapter(X)
        ends: list[str] = []

        async def child() -> None:
            try:
                async with manager.acquire(X):
                    ends.append("granted")
            except LocalInstanceBusyError:
                ends.append("refused")

        with trio.fail_after(10):
            async with manager.acquire(X) as lease, trio.open_nursery() as nursery:
                nursery.start_soon(child)
                await trio.sleep(1)
                if by_hand:
                    lease.release()
                other.release(broken=True)
    assert ends == ["granted" if by_hand else "refused"]
