"""An asyncio program with a manager: the same rules as in trio."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
import trio

from statemachine import (
    AcquireTimeoutError,
    AdapterConfig,
    AdapterConnectError,
    AsyncioLease,
    AsyncioProviderManager,
    AsyncioReasoningEngine,
    CallOptions,
    ConfigurationError,
    LeaseReleasedError,
    LocalProviderConflictError,
    ManagerClosedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StateManager,
    StreamEvent,
    WrongEventLoopError,
)

from .world import PROMPT, LoopFactory, World, check_threads_have_ended, run, soon, until, uvloop_factory, want

Program = Callable[[AsyncioProviderManager, World], Coroutine[Any, Any, None]]


@pytest.fixture(params=[None, uvloop_factory], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory | None:
    factory: LoopFactory | None = request.param
    return factory


def with_manager(program: Program, loop_factory: LoopFactory | None = None, **config: Any) -> World:
    """Run ``program`` with an entered manager, and look at what is left."""
    world = World()

    async def main() -> None:
        async with AsyncioProviderManager(world.config(**config)) as manager:
            await program(manager, world)

    run(main, loop_factory)
    world.check_nothing_is_left()
    return world


def test_a_call_streams_and_frees_its_lease(loop_factory: LoopFactory | None) -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        engine = AsyncioReasoningEngine(manager)
        async with engine.call(PROMPT, CallOptions(want("a"))) as stream:
            assert not stream.lease.released
            events = [event async for event in stream]
            assert stream.lease.released
        assert [event.data for event in events] == ["0 ", "1 ", "2 ", "stop"]
        assert manager.statistics().slots["local"].state == "resident"
        assert manager.available_providers == ("local",)

    with_manager(program, loop_factory)


def test_tasks_wait_for_each_other(loop_factory: LoopFactory | None) -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        async def agent(model: str) -> None:
            async with manager.acquire(want(model), agent=model) as lease:
                async with aclosing(lease.adapter.call(PROMPT, CallOptions())) as events:
                    async for _ in events:
                        assert [adapter.model for adapter in world.live] == [model]

        async with asyncio.TaskGroup() as group:
            for model in "abcabc":
                group.create_task(agent(model))
        counters = manager.statistics().counters
        assert counters.grants == 6
        assert counters.switches >= 2

    with_manager(program, loop_factory)


def test_who_would_wait_for_itself_is_refused() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        async with manager.acquire(want("a")):
            with pytest.raises(LocalProviderConflictError):
                await manager.get_adapter(want("b"))

    with_manager(program)


def test_a_cancelled_acquire_leaves_no_trace(loop_factory: LoopFactory | None) -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        async with manager.acquire(want("a")):
            waiting = await soon(manager.get_adapter(want("b")))
            await until(manager, lambda: manager.manager.statistics().slots["local"].waiting == 1)
            waiting.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await waiting
            assert manager.statistics().slots["local"].waiting == 0
        assert manager.statistics().counters.cancellations == 1

    with_manager(program, loop_factory)


def test_a_time_out_of_asyncio_ends_an_acquire() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        async with manager.acquire(want("a")):
            other = await soon(_wait_in_vain(manager))
            assert await other == "timed out"

    async def _wait_in_vain(manager: AsyncioProviderManager) -> str:
        try:
            async with asyncio.timeout(0.01):
                await manager.get_adapter(want("b"))
        except TimeoutError:
            return "timed out"
        return "granted"

    with_manager(program)


def test_the_time_out_of_an_acquire_is_the_managers() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        async with manager.acquire(want("a")):
            waiting = await soon(manager.get_adapter(want("b"), timeout=0.01))
            with pytest.raises(AcquireTimeoutError):
                await waiting

    with_manager(program)


def test_a_cancelled_reader_frees_its_lease_when_its_stream_has_ended(loop_factory: LoopFactory | None) -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        world.gates["call a"] = trio.Event()
        engine = AsyncioReasoningEngine(manager)

        async def read() -> None:
            async with engine.call(PROMPT, CallOptions(want("a"))) as stream:
                async for _ in stream:
                    pass

        reader = await soon(read())
        await until(manager, lambda: world.calls["a"] == 1)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert manager.statistics().slots["local"].leases == 0
        assert world.live[0].calls == 0

    with_manager(program, loop_factory)


def test_a_stream_is_not_read_ahead() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        engine = AsyncioReasoningEngine(manager)
        async with engine.call(PROMPT, CallOptions(want("a"))) as stream:
            for number in range(world.events):
                assert world.asked_for == list(range(number))
                await anext(stream)
                await until(manager, lambda: True)

    with_manager(program)


def test_a_dropped_lease_warns_and_is_released() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        async def drop() -> None:
            await manager.get_adapter(want("a"))
            async with manager.acquire(want("b"), timeout=10):
                pass

        with pytest.warns(ResourceWarning, match="dropped unreleased"):
            await asyncio.create_task(drop())

    with_manager(program)


def test_a_lease_is_released_once_and_from_any_task() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        lease = await manager.get_adapter(want("a"))
        assert (lease.provider_name, lease.model_id) == ("local", "a")
        assert lease.queued_seconds + lease.loading_seconds >= 0
        adapter = lease.adapter
        await asyncio.create_task(_release(lease.release))
        assert lease.released
        lease.release()
        with pytest.raises(LeaseReleasedError):
            lease.adapter  # noqa: B018
        with pytest.raises(LeaseReleasedError):
            await anext(adapter.call(PROMPT, CallOptions()))
        async with manager.acquire(want("a")) as again:
            assert again.ticket > lease.ticket

    async def _release(release: Callable[[], None]) -> None:
        release()

    with_manager(program)


def test_a_broken_instance_is_replaced() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        with pytest.raises(AdapterConnectError):
            async with manager.acquire(want("a")):
                raise AdapterConnectError("the instance is gone", broken=True)
        async with manager.acquire(want("a")) as lease:
            assert world.made == 2
            lease.drain()
        async with manager.acquire(want("a")):
            assert world.made == 3

    with_manager(program)


def test_context_variables_are_those_of_the_call() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[str] = []

    class Curious:
        def __init__(self, config: AdapterConfig) -> None:
            pass

        async def call(self, prompt: object, options: CallOptions) -> AsyncIterator[StreamEvent]:
            seen.append(variable.get())
            yield StreamEvent("token", "x")
            seen.append(variable.get())
            yield StreamEvent("end")

    async def main() -> None:
        config = ProviderManagerConfig([ProviderConfig("curious", Curious)])
        async with AsyncioProviderManager(config) as manager:
            variable.set("before")
            curious = RuntimeProviderConfig("curious", "m")
            async with AsyncioReasoningEngine(manager).call(PROMPT, CallOptions(curious)) as stream:
                await anext(stream)
                variable.set("after")
                await anext(stream)

    run(main)
    assert seen == ["before", "before"]  # as in trio, where a stream is read in a task that is made for it


def test_a_thread_of_the_state_manager_chooses_its_provider() -> None:
    async def program(manager: AsyncioProviderManager, world: World) -> None:
        state = StateManager()
        await manager.run(state.set_thread_config_value, "t", "runtime_provider_config", want("a"))
        engine = AsyncioReasoningEngine(manager, state)
        async with engine.call(PROMPT, CallOptions(thread_id="t")) as stream:
            assert stream.lease.model_id == "a"

    with_manager(program)


def test_an_exception_leaves_bare_and_skips_the_grace() -> None:
    world = World()
    held: list[AsyncioLease] = []

    async def main() -> None:
        async with AsyncioProviderManager(world.config(close_grace=None)) as manager:
            held.append(await manager.get_adapter(want("a")))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main)
    check_threads_have_ended()
    assert held[0].released
    world.check_nothing_is_left()


def test_a_program_that_is_cancelled_closes_its_manager() -> None:
    world = World()

    async def hold(holds: asyncio.Event) -> None:
        async with AsyncioProviderManager(world.config(close_grace=None)) as manager:
            async with manager.acquire(want("a")):
                holds.set()
                await asyncio.Event().wait()

    async def main() -> None:
        holds = asyncio.Event()
        task = asyncio.create_task(hold(holds))
        await holds.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    world.check_nothing_is_left()


def test_closing_rejects_who_waits() -> None:
    world = World()

    async def main() -> None:
        async with AsyncioProviderManager(world.config(close_grace=0.01)) as manager:
            lease = await manager.get_adapter(want("a"))
            waiting = await soon(manager.get_adapter(want("b")))
            await until(manager, lambda: manager.manager.statistics().slots["local"].waiting == 1)
        with pytest.raises(ManagerClosedError):
            await waiting
        assert lease.released
        lease.release()
        with pytest.raises(ManagerClosedError):
            await manager.get_adapter(want("a"))
        with pytest.raises(ManagerClosedError):
            manager.statistics()
        with pytest.raises(ManagerClosedError):
            await manager.__aenter__()

    run(main)
    world.check_nothing_is_left()


def test_managers_share_one_thread_and_leave_it_in_any_order() -> None:
    worlds = World(), World()

    async def main() -> None:
        first, second = (AsyncioProviderManager(world.config()) for world in worlds)
        await first.__aenter__()
        await second.__aenter__()
        assert first.host.background is second.host.background
        await asyncio.create_task(first.__aexit__(None, None, None))
        async with second.acquire(want("a")):
            pass
        await second.__aexit__(None, None, None)

    run(main)
    for world in worlds:
        world.check_nothing_is_left()


@pytest.mark.filterwarnings("ignore:a lease of:ResourceWarning")  # as its task was destroyed, it may count as dropped
def test_a_loop_that_is_closed_on_its_tasks_loses_nothing() -> None:
    """The loop is closed with a task in mid-acquire and another that holds: both are gone, and so are their leases."""
    world = World()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it complains of tasks that are destroyed, with reason
    manager = AsyncioProviderManager(world.config(close_grace=5))

    async def hold(holds: asyncio.Event) -> None:
        async with manager.acquire(want("a")):
            holds.set()
            await asyncio.Event().wait()

    async def begin() -> None:
        await manager.__aenter__()
        holds = asyncio.Event()
        tasks.append(asyncio.create_task(hold(holds)))
        await holds.wait()
        tasks.append(await soon(manager.get_adapter(want("b"))))

    async def end() -> None:
        async with manager.acquire(want("c"), timeout=10):
            pass
        await manager.__aexit__(None, None, None)

    tasks: list[asyncio.Task[Any]] = []
    loop.run_until_complete(begin())
    loop.close()
    tasks.clear()
    gc.collect()
    run(end)
    world.check_nothing_is_left()


def test_a_manager_of_trio_says_where_the_bridge_is() -> None:
    manager = ProviderManager(World().config())

    async def enter() -> None:
        async with manager:
            pass

    async def acquire() -> None:
        await manager.get_adapter(want("a"))

    for main in enter, acquire:
        with pytest.raises(WrongEventLoopError, match=r"trio\.run.*docs/asyncio\.md.*AsyncioProviderManager"):
            asyncio.run(main())


def test_an_engine_refuses_a_manager_of_another_kind() -> None:
    with pytest.raises(ConfigurationError, match="manager"):
        AsyncioReasoningEngine(ProviderManager(World().config()))  # type: ignore[arg-type]
