"""What OllamaAdapter makes of every kind of answer: recorded shapes, and the ways in which they go wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from adapters import OllamaAdapter
from adapters.http.client import HttpClient
from adapters.http.stream import HttpRequest
from adapters.ollama.reader import OllamaReader
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterConfig, CallOptions, StreamEvent, ToolCall
from statemachine.errors import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    ContextLengthError,
    ModelNotFoundError,
    TruncatedStreamError,
)
from tests.adapters.events import failure, text

from .scripted import Scripted

PROMPT = [{"role": "user", "content": "hi"}]
NDJSON = "application/x-ndjson"
HEAD = {"model": "m:latest", "created_at": "2026-11-30T08:00:00.000000000Z"}
FIGURES = {
    "total_duration": 9,
    "load_duration": 1,
    "prompt_eval_count": 3,
    "prompt_eval_duration": 2,
    "eval_count": 4,
    "eval_duration": 5,
}


def line(content: object = "", done: bool = False, **more: Any) -> str:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    return json.dumps({**HEAD, "message": message, "done": done, **more}) + "\n"


def last(reason: str | None = "stop", **more: Any) -> str:
    return line("", True, done_reason=reason, **FIGURES, **more)


TEXT = line("Hello") + line(" you")


def tool(name: str, arguments: object, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


async def ask(app: Scripted, **options: Any) -> list[StreamEvent]:
    async with StreamingTransport(app) as transport:
        config = AdapterConfig("ollama", "m", {"base_url": "http://host", "read_timeout": 5})
        adapter = OllamaAdapter(config, transport=transport)
        events = [event async for event in adapter.call(PROMPT, CallOptions(**options))]
        await adapter.shutdown()
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


# ---- whole answers ----


async def test_a_text_is_streamed_with_its_figures() -> None:
    events = await ask(Scripted(TEXT, last(), kind=NDJSON))
    assert text(events) == "Hello you"
    (metadata,) = (event.data for event in events if event.type == "metadata")
    assert metadata == {
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "stats": FIGURES,
    }
    assert events[-1] == StreamEvent("end", "stop")


async def test_thinking_is_reasoning() -> None:
    thoughts = line("", message={"thinking": "let me"}) + line("", message={"thinking": " see"})
    events = await ask(Scripted(thoughts, TEXT, last("length"), kind=NDJSON))
    assert (text(events, "reasoning"), text(events)) == ("let me see", "Hello you")
    assert events[-1] == StreamEvent("end", "length")


async def test_f1_each_call_of_a_tool_is_a_call_of_its_own_with_an_id() -> None:
    first = line("", message={"tool_calls": [tool("look", {"p": "a"}, id="call_x"), tool("look", {})]})
    second = line("", message={"tool_calls": [{"function": {"index": 0, "name": "go", "arguments": '{"p":"b"}'}}]})
    events = await ask(Scripted(first, second, last(), kind=NDJSON))
    assert [event.data for event in events if event.type == "tool_call"] == [
        ToolCall(0, "call_x", "look", '{"p": "a"}'),
        ToolCall(1, "call_1", "look", "{}"),
        ToolCall(2, "call_2", "go", '{"p":"b"}'),
    ]
    assert events[-1] == StreamEvent("end", "tool_calls")


async def test_a_whole_answer_gives_the_same_events() -> None:
    body = line("Hello you", True, done_reason="stop", **FIGURES)
    streamed = await ask(Scripted(TEXT, last(), kind=NDJSON))
    whole = await ask(Scripted(body, kind="application/json"), stream=False)
    assert text(whole) == text(streamed)
    assert whole[-2:] == streamed[-2:]


# ---- oddities that are understood ----


WHOLE: Mapping[str, Any] = {
    **HEAD,
    "message": {"role": "assistant", "content": "Hello you"},
    "done": True,
    "done_reason": "stop",
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("\ufeff" + TEXT + last(), id="F14: a byte order mark"),
        pytest.param((TEXT + last()).replace("\n", "\r\n"), id="CRLF"),
        pytest.param((TEXT + last()).rstrip("\n"), id="F15: no line end at the end"),
        pytest.param("\n" + TEXT.replace("\n", "\n\n") + last(), id="blank lines"),
        pytest.param(TEXT + last() + "nonsense\n", id="F12: nonsense after the end"),
        pytest.param(TEXT + "null\n: keepalive\n" + last(), id="F12: odd lines"),
        pytest.param(json.dumps(WHOLE, indent=2), id="F9: one object over several lines"),
        pytest.param("".join(f"data: {row}\n\n" for row in (TEXT + last()).splitlines()), id="F9: server-sent events"),
        pytest.param(line(["Hello", {"text": " you"}]) + last(), id="F3: parts of text"),
        pytest.param(TEXT + last(error=""), id="F21: an empty error"),
        pytest.param(TEXT + last(None), id="no reason"),
        pytest.param('{"response": "Hello you", "done": false}\n' + last(), id="as /api/generate answers"),
    ],
)
@pytest.mark.parametrize("kind", [NDJSON, "application/json", "text/event-stream", "text/plain"])
async def test_what_is_odd_and_clear_is_understood_whatever_its_label(body: str, kind: str) -> None:
    events = await ask(Scripted(body, kind=kind))
    assert text(events) == "Hello you"
    assert events[-1].type == "end"


async def test_a_character_that_is_split_over_two_lines_is_whole() -> None:
    events = await ask(Scripted(line("\ud83d") + line("\ude00") + last(), kind=NDJSON))
    assert text(events) == "\U0001f600"


# ---- errors ----


@pytest.mark.parametrize(
    ("status", "message", "expected", "retryable"),
    [
        (400, '"m" does not support tools', AdapterRequestError, False),
        (404, 'model "m" not found, try pulling it first', ModelNotFoundError, False),
        (404, "model 'm' not found", ModelNotFoundError, False),
        (500, "llama runner process has terminated: exit status 2", AdapterError, True),
        (503, "server busy, please try again.  maximum pending requests exceeded", AdapterBusyError, True),
    ],
)
@pytest.mark.parametrize("label", [NDJSON, "application/json", "text/event-stream"])
async def test_refusals_are_typed(
    status: int, message: str, expected: type[AdapterError], retryable: bool, label: str
) -> None:
    error = failure(await ask(Scripted(json.dumps({"error": message}), status=status, kind=label)), expected)
    assert (error.status, error.retryable, error.broken) == (status, retryable, False)


async def test_an_error_in_mid_stream_comes_after_the_text_before_it() -> None:
    message = "model runner has unexpectedly stopped"
    events = await ask(Scripted(TEXT, json.dumps({"error": message}) + "\n", kind=NDJSON))
    assert text(events) == "Hello you"
    assert message in str(failure(events, AdapterError))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('{"error": "context length exceeded: n_ctx"}', ContextLengthError, id="an error with status 200"),
        pytest.param('{"error": {"code": 503, "message": "x"}}', AdapterBusyError, id="F10: a status as code"),
        pytest.param(TEXT, TruncatedStreamError, id="cut after a text"),
        pytest.param(TEXT + last()[:40], TruncatedStreamError, id="cut in the last line"),
        pytest.param("", TruncatedStreamError, id="nothing at all"),
        pytest.param(last(None), AdapterProtocolError, id="an end without an answer and a reason"),
        pytest.param(last("load"), AdapterProtocolError, id="the model was only loaded"),
        pytest.param(TEXT + last("error"), AdapterError, id="F11: an error as reason"),
        pytest.param(line(7) + last(), AdapterProtocolError, id="text that is a number"),
        pytest.param('{"message": [1], "done": false}\n' + last(), AdapterProtocolError, id="a message that is none"),
        pytest.param(TEXT + "{not json\n" + last(), AdapterProtocolError, id="a line that is no JSON"),
        pytest.param("[" * 100_000, AdapterProtocolError, id="F20: brackets"),
        pytest.param("<html>\nbusy\n</html>", AdapterProtocolError, id="a page"),
    ],
)
async def test_what_is_no_whole_answer_is_an_error(body: str, expected: type[AdapterError]) -> None:
    events = await ask(Scripted(body, kind=NDJSON))
    error = events[-1].data
    assert isinstance(error, expected), repr(events[-1])


async def test_an_end_without_text_is_whole_where_it_has_a_reason() -> None:
    """A model may have nothing to say; but it has said so."""
    assert (await ask(Scripted(last(), kind=NDJSON)))[-1] == StreamEvent("end", "stop")


async def test_a_connection_that_is_cut_and_one_that_falls_silent(autojump_clock: object) -> None:
    failure(await ask(Scripted(TEXT, kind=NDJSON, then="cut")), AdapterConnectError)
    silent = Scripted(TEXT, kind=NDJSON, then="silence")
    failure(await ask(silent), AdapterTimeoutError)
    assert silent.client_left.is_set()


# ---- bytes ----


def read(pieces: list[bytes]) -> list[StreamEvent]:
    reader = OllamaReader(HttpClient("http://host"), HttpRequest("/api/chat", {}, {}))
    events = [event for piece in pieces for event in (() if reader.closed else reader.feed(piece))]
    return events if reader.closed else [*events, *reader.finish()]


def test_where_the_bytes_are_split_makes_no_difference() -> None:
    calls = line("", message={"tool_calls": [tool("look", {"p": "\u00e9"})], "thinking": "h\u00e9"})
    body = (TEXT + calls + last()).encode()
    whole = read([body])
    assert whole[-1].type == "end"
    for place in range(1, len(body)):
        assert read([body[:place], body[place:]]) == whole
    assert read([body[i : i + 1] for i in range(len(body))]) == whole


def test_a_body_that_is_cut_anywhere_is_no_whole_answer() -> None:
    body = (TEXT + last()).encode()
    for place in range(len(body) - 2):
        assert read([body[:place]])[-1].type == "error", place
