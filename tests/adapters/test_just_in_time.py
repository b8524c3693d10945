"""A call can make a server load what it names, where its instance was unloaded from outside: what it brought does not stay behind.

Between the list that shows the instance and the call that names it, the user unloads the model. Against the mock servers, in virtual time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from starlette.types import Receive, Scope, Send
from trio.testing import MockClock

from adapters import LlamaCppAdapter, LMStudioAdapter, OllamaAdapter
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.ollama import MockOllama
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import AdapterConfig, CallOptions, ForwardRequest, ModelEvictedError, StreamEvent

from .lmstudio import LOAD_SECONDS, PROMPT, A, B, answer, ids, make, mock
from .loopback import json_reply, loopback

CHATS = ("/v1/chat/completions", "/api/chat")
BODY = b'{"model":"x","messages":[{"role":"user","content":"hi"}],"max_tokens":3}'

Act = Callable[[], Awaitable[object]]


class Outside:
    """The server, and an outsider who acts when a chat is on its way: ``acts``, one for each chat."""

    def __init__(self, server: MockLMStudio | MockOllama, *acts: Act) -> None:
        self.server = server
        self.acts = list(acts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in CHATS and self.acts:
            await self.acts.pop(0)()
        await self.server(scope, receive, send)


def unload(server: MockLMStudio, instance_id: str = A) -> Act:
    return lambda: server.unload(server.resident[instance_id])


def begin_to_unload(server: MockLMStudio, nursery: trio.Nursery) -> Act:
    async def begin() -> None:
        nursery.start_soon(server.unload, server.resident[A])
        await trio.testing.wait_all_tasks_blocked()

    return begin


@asynccontextmanager
async def started(app: Outside, model: str = A, **options: Any) -> AsyncGenerator[LMStudioAdapter, None]:
    async with StreamingTransport(app) as transport:
        adapter = make(transport, model, **options)
        await adapter.start()
        yield adapter


async def forwarded(adapter: LMStudioAdapter) -> None:
    async with adapter.forward(ForwardRequest("POST", CHATS[0], (), BODY)) as response:
        assert [piece async for piece in response.body]


async def called(adapter: LMStudioAdapter) -> None:
    assert (await answer(adapter, parameters={"max_tokens": 3}))[-1].type == "end"


@pytest.mark.parametrize("ask", [called, forwarded])
@pytest.mark.parametrize("options", [{}, {"context_length": 2048}, {"parallel": 2, "flash_attention": False}])
@pytest.mark.parametrize("how", ["unloaded", "unloading"])
async def test_what_a_call_loaded_is_unloaded(
    ask: Callable[[LMStudioAdapter], Awaitable[None]],
    options: dict[str, Any],
    how: str,
    autojump_clock: MockClock,
    nursery: trio.Nursery,
) -> None:
    """Under the same id or the next one, with the configuration that was asked for or the server's own."""
    server = mock()
    app = Outside(server, unload(server) if how == "unloaded" else begin_to_unload(server, nursery))
    async with started(app, **options) as adapter:
        await ask(adapter)
        assert server.counters.loads == 2
        with trio.fail_after(5):
            await adapter.shutdown()
    assert ids(server) == []


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("calls", [1, 2])
async def test_a_load_of_a_call_that_was_left_is_waited_for(
    calls: int, foreign: bool, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Two first calls load two copies. It is the same where the instance before had been loaded by another program."""
    server = mock()
    if foreign:
        await server.load(server.models[A], {})
    unloading = trio.Event()

    async def last() -> None:
        await begin_to_unload(server, nursery)()
        unloading.set()

    async with started(Outside(server, *[unloading.wait] * (calls - 1), last)) as adapter:
        with trio.move_on_after(LOAD_SECONDS / 2):
            async with trio.open_nursery() as callers:
                for _ in range(calls):
                    callers.start_soon(answer, adapter)
        assert server.counters.loads == 1, "the loads are under way"
        await adapter.shutdown()
    assert ids(server) == []
    assert server.counters.loads == 1 + calls


async def test_a_call_that_timed_out_is_one_that_was_left(autojump_clock: MockClock) -> None:
    server = mock()
    async with started(Outside(server, unload(server)), first_event_timeout=LOAD_SECONDS / 2) as adapter:
        (event,) = await answer(adapter)
        assert isinstance(event.data, ModelEvictedError)
        await adapter.shutdown()
    assert (ids(server), server.counters.loads) == ([], 2)


async def test_a_server_that_loads_on_no_call_is_not_waited_for(autojump_clock: MockClock) -> None:
    server = mock(jit=False)
    async with started(Outside(server, unload(server))) as adapter:
        with trio.move_on_after(0.5):
            await answer(adapter)
        await trio.sleep(5)
        with trio.fail_after(0.5):
            await adapter.shutdown()
    assert (ids(server), server.counters.loads) == ([], 1)


async def test_a_call_that_was_left_at_work_is_not_waited_for(autojump_clock: MockClock) -> None:
    """The instance was there then, and is gone later; also where something of the answer had come."""
    server = mock()
    async with started(Outside(server)) as adapter:
        with trio.move_on_after(0.001):
            await answer(adapter)
        await server.unload(server.resident[A])
        with trio.fail_after(2):
            await adapter.shutdown()
    async with started(Outside(server)) as adapter:
        events = adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 1000}))
        assert (await anext(events)).type == "token"
        await events.aclose()
        await server.unload(server.resident[A])
        with trio.fail_after(2):
            await adapter.shutdown()
    assert ids(server) == []


async def test_a_copy_that_another_program_loads_meanwhile_is_left_alone(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    server = mock()
    async with started(Outside(server, partial(server.load, server.models[A], {}))) as adapter:
        await called(adapter)
        await called(adapter)
        await adapter.shutdown()
    assert ids(server) == [f"{A}:2"]


@pytest.mark.parametrize("when", ["between two calls", "in the middle of an answer", "before a first call"])
async def test_what_the_user_loads_anew_is_left_alone(
    when: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = mock()

    async def anew() -> None:
        await server.unload(server.resident[A])
        await server.load(server.models[A], {"context_length": 8192})

    async with started(Outside(server)) as adapter:
        if when == "between two calls":
            await called(adapter)
        if when == "in the middle of an answer":
            events = adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 1000}))
            assert (await anext(events)).type == "token"
            await anew()
            assert isinstance([event async for event in events][-1].data, ModelEvictedError)
        else:
            await anew()
            assert isinstance((await answer(adapter))[-1].data, ModelEvictedError)
        with caplog.at_level(logging.WARNING):
            await adapter.shutdown()
    assert (ids(server), "left loaded" in caplog.text) == ([A], True)


async def test_the_next_call_learns_that_the_last_was_answered_by_another_instance(autojump_clock: MockClock) -> None:
    server = mock()
    async with started(Outside(server, unload(server)), context_length=2048) as adapter:
        await called(adapter)
        (event,) = await answer(adapter)
        assert isinstance(event.data, ModelEvictedError)
        assert "context_length" in str(event.data)
        await adapter.shutdown()
    assert ids(server) == []


# ---- other servers ----


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("foreign", [False, True])
async def test_ollama_loads_on_every_call(left: bool, foreign: bool, autojump_clock: MockClock) -> None:
    """Where the model before was another program's, a call that was answered has left it as it was found: loaded, with its own time."""
    server = MockOllama([ModelSpec("m:latest", load_seconds=LOAD_SECONDS)], LatencyProfile(jitter=0))

    async def outside(keep_alive: float) -> None:
        async with StreamingTransport(server) as transport:
            other = OllamaAdapter(AdapterConfig("o", "m", {"keep_alive": keep_alive}), transport=transport)
            await (other._server.load() if keep_alive else other._server.unload("m:latest"))

    if foreign:
        await outside(300)
    async with StreamingTransport(Outside(server, partial(outside, 0))) as transport:
        adapter = OllamaAdapter(AdapterConfig("o", "m", {}), transport=transport)
        await adapter.start()
        events: list[StreamEvent] = []
        with trio.move_on_after(LOAD_SECONDS / 2 if left else 1000):
            events = [event async for event in adapter.call(PROMPT, CallOptions(parameters={"max_tokens": 3}))]
        assert bool(events) is not left
        await adapter.shutdown()
    await trio.sleep(2 * LOAD_SECONDS)
    assert len(server.runners.loaded) == (foreign and not left)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/chat/completions?a=1&autoload=true"])
async def test_llamacpp_is_told_not_to_load_with_every_request(path: str) -> None:
    row = {"id": B, "status": {"value": "loaded"}}
    async with loopback(lambda _: json_reply({"data": [row], "choices": [{"message": {"content": "x"}}]})) as server:
        adapter = LlamaCppAdapter(AdapterConfig("l", B, {"base_url": server.url}))
        await adapter.start()
        async with adapter.forward(ForwardRequest("POST", path, (), BODY)) as response:
            assert response.status == 200
        assert [event.type async for event in adapter.call(PROMPT, CallOptions())] == ["token", "end"]
        await adapter.shutdown()
    asked = [request.path for request in server.requests if request.method == "POST"]
    assert len(asked) == 2
    assert all("?autoload=false" in path for path in asked), "the first one counts"
