"""LlamaCppAdapter against the loopback router, in virtual time. The same against the real server: ``tests/real``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters import LlamaCppAdapter
from adapters.llamacpp import LoadProgress
from simulation.mock.llamacpp import MockLlamaCpp
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import AdapterConfig, CallOptions, ForwardRequest, StreamEvent
from statemachine.errors import (
    AdapterConnectError,
    AdapterError,
    AdapterTimeoutError,
    ContextLengthError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
)
from tests.adapters.events import failure

from .loopback import Reply, Request, json_reply, loopback

PROMPT = [{"role": "user", "content": "hello"}]
LOAD_SECONDS, UNLOAD_SECONDS = 10.0, 2.0


def mock(**options: Any) -> MockLlamaCpp:
    models = [
        ModelSpec(name, load_seconds=LOAD_SECONDS, unload_seconds=UNLOAD_SECONDS, context_length=100) for name in "ab"
    ]
    return MockLlamaCpp(models, LatencyProfile(jitter=0), **options)


@asynccontextmanager
async def served(server: MockLlamaCpp) -> AsyncIterator[StreamingTransport]:
    async with server.running(), StreamingTransport(server) as transport:
        yield transport


def make(transport: StreamingTransport, model: str = "a", **options: Any) -> LlamaCppAdapter:
    return LlamaCppAdapter(AdapterConfig("llama", model, options), transport=transport)


async def answer(adapter: LlamaCppAdapter, tokens: int = 3, **options: Any) -> list[StreamEvent]:
    parameters = {"max_tokens": tokens}
    events = [event async for event in adapter.call(PROMPT, CallOptions(parameters=parameters, **options))]
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


def states(server: MockLlamaCpp) -> dict[str, str]:
    return {name: child.state for name, child in server.router.children.items()}


async def test_a_load_is_waited_for_and_an_unload_too(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        adapter = make(transport)
        began = trio.current_time()
        await adapter.start()
        assert LOAD_SECONDS <= trio.current_time() - began < LOAD_SECONDS + 1
        assert [event.type for event in await answer(adapter)] == ["token", "token", "token", "metadata", "end"]
        began = trio.current_time()
        await adapter.shutdown()
        assert UNLOAD_SECONDS <= trio.current_time() - began < UNLOAD_SECONDS + 1
        assert states(server) == {"a": "unloaded", "b": "unloaded"}
    assert server.requests.count("/models/load") == 1


async def test_what_somebody_else_loaded_is_used_and_left(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        server.router.load("a")
        adapter = make(transport)
        await adapter.start()  # also while it is still loading
        await answer(adapter)
        await adapter.shutdown()
        assert states(server)["a"] == "loaded"
    assert server.router.log == ["a"]


async def test_f27_a_load_that_fails_is_reported_at_once_with_its_cause(autojump_clock: MockClock) -> None:
    server = mock()
    server.faults.fail_next_load()
    async with served(server) as transport:
        adapter = make(transport)
        with trio.fail_after(LOAD_SECONDS + 1), pytest.raises(ModelLoadError, match="exit code 1"):
            await adapter.start()
        await adapter.shutdown()
        assert "/models/unload" not in server.requests
        adapter = make(transport)
        await adapter.start()  # a failure of the past says nothing
        await adapter.shutdown()


async def test_the_progress_of_a_load_is_told(autojump_clock: MockClock) -> None:
    server = mock()
    told: list[LoadProgress] = []

    async def listen(adapter: LlamaCppAdapter) -> None:
        async with aclosing(adapter.progress()) as progress:
            told.extend([step async for step in progress])

    for failing in (False, True):
        async with served(server) as transport:
            adapter = make(transport)
            if failing:
                server.faults.fail_next_load()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, adapter)
                await trio.testing.wait_all_tasks_blocked()
                with suppress(ModelLoadError):
                    await adapter.start()
            await adapter.shutdown()
    begins = [LoadProgress("loading"), LoadProgress("loading", "text_model", 0.0)]
    assert told == [*begins, LoadProgress("loaded"), *begins, LoadProgress("unloaded")]


async def test_a_server_that_tells_no_progress(autojump_clock: MockClock) -> None:
    server = mock()
    server.faults.answer_next("/models/sse", 404, {"error": {"message": "File Not Found", "type": "not_found_error"}})
    async with served(server) as transport:
        adapter = make(transport)
        with pytest.raises(ModelNotFoundError):
            [step async for step in adapter.progress()]
        await adapter.shutdown()


async def test_f28_an_unknown_model_is_not_found(autojump_clock: MockClock) -> None:
    async with served(mock()) as transport:
        adapter = make(transport, "none")
        with pytest.raises(ModelNotFoundError):
            await adapter.start()
        await adapter.shutdown()


async def test_a_chat_never_loads_by_itself(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        adapter = make(transport)
        assert (await answer(adapter))[-1].type == "error"
        await adapter.start()
        server.router.unload("a")
        await trio.sleep(UNLOAD_SECONDS + 1)
        failure(await answer(adapter), ModelEvictedError)
        await adapter.shutdown()
    assert server.router.log == ["a"]


async def test_f28_no_room_is_waited_for(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        first, second = make(transport, "a"), make(transport, "b")
        await first.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, first, 600)  # about 21 s
            await trio.sleep(1)
            await second.start()
            assert states(server) == {"a": "unloaded", "b": "loaded"}
        assert server.router.peak_resident == 1
        failure(await answer(first), ModelEvictedError)
        assert server.router.log == ["a", "b"], "a chat does not load by itself"
        await first.shutdown()
        assert states(server)["b"] == "loaded", "what is not there any more is not unloaded, nor what is another's"
        await second.shutdown()


async def test_no_room_is_waited_for_no_longer_than_a_load_may_take_and_then_nothing_is_left_to_do(
    autojump_clock: MockClock,
) -> None:
    server = mock()
    async with served(server) as transport:
        first, second = make(transport, "a"), make(transport, "b", load_timeout=5)
        await first.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, first, 600)
            await trio.sleep(1)
            with pytest.raises(AdapterTimeoutError):
                await second.start()
            began = trio.current_time()
            await second.shutdown()
            assert trio.current_time() - began < 1
        await first.shutdown()


async def test_f28_a_model_that_somebody_else_loads_at_the_same_moment_is_used_and_is_theirs(
    autojump_clock: MockClock,
) -> None:
    server = mock()
    async with served(server) as transport:
        ours, theirs = make(transport), make(transport)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.start)
            nursery.start_soon(theirs.start)
        await answer(ours)
        await answer(theirs)
        await ours.shutdown()
        await theirs.shutdown()
        assert states(server)["a"] == "unloaded"
    assert server.router.log == ["a"]


async def test_f26_a_model_that_dies_in_mid_answer_has_gone_whatever_the_stream_says(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        for end in (server.router.kill, server.router.unload):
            adapter = make(transport)
            await adapter.start()
            events = []
            async for event in adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 500})):
                events.append(event)
                if len(events) == 2:
                    end("a")
            error = failure(events, ModelEvictedError)
            assert error.retryable
            assert error.broken
            await adapter.shutdown()


@pytest.mark.parametrize("how", ["drop", "stall", "truncate", "error"])
async def test_a_broken_answer_of_a_model_that_is_there_is_no_eviction(how: Any, autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        adapter = make(transport, read_timeout=30)
        await adapter.start()
        server.faults.break_next_stream(how, after_chunks=1, message="something")
        error = (await answer(adapter))[-1].data
        assert isinstance(error, AdapterError)
        assert not isinstance(error, ModelEvictedError)
        assert (await answer(adapter))[-1].type == "end"
        await adapter.shutdown()


async def test_leaving_an_answer_closes_its_connection(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        adapter = make(transport)
        await adapter.start()
        stream = adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 500}))
        assert (await anext(stream)).type == "token"
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.abandoned == 1
        assert server.router.children["a"].users == 0
        await adapter.shutdown()


async def test_a_start_that_is_cancelled_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        for after in (0.0, 0.01, LOAD_SECONDS / 2):
            adapter = make(transport)
            with trio.move_on_after(after):
                await adapter.start()
            await adapter.shutdown()
            assert states(server)["a"] == "unloaded"


async def test_a_prompt_that_does_not_fit(autojump_clock: MockClock) -> None:
    async with served(mock()) as transport:
        adapter = make(transport)
        await adapter.start()
        long = [{"role": "user", "content": "word " * 200}]
        events = [event async for event in adapter.call(long, CallOptions())]
        assert failure(events, ContextLengthError).type == "exceed_context_size_error"
        await adapter.shutdown()


async def test_a_server_that_is_still_loading_its_only_model_is_waited_for(autojump_clock: MockClock) -> None:
    server = mock()
    loading = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
    async with served(server) as transport:
        server.router.load("a")
        for _ in range(3):
            server.faults.answer_next("/models", 503, loading)
        adapter = make(transport)
        health = await adapter.health()
        assert (health.reachable, health.ready) == (True, False)
        await adapter.start()
        assert (await adapter.health()).ready
        await adapter.shutdown()


async def test_a_server_with_one_model_has_it_loaded(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        rows = {"object": "list", "data": [{"id": "a", "object": "model", "meta": {"n_ctx": 512}}]}
        server.faults.answer_next("/models", 200, rows)
        adapter = make(transport)
        await adapter.start()
        await adapter.shutdown()
    assert "/models/load" not in server.requests
    assert "/models/unload" not in server.requests


async def test_a_model_is_found_by_its_alias(autojump_clock: MockClock) -> None:
    server = mock()
    rows = {"data": [{"id": "long-name", "aliases": ["a"], "status": {"value": "loaded"}}]}
    async with served(server) as transport:
        server.faults.answer_next("/models", 200, rows)
        adapter = make(transport)
        await adapter.start()
        await adapter.shutdown()
    assert "/models/load" not in server.requests


async def test_forwarded_bytes_reach_the_model_and_come_back(autojump_clock: MockClock) -> None:
    server = mock()
    async with served(server) as transport:
        adapter = make(transport)
        await adapter.start()
        body = b'{"model": "whatever", "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]}'
        async with adapter.forward(ForwardRequest("POST", "/v1/chat/completions", (), body)) as response:
            assert response.status == 200
            assert b'"chat.completion"' in b"".join([piece async for piece in response.body])
        await adapter.shutdown()


async def test_a_server_that_is_not_there(autojump_clock: MockClock) -> None:
    adapter = LlamaCppAdapter(AdapterConfig("llama", "a", {"base_url": "http://127.0.0.1:9"}))
    with pytest.raises(AdapterConnectError):
        await adapter.start()
    assert not (await adapter.health()).reachable
    await adapter.shutdown()


@pytest.mark.parametrize("states", [("loaded",), ("unloaded", "loaded"), ("loading", "loaded"), ("unloaded", "failed")])
async def test_a_state_that_is_a_bare_word_is_one(states: tuple[str, ...]) -> None:
    """Also under another name of the list; a list without states is that of a server with one model."""
    loads = 0

    def handle(request: Request) -> Reply:
        nonlocal loads
        loads += request.path == "/models/load"
        row = {"id": "m", "status": states[min(loads, len(states) - 1)]}
        return json_reply({"success": True} if request.path != "/models" else {"models": [row]})

    async with loopback(handle) as server:
        adapter = LlamaCppAdapter(AdapterConfig("p", "m", {"base_url": server.url}))
        if states[0] == "loading":
            with trio.move_on_after(0.3) as waiting:
                await adapter.start()
            assert waiting.cancelled_caught
        elif states[-1] == "failed":
            with pytest.raises(ModelLoadError):
                await adapter.start()
        else:
            await adapter.start()
        assert loads == (states[0] == "unloaded")
