"""The gateway's HTTP server, over raw sockets: what a client can do to a connection, and what becomes of it."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from adapters.gateway.answer import Receive, Send
from adapters.gateway.http1 import CROWD_LIMIT, CROWD_SECONDS, ClientBounds, serve_http

from .served import GEMMA, served, until
from .test_waiting import body

PIECE = b"x" * 65536


class Echo:
    """Answers with the method, the path and the body it read; ``/unread`` without reading, ``/endless`` without end, and some wrongly."""

    def __init__(self) -> None:
        self.calls = 0
        self.gone = trio.Event()
        self.ended = trio.Event()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.calls += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.ended.set()

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/fails"):
            raise ValueError("ordered")
        said = b"" if path == "/unread" else await self._whole(receive)
        if said is None:
            return
        await send({"type": "http.response.start", "status": 204 if path == "/empty" else 200, "headers": []})
        if path in ("/waits", "/flushes"):
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        if path == "/breaks":
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ValueError("ordered")
        if path == "/late":
            await trio.lowlevel.checkpoint()
        while path == "/endless":
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        if path == "/waits":
            try:
                await receive()
            except trio.Cancelled:
                self.gone.set()
                raise
        text = b"%s %s %s" % (scope["method"].encode(), path.encode(), said)
        if "crowded" in scope["extensions"]:
            text += b" in a crowd"
        await send({"type": "http.response.body", "body": text, "more_body": False})

    async def _whole(self, receive: Receive) -> bytes | None:
        said = b""
        while (message := await receive())["type"] == "http.request":
            said += message["body"]
            if not message["more_body"]:
                return bytes(said)
        return None


@asynccontextmanager
async def serving(
    app: Echo, *, idle: float = 60, reader: float = 60, connections: int = 1000
) -> AsyncIterator[tuple[str, int]]:
    """Serve ``app`` on a free port for the length of the block."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        bounds = ClientBounds(idle_seconds=idle, reader_seconds=lambda: reader, connections=lambda: connections)
        nursery.start_soon(serve_http, app, listener, bounds)
        yield "127.0.0.1", listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def said_to(address: tuple[str, int], *requests: bytes) -> bytes:
    """Send the bytes, one part after another, and return all that comes until the server closes."""
    async with await trio.open_tcp_stream(*address) as stream:
        for part in requests:
            await stream.send_all(part)
        return b"".join([piece async for piece in stream])


def request(path: str = "/", head: bytes = b"", content: bytes = b"", method: bytes = b"POST") -> bytes:
    length = b"Content-Length: %d\r\n" % len(content) if content else b""
    return b"%s %s HTTP/1.1\r\nHost: x\r\n%s%s\r\n%s" % (method, path.encode(), length, head, content)


LAST = b"Connection: close\r\n"


async def test_requests_that_are_sent_at_once_are_answered_one_after_another() -> None:
    async with serving(app := Echo()) as address:
        answer = await said_to(address, request("/a", b"", b"1") + request("/b", b"", b"2") + request("/c", LAST, b"3"))
    assert [answer.find(text) > 0 for text in (b"POST /a 1", b"POST /b 2", b"POST /c 3")] == [True] * 3
    assert answer.count(b"HTTP/1.1 200") == app.calls == 3
    assert answer.index(b"/a") < answer.index(b"/b") < answer.index(b"/c")


async def test_a_body_in_pieces_and_after_a_go_ahead() -> None:
    chunked = request("/", b"Transfer-Encoding: chunked\r\n" + LAST)
    async with serving(Echo()) as address:
        assert b"POST / abcde" in await said_to(address, chunked, b"2\r\nab\r\n", b"3\r\ncde\r\n", b"0\r\n\r\n")
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(request("/", b"Content-Length: 2\r\nExpect: 100-continue\r\n" + LAST))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
            await stream.send_all(b"ok")
            assert b"POST / ok" in b"".join([piece async for piece in stream])


