"""The engine: whichever way a call ends, its lease is freed, and the adapter's errors reach the consumer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AdapterConfig,
    AdapterError,
    AdapterProtocolError,
    CallOptions,
    ConfigurationError,
    Message,
    ModelEvictedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StateManager,
    StreamEvent,
    TruncatedStreamError,
)
from statemachine.errors import AdapterConnectError
from tests.contract.recording import Recorder, Script, local_manager, spawn, want

X, Y = want("local", "x"), want("local", "y")
HI: list[Message] = [{"role": "user", "content": "hi"}]
TOKEN, END = StreamEvent("token", "hi"), StreamEvent("end", "stop")


def slot(manager: ProviderManager) -> str:
    return manager.statistics().slots["local"].state


async def consume(manager: ProviderManager, options: CallOptions | None = None) -> list[StreamEvent]:
    async with ReasoningEngine(manager).call(HI, options or CallOptions(X)) as stream:
        return [event async for event in stream]


async def test_events_arrive_in_order_and_the_end_frees_the_lease() -> None:
    answer = [TOKEN, StreamEvent("reasoning", "hm"), StreamEvent("metadata", {"usage": {}}), END]
    async with local_manager(Recorder(x=Script(answer=answer))) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert slot(manager) == "busy"
            seen = [await anext(stream) for _ in range(3)]
            assert slot(manager) == "busy"
            seen.append(await anext(stream))
            assert slot(manager) == "resident"  # at the stream's end, before the block's
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        assert seen == answer
        assert slot(manager) == "resident"


async def test_it_acquires_on_entry() -> None:
    async with local_manager(Recorder()) as manager:
        call = ReasoningEngine(manager).call(HI, CallOptions(X))
        assert slot(manager) == "vacant"
        async with call:
            assert slot(manager) == "busy"


async def test_what_comes_after_the_end_is_not_seen() -> None:
    async with local_manager(Recorder(x=Script(answer=[END, TOKEN, END]))) as manager:
        assert await consume(manager) == [END]


@pytest.mark.parametrize("answer", [[], [TOKEN], [StreamEvent("metadata", {})]])
async def test_a_stream_that_just_stops_is_truncated(answer: list[StreamEvent]) -> None:
    async with local_manager(Recorder(x=Script(answer=answer))) as manager:
        with pytest.raises(TruncatedStreamError) as caught:
            await consume(manager)
        assert str(caught.value) == "the stream stopped without its closing event"
        assert caught.value.__suppress_context__  # how an iterator ends is of no interest
        assert slot(manager) == "resident"


@pytest.mark.parametrize(
    ("error", "state"),
    [(AdapterConnectError("lost"), "resident"), (ModelEvictedError("gone"), "vacant"), (OSError("mine"), "resident")],
)
@pytest.mark.parametrize("raised", [True, False])
async def test_an_error_ends_the_stream_and_says_whether_the_instance_is_broken(
    error: Exception, state: str, raised: bool
) -> None:
    if not raised and not isinstance(error, AdapterError):
        pytest.skip("an error event carries an AdapterError")
    last: Any = error if raised else StreamEvent("error", error)  # type: ignore[arg-type]  # skipped otherwise
    async with local_manager(Recorder(x=Script(answer=[TOKEN, last]))) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await anext(stream) == TOKEN
            with pytest.raises(type(error)) as caught:
                await anext(stream)
            assert caught.value is error
            await wait_all_tasks_blocked()
            assert slot(manager) == state  # freed by the error, not by leaving the block
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


async def test_nobody_gets_a_broken_instance_while_its_stream_is_being_closed(autojump_clock: MockClock) -> None:
    made: list[Any] = []

    class Adapter:
        def __init__(self) -> None:
            made.append(self)

        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            try:
                yield StreamEvent("error", ModelEvictedError("gone"))
            finally:
                await trio.sleep(5)

    local = ProviderConfig("local", lambda config: Adapter(), is_local=True, parallel=2)
    config = ProviderManagerConfig([local], on_conflict="wait")
    async with ProviderManager(config) as manager, trio.open_nursery() as nursery:
        nursery.start_soon(consume_broken, manager)
        await trio.sleep(1)
        async with manager.acquire(X) as lease:
            assert lease.adapter is made[1]
            assert trio.current_time() == 5


async def consume_broken(manager: ProviderManager) -> None:
    with pytest.raises(ModelEvictedError):
        await consume(manager)


async def test_an_error_event_without_an_error_is_an_error() -> None:
    async with local_manager(Recorder(x=Script(answer=[StreamEvent("error", "oops")]))) as manager:
        with pytest.raises(AdapterProtocolError) as caught:
            await consume(manager)
        assert str(caught.value) == "RecordingAdapter reports an error without its class: oops"


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_a_consumer_may_leave_early(taken: int) -> None:
    async with local_manager(Recorder(x=Script(answer=[TOKEN] * 9 + [END]))) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            for _ in range(taken):
                await anext(stream)
        assert slot(manager) == "resident"
        async with manager.acquire(Y):
            pass


async def test_leaving_early_closes_the_adapters_stream(autojump_clock: MockClock) -> None:
    closed: list[float] = []

    class Adapter:
        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            try:
                yield TOKEN
                yield TOKEN
            finally:
                closed.append(trio.current_time())

    def factory(config: AdapterConfig) -> Adapter:
        return Adapter()

    config = ProviderManagerConfig([ProviderConfig("local", factory, is_local=True)])
    async with ProviderManager(config) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            async for _ in stream:
                break
            assert closed == []
            await trio.sleep(3)
        assert closed == [3]


async def test_an_error_in_the_block_frees_the_lease_and_leaves_bare() -> None:
    async with local_manager(Recorder(x=Script(answer=[TOKEN] * 9 + [END]))) as manager:
        with pytest.raises(KeyError, match="mine"):
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
                raise KeyError("mine")
        assert slot(manager) == "resident"


@pytest.mark.parametrize("seconds", [1, 3])
async def test_cancellation_in_mid_stream_frees_the_lease(autojump_clock: MockClock, seconds: float) -> None:
    async with local_manager(Recorder(x=Script(answer=[2.0, TOKEN, 5.0, TOKEN, END]))) as manager:
        with trio.move_on_after(seconds) as scope:
            await consume(manager)
        assert scope.cancelled_caught
        assert slot(manager) == "resident"
        assert [event.type for event in await consume(manager)] == ["token", "token", "end"]


async def test_a_call_that_raises_at_once_frees_the_lease() -> None:
    class Adapter:
        def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            raise ModelEvictedError("gone")

    config = ProviderManagerConfig([ProviderConfig("local", lambda config: Adapter(), is_local=True)])
    async with ProviderManager(config) as manager:
        with pytest.raises(ModelEvictedError):
            await consume(manager)
        await wait_all_tasks_blocked()
        assert slot(manager) == "vacant"


class NoClosing:
    """The least that an AsyncIterator is: it has no ``aclose``."""

    def __init__(self) -> None:
        self.events = [TOKEN, END]

    def __aiter__(self) -> NoClosing:
        return self

    async def __anext__(self) -> StreamEvent:
        await trio.lowlevel.checkpoint()
        return self.events.pop(0)


async def test_any_async_iterator_is_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    class Adapter:
        def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            return NoClosing()

    config = ProviderManagerConfig([ProviderConfig("local", lambda config: Adapter(), is_local=True)])
    async with ProviderManager(config) as manager:
        assert await consume(manager) == [TOKEN, END]
    assert caplog.records == []


class Closing(NoClosing):
    """Remembers that it was closed, and fails at that."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1
        raise self.error


