"""What AnthropicAdapter makes of every kind of answer: recorded shapes, and the ways in which they go wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from adapters import AnthropicAdapter
from adapters.anthropic.reader import MessagesReader
from adapters.http.client import HttpClient
from adapters.http.stream import HttpRequest
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterConfig, CallOptions, StreamEvent, ToolCall
from statemachine.errors import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterTimeoutError,
    AuthenticationError,
    ModelNotFoundError,
    TruncatedStreamError,
)
from tests.adapters.events import failure, text

from .scripted import Scripted

PROMPT = [{"role": "user", "content": "hi"}]
KEY = "sk-ant-0123456789"


def frame(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


def start(index: int, **block: Any) -> str:
    return frame("content_block_start", index=index, content_block=block)


def delta(index: int, **delta: Any) -> str:
    return frame("content_block_delta", index=index, delta=delta)


def stop(index: int) -> str:
    return frame("content_block_stop", index=index)


USAGE = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}
OPENING = frame(
    "message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": USAGE}
)
PING = frame("ping")
TEXT = (
    start(0, type="text", text="")
    + delta(0, type="text_delta", text="Hello")
    + delta(0, type="text_delta", text=" you")
    + stop(0)
)
STOP = frame("message_stop")


def closing(reason: str | None = "end_turn", **usage: Any) -> str:
    return frame(
        "message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage or {"output_tokens": 7}
    )


async def ask(app: Scripted, **options: Any) -> list[StreamEvent]:
    async with StreamingTransport(app) as transport:
        config = AdapterConfig("anthropic", "claude", {"base_url": "http://host", "api_token": KEY, "read_timeout": 5})
        adapter = AnthropicAdapter(config, transport=transport)
        events = [event async for event in adapter.call(PROMPT, CallOptions(**options))]
        await adapter.shutdown()
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


def calls(events: list[StreamEvent]) -> list[tuple[int, str | None, str | None, str]]:
    """Every call of a tool, put together: number, id, name, arguments."""
    found: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event.data, ToolCall):
            call = found.setdefault(event.data.index, [None, None, ""])
            call[0], call[1] = event.data.id or call[0], event.data.name or call[1]
            call[2] += event.data.arguments
    return [(number, *call) for number, call in found.items()]


def metadata(events: list[StreamEvent]) -> Mapping[str, Any]:
    (found,) = (event.data for event in events if event.type == "metadata")
    assert isinstance(found, Mapping)
    return found


# ---- whole answers ----


async def test_a_text_is_streamed_and_its_usage_told_in_openais_words_too() -> None:
    events = await ask(Scripted(OPENING, PING, TEXT, closing(), STOP))
    assert text(events) == "Hello you"
    assert events[-1] == StreamEvent("end", "stop")
    usage = metadata(events)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (15, 7, 22)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 5}


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("a_new_one", "a_new_one"),
    ],
)
async def test_stop_reasons_are_told_in_openais_words(reason: str, told: str) -> None:
    assert (await ask(Scripted(OPENING, TEXT, closing(reason), STOP)))[-1] == StreamEvent("end", told)


async def test_thinking_is_reasoning_and_its_blocks_are_kept_for_the_next_request() -> None:
    thinking = (
        start(0, type="thinking", thinking="", signature="")
        + delta(0, type="thinking_delta", thinking="let me")
        + delta(0, type="thinking_delta", thinking=" see")
        + delta(0, type="signature_delta", signature="c2ln")
        + stop(0)
        + start(1, type="redacted_thinking", data="eHh4")
        + stop(1)
    )
    answer = start(2, type="text", text="") + delta(2, type="text_delta", text="ok") + stop(2)
    events = await ask(Scripted(OPENING, thinking, answer, closing(), STOP))
    assert (text(events, "reasoning"), text(events)) == ("let me see", "ok")
    assert metadata(events)["thinking_blocks"] == [
        {"type": "thinking", "thinking": "let me see", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eHh4"},
    ]


async def test_tools_are_called_from_their_pieces_with_arguments_even_where_there_are_none() -> None:
    uses = (
        start(1, type="tool_use", id="toolu_1", name="look", input={})
        + delta(1, type="input_json_delta", partial_json="")
        + delta(1, type="input_json_delta", partial_json='{"p":')
        + delta(1, type="input_json_delta", partial_json='"a"}')
        + stop(1)
        + start(2, type="tool_use", id="toolu_2", name="wait", input={})
        + stop(2)
        + start(3, type="tool_use", id="toolu_3", name="go", input={"to": "b"})
        + stop(3)
    )
    events = await ask(Scripted(OPENING, TEXT, uses, closing("tool_use"), STOP))
    assert calls(events) == [
        (0, "toolu_1", "look", '{"p":"a"}'),
        (1, "toolu_2", "wait", "{}"),
        (2, "toolu_3", "go", '{"to": "b"}'),
    ]
    assert events[-1] == StreamEvent("end", "tool_calls")


async def test_a_whole_message_gives_the_same_events_as_a_stream() -> None:
    body = {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "ok"},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"p": "a"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    events = await ask(Scripted(json.dumps(body), kind="application/json"), stream=False)
    assert (text(events, "reasoning"), text(events)) == ("hm", "ok")
    assert calls(events) == [(0, "toolu_1", "look", '{"p": "a"}')]
    assert metadata(events)["usage"]["total_tokens"] == 7
    assert metadata(events)["thinking_blocks"] == [body["content"][0]]  # type: ignore[index]
    assert events[-1] == StreamEvent("end", "tool_calls")


async def test_what_the_servers_own_tools_do_is_left_out() -> None:
    own = (
        start(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={})
        + delta(0, type="input_json_delta", partial_json='{"query":"x"}')
        + stop(0)
        + start(
            1,
            type="web_search_tool_result",
            tool_use_id="srvtoolu_1",
            content=[{"type": "web_search_result", "url": "u"}],
        )
        + stop(1)
        + start(2, type="text", text="")
        + delta(2, type="text_delta", text="found")
        + delta(2, type="citations_delta", citation={"type": "web_search_result_location", "cited_text": "no"})
        + stop(2)
    )
    events = await ask(Scripted(OPENING, own, closing(), STOP))
    assert (text(events), calls(events), events[-1]) == ("found", [], StreamEvent("end", "stop"))


# ---- oddities that are understood ----


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("\ufeff" + OPENING + TEXT + closing() + STOP, id="F14: a byte order mark"),
        pytest.param((OPENING + TEXT + closing() + STOP).replace("\n", "\r\n"), id="CRLF"),
        pytest.param((OPENING + TEXT + closing() + STOP).rstrip("\n"), id="F15: no line end at the end"),
        pytest.param(OPENING + TEXT + closing(), id="no message_stop after a stop reason"),
        pytest.param(OPENING + TEXT + closing() + "data: nonsense\n\n", id="F12: nonsense after the stop reason"),
        pytest.param(OPENING + "data: : keepalive\n\ndata: null\n\n" + TEXT + closing() + STOP, id="F12: odd frames"),
        pytest.param(OPENING + TEXT + closing() + "data: [DONE]\n\n", id="OpenAI's end"),
        pytest.param(OPENING + frame("a_new_event", x=1) + TEXT + closing() + STOP, id="an event that is not known"),
        pytest.param(
            OPENING + TEXT + frame("message_delta", delta={"stop_reason": "end_turn"}, usage=None) + STOP,
            id="F21: null usage",
        ),
        pytest.param(
            OPENING + start(0, type="text", text="Hello") + delta(0, type="text_delta", text=" you") + closing() + STOP,
            id="text in the start, no stop",
        ),
        pytest.param(
            OPENING
            + start(0, type="text", text="")
            + delta(0, type="text_delta", text=["Hello", {"text": " you"}])
            + closing()
            + STOP,
            id="F3: parts of text",
        ),
        pytest.param(
            OPENING + delta(0, text="Hello") + delta(0, text=" you") + closing() + STOP,
            id="pieces without start and type",
        ),
        pytest.param(
            (OPENING + TEXT + closing() + STOP).replace('"index": 0', '"index": "0"'), id="F2: an index that is a text"
        ),
    ],
)
@pytest.mark.parametrize(
    "kind", ["text/event-stream", "application/json", "TEXT/EVENT-STREAM; charset=utf-8", "text/plain"]
)
async def test_what_is_odd_and_clear_is_understood_whatever_its_label(body: str, kind: str) -> None:
    events = await ask(Scripted(body, kind=kind))
    assert text(events) == "Hello you"
    assert events[-1].type == "end"


async def test_a_character_that_is_split_over_two_pieces_is_whole() -> None:
    halves = delta(0, type="text_delta", text="\ud83d") + delta(0, type="text_delta", text="\ude00")
    thoughts = delta(1, type="thinking_delta", thinking="a\ud83d") + delta(1, type="thinking_delta", thinking="b")
    events = await ask(Scripted(OPENING, halves, thoughts, closing(), STOP))
    assert text(events) == "\U0001f600"
    assert text(events, "reasoning") == "a\ufffdb"


async def test_a_tool_whose_arguments_come_as_an_object_has_json_text() -> None:
    use = start(0, type="tool_use", id="t", name="n", input={}) + delta(
        0, type="input_json_delta", partial_json={"p": 1}
    )
    events = await ask(Scripted(OPENING, use, closing("tool_use"), STOP))
    assert calls(events) == [(0, "t", "n", '{"p": 1}')]


# ---- errors ----


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    ("status", "kind", "expected", "retryable"),
    [
        (401, "authentication_error", AuthenticationError, False),
        (403, "permission_error", AuthenticationError, False),
        (404, "not_found_error", ModelNotFoundError, False),
        (429, "rate_limit_error", AdapterBusyError, True),
        (500, "api_error", AdapterError, True),
        (529, "overloaded_error", AdapterBusyError, True),
    ],
)
@pytest.mark.parametrize("label", ["application/json", "text/event-stream"])
async def test_refusals_are_typed(
    status: int, kind: str, expected: type[AdapterError], retryable: bool, label: str
) -> None:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "no"}})
    error = failure(await ask(Scripted(body, status=status, kind=label)), expected)
    assert (error.status, error.type, error.retryable, error.broken) == (status, kind, retryable, False)


async def test_an_error_in_mid_stream_comes_after_the_text_before_it() -> None:
    events = await ask(Scripted(OPENING, TEXT, frame("error", error=OVERLOADED["error"])))
    assert text(events) == "Hello you"
    assert failure(events, AdapterBusyError).type == "overloaded_error"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(json.dumps(OVERLOADED), AdapterBusyError, id="an error with status 200"),
        pytest.param(OPENING + TEXT, TruncatedStreamError, id="cut after a text"),
        pytest.param(OPENING, TruncatedStreamError, id="cut after the beginning"),
        pytest.param("", TruncatedStreamError, id="nothing at all"),
        pytest.param(OPENING + TEXT + closing("null"), TruncatedStreamError, id="F4: a stop reason that is none"),
        pytest.param(OPENING + STOP, AdapterProtocolError, id="an answer of nothing"),
        pytest.param(OPENING + closing("error") + STOP, AdapterError, id="F11: an error as stop reason"),
        pytest.param(
            OPENING + delta(0, type="text_delta", text=7) + closing() + STOP,
            AdapterProtocolError,
            id="text that is a number",
        ),
        pytest.param(
            OPENING + start(0, type="hologram", beam={"x": 1}) + closing() + STOP,
            AdapterProtocolError,
            id="F3: a block that is not known",
        ),
        pytest.param("data: {not json\n\n", AdapterProtocolError, id="no JSON"),
        pytest.param("data: " + "[" * 100_000 + "\n\n", AdapterProtocolError, id="F20: brackets"),
        pytest.param("{" * 100_000, AdapterProtocolError, id="F20: brackets in a whole answer"),
        pytest.param("<html>busy</html>", AdapterProtocolError, id="a page"),
        pytest.param(
            'data: {"choices": [{"delta": {"content": "x"}}]}\n\n' + closing() + STOP,
            AdapterProtocolError,
            id="another protocol",
        ),
    ],
)
async def test_what_is_no_whole_answer_is_an_error(body: str, expected: type[AdapterError]) -> None:
    failure(await ask(Scripted(body)), expected)


async def test_a_connection_that_is_cut_and_one_that_falls_silent(autojump_clock: object) -> None:
    failure(await ask(Scripted(OPENING, TEXT, then="cut")), AdapterConnectError)
    silent = Scripted(OPENING, TEXT, then="silence")
    failure(await ask(silent), AdapterTimeoutError)
    assert silent.client_left.is_set()


async def test_the_key_is_sent_as_anthropic_wants_it_and_never_shown() -> None:
    echoing = {"type": "error", "error": {"type": "invalid_request_error", "message": f"bad key {KEY}"}}
    app = Scripted(json.dumps(echoing), status=400)
    events = await ask(app)
    assert app.headers[b"x-api-key"] == KEY.encode()
    assert b"authorization" not in app.headers
    assert app.headers[b"anthropic-version"] == b"2023-06-01"
    assert KEY not in str(events[-1].data)


@pytest.mark.parametrize("ids", [("a", "b"), ("a", "a"), (None, None)])
def test_f01_each_block_is_a_call_whatever_its_number_and_id(ids: tuple[str | None, str | None]) -> None:
    blocks = [
        start(0, type="tool_use", id=call_id, name="n", input={})
        + delta(0, type="input_json_delta", partial_json='{"p":')
        + delta(0, type="input_json_delta", partial_json=f"{value}}}")
        + stop(0)
        for value, call_id in enumerate(ids)
    ]
    calls: dict[int, str] = {}
    for event in read([(OPENING + "".join(blocks) + closing("tool_use") + STOP).encode()]):
        if isinstance(call := event.data, ToolCall):
            calls[call.index] = calls.get(call.index, "") + call.arguments
    assert calls == {0: '{"p":0}', 1: '{"p":1}'}


# ---- bytes ----


def read(pieces: list[bytes]) -> list[StreamEvent]:
    reader = MessagesReader(HttpClient("http://host"), HttpRequest("/v1/messages", {}, {}))
    events = [event for piece in pieces for event in (() if reader.closed else reader.feed(piece))]
    return events if reader.closed else [*events, *reader.finish()]


def test_where_the_bytes_are_split_makes_no_difference() -> None:
    use = (
        start(1, type="tool_use", id="t", name="n", input={})
        + delta(1, type="input_json_delta", partial_json='{"p":"\u00e9"}')
        + stop(1)
    )
    body = (OPENING + TEXT + use + closing("tool_use") + STOP).encode()
    whole = read([body])
    assert whole[-1].type == "end"
    for place in range(1, len(body)):
        assert read([body[:place], body[place:]]) == whole
    assert read([body[i : i + 1] for i in range(len(body))]) == whole


def test_a_body_that_is_cut_anywhere_is_no_whole_answer() -> None:
    body = (OPENING + TEXT + closing() + STOP).encode()
    complete = body.index(b"event: message_delta")
    for place in range(complete):
        assert read([body[:place]])[-1].type == "error", place
