"""Further members of the kinds of faults that were seen in the field, by their numbers, on a real socket, byte for byte."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import partial
from typing import Any

import pytest
import trio

from adapters import LMStudioAdapter
from adapters.http import HttpClient, chat_request, stream_chat
from adapters.http.error_body import retry_after_seconds
from adapters.http.errors import adapter_error
from statemachine import (
    AdapterBusyError,
    AdapterConfig,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    CallOptions,
    ConfigurationError,
    StreamEvent,
    ToolCall,
    TruncatedStreamError,
)

from .events import text as text_of
from .loopback import json_reply as reply
from .scripted import DONE, PROMPT, Scripted, ask, chunk
from .studio import LIST, LOAD, make, paths, studio

GOOD = (chunk({"content": "hel"}) + chunk({"content": "lo"}, "stop") + DONE).encode()
WHOLE = json.dumps({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(WHOLE)
NESTED: Any = {"error": {"error": {"error": {"error": {"error": {"error": "x"}}}}}}
OK = b"HTTP/1.1 200 OK\r\n"


def chunked(*pieces: bytes, extension: bytes = b"", trailer: bytes = b"", size: bytes = b"%x") -> bytes:
    body = b"".join(size % len(piece) + extension + b"\r\n" + piece + b"\r\n" for piece in pieces)
    return b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


def plain(body: bytes, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return OK + "".join(lines).encode() + b"\r\n" + body


async def wire(raw: bytes) -> list[StreamEvent]:
    """What a call makes of an answer that is these bytes, head included, and then the connection's end."""

    async def serve(stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        await stream.send_all(raw)
        await stream.send_eof()
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        http = HttpClient(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        events = [event async for event in stream_chat(http, chat_request("m", PROMPT, CallOptions()))]
        await http.aclose()
        nursery.cancel_scope.cancel()
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


# ---- F8, F9, F12: heads, framing and encodings ----


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(plain(GOOD), id="no label, ended by the connection"),
        pytest.param(OK + chunked(GOOD, trailer=b"X-Checksum: a\r\nX-Time: 1\r\n"), id="trailers"),
        pytest.param(
            OK + chunked(GOOD[:9], GOOD[9:], extension=b';a=b;c="d"', size=b"000%X"), id="chunks with extensions"
        ),
        pytest.param(OK + chunked(GOOD)[:-5], id="cut before the last chunk, after the end of the answer"),
        pytest.param(plain(GOOD, Content_Length=str(len(GOOD) + 5)), id="shorter than its length, but complete"),
        pytest.param(plain(WHOLE + b"garbage", Content_Length=str(len(WHOLE))), id="longer than its length"),
        pytest.param(plain(WHOLE).replace(b"\r\n\r\n", b"\r\n" + LENGTH * 2 + b"\r\n"), id="its length twice"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD, id="HTTP 1.0"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n" + GOOD, id="no reason phrase"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + plain(GOOD), id="100 before it"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + plain(GOOD), id="103 three times before it"),
        pytest.param(b"HTTP/1.1 201 Created\r\n\r\n" + WHOLE, id="201"),
        pytest.param(OK + b"Content-Type: text/html\r\nContent-Type: application/json\r\n\r\n" + GOOD, id="two labels"),
        pytest.param(OK + b"X-A: \xff\xfe\r\nX-B: a\r\n b\r\n\r\n" + GOOD, id="odd headers"),
        pytest.param(plain(GOOD.replace(b"\n", b"\r\n")), id="CR LF"),
        pytest.param(plain(GOOD.replace(b"\n", b"\r")), id="CR"),
        pytest.param(plain(GOOD.replace(b"\n\n", b"\r\n\n")), id="mixed line ends"),
        pytest.param(plain(GOOD.replace(b"data: ", b"data:\t")), id="a tab after the colon"),
        pytest.param(plain(GOOD.replace(b"data: ", b" data: ")), id="indented frames"),
        pytest.param(plain(GOOD.replace(b"data: ", b"event: x\nid: 1\nretry: 5\ndata: ")), id="named frames"),
        pytest.param(plain(GOOD.replace(b"\n\n", b"\n\x0c\n")), id="a form feed between frames"),
        pytest.param(plain(GOOD + DONE.encode() * 2 + b'data: {"error":"late"}\n\n'), id="more after the end"),
        pytest.param(plain(gzip.compress(GOOD), Content_Encoding="GZIP"), id="gzip in capitals"),
        pytest.param(plain(gzip.compress(GOOD), Content_Encoding="gzip, identity"), id="gzip and identity"),
        pytest.param(plain(gzip.compress(GOOD)), id="gzip, not said"),
        pytest.param(plain(gzip.compress(GOOD) + bytes(8), Content_Encoding="gzip"), id="zeros after gzip"),
        pytest.param(plain(zlib.compress(GOOD), Content_Encoding="deflate"), id="deflate"),
        pytest.param(plain(GOOD, Content_Encoding="aws-chunked"), id="an encoding that is none"),
        pytest.param(plain(WHOLE.decode().encode("utf-16")), id="UTF-16"),
        pytest.param(plain(b"[" + WHOLE + b"]"), id="in a list"),
    ],
)
async def test_f08_f09_f12_what_can_be_read_is_read(raw: bytes) -> None:
    events = await wire(raw)
    assert (text_of(events), events[-1]) == ("hello", StreamEvent("end", "stop"))


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (OK + chunked(GOOD)[:60], TruncatedStreamError | AdapterConnectError),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD, AdapterConnectError),
        (plain(WHOLE, Content_Length=str(len(WHOLE) + 5)), AdapterConnectError),
        (plain(WHOLE, Content_Length="-1"), AdapterConnectError),
        (plain(WHOLE, Transfer_Encoding="gzip"), AdapterConnectError),
        (GOOD, AdapterConnectError),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + GOOD, AdapterConnectError),
        (b"HTTP/1.1 204 No Content\r\n\r\n" + GOOD, TruncatedStreamError),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", AdapterProtocolError),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", AdapterProtocolError),
        (b"HTTP/1.1 308 X\r\n\r\n<html>moved</html>", AdapterProtocolError),
        (b"HTTP/1.1 099 X\r\n\r\n" + WHOLE, AdapterConnectError),
        (b"HTTP/1.1 999 X\r\n\r\n" + WHOLE, AdapterError),
        (plain(GOOD, Content_Encoding="br"), AdapterProtocolError),
        (plain(gzip.compress(gzip.compress(GOOD)), Content_Encoding="gzip, gzip"), AdapterProtocolError),
        (plain(gzip.compress(GOOD)[:-8] + b"12345678", Content_Encoding="gzip"), AdapterProtocolError),
        (plain(b""), TruncatedStreamError),
        (plain(b" \r\n "), TruncatedStreamError),
        *((plain(body), AdapterProtocolError) for body in (b"null", b"[]", b"0", b'"hello"', b"<html>", WHOLE + WHOLE)),
        (plain(json.dumps(WHOLE.decode()).encode()), AdapterProtocolError),
    ],
)
async def test_f08_f09_what_cannot_be_read_is_a_typed_error(raw: bytes, kind: type[AdapterError]) -> None:
    (*_, last) = await wire(raw)
    assert isinstance(last.data, kind)
    assert str(last.data).isprintable()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
