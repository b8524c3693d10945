"""AnthropicAdapter against the loopback server, in virtual time, and its options."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters import AnthropicAdapter
from simulation.mock.anthropic import MockAnthropic
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterConfig, CallOptions, ForwardRequest, StreamEvent, ToolCall
from statemachine.errors import (
    AdapterBusyError,
    AdapterError,
    AdapterTimeoutError,
    AuthenticationError,
    ModelNotFoundError,
)
from tests.adapters.events import failure, text

PROMPT = [{"role": "user", "content": "hello"}]
KEY = "sk-ant-0123456789"
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def mock(**options: Any) -> MockAnthropic:
    return MockAnthropic(["claude"], api_key=KEY, first_token_seconds=1, token_seconds=0.1, **options)


def make(transport: StreamingTransport, model: str = "claude", **options: Any) -> AnthropicAdapter:
    config = AdapterConfig("anthropic", model, {"base_url": "http://host", "api_token": KEY, **options})
    return AnthropicAdapter(config, transport=transport)


async def answer(adapter: AnthropicAdapter, prompt: Any = PROMPT, **options: Any) -> list[StreamEvent]:
    events = [event async for event in adapter.call(prompt, CallOptions(**options))]
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


async def test_a_streamed_answer_and_a_whole_one_are_the_same(autojump_clock: MockClock) -> None:
    async with StreamingTransport(mock()) as transport:
        adapter = make(transport)
        streamed, whole = [
            await answer(adapter, parameters={"max_tokens": 5}, stream=stream) for stream in (True, False)
        ]
        await adapter.shutdown()
    assert text(streamed).strip() == text(whole).strip() != ""
    assert streamed[-1] == whole[-1] == StreamEvent("end", "length")
    assert streamed[-2].type == "metadata"


async def test_a_conversation_with_thinking_and_a_tool(autojump_clock: MockClock) -> None:
    server = mock()
    parameters = {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        first = await answer(adapter, parameters=parameters, tools=[LOOK])
        assert first[-1] == StreamEvent("end", "tool_calls")
        pieces = [event.data for event in first if isinstance(event.data, ToolCall)]
        call = {
            "id": pieces[0].id,
            "type": "function",
            "function": {"name": pieces[0].name, "arguments": "".join(piece.arguments for piece in pieces)},
        }
        metadata = next(event.data for event in first if event.type == "metadata")
        prompt = [
            *PROMPT,
            {"role": "assistant", "tool_calls": [call], "thinking_blocks": metadata["thinking_blocks"]},  # type: ignore[index]
            {"role": "tool", "tool_call_id": pieces[0].id, "content": "a garden"},
        ]
        second = await answer(adapter, prompt, parameters=parameters, tools=[LOOK])
        await adapter.shutdown()
    assert text(first, "reasoning")
    assert text(second)
    blocks = server.bodies[1]["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert (blocks[0]["signature"], blocks[1]["input"]) == ("bW9jaw==", {"place": "example"})


async def test_an_overload_is_busy_and_says_when_to_try_again(autojump_clock: MockClock) -> None:
    server = mock()
    server.refuse_next(529, "overloaded_error", "Overloaded", retry_after=7)
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        error = failure(await answer(adapter), AdapterBusyError)
        await adapter.shutdown()
    assert (error.status, error.type, error.retry_after, error.retryable) == (529, "overloaded_error", 7, True)


@pytest.mark.parametrize(
    ("model", "key", "kind"),
    [("none", KEY, ModelNotFoundError), ("claude", "sk-ant-another-key", AuthenticationError)],
)
async def test_refusals(model: str, key: str, kind: type[AdapterError], autojump_clock: MockClock) -> None:
    async with StreamingTransport(mock()) as transport:
        adapter = make(transport, model, api_token=key)
        error = failure(await answer(adapter), kind)
        await adapter.shutdown()
    assert not error.retryable
    assert key not in str(error)


async def test_the_key_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with StreamingTransport(mock()) as transport:
        adapter = AnthropicAdapter(
            AdapterConfig("anthropic", "claude", {"base_url": "http://host"}), transport=transport
        )
        assert (await answer(adapter))[-1].type == "end"
        await adapter.shutdown()


async def test_time_outs_of_the_first_event_and_between_two(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport, first_event_timeout=20, read_timeout=5)
        server.faults.break_next_stream("stall", after_chunks=2)
        began = trio.current_time()
        failure(await answer(adapter), AdapterTimeoutError)
        assert 6 <= trio.current_time() - began < 7
        server.faults.break_next_stream("stall")
        began = trio.current_time()
        failure(await answer(adapter), AdapterTimeoutError)
        assert trio.current_time() - began == pytest.approx(20)
        await adapter.shutdown()


async def test_leaving_an_answer_closes_its_connection(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        stream = adapter.call(PROMPT, CallOptions())
        assert (await anext(stream)).type == "token"
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.abandoned == 1
        await adapter.shutdown()


async def test_forward_and_health(autojump_clock: MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        assert (await adapter.health()).ready
        body = b'{"model": "whatever", "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]}'
        headers = (("anthropic-version", "2023-06-01"), ("x-api-key", "the client's own"))
        async with adapter.forward(ForwardRequest("POST", "/v1/messages", headers, body)) as response:
            assert response.status == 200
            assert b'"max_tokens"' in b"".join([piece async for piece in response.body])
        wrong = make(transport, api_token="sk-ant-another-key")
        health = await wrong.health()
        assert (health.reachable, health.ready) == (True, False)
        for each in (adapter, wrong):
            await each.shutdown()


def test_what_the_class_declares() -> None:
    assert AnthropicAdapter.is_local is False
    assert AnthropicAdapter.default_base_url == "https://api.anthropic.com"
