"""What a server may send or take its time for is bounded (R7), its JSON and its text too (R8, R17), and no secret comes back (R14)."""

from __future__ import annotations

import base64
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import FrozenInstanceError
from functools import partial
from urllib.parse import quote

import pytest
import trio
import trio.testing

from adapters.http import Bounds, HttpClient, SSEDecoder, chat_request, stream_chat
from adapters.http.ndjson import NDJSONDecoder
from adapters.http.secrets import redacted
from simulation.mock.transport import StreamingTransport
from statemachine import (
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    CallOptions,
    StreamEvent,
)
from statemachine.foreign import ForeignJSONError, read_json
from statemachine.text import fit_to_show

from .loopback import Reply, json_reply, loopback, stream_reply
from .scripted import DONE, PROMPT, Scripted, ask, chunk

MIB = 1024 * 1024
PING = b": ping\n\n"


@contextmanager
def at_most(mebibytes: float) -> Iterator[None]:
    """Python's memory does not grow by more in the block."""
    HttpClient("http://host")  # the first one reads the certificates
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


async def call(url: str, **bounds: float | None) -> list[StreamEvent]:
    http = HttpClient(url, bounds=Bounds.of(bounds))
    try:
        return [event async for event in stream_chat(http, chat_request("m", PROMPT, CallOptions()))]
    finally:
        await http.aclose()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("blank", [b" ", b"["])
async def test_r07_a_small_body_that_unpacks_to_gigabytes(status: int, blank: bytes) -> None:
    bomb = gzip.compress(blank * (100 * MIB), 6)  # 0.1 MB
    pieces = [bomb[at : at + 65536] for at in range(0, len(bomb), 65536)]
    async with loopback(lambda _: Reply(pieces, status, {"Content-Encoding": "gzip"})) as server:
        with at_most(12):
            (event,) = await call(server.url, max_body_bytes=2 * MIB, max_line_bytes=MIB, first_event_timeout=30)
    assert isinstance(event.data, AdapterError)


def _packed(body: bytes, label: str, _: object) -> Reply:
    return Reply([body[:1], body[1:]], headers={"Content-Encoding": label})


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP"])
async def test_what_was_packed_without_being_asked_for_is_read(encoding: str) -> None:
    pack = zlib.compress if encoding == "deflate" else gzip.compress
    body = pack((chunk({"content": "x"}, "stop") + DONE).encode())
    for label in (encoding, f"{encoding}, identity", *(["", "utf-8"] if encoding != "deflate" else [])):
        async with loopback(partial(_packed, body, label)) as server:
            assert await call(server.url) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]
    bad = [Reply([body], headers={"Content-Encoding": "br"}), Reply([b"not"], headers={"Content-Encoding": encoding})]
    async with loopback(lambda _: bad.pop()) as server:
        for _ in range(2):
            (event,) = await call(server.url)
            assert type(event.data) is AdapterProtocolError


async def test_r07_a_body_without_end() -> None:
    async with loopback(lambda _: Reply([b"[" + b"1," * MIB] * 8)) as server:
        with at_most(24):
            (event,) = await call(server.url, max_body_bytes=2 * MIB)
    assert type(event.data) is AdapterProtocolError


