"""OpenAI's responses: what each event of a stream says, what a whole response says, and what a chat's messages become."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http import LineTooLongError, responses_request
from adapters.http.responses import ResponsesReader
from statemachine import CallOptions, ConfigurationError, ToolCall

from .readers import BOUND_BYTES, framed, told, whole

SERVER = "http://host:1: "
LIMIT = "rate_limit_exceeded"
PROTOCOL = "AdapterProtocolError"
CUT = ("TruncatedStreamError", f"{SERVER}the stream stopped without its end")


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **more}


def ended(output: object = (), status: str = "completed", **more: Any) -> dict[str, Any]:
    return event(
        status, response={"status": status, "output": list(output) if isinstance(output, tuple) else output, **more}
    )


def message(*texts: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": text} for text in texts], **more}


def function(name: str, arguments: object = "[1]", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": f"id of {name}", "name": name, "arguments": arguments, **more}


def read(*events: object) -> list[tuple[str, Any]]:
    return told(ResponsesReader, framed(*events))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            [event("output_text.delta", delta="a"), event("output_text.delta", delta="b")],
            [("token", "a"), ("token", "b")],
        ),
        ([event("refusal.delta", delta="a")], [("token", "a")]),
        ([event("reasoning_text.delta", delta="a")], [("reasoning", "a")]),
        ([event("reasoning_summary_text.delta", delta="a")], [("reasoning", "a")]),
        ([event("output_text.done", text="a"), event("content_part.done", part={"text": "a"})], []),
        ([event("created", response={"status": "in_progress", "output": [message("a")]})], []),
        ([event("audio.delta", delta="a"), event("future.delta", delta={"a": 1})], []),
        ([{"type": 7}, {"type": None}, {}, {"type": "other.output_text.delta", "delta": "a"}], []),
    ],
)
def test_what_an_event_says(events: list[object], expected: list[tuple[str, str]]) -> None:
    assert read(*events, ended([message("z")], output_index=9))[: len(expected)] == expected
    assert read(*events) == [*expected, CUT]


@pytest.mark.parametrize(
    "kind", ["output_text.delta", "refusal.delta", "reasoning_text.delta", "reasoning_summary_text.delta"]
)
def test_a_piece_that_cannot_be_read(kind: str) -> None:
    closing = (PROTOCOL, f"{SERVER}the answer has text that is a int, which cannot be read")
    assert read(event(kind, delta=7), ended())[-1] == closing


def test_a_call_in_pieces() -> None:
    began = event("output_item.added", output_index=2, item=function("f", ""))
    pieces = [event("function_call_arguments.delta", output_index=2, delta=text) for text in ('{"a"', ": 1}")]
    other = event("output_item.added", output_index=4, item=function("g", ""))
    piece = event("function_call_arguments.delta", output_index=4, delta="[2]")
    done = event("output_item.done", output_index=2, item=function("f", '{"a": 1}'))
    assert read(began, other, pieces[0], piece, pieces[1], done, ended()) == [
        ("tool_call", ToolCall(0, "id of f", "f", "")),
        ("tool_call", ToolCall(1, "id of g", "g", "")),
        ("tool_call", ToolCall(0, None, None, '{"a"')),
        ("tool_call", ToolCall(1, None, None, "[2]")),
        ("tool_call", ToolCall(0, None, None, ": 1}")),
        ("end", "tool_calls"),
    ]


def test_arguments_that_are_told_as_a_whole_only() -> None:
    began = event("output_item.added", output_index=2, item=function("f", ""))
    done = event("function_call_arguments.done", output_index=2, item_id="i", arguments="[1]")
    item = event("output_item.done", output_index=2, item=function("f", "[1]", id="i"))
    expected = [
        ("tool_call", ToolCall(0, "id of f", "f", "")),
        ("tool_call", ToolCall(0, None, None, "[1]")),
        ("end", "tool_calls"),
    ]
    assert read(began, done, done, item, ended([function("f", "[1]", id="i")])) == expected


def test_whole_arguments_belong_to_the_call_at_their_place_and_are_told_once() -> None:
    began = [
        event("output_item.added", output_index=index, item=function(name, "")) for index, name in ((2, "f"), (4, "g"))
    ]
    done = [event("function_call_arguments.done", output_index=index, arguments=f"[{index}]") for index in (2, 4)]
    last = event("output_item.done", output_index=3, item=message("a"))
    assert read(*began, *done, last, ended())[2:] == [
        ("tool_call", ToolCall(0, None, None, "[2]")),
        ("tool_call", ToolCall(1, None, None, "[4]")),
        ("token", "a"),
        ("end", "tool_calls"),
    ]
    piece = event("function_call_arguments.delta", output_index=2, item_id="i", delta="[2]")
    for place in ({"output_index": 2}, {"output_index": 9, "item_id": "i"}):
        again = event("function_call_arguments.done", arguments="[2]", **place)
        assert read(began[0], piece, again, ended())[1:] == [
            ("tool_call", ToolCall(0, None, None, "[2]")),
            ("end", "tool_calls"),
        ]


def test_calls_that_are_the_same_at_two_places_are_two() -> None:
    both = [("tool_call", ToolCall(number, "id of f", "f", "[1]")) for number in range(2)]
    output = [function("f"), function("f")]
    assert read(ended(output)) == [*both, ("end", "tool_calls")]
    assert told(ResponsesReader, whole({"status": "completed", "output": output})) == [*both, ("end", "tool_calls")]


def test_what_begins_and_is_no_call_says_nothing() -> None:
    for item in (
        message("a"),
        {"type": "web_search_call"},
        {"type": "reasoning", "summary": [{"text": "a"}]},
        "x",
        None,
    ):
        assert read(event("output_item.added", output_index=0, item=item)) == [CUT]


def test_an_empty_object_may_stand_for_arguments_that_follow() -> None:
    began = event("output_item.added", output_index=0, item=function("f", "{}"))
    piece = event("function_call_arguments.delta", output_index=0, delta="[1]")
    assert [data.arguments for kind, data in read(began, piece, ended()) if kind == "tool_call"] == ["", "[1]"]
    assert [data.arguments for kind, data in read(began, ended()) if kind == "tool_call"] == ["", "{}"]
    began = event("output_item.added", output_index=0, item=function("f", ""))
    empty = event("function_call_arguments.delta", output_index=0, delta="{}")
    told_pieces = [data.arguments for kind, data in read(began, empty, piece, ended()) if kind == "tool_call"]
    assert told_pieces == ["", "", "[1]"]


A, B = [("token", "a")], [("token", "a"), ("token", "b")]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        # an item without pieces is read where it is told as a whole, and once
        ([event("output_item.done", output_index=0, item=message("a"))], A),
        ([event("output_item.done", output_index=0, item=message("a")), ended([message("a")])], A),
        ([event("output_item.done", output_index=0, item=message("a"))] * 2, A),
        ([event("output_item.done", output_index=0, item=message("a")), ended([message("a"), message("b")])], B),
        ([event("output_text.delta", output_index=0, delta="a"), ended([message("a"), message("b")])], B),
        ([event("output_text.delta", output_index=1, delta="a"), ended([message("b"), message("a")])], B),
        ([ended([message("a"), message("b")])], B),
        ([ended([None, "x", message("a"), message("b")])], B),
        # known by its id, where its place is told wrongly
        ([event("output_text.delta", output_index=5, item_id="i", delta="a"), ended([message("a", id="i"), message("b", id="j")])], B),
        ([event("output_item.done", output_index=5, item=message("a", id="i")), ended([message("a", id="i")])], A),
        ([event("output_text.delta", output_index=5, item_id="", delta="a"), ended([message("b", id="")])], B),
        ([event("output_text.delta", output_index=5, item_id=7, delta="a"), ended([message("b", id=7)])], B),
        # pieces of an item without a place: nothing that is whole can be told from them
        ([event("output_text.delta", delta="a"), ended([message("a")])], A),
        ([event("output_text.delta", output_index=True, delta="a"), ended([message("a")])], A),
        ([event("output_text.delta", output_index="0", delta="a"), ended([message("a")])], A),
    ],
)  # fmt: skip
def test_f03_each_item_is_told_once(events: list[object], expected: list[tuple[str, str]]) -> None:
    assert [told_event for told_event in read(*events, ended()) if told_event[0] == "token"] == expected
    assert read(*events, ended())[-1] == ("end", "stop")


def late(kind: str = "output_text", index: object = 0, **more: Any) -> dict[str, Any]:
    return event(f"{kind}.done", output_index=index, **more)


PART = {"type": "output_text", "text": "a"}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([late(text="a")], A),
        ([late("refusal", refusal="a")], A),
        ([late("content_part", part=PART)], A),
        ([late("reasoning_text", text="a")], [("reasoning", "a")]),
        ([late("reasoning_summary_text", text="a")], [("reasoning", "a")]),
        ([late(text="", refusal="a")], A),
        ([late(text="a", refusal="b")], A),
        ([late(text="")], []),
        ([late(text=None, part={})], []),
        # each part once
        ([late(text="a", content_index=0), late(text="b", content_index=1)], B),
        ([late(text="a", content_index=0), late(index=1, text="b", content_index=0)], B),
        ([late(text="a", content_index=0), late("content_part", part=PART, content_index=0)], A),
        # not where pieces of the item came, before or afterwards, or the item itself
        ([event("output_text.delta", output_index=0, delta="a"), late(text="a")], A),
        ([event("output_text.delta", output_index=0, delta="a"), late(index=1, text="b")], B),
        ([event("output_text.delta", output_index=0, delta="a"), late(index=1, item_id="i", text="b")], B),
        ([event("output_text.delta", output_index=5, item_id="i", delta="a"), late(item_id="i", text="a")], A),
        ([event("output_text.delta", output_index=0, delta="a"), late(index=None, item_id="i", text="b")], B),
        ([event("output_text.delta", output_index=0, delta="a"), late(index=None, text="a")], A),
        ([late(text="a"), event("output_text.delta", output_index=0, delta="a")], A),
        ([late(item_id="i", text="a"), event("output_text.delta", output_index=5, item_id="i", delta="a")], A),
        ([late(text="a"), event("output_item.done", output_index=0, item=message("a"))], A),
        ([late(index=None, text="a")], A),
        ([late(index=None, text="a"), event("output_item.done", output_index=0, item=message("a"))], A),
    ],
)  # fmt: skip
def test_f03_a_text_without_pieces_is_told_at_the_end(events: list[object], expected: list[tuple[str, str]]) -> None:
    assert read(*events, ended()) == [*expected, ("end", "stop")]


def test_texts_that_are_kept_until_the_end_are_bounded() -> None:
    fits = "x" * (BOUND_BYTES - 64)
    assert read(late(text=fits), ended()) == [("token", fits), ("end", "stop")]
    with pytest.raises(LineTooLongError):
        read(late(text=f"{fits}x"))
    piece = event("output_text.delta", output_index=5, item_id="i", delta="a")
    for known in ({"index": 5}, {"index": 0, "item_id": "i"}):
        assert read(piece, late(text=f"{fits}x", **known), ended()) == [("token", "a"), ("end", "stop")]


def test_what_is_remembered_of_items_is_bounded() -> None:
    fits = [event("output_text.delta", output_index=index, delta="") for index in range(BOUND_BYTES // 64)]
    assert read(*fits, *fits) == [CUT]
    with pytest.raises(LineTooLongError, match=f"^an answer of which more than {BOUND_BYTES} bytes have to be kept$"):
        read(*fits, event("output_text.delta", output_index=-1, delta=""))
    long = "i" * (BOUND_BYTES - 128)
    assert read(event("output_text.delta", output_index=0, item_id=long, delta="")) == [CUT]
    with pytest.raises(LineTooLongError):
        read(event("output_text.delta", output_index=0, item_id=long + "i", delta=""))


@pytest.mark.parametrize(
    ("response", "events"),
    [
        ({"status": "completed", "output": [message("a", "b")]}, [("token", "a"), ("token", "b"), ("end", "stop")]),
        ({"status": "completed", "output": [{"type": "reasoning", "content": [{"text": "a"}], "summary": "b"}, message("c")]},
         [("reasoning", "a"), ("token", "c"), ("end", "stop")]),
        ({"status": "completed", "output": [{"type": "reasoning", "content": [], "summary": [{"text": "b"}]}]},
         [("reasoning", "b"), ("end", "stop")]),
        ({"status": "completed", "output": [function("f", "{}"), function("g", {"a": 1})]},
         [("tool_call", ToolCall(0, "id of f", "f", "{}")), ("tool_call", ToolCall(1, "id of g", "g", '{"a": 1}')),
          ("end", "tool_calls")]),
        ({"status": "completed", "output": [{"type": "web_search_call", "id": "x"}, message("a")]}, [("token", "a"), ("end", "stop")]),
        ({"output": [message("a")]}, [("token", "a"), ("end", None)]),
        ({"status": "queued", "output": [message("a")]},
         [("token", "a"), ("TruncatedStreamError", f"{SERVER}the server says that the answer is queued")]),
        ({"status": "in_progress"}, [("TruncatedStreamError", f"{SERVER}the server says that the answer is in_progress")]),
        ({"status": "completed", "output": []}, [("end", "stop")]),
        ({"status": "completed", "output": [], "output_text": "a"}, [("token", "a"), ("end", "stop")]),
        ({"status": "completed", "output": [message("a")], "output_text": "a"}, [("token", "a"), ("end", "stop")]),
        ({"status": "completed", "output": [{"type": "shell_call", "action": "x"}]},
         [(PROTOCOL, f"{SERVER}the answer has nothing but shell_call, which cannot be read")]),
        ({"output": {"type": "message"}}, [(PROTOCOL, f"{SERVER}the answer ended before it began")]),
        ({"status": "completed", "output": [message("a")], "usage": {"input_tokens": 1, "x": "\ud800"}},
         [("token", "a"), ("metadata", {"usage": {"input_tokens": 1, "x": "\ufffd"}}), ("end", "stop")]),
        ({"status": "incomplete", "output": [message("a")], "incomplete_details": {"reason": "max_output_tokens"}},
         [("token", "a"), ("end", "length")]),
        ({"status": "incomplete", "output": [message("a")], "incomplete_details": None}, [("token", "a"), ("end", "length")]),
        ({"status": "incomplete", "output": [message("a")], "incomplete_details": {"reason": "content_filter"}},
         [("token", "a"), ("end", "content_filter")]),
        ({"status": "failed", "output": []}, [("AdapterError", f"{SERVER}the server says that the answer is failed")]),
        ({"status": "cancelled", "output": []}, [("AdapterError", f"{SERVER}the server says that the answer is cancelled")]),
        ({"status": "failed", "usage": {"a": 1}, "error": {"code": "server_error", "message": "m"}},
         [("AdapterError", f"{SERVER}m (server_error)")]),
        ({"type": "error", "message": "m", "code": LIMIT}, [("AdapterBusyError", f"{SERVER}m (error, {LIMIT})")]),
    ],
)  # fmt: skip
def test_a_whole_response(response: dict[str, Any], events: list[tuple[str, Any]]) -> None:
    assert told(ResponsesReader, whole(response)) == events


@pytest.mark.parametrize(
    ("last", "events"),
    [
        (ended(), [("end", "stop")]),
        (ended(usage={"input_tokens": 1}), [("metadata", {"usage": {"input_tokens": 1}}), ("end", "stop")]),
        (ended(usage={}), [("end", "stop")]),
        (ended(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), [("end", "length")]),
        (ended(status="incomplete", incomplete_details={"reason": "content_filter"}), [("end", "content_filter")]),
        (ended(status="failed"), [("AdapterError", f"{SERVER}the server says that the answer is failed")]),
        (ended(status="failed", error={"code": "server_error", "message": "m"}, usage={"a": 1}),
         [("metadata", {"usage": {"a": 1}}), ("AdapterError", f"{SERVER}m (server_error)")]),
        (event("completed", response={"status": "cancelled"}), [("AdapterError", f"{SERVER}the server says that the answer is cancelled")]),
        (event("completed", response=None), [("end", None)]),
        (event("completed", response={"status": "completed", "output": [function("f")]}),
         [("tool_call", ToolCall(0, "id of f", "f", "[1]")), ("end", "tool_calls")]),
        ({"type": "error", "code": LIMIT, "message": "m"}, [("AdapterBusyError", f"{SERVER}m (error, {LIMIT})")]),
    ],
)  # fmt: skip
def test_how_a_stream_ends(last: object, events: list[tuple[str, Any]]) -> None:
    text = event("output_text.delta", output_index=7, delta="a")
    assert read(text, last, event("output_text.delta", delta="b")) == [("token", "a"), *events]


def test_an_event_may_have_its_type_as_its_name_only() -> None:
    named = b"event: response.output_text.delta\n" + framed({"delta": "a"})
    typed = b"event: response.other\n" + framed(event("output_text.delta", delta="b"))
    assert told(ResponsesReader, named + typed + framed(ended())) == [("token", "a"), ("token", "b"), ("end", "stop")]


def test_events_may_come_as_lines() -> None:
    lines = whole(event("output_text.delta", delta="a")) + b"\n" + whole(ended()) + b"\n"
    assert told(ResponsesReader, lines) == [("token", "a"), ("end", "stop")]
    assert told(ResponsesReader, whole(ended([message("a")]))) == [("token", "a"), ("end", "stop")]


# ---- requests ----


def body(*prompt: dict[str, Any], tools: Any = (), **parameters: Any) -> dict[str, Any]:
    request = responses_request("m", prompt, CallOptions(parameters=parameters, tools=tools))
    assert (request.path, request.headers) == ("/v1/responses", {})
    return dict(request.body)


@pytest.mark.parametrize(
    ("message", "items"),
    [
        ({"role": "user", "content": "a"}, [{"role": "user", "content": "a"}]),
        ({"role": "user", "content": ""}, []),
        ({"role": "assistant", "content": None}, []),
        ({"role": "user", "content": ["x", {"type": "text", "text": "a"}, {"type": "input_file", "file_id": "f"}]},
         [{"role": "user", "content": ["x", {"type": "input_text", "text": "a"}, {"type": "input_file", "file_id": "f"}]}]),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]},
         [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "u"}]},
         [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]),
        ({"role": "tool", "tool_call_id": "c", "content": "7"}, [{"type": "function_call_output", "call_id": "c", "output": "7"}]),
        ({"role": "assistant", "content": "a", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}, {"id": "d"}]},
         [{"role": "assistant", "content": "a"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
          {"type": "function_call", "call_id": "d", "name": None, "arguments": None}]),
    ],
)  # fmt: skip
def test_what_a_message_becomes(message: dict[str, Any], items: list[dict[str, Any]]) -> None:
    assert body(message) == {"model": "m", "stream": True, "input": items}
    assert body(message, message)["input"] == [*items, *items]


def test_what_parameters_and_tools_become() -> None:
    for old in ("max_tokens", "max_completion_tokens"):
        assert body(**{old: 5, "temperature": 0}) == {
            "model": "m", "stream": True, "input": [], "max_output_tokens": 5, "temperature": 0,
        }  # fmt: skip
    tools = [{"type": "function", "function": {"name": "f", "strict": True}}, {"type": "web_search"}]
    assert body(tools=tools)["tools"] == [{"type": "function", "name": "f", "strict": True}, {"type": "web_search"}]
    request = responses_request(
        "m", [], CallOptions(stream=False, parameters={"extra_headers": {"X-A": "b"}}), path="/p"
    )
    assert (request.path, request.headers, request.body) == (
        "/p",
        {"X-A": "b"},
        {"model": "m", "stream": False, "input": []},
    )


def test_the_input_is_not_given_as_a_parameter() -> None:
    with pytest.raises(ConfigurationError) as caught:
        body(input="x")
    assert str(caught.value) == "parameters.input: is set from the call itself and must not be given; got a value"
