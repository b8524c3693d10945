"""OllamaAdapter against the loopback server, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters import OllamaAdapter
from simulation.mock.ollama import MockOllama
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import AdapterConfig, CallOptions, ForwardRequest, StreamEvent
from statemachine.errors import (
    AdapterTimeoutError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
)
from tests.adapters.events import failure

PROMPT = [{"role": "user", "content": "hello"}]
LOAD_SECONDS = 10.0


def mock(**options: Any) -> MockOllama:
    models = [ModelSpec(f"{name}:latest", load_seconds=LOAD_SECONDS) for name in "ab"]
    return MockOllama(models, LatencyProfile(jitter=0), **options)


def make(transport: StreamingTransport, model: str = "a", **options: Any) -> OllamaAdapter:
    return OllamaAdapter(AdapterConfig("ollama", model, options), transport=transport)


async def answer(adapter: OllamaAdapter, tokens: int = 3, **options: Any) -> list[StreamEvent]:
    parameters = {"max_tokens": tokens}
    events = [event async for event in adapter.call(PROMPT, CallOptions(parameters=parameters, **options))]
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


async def test_a_model_is_loaded_kept_and_unloaded(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        began = trio.current_time()
        await adapter.start()
        assert LOAD_SECONDS <= trio.current_time() - began < LOAD_SECONDS + 1
        await trio.sleep(3600)  # Ollama's own time to live is five minutes
        for stream in (True, False):
            events = await answer(adapter, stream=stream)
            assert "".join(str(event.data) for event in events if event.type == "token").split()
            assert events[-1] == StreamEvent("end", "length")
            await trio.sleep(3600)
        assert [*server.runners.loaded] == ["a:latest"]
        await adapter.shutdown()
        assert [*server.runners.loaded] == []
    assert server.runners.loads == 1


async def test_what_somebody_else_loaded_is_used_and_left_with_its_own_time(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        async with server.runners.use(server.models["a:latest"], {}, 300):
            pass
        adapter = make(transport)
        await adapter.start()
        await answer(adapter)
        await adapter.shutdown()
        assert [*server.runners.loaded] == ["a:latest"]
        await trio.sleep(301)
        assert [*server.runners.loaded] == []
    assert server.runners.loads == 1


async def test_a_model_that_is_loaded_with_other_options_is_loaded_again(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        async with server.runners.use(server.models["a:latest"], {}, 300):
            pass
        adapter = make(transport, num_ctx=8192)
        await adapter.start()
        assert server.runners.loaded["a:latest"].options["num_ctx"] == 8192
        await answer(adapter)
        assert server.runners.loads == 2, "the options go with each request, so that none makes it load again"
        await adapter.shutdown()
        assert [*server.runners.loaded] == []


async def test_f6_a_model_that_came_back_with_other_options_is_not_ours(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        await adapter.start()
        async with server.runners.use(server.models["a:latest"], {"num_ctx": 512}, 300):
            pass
        error = failure(await answer(adapter), ModelEvictedError)
        assert "num_ctx" in str(error)
        await adapter.shutdown()
        assert [*server.runners.loaded] == ["a:latest"]


async def test_a_model_that_is_gone_is_noticed_before_a_call_loads_it_again(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        await adapter.start()
        server.runners.expire("a:latest")
        await trio.sleep(1)
        error = failure(await answer(adapter), ModelEvictedError)
        assert error.broken
        await adapter.shutdown()
    assert server.runners.loads == 1


async def test_a_model_that_dies_in_mid_answer_has_gone(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        await adapter.start()
        events = []
        async for event in adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 500})):
            events.append(event)
            if len(events) == 2:
                server.runners.drop("a:latest")
        failure(events, ModelEvictedError)
        await adapter.shutdown()


async def test_a_switch_unloads_before_it_loads(autojump_clock: MockClock) -> None:
    server = mock(max_loaded=2)
    async with StreamingTransport(server) as transport:
        for model in ("a", "b", "a"):
            adapter = make(transport, model)
            await adapter.start()
            await answer(adapter)
            await adapter.shutdown()
    assert (server.runners.loads, server.runners.peak_loaded) == (3, 1)


async def test_a_full_queue_is_waited_for(autojump_clock: MockClock) -> None:
    server = mock()
    busy = {"error": "server busy, please try again.  maximum pending requests exceeded"}
    server.faults.answer_next("/api/generate", 503, busy)
    server.faults.answer_next("/api/generate", 503, busy)
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        await adapter.start()
        assert [*server.runners.loaded] == ["a:latest"]
        await adapter.shutdown()
        assert [*server.runners.loaded] == []


async def test_a_load_that_fails_and_a_model_that_is_not_there(autojump_clock: MockClock) -> None:
    server = mock()
    server.faults.fail_next_load("llama runner process has terminated")
    async with StreamingTransport(server) as transport:
        for model, kind in (("a", ModelLoadError), ("none", ModelNotFoundError)):
            adapter = make(transport, model, unload_timeout=5)
            with pytest.raises(kind):
                await adapter.start()
            await adapter.shutdown()
    assert server.requests.count("/api/generate") == 2


async def test_a_load_that_takes_too_long_or_is_cancelled_leaves_nothing(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport, load_timeout=3)
        with pytest.raises(AdapterTimeoutError):
            await adapter.start()
        # the server gave the load up when its client left: it is waited for no longer than a moment
        await adapter.shutdown()
        cancelled = make(transport)
        with trio.move_on_after(3):
            await cancelled.start()
        await cancelled.shutdown()
        assert [*server.runners.loaded] == []


async def test_time_outs_of_the_first_token_and_between_two(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport, first_event_timeout=20, read_timeout=5)
        await adapter.start()
        server.faults.break_next_stream("stall", after_chunks=2)
        began = trio.current_time()
        events = await answer(adapter)
        failure(events, AdapterTimeoutError)
        assert 5 <= trio.current_time() - began < 6
        server.faults.break_next_stream("stall")
        began = trio.current_time()
        failure(await answer(adapter), AdapterTimeoutError)
        assert trio.current_time() - began == pytest.approx(20)
        await adapter.shutdown()


async def test_leaving_an_answer_closes_its_connection(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        await adapter.start()
        stream = adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 500}))
        assert (await anext(stream)).type == "token"
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.abandoned == 1
        assert server.runners.loaded["a:latest"].users == 0
        await adapter.shutdown()


async def test_forward_and_health(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        assert not (await adapter.health()).ready
        await adapter.start()
        assert (await adapter.health()).ready
        body = b'{"model": "whatever", "messages": [{"role": "user", "content": "hi"}], "options": {"num_predict": 2}}'
        async with adapter.forward(ForwardRequest("POST", "/api/chat", (), body)) as response:
            lines = b"".join([piece async for piece in response.body]).splitlines()
        assert (response.status, len(lines)) == (200, 3)
        await adapter.shutdown()


def test_names_with_and_without_a_tag() -> None:
    from adapters.ollama.server import with_tag

    assert [with_tag(name) for name in ("a", "a:7b", "host:5000/a", "host:5000/a:7b")] == [
        "a:latest",
        "a:7b",
        "host:5000/a:latest",
        "host:5000/a:7b",
    ]