async def test_answers_without_a_body() -> None:
    async with serving(Echo()) as address:
        head = await said_to(address, request("/", method=b"HEAD") + request("/empty", LAST))
    first, second, rest = head.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 204")
    assert rest == b""


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://x/a%20b?q=1", b"/a b"),
        (b"HTTPS://user@[::1]:80/a", b"/a"),
        (b"http://x", b"/"),
        (b"http://x?q=1", b"/"),
        (b"http://x//a", b"//a"),
        (b"/http://x/a", b"/http://x/a"),
        (b"http:///a", b"http:///a"),
        (b"*", b"*"),
    ],
)
async def test_a_target_may_name_the_server(target: bytes, path: bytes) -> None:
    async with serving(Echo()) as address:
        answer = await said_to(address, b"POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (target, LAST))
    assert b"POST %s \r\n" % path in answer


async def test_blank_lines_before_a_request_are_skipped() -> None:
    last = request("/c", LAST)
    async with serving(app := Echo()) as address:
        answer = await said_to(address, b"\r\n" + request("/a") + b"\r\n\n\r\n" + request("/b") + b"\r", b"\n" + last)
        refused = await said_to(address, b"\r\n\rGET / HTTP/1.1\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 400 "), "that was none"
    assert [answer.count(b"POST /%s" % name) for name in (b"a", b"b", b"c")] == [1, 1, 1]
    assert app.calls == 3


async def test_a_head_leaves_with_the_first_piece_and_before_it_where_the_application_says_so() -> None:
    async with serving(Echo()) as address, await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(request("/late"))
        assert (await stream.receive_some()).endswith(b"POST /late \r\n0\r\n\r\n"), "in one write"
        await stream.send_all(request("/flushes", LAST))
        assert (await stream.receive_some()).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("length", "end"),
    [
        (b"7", b"\r\n\r\nPOST /a"),
        (b"8", b"\r\n\r\nPOST /a "),
        (b"9", b"\r\n\r\nPOST /a"),
        (b"3", b""),
        (b"x\r\ny: z", b"internal error"),
    ],
)
async def test_an_answer_that_is_not_as_its_head_says_is_broken_off(
    length: bytes, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "adapters.gateway.http1")

    class Wrong(Echo):
        async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            for piece in (b"POST /a", b" "):
                await send({"type": "http.response.body", "body": piece, "more_body": piece != b" "})

    async with serving(Wrong()) as address:
        answer = await said_to(address, request("/a", LAST))
    assert answer.endswith(end)
    assert b"y: z" not in answer


async def test_a_client_that_goes_behind_its_next_request_gets_no_answer_to_it() -> None:
    async with serving(app := Echo()) as address:
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(request("/waits") + request("/next"))
            await stream.send_eof()
            await app.gone.wait()
        assert app.calls == 1


async def test_an_older_client_gets_a_plain_body_and_a_close() -> None:
    async with serving(Echo()) as address:
        answer = await said_to(address, b"GET /old HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nGET /old ")
    assert b"chunked" not in answer


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
async def test_no_other_protocol_is_switched_to(protocol: str) -> None:
    upgrade = f"Connection: upgrade\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n".encode()
    async with serving(Echo()) as address:
        answer = await said_to(address, request("/", upgrade, method=b"GET") + request("/next", LAST))
    assert b" 101 " not in answer
    assert answer.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"HEAD / HTTP/2.0\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (request("/", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n") + request("/hidden"), 400),
    ],
    ids=["http2", "http2-head", "tls", "no-host", "two-hosts", "long", "chunk", "two-lengths"],
)
async def test_what_cannot_be_read_is_refused_and_the_connection_closed(
    bad: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Echo()) as address:
        answer = await said_to(address, bad)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1") == 1
    assert caplog.messages == []