@pytest.mark.parametrize("line", [b"data: " + b"x" * 30_000 + b"\n", b"data: x\n" * 4_000])
async def test_r07_many_lines_in_one_event(line: bytes) -> None:
    async with loopback(lambda _: stream_reply(*[line] * 400)) as server:
        with at_most(16):
            (event,) = await call(server.url, max_event_bytes=MIB // 8)
    assert type(event.data) is AdapterProtocolError


@pytest.mark.parametrize("piece", [b"x", b"data: x\n", b"data: x\n\n"], ids=["one line", "one event", "events"])
def test_r07_the_work_is_linear_in_the_pieces(piece: bytes) -> None:
    """Four times as many pieces may take four times as long (and some) of the processor."""

    def seconds(pieces: int) -> float:
        decoder, began = SSEDecoder(), time.thread_time()
        for _ in range(pieces):
            decoder.feed(piece)
        return time.thread_time() - began

    seconds(1000)
    assert min(seconds(40_000) for _ in range(3)) < 12 * min(seconds(10_000) for _ in range(3))


@pytest.mark.parametrize("sign", [PING, b"\n", b"data:\n\n", b"data: {}\n\n"])
async def test_r07_signs_of_life_that_carry_nothing_prolong_nothing(sign: bytes) -> None:
    async with loopback(lambda _: stream_reply(*[sign] * 400, pause=0.02)) as server:
        began = trio.current_time()
        (event,) = await call(server.url, read_timeout=0.3)
        assert type(event.data) is AdapterTimeoutError
        assert trio.current_time() - began < 3


@pytest.mark.parametrize(("headers", "seconds"), [(1, 0.3), (1000, 5)])
async def test_r07_a_head_without_end(headers: int, seconds: float) -> None:
    async def drip(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 200 OK\r\n")
            while True:
                await stream.send_all(b"X-More: y\r\n" * headers)
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, drip, 0)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with trio.fail_after(4), at_most(8):
            (event,) = await call(url, read_timeout=seconds)
        assert isinstance(event.data, AdapterError)
        nursery.cancel_scope.cancel()


async def test_r07_a_whole_call_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(*[chunk({"content": "x"})] * 50, then="silence")
    began = trio.current_time()
    events = await ask(app, read_timeout=100)
    assert trio.current_time() - began == pytest.approx(100)
    async with loopback(lambda _: stream_reply(*[chunk({"content": "x"})] * 400, pause=0.02)) as server:
        events = await call(server.url, call_timeout=0.3)
    assert events[0] == StreamEvent("token", "x")
    assert isinstance(events[-1].data, AdapterTimeoutError)
    assert "longer than it may" in str(events[-1].data)


async def test_a_refusal_is_waited_for_so_long(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    (event,) = await ask(Scripted("no", status=400, then="silence"), read_timeout=100)
    assert type(event.data) is AdapterRequestError
    assert trio.current_time() - began == pytest.approx(15)


def test_bounds_stay_as_they_are() -> None:
    with pytest.raises(FrozenInstanceError):
        Bounds().max_body_bytes = 1  # type: ignore[misc]


async def test_a_slow_reader_is_not_the_servers_silence(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(chunk({"content": "x"}), chunk({"content": "y"}), chunk({}, "stop"), DONE)
    async with StreamingTransport(app) as transport:
        http = HttpClient(
            "http://host", bounds=Bounds.of({"read_timeout": 5, "call_timeout": None}), transport=transport
        )
        events = []
        async for event in stream_chat(http, chat_request("m", PROMPT, CallOptions())):
            events.append(event)
            await trio.sleep(60)
        await http.aclose()
    assert events[-1] == StreamEvent("end", "stop")


def test_the_decoder_keeps_what_follows_a_comment_in_one_piece() -> None:
    assert [event.data for event in SSEDecoder().feed(b": ping\n\ndata: a\n\n")] == ["a"]
    assert [event.data for event in SSEDecoder().feed(b"data: a\n\n: ping\n\ndata: b\n\n")] == ["a", "b"]
    assert NDJSONDecoder().feed(b'\n\n{"a":1}\n\n{"b":2}\n') == [{"a": 1}, {"b": 2}]


# ---- R8: foreign JSON ----


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "-" + "9" * 500, "{", "", "nul", "\x00", '"\\', "[1,]"]
)
def test_r08_f20_foreign_json_has_one_error(text: str) -> None:
    for data in (text, text.encode(), text.encode("utf-16")):
        with pytest.raises(ForeignJSONError) as caught:
            read_json(data)
        assert len(str(caught.value)) < 60


def test_foreign_json_as_it_is() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": [1, 2.5, "\xff", NaN, 1e999, -Infinity]}') == {
        "a": [1, 2.5, "\ufffd", None, None, None]
    }
    assert read_json("[" * 100 + "]" * 100)
    assert read_json('"' + "[" * 10_000 + '"') == "[" * 10_000
    assert read_json('["\\"[[[[", ' + "[],[]," * 100 + "1]")


@pytest.mark.parametrize("label", ["gzip", "utf-8", "none", "x"])
async def test_what_is_labelled_as_packed_and_is_not_is_read(label: str) -> None:
    plain = [(chunk({"content": "x"}, "stop") + DONE).encode()]
    async with loopback(lambda _: Reply(plain, headers={"Content-Encoding": label})) as server:
        assert await call(server.url) == [StreamEvent("token", "x"), StreamEvent("end", "stop")]


# ---- R14: secrets ----

KEY = "sk-lm-abcdefgh:0123456789abcdefghij"
BASIC = base64.b64encode(b"user:p&ss w0rd").decode()


