"""R1, R11, R12, R19: a lease is freed when the stream under it has really ended, however it ends and whatever the adapter does."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AdapterConfig,
    AdapterError,
    AdapterInstantiationError,
    AdapterProtocolError,
    AnswerStream,
    CallOptions,
    LeaseReleasedError,
    Message,
    ModelEvictedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StreamEvent,
)
from tests.contract.recording import spawn, want
from tests.contract.stored import stored_cancellation

X, Y = want("local", "x"), want("local", "y")
HI: list[Message] = [{"role": "user", "content": "hi"}]
TOKEN, END = StreamEvent("token", "hi"), StreamEvent("end", "stop")


class Scripted:
    """An adapter whose ``call`` is given, and notes when its generator has ended and when it is shut down."""

    def __init__(self, generate: Callable[[Scripted], AsyncIterator[StreamEvent]]) -> None:
        self.generate = generate
        self.ended: list[float] = []
        self.shut_down: list[float] = []

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        return self.generate(self)

    async def shutdown(self) -> None:
        self.shut_down.append(trio.current_time())


def managed(adapter: object, *, parallel: int = 1, **config: Any) -> ProviderManager:
    """A manager whose local provider's model x is ``adapter``; any other model is an adapter that does nothing."""

    def factory(wanted: AdapterConfig) -> Any:
        return adapter if wanted.model_id == "x" else Scripted(quick)

    provider = ProviderConfig("local", factory, is_local=True, parallel=parallel)
    return ProviderManager(ProviderManagerConfig([provider], on_conflict="wait", **config))