async def test_a_refusal_reaches_a_client_that_still_sends_also_behind_a_first_answer() -> None:
    async with serving(Echo()) as address, await trio.open_tcp_stream(*address) as stream:
        await stream.send_all(request("/empty"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 204 ")
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 1_000_000)
        assert b"".join([piece async for piece in stream]).startswith(b"HTTP/1.1 431 ")


async def test_a_body_that_nobody_reads_is_skipped_if_it_is_here_and_else_ends_the_connection() -> None:
    async with serving(app := Echo()) as address:
        both = await said_to(address, request("/unread", b"", b"short") + request("/next", LAST))
        assert both.count(b"HTTP/1.1 200") == app.calls == 2
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(request("/unread", b"Content-Length: 10000000\r\n"))
            answer = await stream.receive_some()
            assert b"connection: close" in answer.lower()
            await stream.send_all(b"x" * 5_000_000)  # and it is not interrupted at once
            assert b"POST /unread" in answer + b"".join([piece async for piece in stream])


async def test_a_failure_is_told_before_the_head_and_breaks_the_answer_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "adapters.gateway.http1")
    async with serving(Echo()) as address:
        assert (await said_to(address, request("/fails"))).startswith(b"HTTP/1.1 500 ")
        broken = await said_to(address, request("/breaks"))
        assert broken.endswith(b"4\r\nhalf\r\n"), "the client can see that this is not the end"
        with pytest.raises(trio.BrokenResourceError):
            await said_to(address, b"GET /breaks HTTP/1.0\r\n\r\n")
        assert b"GET / " in await said_to(address, request("/", LAST, method=b"GET")), "others are served"


async def test_a_path_makes_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Echo()) as address:
        assert (await said_to(address, request("/fails/%0AGET"))).startswith(b"HTTP/1.1 500 ")
    assert caplog.messages == ["POST /fails/%0AGET has failed"]


async def test_a_client_that_goes_is_noticed_also_behind_its_next_request() -> None:
    for ahead in (b"", request("/next")):
        async with serving(app := Echo()) as address:
            async with await trio.open_tcp_stream(*address) as stream:
                await stream.send_all(request("/waits") + ahead)
                await stream.receive_some()
            await app.gone.wait()


async def test_a_client_that_sends_much_ahead_is_noticed_when_it_goes_and_its_connection_ends_with_the_answer() -> None:
    async with serving(app := Echo()) as address:
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(request("/waits"))
            await stream.receive_some()
            await stream.send_all(request("/next") + PIECE * 10)
        await app.gone.wait()
        assert app.calls == 1


async def test_connections_above_the_limit_are_answered_once_and_many_more_closed() -> None:
    async with serving(Echo(), connections=1) as address, await trio.open_tcp_stream(*address) as first:
        await first.send_all(request("/a"))
        assert b"crowd" not in await first.receive_some()
        crowded = await said_to(address, request("/b") + request("/c"))
        assert crowded.count(b"HTTP/1.1 200") == 1
        assert b"POST /b  in a crowd" in crowded
        assert b"connection: close" in crowded
        async with AsyncExitStack() as stack:
            began = trio.current_time()
            for _ in range(CROWD_LIMIT + 1):  # the one before may be at its end only
                await stack.enter_async_context(await trio.open_tcp_stream(*address))
            assert await said_to(address, b"") == b""
            assert trio.current_time() - began < CROWD_SECONDS, "it was not waited for"
        await first.send_all(request("/d", LAST))
        assert b"POST /d" in b"".join([piece async for piece in first]), "who was there first is served"


async def test_idle_clients_and_slow_heads_are_not_waited_for() -> None:
    async with serving(Echo(), idle=0.05) as address:
        assert await said_to(address, b"") == b""
        assert await said_to(address, b"POST / HTTP/1.1\r\nHo") == b""
        assert (await said_to(address, request("/"))).count(b"HTTP/1.1 200") == 1, "and closed after its answer"


def stuck(address: tuple[str, int]) -> socket.socket:
    """A connection that takes little before it is full."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(address)
    return client


async def test_a_client_that_does_not_read_is_not_waited_for() -> None:
    async with serving(app := Echo(), reader=0.1) as address:
        with stuck(address) as client:
            client.sendall(request("/endless"))
            await app.ended.wait()


async def test_who_does_not_read_gives_the_slot_back() -> None:
    async with served(reader_seconds=0.1) as here:
        content = json.dumps({**body(GEMMA), "max_tokens": 10_000_000}).encode()
        with stuck(("127.0.0.1", int(here.url.rpartition(":")[2]))) as client:
            client.sendall(request("/v1/chat/completions", b"", content))
            await until(lambda: here.gateway.requests.count == 1)
            await until(lambda: here.gateway.requests.count == 0)
        slot = here.gateway.manager.statistics().slots["local"]
        assert (slot.state, slot.leases) == ("resident", 0)