async def test_f14_a_mark_and_line_ends_may_be_split_anywhere(size: int, line_end: str) -> None:
    body = b"\xef\xbb\xbf" + GOOD.replace(b"\n", line_end.encode())
    events = await ask(Scripted(*(body[at : at + size] for at in range(0, len(body), size))))
    assert (text_of(events), events[-1].data) == ("hello", "stop")


# ---- F2, F3, F4: members of odd types ----


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (["a", {"text": "b"}], "ab"),
        ([[["ab"]]], "ab"),
        ([None, "ab"], "ab"),
        ({"text": {"value": "ab"}}, "ab"),
        ([], ""),
        ({"text": None}, ""),
        ([{"type": "output_text", "text": "ab", "annotations": []}], "ab"),
    ],
)
async def test_f03_text_in_any_shape(content: object, text: str) -> None:
    events = await ask(Scripted(chunk({"content": content}), chunk({}, "stop"), DONE))
    assert (text_of(events), events[-1].type) == (text, "end")


@pytest.mark.parametrize(
    "delta",
    [
        *({"content": content} for content in (0, 1.5, True, {"type": "image_url"}, {"parts": [{"text": "a"}]})),
        *({"tool_calls": [{"id": "c", "function": function}]} for function in ("f", 5, ["f"])),
    ],
)
async def test_f02_f03_what_cannot_be_read_does_not_end_well(delta: dict[str, Any]) -> None:
    events = await ask(Scripted(chunk(delta), chunk({}, "stop"), DONE))
    assert isinstance(events[-1].data, AdapterProtocolError)


@pytest.mark.parametrize(
    ("choices", "ends"), [(None, True), ([], True), ({}, True), ([None], True), ("x", False), ([5], False), (7, False)]
)
async def test_f03_choices_of_odd_types(choices: object, ends: bool) -> None:
    odd = f"data: {json.dumps({'choices': choices})}\n\n"
    events = await ask(Scripted(odd, chunk({"content": "a"}, "stop"), DONE))
    assert (text_of(events), events[-1].type == "end") == ("a", ends)


@pytest.mark.parametrize("index", [-1, 10**30, 0.0, 0.5, True, "0", "x", None, [], {}])
async def test_f01_a_tool_calls_index_of_any_type(index: object) -> None:
    call = {"index": index, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}
    events = await ask(Scripted(chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE))
    assert events[0].data == ToolCall(0, "c", "f", '{"a": 1}')


@pytest.mark.parametrize("call_id", [5.5, True, [], {}, "", "null", " ", None])
async def test_f04_an_id_that_is_none(call_id: object) -> None:
    call = {"index": 0, "id": call_id, "function": {"name": "f", "arguments": "{}"}}
    events = await ask(Scripted(chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE))
    assert isinstance(events[0].data, ToolCall)
    assert events[0].data.id is None