@pytest.mark.parametrize(("error", "state"), [(OSError("mine"), "resident"), (ModelEvictedError("gone"), "vacant")])
async def test_a_stream_is_closed_once_and_may_find_its_instance_broken_by_that(error: Exception, state: str) -> None:
    events = Closing(error)

    class Adapter:
        def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            return events

    config = ProviderManagerConfig([ProviderConfig("local", lambda config: Adapter(), is_local=True)])
    async with ProviderManager(config) as manager:
        assert await consume(manager) == [TOKEN, END]  # what goes wrong afterwards is not the answer's
        await wait_all_tasks_blocked()
        assert slot(manager) == state
    assert events.closed == 1


async def test_prompt_and_options_reach_the_adapter_copied() -> None:
    got: list[Any] = []

    class Adapter:
        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            got.extend([prompt, options])
            yield END

    parameters: dict[str, Any] = {"temperature": 0, "stop": ["x"]}
    tools: list[dict[str, Any]] = [{"type": "function", "function": {"name": "f"}}]
    options = CallOptions(X, parameters=parameters, tools=tools)
    parameters["stop"].append("y")
    tools[0]["function"]["name"] = "g"
    config = ProviderManagerConfig([ProviderConfig("local", lambda config: Adapter(), is_local=True)])
    async with ProviderManager(config) as manager:
        await consume(manager, options)
    assert got[0] == HI
    assert got[1].parameters == {"temperature": 0, "stop": ["x"]}
    assert got[1].tools[0]["function"]["name"] == "f"


async def test_parameters_are_not_identity() -> None:
    recorder = Recorder()
    async with local_manager(recorder) as manager:
        for temperature in (0, 0.7, None):
            await consume(manager, CallOptions(X, parameters={"temperature": temperature}))
    assert len(recorder.made) == 1


async def test_timeout_and_priority_go_with_the_acquire(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(answer=[1.0, END]))
    order: list[int] = []

    async def call(manager: ProviderManager, priority: int) -> None:
        await consume(manager, CallOptions(X, priority=priority, agent=f"agent {priority}"))
        order.append(priority)

    async with local_manager(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, Y, 5)
        with pytest.raises(TimeoutError):
            await consume(manager, CallOptions(X, timeout=2))
        assert trio.current_time() == 2
        for priority in (0, 2, 1):
            nursery.start_soon(call, manager, priority)
            await wait_all_tasks_blocked()
    assert order == [2, 1, 0]


async def test_a_call_may_name_a_thread_only() -> None:
    state = StateManager()
    await state.set_thread_config_value("t", "runtime_provider_config", X)
    assert (await state.load_thread_context("t")).runtime_provider_config == X
    async with local_manager(Recorder()) as manager:
        engine = ReasoningEngine(manager, state)
        async with engine.call(HI, CallOptions(thread_id="t")) as stream:
            assert [event.type async for event in stream] == ["token", "end"]


@pytest.mark.parametrize(
    ("options", "state", "field", "text"),
    [
        (
            CallOptions(thread_id="unknown"),
            StateManager(),
            "thread_id",
            "must name a thread with a runtime_provider_config; got 'unknown'",
        ),
        (
            CallOptions(),
            StateManager(),
            "provider_config",
            "must be given, or thread_id and an engine with state; got None",
        ),
        (
            CallOptions(thread_id="t"),
            None,
            "provider_config",
            "must be given, or thread_id and an engine with state; got None",
        ),
    ],
)
async def test_a_call_has_to_say_where(options: CallOptions, state: StateManager | None, field: str, text: str) -> None:
    async with local_manager(Recorder()) as manager:
        with pytest.raises(ConfigurationError) as caught:
            async with ReasoningEngine(manager, state).call(HI, options):
                raise AssertionError("entered")
    assert (caught.value.field, type(caught.value.shown)) == (field, str)
    assert str(caught.value) == f"{field}: {text}"
