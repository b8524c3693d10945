"""The wire of OpenAI-compatible chats: requests, and answers of every documented shape."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest
import trio
import trio.testing

from adapters.http.bounds import Bounds
from adapters.http.chat import stream_chat
from adapters.http.client import HttpClient
from adapters.http.lines import LINE_LIMIT_BYTES
from adapters.http.messages import chat_request
from simulation.mock.transport import StreamingTransport
from statemachine import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterTimeoutError,
    CallOptions,
    ConfigurationError,
    ContextLengthError,
    ModelEvictedError,
    StreamEvent,
    ToolCall,
    TruncatedStreamError,
)

from .scripted import DONE, OVERFLOW, PROMPT, TOKEN, USAGE, Scripted, ask, chunk, openai


def test_the_body_of_a_request() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    options = CallOptions(parameters={"temperature": 0, "extra_headers": {"X-Hint": "1"}, "stop": ("a",)}, tools=[tool])
    request = chat_request("m:2", PROMPT, options)
    assert request.body == {
        "model": "m:2",
        "messages": PROMPT,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [tool],
        "temperature": 0,
        "stop": ("a",),
    }
    assert request.headers == {"X-Hint": "1"}
    assert TOKEN not in repr(request)


def test_a_request_for_a_whole_answer() -> None:
    assert chat_request("m", PROMPT, CallOptions(stream=False)).body == {
        "model": "m",
        "messages": PROMPT,
        "stream": False,
    }


def test_stream_options_can_be_given() -> None:
    parameters = {"stream_options": {"include_usage": False}}
    assert chat_request("m", PROMPT, CallOptions(parameters=parameters)).body["stream_options"] == {
        "include_usage": False
    }


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"model": "x"}, "parameters.model"),
        ({"messages": []}, "parameters.messages"),
        ({"stream": False}, "parameters.stream"),
        ({"tools": []}, "parameters.tools"),
        ({"extra_headers": "X: y"}, "parameters.extra_headers"),
        ({"extra_headers": {"X Y": "z"}}, "parameters.extra_headers"),
        ({"extra_headers": {"X": 1}}, "parameters.extra_headers.X"),
        ({"extra_headers": {"X": "sk-secret\r\nY: z"}}, "parameters.extra_headers.X"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chat_request("m", PROMPT, CallOptions(parameters=parameters))
    assert caught.value.field == field
    assert "sk-secret" not in str(caught.value)


def test_bad_messages_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"prompt\[1\]\.content"):
        chat_request("m", [*PROMPT, {"role": "user", "content": b"x"}], CallOptions())


async def test_a_streamed_answer() -> None:
    app = Scripted(
        chunk({"role": "assistant", "content": None}),
        chunk({"reasoning_content": "hm"}),
        chunk({"reasoning": ", well"}),
        ": ping\n\n",
        chunk({"content": "He"}) + chunk({"content": "llo"}),
        chunk({"content": ""}),
        chunk({}, "stop"),
        chunk(usage=USAGE),
        DONE,
    )
    assert await ask(app) == [
        StreamEvent("reasoning", "hm"),
        StreamEvent("reasoning", ", well"),
        StreamEvent("token", "He"),
        StreamEvent("token", "llo"),
        StreamEvent("metadata", {"usage": USAGE}),
        StreamEvent("end", "stop"),
    ]
    assert app.headers[b"authorization"] == f"Bearer {TOKEN}".encode()


async def test_tool_calls_come_in_fragments() -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    app = Scripted(
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk(
            {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}, {"index": 1, "function": {"name": "g"}}]}
        ),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert [event.data for event in await ask(app)] == [
        ToolCall(0, "call_1", "f", ""),
        ToolCall(0, None, None, '{"a"'),
        ToolCall(0, None, None, ": 1}"),
        ToolCall(1, None, "g", ""),
        ToolCall(1, None, None, "{}"),
        "tool_calls",
    ]


WHOLE = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Hello",
                "reasoning": "hm",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
        },
        {"index": 1, "finish_reason": "stop", "message": {"content": "another choice"}},
    ],
    "usage": USAGE,
    "stats": {},
}


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_in_one_piece_becomes_the_same_events(stream: bool) -> None:
    app = Scripted(json.dumps(WHOLE, indent=2), kind="application/json; charset=utf-8")
    assert await ask(app, stream=stream) == [
        StreamEvent("reasoning", "hm"),
        StreamEvent("token", "Hello"),
        StreamEvent("tool_call", ToolCall(0, "a", "f", "{}")),
        StreamEvent("tool_call", ToolCall(1, "b", "g", "{}")),
        StreamEvent("metadata", {"usage": USAGE}),
        StreamEvent("end", "tool_calls"),
    ]
    assert app.body["stream"] is stream


@pytest.mark.parametrize(
    ("rest", "closing"),
    [
        ([chunk({}, "stop"), DONE], "stop"),
        ([chunk({}, "stop")], "stop"),
        ([chunk({}, "length"), "data: [DO"], "length"),
        ([DONE], None),
        ([chunk({}, "stop"), "data: [DONE]\n"], "stop"),
    ],
)
async def test_how_answers_end(rest: list[str], closing: str | None) -> None:
    events = await ask(Scripted(chunk({"content": "x"}), *rest))
    assert events == [StreamEvent("token", "x"), StreamEvent("end", closing)]


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        # with a status
        (Scripted(json.dumps(openai("Model unloaded")), status=400, kind="application/json"), ModelEvictedError),
        (Scripted("", status=429, kind="text/plain"), AdapterBusyError),
        # with status 200
        (Scripted(json.dumps(openai("Model unloaded")), kind="application/json"), ModelEvictedError),
        (
            Scripted('{"error": "Unexpected endpoint or method. (POST /x)"}', kind="application/json"),
            AdapterProtocolError,
        ),
        (Scripted("<html>", kind="text/html"), AdapterProtocolError),
        (Scripted("[1]", kind="application/json"), AdapterProtocolError),
        (Scripted("{}", kind="application/json"), AdapterProtocolError),
        # inside a stream
        (Scripted(f"data: {json.dumps(openai('Model unloaded.'))}\n\n"), ModelEvictedError),
        (Scripted(f"data: {json.dumps({'error': OVERFLOW})}\n\n", then="silence"), ContextLengthError),
        (Scripted('event: error\ndata: {"message": "Model unloaded."}\n\n'), ModelEvictedError),
        (Scripted('event: error\ndata: {"error": {}, "message": "Model unloaded."}\n\n'), ModelEvictedError),
        (Scripted("event: error\ndata: Model unloaded.\n\n"), ModelEvictedError),
        (Scripted("event: error\n\n"), AdapterError),
        (Scripted("data: {nonsense\n\n"), AdapterProtocolError),
        (Scripted("data: 7\n\n"), AdapterProtocolError),
        (Scripted(b"data: " + b"x" * (LINE_LIMIT_BYTES + 1)), AdapterProtocolError),
        # no answer at all
        (Scripted(DONE), AdapterProtocolError),
        (Scripted(chunk({"role": "assistant"}), chunk(usage=USAGE), DONE), AdapterProtocolError),
        (Scripted(), TruncatedStreamError),
        (Scripted(chunk({"content": "x"})), TruncatedStreamError),
        (Scripted(chunk({"content": "x"}), then="cut"), AdapterConnectError),
        (Scripted(chunk({"content": "x"}), then="silence"), AdapterTimeoutError),
        (Scripted(then="silence"), AdapterTimeoutError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_failures_are_the_closing_event(
    app: Scripted, kind: type[AdapterError], autojump_clock: trio.testing.MockClock
) -> None:
    last = (await ask(app))[-1]
    assert last.type == "error"
    assert type(last.data) is kind
    assert str(last.data).startswith("http://host: ")


@pytest.mark.parametrize(
    "body", ['{"choices": 7}', '{"choices": [7]}', '{"choices": [{"delta": 7, "message": []}], "usage": 0}']
)
async def test_members_of_another_type_are_no_answer(body: str) -> None:
    for app in (Scripted(f"data: {body}\n\n", DONE), Scripted(body, kind="application/json")):
        (event,) = await ask(app)
        assert type(event.data) is AdapterProtocolError


async def test_pieces_that_are_nothing_are_left_out() -> None:
    delta: dict[str, Any] = {"content": [], "reasoning": [], "tool_calls": {}}
    app = Scripted(chunk(delta), chunk({"tool_calls": [None, {}], "content": "x"}), chunk({}, "stop"), DONE)
    assert await ask(app) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]


async def test_what_a_header_of_one_call_holds_does_not_come_back() -> None:
    error = '{"error": "bad header: Token abcdef123456"}'
    for app in (Scripted(error, status=400, kind="application/json"), Scripted(f"data: {error}\n\n")):
        (event,) = await ask(app, parameters={"extra_headers": {"X-Auth": "Token abcdef123456"}})
        assert app.headers[b"x-auth"] == b"Token abcdef123456"
        assert "extra_headers" not in app.body
        assert "abcdef" not in str(event.data)


async def test_the_token_cannot_be_overridden_by_one_call() -> None:
    app = Scripted(chunk({}, "stop"), DONE)
    await ask(app, parameters={"extra_headers": {"Authorization": "Basic x"}})
    assert app.headers[b"authorization"] == f"Bearer {TOKEN}".encode()


async def test_a_token_reaches_the_reader_when_it_is_sent(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(chunk({"content": "x"}), then="silence")
    async with StreamingTransport(app) as transport:
        http = HttpClient("http://host", bounds=Bounds.of({"read_timeout": 60}), transport=transport)
        began = trio.current_time()
        async with aclosing(stream_chat(http, chat_request("m", PROMPT, CallOptions()))) as events:
            assert await anext(events) == StreamEvent("token", "x")
            assert trio.current_time() == began
        await app.client_left.wait()  # leaving early is seen by the server, at once
        assert trio.current_time() == began


async def test_a_server_that_goes_on_after_the_end_is_left_soon(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(chunk({}, "stop"), DONE, then="silence")
    began = trio.current_time()
    assert await ask(app, read_timeout=None) == [StreamEvent("end", "stop")]
    assert trio.current_time() - began < 1


async def test_a_cancelled_reader_stops_at_once(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(chunk({"content": "x"}), then="silence")
    async with StreamingTransport(app) as transport:
        http = HttpClient("http://host", bounds=Bounds.of({"read_timeout": None}), transport=transport)
        began = trio.current_time()
        with trio.move_on_after(3) as scope:
            async for _ in stream_chat(http, chat_request("m", PROMPT, CallOptions())):
                pass
        assert scope.cancelled_caught
        await app.client_left.wait()
        assert trio.current_time() - began == pytest.approx(3)
