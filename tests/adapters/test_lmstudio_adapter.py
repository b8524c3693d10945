"""LMStudioAdapter's calls, over a real connection too, and under the manager."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from adapters import LMStudioAdapter
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.serve import serve
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import ModelSpec
from statemachine import (
    AdapterConfig,
    AdapterConnectError,
    AdapterError,
    AdapterInstantiationError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    AuthenticationError,
    CallOptions,
    ConfigurationError,
    ContextLengthError,
    ModelEvictedError,
    ModelNotFoundError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
    TruncatedStreamError,
)

from .events import text
from .lmstudio import PROMPT, TOKEN, A, B, answer, ids, make, mock, started


async def test_streamed_and_whole_answers_are_the_same(autojump_clock: trio.testing.MockClock) -> None:
    async with started(mock()) as adapter:
        hint = {"extra_headers": {"X-Mock-Prompt-Tokens": "77"}, "max_tokens": 5}
        streamed = await answer(adapter, parameters=hint)
        whole = await answer(adapter, parameters=hint, stream=False)
    usage = {"prompt_tokens": 77, "completion_tokens": 5, "total_tokens": 82}
    for events in (streamed, whole):
        assert events[-2:] == [StreamEvent("metadata", {"usage": usage}), StreamEvent("end", "length")]
    assert len([event for event in streamed if event.type == "token"]) == 5
    assert text(streamed) == text(whole)


@pytest.mark.parametrize("parameter", ["model", "messages", "stream", "tools"])
async def test_what_the_adapter_sets_cannot_be_a_parameter(parameter: str) -> None:
    async with StreamingTransport(mock()) as transport:
        adapter = make(transport)
        with pytest.raises(ConfigurationError, match=f"parameters.{parameter}"):
            adapter.call(PROMPT, CallOptions(parameters={parameter: "x"}))
        await adapter.shutdown()


@pytest.mark.parametrize(
    ("how", "after_chunks", "kind"),
    [
        ("error", 0, ModelEvictedError),
        ("error", 2, ModelEvictedError),
        ("named_error", 2, ModelEvictedError),
        ("truncate", 0, TruncatedStreamError),
        ("truncate", 2, TruncatedStreamError),
        ("drop", 2, AdapterConnectError),
        ("stall", 2, AdapterTimeoutError),
    ],
)
async def test_streams_that_break(
    how: Any, after_chunks: int, kind: type[AdapterError], autojump_clock: trio.testing.MockClock
) -> None:
    server = mock()
    async with started(server, read_timeout=20) as adapter:
        server.faults.break_next_stream(how, after_chunks=after_chunks)
        *tokens, last = await answer(adapter)
        assert [event.type for event in tokens] == ["token"] * after_chunks
        assert last.type == "error"
        assert type(last.data) is kind
        assert text(await answer(adapter)), "the next call is not concerned"


async def test_a_model_that_is_unloaded_in_mid_answer(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with started(server) as adapter, aclosing(adapter.call(PROMPT, CallOptions())) as events:
        assert (await anext(events)).type == "token"
        await server.unload(server.resident[A])
        last = [event async for event in events][-1]
    assert isinstance(last.data, ModelEvictedError)
    assert last.data.broken


@pytest.mark.parametrize("second", [False, True])
async def test_a_model_that_was_unloaded_between_two_answers(
    second: bool, autojump_clock: trio.testing.MockClock
) -> None:
    server = mock(jit=False)
    if second:
        await server.load(server.models[A], {"context_length": 2048})
    async with started(server, context_length=8192) as adapter:
        await server.unload(server.loaded[-1])
        for stream in (True, False):
            (event,) = await answer(adapter, stream=stream)
            assert isinstance(event.data, ModelEvictedError)
            assert event.data.broken


async def test_a_model_that_the_server_cannot_load_again(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with started(server) as adapter:
        await server.unload(server.resident[A])
        server.faults.fail_next_load()
        (event,) = await answer(adapter)
        assert isinstance(event.data, ModelEvictedError)
    assert server.counters.loads == 1, "the list tells: no chat is sent that would load it behind our back"


async def test_a_prompt_that_is_swallowed_silently(autojump_clock: trio.testing.MockClock) -> None:
    async with started(mock(swallow_overflow=True), context_length=2048) as adapter:
        for made, tokens, closing in ((0, 2047, "end"), (1, 2047, "end"), (1, 2048, "error")):
            parameters = {"max_tokens": made, "extra_headers": {"X-Mock-Prompt-Tokens": str(tokens)}}
            assert (last := (await answer(adapter, parameters=parameters))[-1]).type == closing
        assert isinstance(last.data, ContextLengthError)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "n_keep: 13055>= n_ctx: 4096"}, ContextLengthError),
        (429, {"error": {"message": "Too many requests"}}, AdapterError),
        (
            400,
            {"error": {"message": "Unrecognized key(s) in object: 'x'", "code": "unrecognized_keys"}},
            AdapterRequestError,
        ),
        (200, {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"}, AdapterProtocolError),
    ],
)
async def test_refused_chats(
    status: int, body: object, kind: type[AdapterError], autojump_clock: trio.testing.MockClock
) -> None:
    server = mock()
    async with started(server) as adapter:
        for stream in (True, False):
            server.faults.answer_next("/v1/chat/completions", status, body)
            (event,) = await answer(adapter, stream=stream)
            assert isinstance(event.data, kind)
            assert not event.data.broken


async def test_leaving_early_ends_the_generation(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with started(server) as adapter:
        async with aclosing(adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 1000}))) as events:
            await anext(events)
        await trio.testing.wait_all_tasks_blocked()
        assert server.loaded[0].running == 0
    assert server.counters.abandoned == 1


async def test_the_token_is_sent_and_never_shown(autojump_clock: trio.testing.MockClock) -> None:
    server = mock(api_token=TOKEN)
    async with started(server, api_token=TOKEN) as adapter:
        assert text(await answer(adapter))
        server.faults.answer_next("/v1/chat/completions", 400, {"error": f"bad header Bearer {TOKEN}"})
        (event,) = await answer(adapter)
        assert TOKEN not in str(event.data)
        assert TOKEN not in repr(adapter.config)
    wrong = TOKEN[::-1]
    async with StreamingTransport(server) as transport:
        for options in ({}, {"api_token": wrong}, {"api_token": None}):
            adapter = make(transport, **options)
            with pytest.raises(AuthenticationError) as caught:
                await adapter.start()
            assert wrong not in str(caught.value)
            await adapter.shutdown()


async def test_user_info_of_the_url_is_sent_and_never_shown(autojump_clock: trio.testing.MockClock) -> None:
    async with StreamingTransport(mock(api_token=TOKEN)) as transport:
        adapter = make(transport, base_url="http://user:pass-word@host:1/v1")
        with pytest.raises(AuthenticationError, match="http://host:1: ") as caught:
            await adapter.start()
        assert "pass-word" not in str(caught.value)
        await adapter.shutdown()


async def test_over_a_real_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # a local server needs none
    quick = ModelSpec(A, load_seconds=0, unload_seconds=0, prefill_tokens_per_second=1e9, decode_tokens_per_second=1e6)
    server = MockLMStudio([quick], api_token=TOKEN)
    async with serve(server, port=0) as url:
        adapter = LMStudioAdapter(AdapterConfig("lmstudio", A, {"base_url": f"{url}/v1", "api_token": TOKEN}))
        await adapter.start()
        for _ in range(3):
            assert (await answer(adapter, parameters={"max_tokens": 20}))[-1] == StreamEvent("end", "length")
        async with aclosing(adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 100_000}))) as events:
            await anext(events)
        server.faults.break_next_stream("drop", after_chunks=1)
        assert isinstance((await answer(adapter))[-1].data, AdapterConnectError)
        await adapter.shutdown()
        assert not server.resident


async def test_nobody_answers() -> None:
    with trio.socket.socket() as listener:  # bound, but not listening
        await listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        adapter = LMStudioAdapter(AdapterConfig("lmstudio", A, {"base_url": url}))
        with pytest.raises(AdapterConnectError):
            await adapter.start()
        (event,) = await answer(adapter)
        assert isinstance(event.data, AdapterConnectError)
        await adapter.shutdown()


async def test_a_manager_swaps_its_models(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(StreamingTransport(server))
        provider = ProviderConfig("lmstudio", partial(LMStudioAdapter, transport=transport), is_local=True)
        config = ProviderManagerConfig([provider], on_conflict="wait")
        manager = await stack.enter_async_context(ProviderManager(config))
        engine = ReasoningEngine(manager)

        async def agent(model: str) -> None:
            for _ in range(3):
                options = CallOptions(RuntimeProviderConfig("lmstudio", model), parameters={"max_tokens": 10})
                async with engine.call(PROMPT, options) as events:
                    assert [event.type async for event in events][-1] == "end"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent, A)
            nursery.start_soon(agent, B)
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(RuntimeProviderConfig("lmstudio", "maker/nothing"))
        assert isinstance(caught.value.__cause__, ModelNotFoundError)
    assert ids(server) == []
    assert server.counters.answered == 6
    assert server.counters.cut == 0
    assert server.counters.peak_resident == 1
