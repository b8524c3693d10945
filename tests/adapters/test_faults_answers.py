"""Faults of answers that were seen in the field, by their numbers: F1 to F4, F8 to F15, F19 to F21.

Each is a kind; several of its members are tried.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio.testing

from statemachine import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    AuthenticationError,
    ContextLengthError,
    ModelEvictedError,
    ModelNotFoundError,
    StreamEvent,
    ToolCall,
    TruncatedStreamError,
)

from .scripted import DONE, SSE, USAGE, Scripted, ask, chunk

STOP = chunk({}, "stop")
JSON = "application/json"


def calls_of(*pieces: dict[str, Any]) -> list[str]:
    """Chunks, one for each piece of a tool call, and the end."""
    return [*(chunk({"tool_calls": [piece]}) for piece in pieces), chunk({}, "tool_calls"), DONE]


def piece(arguments: object = "", **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return {**more, "type": "function", "function": {**name, "arguments": arguments}}


def assembled(events: list[StreamEvent]) -> list[tuple[str | None, str | None, str]]:
    """The calls as a consumer puts them together: by index."""
    calls: dict[int, tuple[str | None, str | None, str]] = {}
    for event in events:
        if isinstance(call := event.data, ToolCall):
            call_id, name, arguments = calls.get(call.index, (None, None, ""))
            calls[call.index] = (call.id or call_id, call.name or name, arguments + call.arguments)
    return [calls[index] for index in sorted(calls)]


A, B = '{"p":"a"}', '{"p":"b"}'


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # counted afresh in each chunk
        ([piece(A, index=0, id="a", name="f"), piece(B, index=0, id="b", name="f")], [("a", "f", A), ("b", "f", B)]),
        # ... and in fragments, also of the first one again
        (
            [
                piece('{"p"', index=0, id="a", name="f"),
                piece(':"a"}', index=0),
                piece("", index=0, id="b", name="g"),
                piece(B, index=0),
            ],
            [("a", "f", A), ("b", "g", B)],
        ),
        (
            [
                piece('{"p"', index=0, id="a", name="f"),
                piece(B, index=0, id="b", name="g"),
                piece(':"a"}', index=0, id="a"),
            ],
            [("a", "f", A), ("b", "g", B)],
        ),
        # the id with every fragment
        ([piece('{"p"', index=0, id="a", name="f"), piece(':"a"}', index=0, id="a")], [("a", "f", A)]),
        # an empty id continues
        ([piece('{"p"', index=0, id="a", name="f"), piece(':"a"}', index=0, id="")], [("a", "f", A)]),
        # no index: one call in fragments, and several calls
        ([piece('{"p"', id="a", name="f"), piece(':"a"}')], [("a", "f", A)]),
        ([piece(A, id="a", name="f"), piece(B, id="b", name="g")], [("a", "f", A), ("b", "g", B)]),
        # neither index nor id
        ([piece(A, name="f"), piece(B, name="g")], [(None, "f", A), (None, "g", B)]),
        # one index for all, and no id
        ([piece(A, index=0, name="f"), piece(B, index=0, name="g")], [(None, "f", A), (None, "g", B)]),
        # the name with every fragment
        ([piece('{"p"', index=0, name="f"), piece(':"a"}', index=0, name="f")], [(None, "f", A)]),
        # the id after the name
        ([piece("", index=0, name="f"), piece(A, index=0, id="a")], [("a", "f", A)]),
        # one id for all, and an id that is none
        ([piece(A, index=0, id="a", name="f"), piece(B, index=0, id="a", name="g")], [("a", "f", A), ("a", "g", B)]),
        (
            [piece(A, index=0, id="null", name="f"), piece(B, index=0, id=" ", name="g")],
            [(None, "f", A), (None, "g", B)],
        ),
        # an index that is a fraction
        (
            [piece('{"p"', index=0.0, name="f"), piece(B, index=1.0, name="g"), piece(':"a"}', index=0.0)],
            [(None, "f", A), (None, "g", B)],
        ),
        # an index as text, and one that skips
        ([piece(A, index="0", id="a", name="f"), piece(B, index=3, id="b", name="g")], [("a", "f", A), ("b", "g", B)]),
        # braces and quotes inside of strings complete nothing
        ([piece('{"p":"}\\"', index=0, name="f"), piece('}"}', index=0, name="f")], [(None, "f", '{"p":"}\\"}"}')]),
    ],
)
async def test_f01_tool_calls_keep_their_identity(pieces: list[dict[str, Any]], calls: object) -> None:
    assert assembled(await ask(Scripted(*calls_of(*pieces)))) == calls


async def test_f01_several_calls_in_one_chunk_without_index() -> None:
    both = [piece('{"p"', name="f"), piece('{"p"', name="g")]
    rest = [piece(':"a"}'), piece(':"b"}')]
    app = Scripted(chunk({"tool_calls": both}), chunk({"tool_calls": rest}), chunk({}, "tool_calls"), DONE)
    assert assembled(await ask(app)) == [(None, "f", A), (None, "g", B)]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"p": "a"}, {"p": "a"}),
        ({}, {}),
        ([1], [1]),
        ('{"p": 1}', {"p": 1}),
        (7, 7),
        ({"p": "\u4e2d"}, {"p": "\u4e2d"}),
    ],
)
async def test_f02_arguments_are_json_text_whatever_was_sent(sent: object, read: object) -> None:
    (call,) = assembled(await ask(Scripted(*calls_of(piece(sent, index=0, id="a", name="f")))))
    assert json.loads(call[2]) == read


async def test_f02_other_members_of_other_types() -> None:
    for sent, call in (
        ({"index": 0, "id": 7, "function": {"name": "f", "arguments": None}}, ("7", "f", "{}")),
        ({"index": None, "id": None, "function": {"name": "f", "arguments": "{}"}}, (None, "f", "{}")),
        ({"index": True, "id": ["x"], "function": {"name": "f", "arguments": "{}"}}, (None, "f", "{}")),
        ({"index": 0, "id": "a", "name": "f", "arguments": {"x": 1}}, ("a", "f", '{"x": 1}')),
        ({"index": 0, "id": "a", "function": {"name": "f", "parameters": {"x": 1}}}, ("a", "f", '{"x": 1}')),
        ({"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}, ("a", "f", "x")),
    ):
        assert assembled(await ask(Scripted(*calls_of(sent)))) == [call]
    old = Scripted(chunk({"function_call": {"name": "f", "arguments": "{}"}}), chunk({}, "function_call"), DONE)
    assert assembled(await ask(old)) == [(None, "f", "{}")]


THINK = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("delta", "events"),
    [
        ({"content": [THINK, {"type": "text", "text": "Hi"}]}, [("reasoning", "hm"), ("token", "Hi")]),
        ({"content": [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "Hi"}]}, [("reasoning", "hm"), ("token", "Hi")]),
        ({"content": {"type": "text", "text": "Hi"}}, [("token", "Hi")]),
        ({"content": ["H", {"text": "i"}]}, [("token", "H"), ("token", "i")]),
        ({"content": [{"type": "thinking", "thinking": "hm", "signature": "x"}]}, [("reasoning", "hm")]),
        ({"thinking": "hm", "content": "Hi"}, [("reasoning", "hm"), ("token", "Hi")]),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "content": "Hi"}, [("reasoning", "hm"), ("token", "Hi")]),
        ({"content": None, "refusal": "No."}, [("token", "No.")]),
        ({"content": [{"type": "text", "text": {"value": "Hi", "annotations": []}}]}, [("token", "Hi")]),
        ({"content": [{"type": "text", "text": "Hi"}, {"type": "reference", "reference_ids": [1]}]}, [("token", "Hi")]),
        ({"content": [{"type": "thinking", "thinking": [], "closed": True}, {"type": "text", "text": "Hi"}]}, [("token", "Hi")]),
        ({"content": [{"type": "text", "text": None}, {"type": "redacted_thinking", "data": "x"}, "Hi"]}, [("token", "Hi")]),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}], "content": "Hi"}, [("token", "Hi")]),
        ({"reasoning_details": [{"type": "reasoning.text", "text": None, "signature": "x"}], "content": "Hi"}, [("token", "Hi")]),
        ("Hi", [("token", "Hi")]),
    ],
)  # fmt: skip
async def test_f03_text_is_found_in_every_shape(delta: Any, events: list[tuple[str, str]]) -> None:
    found = await ask(Scripted(chunk(delta), STOP, DONE))
    assert [(event.type, event.data) for event in found] == [*events, ("end", "stop")]
    whole = {"choices": [{"message": delta, "finish_reason": "stop"}]}
    found = await ask(Scripted(json.dumps(whole), kind=JSON))
    assert [(event.type, event.data) for event in found] == [*events, ("end", "stop")]


async def test_f03_legacy_completions() -> None:
    frames = [f"data: {json.dumps({'choices': [{'text': 'Hi', 'index': 0}]})}\n\n", STOP, DONE]
    assert await ask(Scripted(*frames)) == [StreamEvent("token", "Hi"), StreamEvent("end", "stop")]


@pytest.mark.parametrize(
    "delta",
    [
        {"content": 7},
        {"content": [{"type": "image", "url": "x"}]},
        {"content": [[[[[["deep"]]]]]]},
        {"reasoning": 7},
        {"tool_calls": "f()"},
        {"tool_calls": [5]},
    ],
)
async def test_f03_what_cannot_be_read_does_not_end_well(delta: dict[str, Any]) -> None:
    for frames in (
        [chunk({"content": "x"}), chunk(delta), STOP, DONE],
        [chunk(delta), chunk({"content": "x"}, "stop")],
    ):
        events = await ask(Scripted(*frames))
        assert ("token", "x") in [(event.type, event.data) for event in events]
        assert type(events[-1].data) is AdapterProtocolError


@pytest.mark.parametrize("nothing", ["null", "", "None", " null ", "undefined", None, False, 0, [], {}])
async def test_f04_a_finish_reason_that_is_nothing_is_no_end(nothing: Any) -> None:
    (token, last) = await ask(Scripted(chunk({"content": "x"}, nothing)))
    assert token.data == "x"
    assert type(last.data) is TruncatedStreamError


@pytest.mark.parametrize("text", [" ", "\n", "null", "None", "\r\n"])
async def test_f04_what_is_nothing_as_a_label_is_text_where_a_model_wrote_it(text: str) -> None:
    deltas = [{"content": text}, {"reasoning": text}, {"content": [{"type": "thinking", "thinking": text}]}]
    events = await ask(Scripted(*(chunk(delta) for delta in deltas), STOP, DONE))
    assert [(event.type, event.data) for event in events[:-1]] == [("token", text), *[("reasoning", text)] * 2]
    function = {"name": None, "arguments": text}
    (event, _) = await ask(Scripted(chunk({"function_call": function}), chunk({}, "function_call"), DONE))
    assert event.data == ToolCall(0, None, None, text)


@pytest.mark.parametrize("nothing", ["null", "", None, False, 0, [], {}, {"message": None, "code": ""}])
async def test_f04_f21_an_error_that_is_nothing_is_none(nothing: Any) -> None:
    app = Scripted(chunk({"content": "x"}, error=nothing), chunk({}, "stop", error=nothing), DONE)
    assert await ask(app) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]
    whole = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "error": nothing}
    assert await ask(Scripted(json.dumps(whole), kind=JSON)) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (400, AdapterRequestError, '{"error": {"message": "no", "type": "invalid_request_error"}}'),
        (503, AdapterBusyError, '{"error": {"message": "no"}}'),
        (401, AuthenticationError, ""),
        (429, AdapterBusyError, 'data: {"error": {"message": "slow"}}\n\n'),
        (400, ContextLengthError, 'event: error\ndata: {"error": {"type": "exceed_context_size_error"}}\n\n'),
        (500, AdapterError, "data: {broken"),
        (503, AdapterBusyError, chunk({"content": "x"}) + STOP + DONE),
    ],
)
@pytest.mark.parametrize("label", [SSE, "application/json", "text/html", "APPLICATION/JSON; charset=x"])
async def test_f08_the_status_decides_before_the_label(
    status: int, kind: type[AdapterError], body: str, label: str
) -> None:
    (event,) = await ask(Scripted(body, status=status, kind=label))
    assert isinstance(event.data, kind)
    assert not isinstance(event.data, AdapterProtocolError)
    assert event.data.status == status


WHOLE = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})
STREAMED = chunk({"content": "x"}) + STOP + DONE


@pytest.mark.parametrize(
    "label", [SSE, "TEXT/EVENT-STREAM", "application/json", "text/plain", "", "application/octet-stream"]
)
@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        "\n \r\n" + WHOLE,
        "\ufeff" + WHOLE,
        STREAMED,
        "\n\n" + STREAMED,
        ": ping\n\n" + STREAMED,
        "event: message\n" + STREAMED,
        "id: 1\n" + STREAMED,
        "retry: 3\n\n" + STREAMED,
        " " * 5000 + "\n" + STREAMED,
    ],
)
async def test_f09_the_first_bytes_decide_what_a_body_is(label: str, body: str) -> None:
    expected = [StreamEvent("token", "x"), StreamEvent("end", "stop")]
    assert await ask(Scripted(body, kind=label)) == expected
    assert (
        await ask(Scripted(*[bytes([byte]) for byte in body.encode()[:60]], body.encode()[60:], kind=label)) == expected
    )


async def test_f09_a_mislabelled_stream_still_streams(autojump_clock: trio.testing.MockClock) -> None:
    events = await ask(Scripted(chunk({"content": "x"}), kind="application/json", then="silence"))
    assert events[0] == StreamEvent("token", "x")


@pytest.mark.parametrize("kind", ["choices", "bare", "named"])
@pytest.mark.parametrize(
    ("code", "error", "retryable"),
    [
        (429, AdapterBusyError, True),
        ("429", AdapterBusyError, True),
        (502, AdapterError, True),
        (503, AdapterBusyError, True),
        (529, AdapterBusyError, True),
        (401, AuthenticationError, False),
        (400, AdapterRequestError, False),
        (501, AdapterError, False),
    ],
)
async def test_f10_a_code_that_is_a_status_means_what_the_status_means(
    kind: str, code: object, error: type[AdapterError], retryable: bool
) -> None:
    body = json.dumps({"error": {"code": code, "message": "no"}, **({"choices": []} if kind == "choices" else {})})
    frame = f"event: error\ndata: {body}\n\n" if kind == "named" else f"data: {body}\n\n"
    for app in (Scripted(chunk({"content": "x"}), frame), Scripted(body, kind=JSON)):
        last = (await ask(app))[-1].data
        assert isinstance(last, error)
        assert last.retryable is retryable
        assert last.status == int(str(code))


@pytest.mark.parametrize(
    ("report", "error", "retryable"),
    [
        ({"error": {"type": "server_error", "message": "no"}}, AdapterError, True),
        ({"error": {"type": "invalid_request_error", "message": "no"}}, AdapterRequestError, False),
        ({"error": {"type": "unavailable_error", "message": "no"}}, AdapterBusyError, True),
        ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "no"}}, AdapterBusyError, True),
        ({"error": True, "code": 503, "message": "no"}, AdapterBusyError, True),
        ({"object": "error", "code": 400, "message": "no"}, AdapterRequestError, False),
        ({"statusCode": 429, "message": "no"}, AdapterBusyError, True),
        ({"detail": [{"loc": ["body", 0], "msg": "no", "type": "value_error"}]}, AdapterError, False),
        ({"detail": {"error": {"message": "no", "code": "model_not_found"}}}, ModelNotFoundError, False),
        ({"errors": [{"message": "no", "code": 7009}], "success": False}, AdapterError, False),
    ],
)
async def test_f10_an_error_in_another_shape_is_one_wherever_it_is_said(
    report: dict[str, Any], error: type[AdapterError], retryable: bool
) -> None:
    body = json.dumps(report)
    for frame in (
        f"data: {body}\n\n",
        f"{body}\n",
        body,
    ):  # the last two as a server writes that has begun a stream and fails
        for app in (Scripted(chunk({"content": "x"}), frame), Scripted(body, kind=JSON)):
            last = (await ask(app))[-1].data
            assert type(last) is error
            assert last.retryable is retryable
            assert str(last).startswith("http://host: no")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("error", AdapterError),
        ("Error", AdapterError),
        ("failed", AdapterError),
        ("abort", TruncatedStreamError),
        ("cancelled", TruncatedStreamError),
        ("modelUnloaded", ModelEvictedError),
        ("network_error", AdapterError),
        ("FinishReason.ERROR", AdapterError),
        ("MALFORMED_FUNCTION_CALL", AdapterError),
        ("insufficient_system_resource", AdapterBusyError),
        ("timeout", AdapterTimeoutError),
        ("interrupted", TruncatedStreamError),
        ({"type": "abort", "message": "no"}, TruncatedStreamError),
    ],
)
async def test_f11_an_error_as_a_finish_reason(reason: Any, kind: type[AdapterError]) -> None:
    events = await ask(Scripted(chunk({"content": "x"}), chunk({}, reason), DONE))
    assert [event.type for event in events] == ["token", "error"]
    assert isinstance(events[-1].data, kind)


async def test_f11_with_an_error_of_its_own() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "slow down"}}
    for outer in (
        {"choices": [choice]},
        {"choices": [{**choice, "error": None}], "error": choice["error"]},
        {"choices": [{**choice, "finish_reason": None}]},
        {"choices": [{**choice, "finish_reason": "stop"}]},
        {"choices": [], "x_groq": {"id": "x", "error": choice["error"]}},
    ):
        last = (await ask(Scripted(chunk({"content": "x"}), f"data: {json.dumps(outer)}\n\n", DONE)))[-1].data
        assert isinstance(last, AdapterBusyError)
        assert "slow down" in str(last)


@pytest.mark.parametrize(
    "odd",
    [
        *("data: : keepalive\n\n", "data: null\n\n", "data:\n\n", "data: \n\n", ":\n\n", "data: {}\n\n", ": x\n"),
        *("event: ping\ndata: 17:00\n\n", "data: heartbeat\n\n", "data: []\n\n", 'data: ""\n\n', "data: true\n\n"),
    ],
)
@pytest.mark.parametrize(
    "done",
    [
        *(DONE, "data: [DONE] \n\n", "data:[DONE]\t\n\n", "data:   [DONE]\n\n"),
        *('data: "[DONE]"\n\n', "data: [done]\n\n", "event: done\ndata:\n\n", "data: data: [DONE]\n\n"),
    ],
)
async def test_f12_odd_frames_are_passed_over(odd: str, done: str) -> None:
    app = Scripted(odd, chunk({"content": "x"}), odd, STOP, odd, done)
    assert await ask(app) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]


@pytest.mark.parametrize("before", ["", "data: "])
async def test_f12_frames_that_a_proxy_has_framed_otherwise(before: str) -> None:
    frames = [
        before + frame.removesuffix("\n") for frame in (chunk({"content": "x"}), chunk({"content": "y"}), STOP, DONE)
    ]
    for app in (Scripted(*frames), Scripted("".join(frames[:2]), "".join(frames[2:]))):
        assert [event.data for event in await ask(app)] == ["x", "y", "stop"]


@pytest.mark.parametrize(
    "odd", ["data: {broken\n\n", "data: 7\n\n", "data: keepalive\n\n", "data: [1]\n\n", b"data: " + b"x" * 5_000_000]
)
async def test_f12_after_a_finish_reason_nothing_unreadable_is_an_error(odd: str | bytes) -> None:
    for app in (Scripted(chunk({"content": "x"}, "stop"), odd, DONE), Scripted(chunk({"content": "x"}, "stop"), odd)):
        assert await ask(app) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]


@pytest.mark.parametrize("then", ["cut", "silence"])
async def test_f12_after_a_finish_reason_a_lost_connection_is_none(
    then: str, autojump_clock: trio.testing.MockClock
) -> None:
    app = Scripted(chunk({"content": "x"}, "stop"), chunk(usage=USAGE), then=then)
    assert (await ask(app))[-1] == StreamEvent("end", "stop")


async def test_f12_before_a_finish_reason_nonsense_is_an_error() -> None:
    for odd in ("data: {broken\n\n", "data: 7\n\n", 'data: "x"\n\n'):
        assert type((await ask(Scripted(chunk({"content": "x"}), odd, STOP, DONE)))[-1].data) is AdapterProtocolError


SMILE = "\U0001f600"
HIGH, LOW = "\ud83d", "\ude00"


@pytest.mark.parametrize("kind", ["content", "reasoning", "arguments"])
@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["a" + HIGH, LOW + "b"], f"a{SMILE}b"),
        ([HIGH, LOW], SMILE),
        ([HIGH, "", LOW], SMILE),
        (["a" + HIGH, "b"], "a\ufffdb"),
        ([LOW + "a"], "\ufffda"),
        (["a" + HIGH], "a\ufffd"),
        ([HIGH, HIGH + LOW], "\ufffd" + SMILE),
    ],
)
async def test_f13_halves_of_characters_are_joined(kind: str, pieces: list[str], joined: str) -> None:
    def delta(text: str) -> dict[str, Any]:
        return {"tool_calls": [piece(text, index=0, id="a", name="f")]} if kind == "arguments" else {kind: text}

    events = await ask(Scripted(*(chunk(delta(text)) for text in pieces), chunk({}, "stop"), DONE))
    texts = [event.data.arguments if isinstance(event.data, ToolCall) else str(event.data) for event in events[:-1]]
    assert "".join(texts) == joined
    "".join(texts).encode()
    assert all(text.encode() or kind == "arguments" for text in texts)


async def test_f13_halves_elsewhere_become_encodable() -> None:
    app = Scripted(chunk({"content": "x"}, f"st{HIGH}op"), chunk(usage={f"a{LOW}": [f"{HIGH}"]}), DONE)
    for event in await ask(app):
        repr(event.data).encode()
        json.dumps(event.data, ensure_ascii=False).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_f14_a_byte_order_mark_is_dropped(size: int) -> None:
    stream = ("\ufeff" + chunk({"content": "x"}) + STOP + DONE).encode()
    pieces = [stream[:size], stream[size:]]
    assert await ask(Scripted(*pieces)) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]
    assert await ask(Scripted("\ufeff" + WHOLE, kind=JSON)) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]


@pytest.mark.parametrize("end", [chunk({"content": "x"}, "stop").rstrip(), chunk({"content": "x"}, "stop")[:-1]])
async def test_f15_a_whole_last_line_without_a_line_end_counts(end: str) -> None:
    assert await ask(Scripted(end)) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]
    assert await ask(Scripted(chunk({"content": "x"}) + STOP + "data: [DONE]")) == [
        StreamEvent("token", "x"),
        StreamEvent("end", "stop"),
    ]


async def test_f15_a_last_line_that_is_not_whole_does_not() -> None:
    cut = chunk({"content": "y"}, "stop").rstrip()[:-1]
    assert type((await ask(Scripted(chunk({"content": "x"}), cut)))[-1].data) is TruncatedStreamError


async def test_f15_nor_after_a_lost_connection(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(chunk({"content": "x"}), chunk({"content": "y"}, "stop").rstrip(), then="cut")
    assert isinstance((await ask(app))[-1].data, AdapterConnectError)


@pytest.mark.parametrize("delta", [{"content": "b"}, {}, None])
async def test_f19_a_message_beside_a_delta_is_the_text_so_far(delta: object) -> None:
    def frame(delta: object, message: str, reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "message": {"content": message}, "finish_reason": reason}
        return f"data: {json.dumps({'choices': [choice]})}\n\n"

    events = await ask(Scripted(frame({"content": "a"}, "a"), frame(delta, "ab", "stop"), DONE))
    assert [event.data for event in events] == ["a", *(["b"] if delta else []), "stop"]


DEEP = "[" * 100_000


@pytest.mark.parametrize("body", [DEEP, '{"a":' * 100_000, '{"choices":' + DEEP, f'{{"x": {DEEP + "]" * 100_000}}}'])
async def test_f20_deep_nesting_is_a_protocol_error(body: str) -> None:
    for app in (Scripted(f"data: {body}\n\n"), Scripted(body, kind=JSON)):
        (event,) = await ask(app)
        assert isinstance(event.data, AdapterProtocolError)
    (event,) = await ask(Scripted(body, status=500, kind=JSON))
    assert isinstance(event.data, AdapterError)


async def test_f21_metadata_in_several_chunks_and_a_choice_without_a_number() -> None:
    choice = {"index": None, "delta": {"content": "x"}, "finish_reason": "stop"}
    app = Scripted(f"data: {json.dumps({'choices': [choice]})}\n\n", chunk(usage=USAGE), chunk(stats={"a": 1}), DONE)
    assert [event.data for event in await ask(app)] == ["x", {"usage": USAGE}, {"stats": {"a": 1}}, "stop"]


@pytest.mark.parametrize("later", ["stop", "length", None])
async def test_f21_the_first_finish_reason_stands(later: str | None) -> None:
    app = Scripted(chunk({"content": "x"}), chunk({}, "tool_calls"), chunk({}, later), DONE)
    assert (await ask(app))[-1] == StreamEvent("end", "tool_calls")


async def test_f21_figures_elsewhere_and_choices_without_numbers() -> None:
    choices = [{"message": {"content": text}, "finish_reason": "stop", "usage": USAGE} for text in ("x", "y")]
    events = await ask(Scripted(json.dumps({"choices": choices, "usage": [1]}), kind=JSON))
    assert [event.data for event in events] == ["x", {"usage": USAGE}, "stop"]
    app = Scripted(chunk({"content": "x"}, "stop", usage="null", x_groq={"usage": USAGE}), DONE)
    assert [event.data for event in await ask(app)] == ["x", {"usage": USAGE}, "stop"]
