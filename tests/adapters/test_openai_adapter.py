"""OpenAIAdapter, against a loopback server: both of its endpoints, credentials, refusals, and requests that are passed on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from adapters import OpenAIAdapter
from adapters.http.health import Health
from statemachine import (
    AdapterBusyError,
    AdapterConfig,
    AdapterError,
    AdapterRequestError,
    AuthenticationError,
    CallOptions,
    ConfigurationError,
    ForwardRequest,
    StreamEvent,
    ToolCall,
)

from .loopback import Loopback, Reply, Request, json_reply, loopback, stream_reply
from .scripted import DONE, PROMPT, USAGE, chunk, openai

KEY = "sk-proj-0123456789abcdef"


@asynccontextmanager
async def endpoint(
    handler: Callable[[Request], Reply], path: str = "/v1", **options: Any
) -> AsyncIterator[tuple[Loopback, OpenAIAdapter]]:
    async with loopback(handler) as server:
        adapter = OpenAIAdapter(AdapterConfig("openai", "gpt-x", {"base_url": server.url + path, **options}))
        yield server, adapter
        await adapter.shutdown()


async def answer(adapter: OpenAIAdapter, **options: Any) -> list[StreamEvent]:
    return [event async for event in adapter.call(PROMPT, CallOptions(**options))]


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}


async def test_a_chat_with_tool_calls_and_usage() -> None:
    frames = [
        chunk({"role": "assistant", "content": "Hi"}),
        chunk({"tool_calls": [CALL]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk({}, "tool_calls"),
        chunk(usage=USAGE),
        DONE,
    ]
    async with endpoint(lambda _: stream_reply(*frames), api_key=KEY, headers={"OpenAI-Project": "p1"}) as (
        server,
        adapter,
    ):
        assert await answer(adapter, parameters={"temperature": 0}) == [
            StreamEvent("token", "Hi"),
            StreamEvent("tool_call", ToolCall(0, "call_1", "f", '{"a"')),
            StreamEvent("tool_call", ToolCall(0, None, None, ": 1}")),
            StreamEvent("metadata", {"usage": USAGE}),
            StreamEvent("end", "tool_calls"),
        ]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["openai-project"] == "p1"
    assert request.json["model"] == "gpt-x"
    assert request.json["temperature"] == 0


@pytest.mark.parametrize(
    ("given", "chat"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/v1beta/openai", "/v1beta/openai/chat/completions"),
        ("/api/v3/", "/api/v3/chat/completions"),
    ],
)
async def test_where_an_endpoint_is(given: str, chat: str) -> None:
    async with endpoint(lambda _: stream_reply(chunk({"content": "x"}, "stop"), DONE), given) as (server, adapter):
        assert (await answer(adapter))[-1] == StreamEvent("end", "stop")
        request = ForwardRequest("POST", "/v1/chat/completions", body=b'{"model":"gpt-x"}')
        async with adapter.forward(request) as response:
            assert response.status == 200
    assert [request.path for request in server.requests] == [chat, chat]


async def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    frames = (chunk({"content": "x"}, "stop"), DONE)
    for options, sent in (
        ({}, f"Bearer {KEY}"),
        ({"api_token": None}, None),
        ({"api_key": "other-key"}, "Bearer other-key"),
    ):
        async with endpoint(lambda _: stream_reply(*frames), **options) as (server, adapter):
            await answer(adapter)
        assert server.requests[0].headers.get("authorization") == sent
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret \n")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        OpenAIAdapter(AdapterConfig("openai", "m", {}))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("api", "x"),
        ("headers", {"A B": "c"}),
        ("headers", "x"),
        ("api_key", "a b"),
        ("organization", "x"),
        ("max_line_bytes", 0),
    ],
)
def test_bad_options_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"adapter_options\.{option}"):
        OpenAIAdapter(AdapterConfig("openai", "m", {option: value}))


def test_two_names_for_one_key() -> None:
    with pytest.raises(ConfigurationError, match="one of them"):
        OpenAIAdapter(AdapterConfig("openai", "m", {"api_key": "a", "api_token": "b"}))


QUOTA = openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota")


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "retryable", "retry_after"),
    [
        (429, openai("slow down", "rate_limit_exceeded"), {"Retry-After": "7"}, AdapterBusyError, True, 7),
        (429, openai("slow down"), {"retry-after-ms": "1500", "Retry-After": "9"}, AdapterBusyError, True, 1.5),
        (429, openai("slow down"), {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, AdapterBusyError, True, 0),
        (429, openai("slow down"), {"Retry-After": "9" * 19}, AdapterBusyError, True, 86_400),
        (429, openai("slow down"), {"Retry-After": "soon"}, AdapterBusyError, True, None),
        (429, QUOTA, {"Retry-After": "3"}, AdapterRequestError, False, 3),
        (503, {}, {"Retry-After": "2"}, AdapterBusyError, True, 2),
        (529, {"error": {"type": "overloaded_error"}}, {}, AdapterBusyError, True, None),
        (529, {}, {}, AdapterBusyError, True, None),
        (501, {}, {}, AdapterError, False, None),
        (500, {}, {}, AdapterError, True, None),
        (401, openai("Incorrect API key", "invalid_api_key"), {}, AuthenticationError, False, None),
    ],
)
async def test_r21_what_refusals_mean(
    status: int,
    body: object,
    headers: dict[str, str],
    kind: type[AdapterError],
    retryable: bool,
    retry_after: float | None,
) -> None:
    reply = Reply([json.dumps(body).encode()], status, headers)
    async with endpoint(lambda _: reply) as (_, adapter):
        for stream in (True, False):
            (event,) = await answer(adapter, stream=stream)
            assert isinstance(event.data, AdapterError)
            assert type(event.data) is kind
            assert (event.data.status, event.data.retryable, event.data.retry_after) == (status, retryable, retry_after)


# ---- responses ----


def typed(kind: str, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


DONE_RESPONSE = {"status": "completed", "usage": {"input_tokens": 1}, "error": None}
FUNCTION = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


async def test_a_streamed_response() -> None:
    frames = [
        typed("response.created", response={"status": "in_progress", "error": None}),
        typed("response.reasoning_summary_text.delta", delta="hm"),
        typed("response.output_text.delta", delta="Hi", output_index=0),
        typed("response.output_item.added", output_index=1, item=FUNCTION),
        typed("response.function_call_arguments.delta", output_index=1, delta='{"a"'),
        typed("response.function_call_arguments.delta", output_index=1, delta=": 1}"),
        typed("response.output_text.done", text="Hi"),
        typed("response.completed", response=DONE_RESPONSE),
    ]
    prompt: list[dict[str, Any]] = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:x"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "7"},
    ]
    async with endpoint(lambda _: stream_reply(*frames), api="responses") as (server, adapter):
        call = adapter.call(prompt, CallOptions(parameters={"max_tokens": 5}, tools=[TOOL]))
        assert [(event.type, event.data) async for event in call] == [
            ("reasoning", "hm"),
            ("token", "Hi"),
            ("tool_call", ToolCall(0, "call_1", "f", "")),
            ("tool_call", ToolCall(0, None, None, '{"a"')),
            ("tool_call", ToolCall(0, None, None, ": 1}")),
            ("metadata", {"usage": {"input_tokens": 1}}),
            ("end", "tool_calls"),
        ]
    assert server.requests[0].path == "/v1/responses"
    assert server.requests[0].json == {
        "model": "gpt-x",
        "stream": True,
        "max_output_tokens": 5,
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "data:x"}],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "7"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
    }


async def test_a_whole_response() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    body = {**DONE_RESPONSE, "output": [reasoning, message, {**FUNCTION, "arguments": "{}"}]}
    async with endpoint(lambda _: json_reply(body), api="responses") as (_, adapter):
        assert [(event.type, event.data) for event in await answer(adapter, stream=False)] == [
            ("reasoning", "hm"),
            ("token", "Hi"),
            ("tool_call", ToolCall(0, "call_1", "f", "{}")),
            ("metadata", {"usage": {"input_tokens": 1}}),
            ("end", "tool_calls"),
        ]


def closing_frame(kind: str, **response: Any) -> str:
    return typed(f"response.{kind}", response={"status": kind, **response})


@pytest.mark.parametrize(
    "told", [("completed",), ("items", "completed"), ("piece", "items", "completed"), ("piece", "completed")]
)
async def test_f03_items_of_a_response_that_come_without_their_pieces(told: tuple[str, ...]) -> None:
    output: list[dict[str, Any]] = [
        {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    ]
    done = [
        {"type": "response.output_item.done", "output_index": index, "item": item} for index, item in enumerate(output)
    ]
    completed = {"type": "response.completed", "response": {"status": "completed", "output": output}}
    piece = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}
    events: dict[str, list[dict[str, Any]]] = {"items": done, "completed": [completed], "piece": [piece]}
    frames = [f"data: {json.dumps(event)}\n\n" for name in told for event in events[name]]
    async with endpoint(lambda _: stream_reply(*frames), api="responses") as (_, adapter):
        read = [event.data async for event in adapter.call(PROMPT, CallOptions())]
    assert read == ["Hi", ToolCall(0, "a", "f", "{}"), "tool_calls"]


@pytest.mark.parametrize(
    ("frame", "closing"),
    [
        (closing_frame("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (closing_frame("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (closing_frame("failed", error={"code": "rate_limit_exceeded", "message": "m"}), AdapterBusyError),
        (closing_frame("failed"), AdapterError),
        (typed("error", code="rate_limit_exceeded", message="m"), AdapterBusyError),
        ("", AdapterError),
    ],
)
async def test_how_responses_end(frame: str, closing: object) -> None:
    text = typed("response.output_text.delta", delta="Hi")
    async with endpoint(lambda _: stream_reply(text, frame), api="responses") as (_, adapter):
        events = await answer(adapter)
    assert events[0] == StreamEvent("token", "Hi")
    if isinstance(closing, str):
        assert events[-1] == StreamEvent("end", closing)
    else:
        assert isinstance(closing, type)
        assert isinstance(events[-1].data, closing)


async def test_health() -> None:
    async with endpoint(lambda _: json_reply({"data": []})) as (_, adapter):
        health = await adapter.health()
        assert health == Health(reachable=True, ready=True, detail="")
        with pytest.raises(FrozenInstanceError):
            health.ready = False  # type: ignore[misc]
    async with endpoint(lambda _: json_reply({}, 401)) as (_, adapter):
        health = await adapter.health()
        assert (health.reachable, health.ready) == (True, False)
        assert "credentials" in health.detail
    adapter = OpenAIAdapter(AdapterConfig("openai", "m", {"base_url": "http://127.0.0.1:9"}))
    assert not (await adapter.health()).reachable
    await adapter.shutdown()