FORMS = (
    KEY,
    KEY.upper(),
    quote(KEY, safe=""),
    base64.b64encode(KEY.encode()).decode(),
    KEY[:9] + "\n" + KEY[9:],
    KEY[:5] + "\x00\u200b" + KEY[5:],
    "\u2060".join(KEY),
    KEY.encode().hex(),
    base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    base64.urlsafe_b64encode(f"{{{KEY}}}?".encode()).decode(),
    *("".join(form % ord(c) for c in KEY) for form in ("%%%02x", "%%25%02X", "&#%d;", "&#x%X;", "\\x%02x", "\\u%04x")),
)
PARTS = (
    KEY[:9],
    KEY[10:20],
    quote(KEY, safe="")[8:16],
    base64.b64encode(KEY.encode()).decode()[:12],
    KEY.encode().hex()[8:20],
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["text", "code", "type", "stream"])
async def test_r14_no_form_of_a_token_comes_back(form: str, place: str) -> None:
    error = {"text": {"message": f"bad {form}!"}, "code": {"code": form}, "type": {"type": form}}.get(
        place, {"message": form}
    )
    body = json.dumps({"error": error})
    reply = stream_reply(f"data: {body}\n\n") if place == "stream" else Reply([body.encode()], 400)
    async with loopback(lambda _: reply) as server:
        http = HttpClient(server.url, token=KEY)
        (event,) = [e async for e in stream_chat(http, chat_request("m", PROMPT, CallOptions()))]
        await http.aclose()
    assert isinstance(event.data, AdapterError)
    shown = f"{event.data} {event.data.code} {event.data.type} {event.data!r} {event.data.__dict__}".lower()
    assert "***" in shown
    assert len(shown) < 400  # no character by its number either
    for part in PARTS:
        assert part.lower() not in shown


@pytest.mark.parametrize("user", ["user:p%26ss%20w0rd", "tok3n-t0k3n"])
async def test_r14_credentials_of_the_url_do_not_come_back(user: str) -> None:
    def echo(request: object) -> Reply:
        return json_reply(
            {"error": f"who is {server.requests[-1].headers['authorization']}? p&ss w0rd p%26ss%20w0rd tok3n-t0k3n"},
            400,
        )

    async with loopback(echo) as server:
        (event,) = await call(server.url.replace("//", f"//{user}@"))
    sent = server.requests[0].headers["authorization"].removeprefix("Basic ")
    for secret in (sent, sent[:12], *(("p&ss w0rd", "p%26ss", "w0rd") if "user" in user else ("tok3n",))):
        assert secret not in str(event.data)


# ---- R17: foreign text ----


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\r\nERROR forged", "a ERROR forged"),
        ("\ud83d x", "\ufffd x"),
        ("\u202eevil\u200b", "\\u202eevil\\u200b"),
        ("a\x00\x07\x9b", "a\\x00\\x07\\x9b"),
        ("x" * 600, "x" * 499 + "\u2026"),
        ("", ""),
        (None, "a NoneType"),
        ("\u00e9\u4e2d\U0001f600", "\u00e9\u4e2d\U0001f600"),
    ],
)
def test_r17_foreign_text_is_made_fit_to_show(text: object, shown: str) -> None:
    assert fit_to_show(text) == shown
    fit_to_show(text).encode()
    assert len(fit_to_show("\x1b" * 10_000_000, 50)) == 50


@pytest.mark.parametrize("member", ["message", "type", "code", "param"])
async def test_r17_in_every_member_of_an_error(member: str) -> None:
    hostile = "a\x1b]0;x\x07\nb\ud83d" + "y" * 2_000_000
    (event,) = await ask(Scripted(json.dumps({"error": {"message": "m", member: hostile}}), status=400))
    error = event.data
    assert isinstance(error, AdapterError)
    for said in (str(error), error.type, error.code, error.param):
        assert said is None or (said.isprintable() and len(said) < 1000 and said.encode())


@pytest.mark.parametrize("text", ["\\" * 4_000_000, "&#0" * 1_000_000, "%25" * 1_000_000, f"{KEY[:-1]} " * 100_000])
def test_r07_looking_for_secrets_takes_no_longer_the_longer_a_text_is(text: str) -> None:
    began = time.process_time()
    redacted(text, (KEY,))
    assert time.process_time() - began < 2