async def quick(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    yield END


async def slow(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    """Takes 10 seconds a token, and 3 to clean up."""
    try:
        for _ in range(5):
            await trio.sleep(10)
            yield TOKEN
        yield END
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        adapter.ended.append(trio.current_time())


async def yields_when_closed(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    """Ignores two requests to close."""
    for _ in range(3):
        with suppress(GeneratorExit):
            yield TOKEN
    with trio.CancelScope(shield=True):
        await trio.sleep(3)
    adapter.ended.append(trio.current_time())


async def never_closes(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    while not adapter.shut_down:
        with suppress(GeneratorExit):
            yield TOKEN


async def swallows_cancellations(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    try:
        await trio.sleep(100)
    except trio.Cancelled:
        with suppress(GeneratorExit):
            yield TOKEN
    with trio.CancelScope(shield=True):
        await trio.sleep(3)
    adapter.ended.append(trio.current_time())


async def read(stream: AnswerStream, seen: list[object]) -> None:
    """Read everything; an error is the last that is seen."""
    try:
        async for event in stream:
            seen.append(event)
    except Exception as error:
        seen.append(type(error))


def slot(manager: ProviderManager) -> str:
    return manager.statistics().slots["local"].state


# ---- R1: a lease is not freed before its stream has ended ----


@pytest.mark.parametrize("generate", [slow, swallows_cancellations])
async def test_r01_a_stream_closed_by_another_task_is_waited_for(
    autojump_clock: MockClock, generate: Callable[[Scripted], AsyncIterator[StreamEvent]]
) -> None:
    adapter = Scripted(generate)
    seen: list[object] = []
    async with managed(adapter) as manager, trio.open_nursery() as nursery:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            nursery.start_soon(read, stream, seen)
            await trio.sleep(1)
            waiter = await spawn(nursery, manager, Y)
            await stream.close()
            assert adapter.ended == [trio.current_time()] == [4]
            assert stream.lease.released
            await wait_all_tasks_blocked()
        assert waiter.granted == 4
    assert seen == [trio.ClosedResourceError]


async def test_r01_a_second_reader_is_told_and_touches_nothing(autojump_clock: MockClock) -> None:
    adapter = Scripted(slow)
    async with managed(adapter) as manager, trio.open_nursery() as nursery:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            seen: list[object] = []
            nursery.start_soon(read, stream, seen)
            await trio.sleep(1)
            for _ in range(2):
                with pytest.raises(trio.BusyResourceError, match=r"^another task is reading this stream$"):
                    await anext(stream)
            assert slot(manager) == "busy"
            await trio.sleep(60)
            assert seen == [TOKEN] * 5 + [END]
            assert slot(manager) == "resident"


@pytest.mark.parametrize("how", ["close twice", "cancel the reader", "leave the block", "release", "drop"])
async def test_r01_however_a_stream_is_ended_its_generator_ends_before_the_next_model_is_loaded(
    autojump_clock: MockClock, how: str
) -> None:
    adapter = Scripted(slow)
    async with managed(adapter) as manager, trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def use() -> None:
            with scope:
                async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                    seen: list[object] = []
                    nursery.start_soon(read, stream, seen)
                    await trio.sleep(1)
                    if how == "close twice":
                        nursery.start_soon(stream.close)
                        await stream.close()
                    elif how == "release":
                        stream.lease.release()
                        assert stream.lease.released
                        with pytest.raises(LeaseReleasedError):
                            _ = stream.lease.adapter
                        await trio.sleep(10)
                        assert seen == [LeaseReleasedError]
                    elif how == "cancel the reader":
                        scope.cancel()
                        await trio.lowlevel.checkpoint()
                    elif how == "drop":
                        raise KeyError("mine")

        if how == "drop":
            with pytest.raises(KeyError):
                await use()
        else:
            nursery.start_soon(use)
            await trio.sleep(0.5)
        async with manager.acquire(Y):
            assert adapter.ended == [4]
            assert adapter.shut_down == [4]
            assert trio.current_time() == 4


async def test_r01_a_generator_that_yields_instead_of_closing_is_closed_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = Scripted(yields_when_closed)
    async with managed(adapter) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await anext(stream) == TOKEN
        assert adapter.ended == [3]
        assert slot(manager) == "resident"
    assert caplog.records == []


@pytest.mark.filterwarnings("ignore:Async generator .*never_closes:ResourceWarning")
async def test_r01_the_instance_of_a_stream_that_never_closes_is_not_used_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = Scripted(never_closes)
    async with managed(adapter) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await anext(stream) == TOKEN
        await wait_all_tasks_blocked()
        assert adapter.shut_down == [0], "though no other task wants the slot"
    said = [record.getMessage() for record in caplog.records if "does not end" in record.getMessage()]
    assert len(said) == 1
    assert re.fullmatch(r"a stream of .*local/x.* does not end; its instance is taken for broken", said[0])


async def test_r01_a_closed_stream_says_so_to_later_reads() -> None:
    """What was cut off must not look whole."""
    async with managed(Scripted(slow)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            await stream.close()
            for _ in range(2):
                with pytest.raises(trio.ClosedResourceError, match=r"^the stream was closed before its end$"):
                    await anext(stream)


async def test_r01_the_stream_of_a_revoked_lease_ends(autojump_clock: MockClock) -> None:
    adapter = Scripted(slow)
    seen: list[object] = []

    async def use(manager: ProviderManager) -> None:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            await read(stream, seen)

    async with trio.open_nursery() as nursery:
        async with managed(adapter, close_grace=2) as manager:
            nursery.start_soon(use, manager)
            await trio.sleep(1)
    assert seen == [LeaseReleasedError]
    assert trio.current_time() == 6  # a grace of 2 from 1 on, and 3 to clean up
    assert adapter.ended == [6]


# ---- R11: what an adapter returns and yields is checked ----


class NoCall:
    pass


class SyncStart(Scripted):
    def start(self) -> None:
        pass


async def makes_later(config: AdapterConfig) -> Scripted:
    return Scripted(quick)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (makes_later, "makes_later must return an adapter, not an awaitable"),
        (lambda config: None, "returned None"),
        (lambda config: NoCall(), "has no method call"),
        (lambda config: Scripted, "the class Scripted"),
        (lambda config: [], "an object of type list"),
        (lambda config: SyncStart(quick), r"SyncStart.start\(\) must be an async function"),
    ],
)
async def test_r11_what_a_factory_returns_is_checked(factory: Any, said: str) -> None:
    async with ProviderManager(ProviderManagerConfig([ProviderConfig("local", factory, is_local=True)])) as manager:
        with pytest.raises(AdapterInstantiationError, match=said):
            await manager.get_adapter(X)


def returns(value: object) -> Callable[[Scripted], Any]:
    return lambda adapter: value


def raises(error: Exception) -> Callable[[Scripted], Any]:
    def call(adapter: Scripted) -> Any:
        raise error

    return call


async def coroutine(adapter: Scripted) -> list[StreamEvent]:
    return [END]


def yields(*events: Any) -> Callable[[Scripted], Any]:
    async def generate(adapter: Scripted) -> AsyncIterator[Any]:
        for event in events:
            yield event

    return generate


@pytest.mark.parametrize(
    ("generate", "said"),
    [
        (coroutine, "must be an async generator"),
        (returns([END]), "an object of type list"),
        (returns(None), "it returned None"),
        (returns(iter([END])), "iterator"),
        (yields("x"), "must yield StreamEvent.*an object of type str"),
        (yields(None), "must yield StreamEvent.*None"),
        (yields(StreamEvent("text", "x")), "unknown type; the types are token"),  # type: ignore[arg-type]  # the point
        (yields(StreamEvent([], "x")), "unknown type"),  # type: ignore[arg-type]  # the point
        (yields(StreamEvent("token", 5)), "'token' with an object of type int; its data must be a str"),  # type: ignore[arg-type]  # the point
        (yields(StreamEvent("token")), "'token' with None"),
        (yields(StreamEvent("tool_call", {})), "must be a ToolCall"),
        (yields(StreamEvent("metadata", "x")), "must be a mapping"),
        (yields(StreamEvent("end", {})), "must be a str or None"),
        (yields(StreamEvent("error", "CUDA out of memory")), "CUDA out of memory"),
        (yields(StreamEvent("error")), "must be an AdapterError"),
    ],
)
async def test_r11_what_a_call_returns_and_yields_is_checked(generate: Any, said: str) -> None:
    async with managed(Scripted(generate)) as manager:
        with pytest.raises(AdapterProtocolError, match=said) as caught:
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
        assert "Scripted" in str(caught.value)
        assert slot(manager) == "resident"


async def test_r11_the_signature_of_call_is_checked_before_the_first_call() -> None:
    adapter = Scripted(quick)
    adapter.call = lambda: None  # type: ignore[method-assign,assignment,misc]
    async with managed(adapter) as manager:
        with pytest.raises(AdapterInstantiationError, match="does not take"):
            await manager.get_adapter(X)


# ---- R12: adapters with a nursery across their yields ----


async def through_a_nursery(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    async with trio.open_nursery() as nursery:
        send, receive = trio.open_memory_channel[StreamEvent](0)
        nursery.start_soon(produce, send)
        async with receive:
            async for event in receive:
                yield event
    adapter.ended.append(trio.current_time())


async def produce(send: trio.MemorySendChannel[StreamEvent]) -> None:
    async with send:
        for event in (TOKEN, TOKEN, END):
            await trio.sleep(1)
            await send.send(event)


async def with_a_deadline(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    with trio.move_on_after(100):
        yield TOKEN
        await trio.sleep(1)
        yield TOKEN
        yield END
    adapter.ended.append(trio.current_time())


@pytest.mark.parametrize("generate", [through_a_nursery, with_a_deadline])
@pytest.mark.parametrize("taken", [1, 2, 3])
async def test_r12_a_generator_may_keep_a_scope_across_its_yields(
    autojump_clock: MockClock, generate: Any, taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Read to its end, or left early, by a consumer with scopes of its own."""
    caplog.set_level(logging.WARNING)
    adapter = Scripted(generate)
    async with managed(adapter) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            for number in range(taken):
                with trio.fail_after(50):
                    assert (await anext(stream)) == (END if number == 2 else TOKEN)
        assert slot(manager) == "resident"
        assert bool(adapter.ended) == (taken == 3), "read to its end, not only closed"
    assert caplog.records == []


async def test_r12_each_event_may_be_read_by_another_task(autojump_clock: MockClock) -> None:
    adapter = Scripted(through_a_nursery)
    async with managed(adapter) as manager, ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(anext, stream)
        assert slot(manager) == "resident"


async def fails_in_a_nursery(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    async with trio.open_nursery():
        yield TOKEN
        raise ModelEvictedError("gone")


async def test_r12_an_error_in_a_nursery_arrives_without_its_group(autojump_clock: MockClock) -> None:
    async with managed(Scripted(fails_in_a_nursery)) as manager:
        with pytest.raises(ModelEvictedError):
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
                await anext(stream)
        await wait_all_tasks_blocked()
        assert slot(manager) == "vacant"


async def whose_child_fails(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail, 1)
        yield TOKEN
        await trio.sleep(2)
        yield END


async def fail(seconds: float) -> None:
    await trio.sleep(seconds)
    raise ModelEvictedError("gone")


@pytest.mark.parametrize("pause", [0, 5])
async def test_r12_an_error_of_a_child_task_arrives_whenever_it_is_asked_for(
    autojump_clock: MockClock, pause: float
) -> None:
    async with managed(Scripted(whose_child_fails)) as manager:
        with pytest.raises(ModelEvictedError):
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
                await trio.sleep(pause)
                await anext(stream)
        await wait_all_tasks_blocked()
        assert slot(manager) == "vacant"


async def with_a_deadline_that_passes(adapter: Scripted) -> AsyncIterator[StreamEvent]:
    with trio.move_on_after(1):
        yield TOKEN
        await trio.sleep(2)
    yield TOKEN
    yield END


@pytest.mark.parametrize("pause", [0, 5])
async def test_r12_a_generator_goes_on_after_a_deadline_of_its_own(autojump_clock: MockClock, pause: float) -> None:
    async with managed(Scripted(with_a_deadline_that_passes)) as manager:
        seen = []
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            async for event in stream:
                seen.append(event)
                await trio.sleep(pause)
        assert seen == [TOKEN, TOKEN, END]
        assert slot(manager) == "resident"


class WithHelper(Scripted):
    """Runs a helper task from its start to its shutdown."""

    def __init__(self, *, hangs: bool = False) -> None:
        super().__init__(quick)
        self.helped: list[str] = []
        self.hangs = hangs

    async def start(self) -> None:
        self.context = trio.open_nursery()
        self.nursery = await self.context.__aenter__()
        self.nursery.start_soon(self.help)
        await trio.sleep(1)
        if self.hangs:
            await trio.sleep_forever()

    async def help(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.helped.append("ended")

    async def shutdown(self) -> None:
        await super().shutdown()
        self.nursery.cancel_scope.cancel()
        await self.context.__aexit__(None, None, None)


@pytest.mark.parametrize("hangs", [False, True])
async def test_r12_a_nursery_may_be_open_from_start_to_shutdown(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, hangs: bool
) -> None:
    """Also where the start is interrupted."""
    adapter = WithHelper(hangs=hangs)
    async with managed(adapter, start_timeout=10) as manager:
        if hangs:
            with pytest.raises(AdapterInstantiationError):
                await manager.get_adapter(X)
        else:
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
            assert adapter.helped == []
        (await manager.get_adapter(Y)).release()
        assert adapter.helped == ["ended"]
    assert caplog.records == [], "no scope was closed out of its turn"


# ---- R9: a cancellation that is not ours ----


class Stored(Scripted):
    """Raises in ``where`` the cancellation that its earlier load met."""

    def __init__(self, where: str) -> None:
        super().__init__(self.answer)
        self.where = where

    async def fail(self, where: str) -> None:
        if where == self.where:
            stored = await stored_cancellation()
            raise BaseExceptionGroup("several", [stored]) if where == "group" else stored

    async def start(self) -> None:
        await self.fail("start")
        await self.fail("group")

    async def answer(self, adapter: Scripted) -> AsyncIterator[StreamEvent]:
        yield TOKEN
        await self.fail("call")
        yield END

    async def shutdown(self) -> None:
        await super().shutdown()
        await self.fail("shutdown")


@pytest.mark.parametrize("where", ["start", "group", "call", "shutdown"])
async def test_r09_a_stored_cancellation_is_the_adapters_fault(autojump_clock: MockClock, where: str) -> None:
    adapter = Stored(where)
    async with managed(adapter) as manager:
        errors: list[type[BaseException]] = []
        try:
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                async for _ in stream:
                    pass
        except (AdapterInstantiationError, AdapterError) as error:
            errors.append(type(error))
        expected = {"call": [AdapterProtocolError], "shutdown": []}
        assert errors == expected.get(where, [AdapterInstantiationError])
        (await manager.get_adapter(Y)).release()
        assert len(adapter.shut_down) == 1
        assert manager.statistics().counters.shutdown_failures == (where == "shutdown")


async def test_r09_a_factory_may_raise_one_too() -> None:
    stored = await stored_cancellation()

    def factory(config: AdapterConfig) -> Any:
        raise stored

    async with ProviderManager(ProviderManagerConfig([ProviderConfig("local", factory, is_local=True)])) as manager:
        with pytest.raises(AdapterInstantiationError):
            await manager.get_adapter(X)
        assert slot(manager) == "vacant"


# ---- R19: what is settled belongs to the lease ----


async def test_r19_an_error_that_is_raised_once_more_breaks_the_instance_it_is_then_about(
    autojump_clock: MockClock,
) -> None:
    stored = ModelEvictedError("gone")
    adapter = Scripted(raises(stored))
    async with managed(adapter) as manager:
        for _ in range(2):
            with pytest.raises(ModelEvictedError):
                async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                    await anext(stream)
            await wait_all_tasks_blocked()
            assert slot(manager) == "vacant"
        adapter.generate = yields(StreamEvent("error", stored))
        with pytest.raises(ModelEvictedError):
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
        await wait_all_tasks_blocked()
        assert slot(manager) == "vacant"
        with pytest.raises(ModelEvictedError):
            async with manager.acquire(X):
                raise stored
        await wait_all_tasks_blocked()
        assert slot(manager) == "vacant"
