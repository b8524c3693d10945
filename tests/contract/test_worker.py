"""A worker by itself: what it reports when it is given up on at moments that the manager's tasks hardly ever meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    AdapterConfig,
    AdapterInstantiationError,
    AdapterProtocolError,
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StreamEvent,
    WrongEventLoopError,
)
from statemachine.core.events import Stopped
from statemachine.manager.worker import Worker
from tests.contract.recording import Recorder, Script, local_manager, want
from tests.contract.stored import stored_cancellation

X = want("local", "x")


async def test_whoever_is_given_up_on_before_the_beginning_constructs_nothing() -> None:
    recorder, reports = Recorder(), list[object]()
    config = ProviderManagerConfig([ProviderConfig("local", recorder, is_local=True)])
    worker = Worker(7, config.resolve(X), recorder, reports.append)
    worker.interrupt_start()
    worker.stop()
    await worker.run()
    assert reports == [Stopped(7)]
    assert recorder.records == []


async def test_a_construction_that_fails_when_it_was_overdue_already_leaves_nothing_to_shut_down(
    autojump_clock: MockClock,
) -> None:
    """A factory may block; the model finds its deadline past when the failure is reported."""

    def factory(config: AdapterConfig) -> Recorder:
        autojump_clock.jump(6)
        raise OSError("no")

    provider = ProviderConfig("local", factory, is_local=True)  # type: ignore[arg-type]  # it never returns
    async with ProviderManager(ProviderManagerConfig([provider], start_timeout=5)) as manager:
        with pytest.raises(AdapterInstantiationError, match="its start was overdue"):
            await manager.get_adapter(X)
        counters = manager.statistics().counters
        assert manager.statistics().slots["local"].state == "vacant"
        assert (counters.start_failures, counters.stops, counters.shutdown_failures) == (1, 1, 0)


class Rude(BaseException):
    """Such as a KeyboardInterrupt."""


async def test_whatever_a_start_raises_leaves_the_manager_when_all_has_been_shut_down(
    autojump_clock: MockClock,
) -> None:
    recorder = Recorder(x=Script(load=1, start_error=Rude(), unload=2))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with local_manager(recorder) as manager:
            with pytest.raises(AdapterInstantiationError, match="failed with Rude"):
                await manager.get_adapter(X)
            await trio.sleep(9)
    assert caught.value.split(Rude)[1] is None, "nothing else"
    assert recorder.times("shutdown") == [1]
    assert recorder.each_shut_down_once()


async def test_an_interrupted_start_may_hang_in_its_shutdown_too(autojump_clock: MockClock) -> None:
    """Both are bounded."""
    recorder = Recorder(x=Script(load=1000, unload=1000))
    async with local_manager(recorder, start_timeout=5, shutdown_timeout=7) as manager:
        with pytest.raises(AdapterInstantiationError):
            await manager.get_adapter(X)
        assert trio.current_time() == 5
    assert trio.current_time() == 12
    assert manager.statistics().counters.shutdown_failures == 1


# ---- what is an adapter's own fault, and in whose name it is told ----


class Odd:
    """An adapter whose ``start`` and ``call`` are given."""

    def __init__(self, start: Any = None, call: Any = None) -> None:
        if start is not None:
            self.start = start
        self.made = call

    def call(self, prompt: object, options: object) -> AsyncIterator[StreamEvent]:
        return self.made()  # type: ignore[no-any-return]  # given


async def why_it_failed(make: Any) -> BaseException:
    """The cause that the requester of what ``make`` returns is told."""

    def factory(config: AdapterConfig) -> Any:
        return make()

    async with ProviderManager(ProviderManagerConfig([ProviderConfig("local", factory, is_local=True)])) as manager:
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(X)
        assert caught.value.__cause__ is not None
        return caught.value.__cause__


NOT_ITS_OWN = "raised a cancellation that was not its own, such as a stored one"


async def test_r09_whose_start_raises_a_cancellation_is_told() -> None:
    stored = await stored_cancellation()

    async def start() -> None:
        raise stored

    cause = await why_it_failed(lambda: Odd(start))
    assert isinstance(cause, AdapterProtocolError)
    assert str(cause) == f"Odd.start() {NOT_ITS_OWN}"
    assert cause.__cause__ is stored


async def test_r09_so_is_which_factory_does() -> None:
    stored = await stored_cancellation()

    def make() -> Odd:
        raise stored

    cause = await why_it_failed(make)
    assert isinstance(cause, AdapterProtocolError)
    assert str(cause) == f"why_it_failed.<locals>.factory {NOT_ITS_OWN}"


async def test_r09_what_an_adapter_cancels_itself_is_its_own_fault() -> None:
    """A nursery that the start leaves open may be cancelled: then the start is in a cancelled scope, but not in one of the manager's."""

    class Cancelling(Odd):
        async def start(self) -> None:
            self.context = trio.open_nursery()
            (await self.context.__aenter__()).cancel_scope.cancel()
            await trio.lowlevel.checkpoint()

        async def shutdown(self) -> None:
            await self.context.__aexit__(None, None, None)

    cause = await why_it_failed(Cancelling)
    assert isinstance(cause, AdapterProtocolError)
    assert str(cause).endswith(f"Cancelling.start() {NOT_ITS_OWN}")


async def test_what_else_a_start_raises_arrives_as_it_is() -> None:
    async def start() -> None:
        raise error

    error = OSError("no")
    assert await why_it_failed(lambda: Odd(start)) is error
    assert error.__cause__ is None


async def test_r11_a_start_that_is_no_function_is_named() -> None:
    cause = await why_it_failed(lambda: Odd(start="now"))
    assert isinstance(cause, TypeError)
    assert str(cause) == "Odd.start() must be an async function; it returned an object of type str"


@pytest.mark.parametrize("stored", [False, True])
async def test_r09_what_a_call_raises_at_once_is_told_as_what_its_stream_raises(stored: bool) -> None:
    error: BaseException = (await stored_cancellation()) if stored else OSError("no")

    def call() -> Any:
        raise error

    seen: list[BaseException] = []
    provider = ProviderConfig("local", lambda config: Odd(call=call), is_local=True)
    async with ProviderManager(ProviderManagerConfig([provider])) as manager:
        try:
            async with ReasoningEngine(manager).call([], CallOptions(X)):
                pass
        except BaseException as raised:
            seen.append(raised)
        assert manager.statistics().slots["local"].state == "resident"
    if stored:
        assert isinstance(seen[0], AdapterProtocolError)
        assert str(seen[0]) == f"Odd.call() {NOT_ITS_OWN}"
        assert seen[0].__cause__ is error
    else:
        assert seen == [error]
        assert error.__cause__ is None


def test_an_engine_on_no_trio_says_so_before_it_looks_at_anything() -> None:
    """Here at options that name no provider."""
    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)])
    entering = ReasoningEngine(ProviderManager(config)).call([], CallOptions()).__aenter__()
    with pytest.raises(WrongEventLoopError):
        entering.send(None)