@pytest.mark.parametrize("reason", [0, 1, True, [], ["stop"], {}, {"reason": "stop"}, "null", " ", None])
async def test_f04_a_finish_reason_that_is_none(reason: object) -> None:
    events = await ask(Scripted(chunk({"content": "a"}), chunk({}, reason)))  # type: ignore[arg-type]
    assert isinstance(events[-1].data, TruncatedStreamError)


@pytest.mark.parametrize(
    ("reason", "told"), [(" stop ", "stop"), ({"type": "stop"}, "stop"), ("STOP", "STOP"), ("x" * 999, "x" * 100)]
)
async def test_f21_the_first_finish_reason_stands(reason: object, told: str) -> None:
    events = await ask(Scripted(chunk({"content": "a"}, reason), chunk({}, "length"), DONE))  # type: ignore[arg-type]
    assert events[-1] == StreamEvent("end", told)


@pytest.mark.parametrize("usage", ['{"total_tokens": NaN, "a": 1e999, "b": -Infinity}', "[1]", '"5"', "5", "true"])
async def test_f21_odd_usage_harms_no_answer(usage: str) -> None:
    events = await ask(Scripted(chunk({"content": "a"}, "stop"), f'data: {{"choices":[],"usage":{usage}}}\n\n', DONE))
    assert events[-1] == StreamEvent("end", "stop")
    json.dumps([event.data for event in events if event.type == "metadata"], allow_nan=False)


@pytest.mark.parametrize("odd", ["\x00", "\x0b", "\u2028", "\x85", "\t", "\x1b[31m"])
async def test_f12_controls_in_a_text_that_are_not_written_by_number(odd: str) -> None:
    frame = chunk({"content": "a#b"}, "stop").replace("#", odd)
    assert text_of(await ask(Scripted(frame, DONE))) == f"a{odd}b"


# ---- F10, F28, R21: errors ----


@pytest.mark.parametrize("code", [429, 429.0, "429", " 429 "])
def test_f10_a_code_is_a_status_whatever_its_type(code: object) -> None:
    assert isinstance(adapter_error(None, {"error": {"code": code}}, server="s"), AdapterBusyError)


@pytest.mark.parametrize(
    "error",
    [
        5,
        True,
        [1],
        "x",
        {"code": True},
        {"code": -1},
        {"code": 10**30},
        {"code": 1e300},
        {"message": ["m"]},
        NESTED,
    ],
)
def test_f28_an_error_of_any_type_is_one(error: object) -> None:
    found = adapter_error(None, {"error": error}, server="s")
    assert (type(found), found.retryable) == (AdapterError, False)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0),
        ("1.5", 1.5),
        ("9" * 40, 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ]
    + [(word, None) for word in ("", "-1", "soon", "NaN", "inf", "1e5", "\u0661", "1, 2", "2026-01-01T00:00:00Z")],
)
def test_r21_a_wait_is_a_plain_number_or_a_date(told: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": told}) == seconds


# ---- F25: loads that are answered by nonsense ----


@pytest.mark.parametrize("instance_id", ["", " ", None, 5, [], {"id": "m"}])
async def test_f27_an_id_that_is_none(instance_id: object) -> None:
    async with studio() as (state, server):

        def loaded() -> Any:
            state.load("m")
            return reply({"instance_id": instance_id, "status": "loaded"})

        state.said[LOAD] = [loaded]
        adapter = make(server)
        await adapter.start()
        await adapter.shutdown()
        assert state.instances == {}


async def test_f25_a_load_that_another_program_began_is_not_ours_whatever_the_status() -> None:
    async with studio() as (state, server):

        def running() -> Any:
            state.load("m")
            return reply({"error": {"message": "model is already running"}}, 500)

        state.said[LOAD] = [running]
        adapter = make(server)
        await adapter.start()
        await adapter.shutdown()
        assert list(state.instances) == ["m"]
    assert paths(server) == [LOAD]


@pytest.mark.parametrize("status", [301, 404])
async def test_f17_a_load_that_no_endpoint_took_is_not_looked_for(status: int) -> None:
    text = "Unexpected endpoint or method. (POST /api/v1/models/load)"
    async with studio(said={LOAD: [reply({"error": text}, status)]}) as (_, server):
        adapter = make(server)
        with pytest.raises(AdapterError):
            await adapter.start()
        with trio.fail_after(5):
            await adapter.shutdown()
    assert [request.path for request in server.requests].count(LIST) <= 2


# ---- R14: options ----


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:99999",
        "http://localhost:0",
        "http://localhost:-1",
        "http://a b",
        "http://" + "a" * 300,
        "http://[::1",
        "http://a..b",
        "http://",
        "//h",
        "h:1",
    ],
)
def test_r14_a_url_that_names_no_server_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        LMStudioAdapter(AdapterConfig("lm", "m", {"base_url": url}))
