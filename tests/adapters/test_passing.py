"""What of a request and of its answer is passed on: headers, methods and paths, and how far a refusal is read."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing
from starlette.types import Receive, Scope, Send

from adapters.http import Bounds, HttpClient, forward
from adapters.http.forward import Judge
from simulation.mock.transport import StreamingTransport
from statemachine import (
    AdapterConnectError,
    AdapterError,
    AdapterRequestError,
    AdapterTimeoutError,
    ForwardRequest,
    ForwardResponse,
    ModelEvictedError,
)

from .loopback import Loopback, Reply, json_reply, loopback

ONE_HOP = [
    *(
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Upgrade",
    ),
    *("Transfer-Encoding", "Content-Length", "Host", "Expect", "Accept-Encoding"),
]
CREDENTIALS = ["Authorization", "X-API-Key", "API-Key", "X-Goog-API-Key", "Cookie"]


@asynccontextmanager
async def passing(
    reply: Reply, request: ForwardRequest, judge: Judge | None = None
) -> AsyncIterator[tuple[Loopback, ForwardResponse]]:
    async with loopback(lambda _: reply) as server:
        http = HttpClient(server.url)
        async with forward(http, request, "b", judge) as response:
            yield server, response
        await http.aclose()


async def test_headers_of_one_connection_and_credentials_do_not_pass() -> None:
    theirs = [(name, "theirs") for name in (*ONE_HOP, *CREDENTIALS) if name != "Connection"]
    given = [
        *theirs,
        ("Connection", "X-One , x-two"),
        ("X-ONE", "1"),
        ("X-Two", "2"),
        ("X-Three", "3"),
        ("Content-Encoding", "x"),
    ]
    async with passing(json_reply({}), ForwardRequest("GET", "/x", given)) as (server, _):
        (request,) = server.requests
    assert request.headers == {
        "host": server.url.removeprefix("http://"),
        "accept-encoding": "identity",
        "x-three": "3",
        "content-encoding": "x",
    }


async def test_headers_of_one_connection_do_not_pass_back() -> None:
    others = {name: "theirs" for name in ONE_HOP if name not in ("Connection", "Transfer-Encoding", "Content-Length")}
    headers = {
        **others,
        "Connection": "X-One, x-two",
        "X-ONE": "1",
        "X-Two": "2",
        "X-Three": "3",
        "Set-Cookie": "a",
        "Content-Encoding": "x",
    }
    async with passing(Reply([b"body"], headers=headers), ForwardRequest("GET", "/x")) as (_, response):
        assert response.headers == (("x-three", "3"), ("set-cookie", "a"))
        assert b"".join([piece async for piece in response.body]) == b"body"


async def test_a_header_passes_back_byte_by_byte() -> None:
    async with passing(Reply([], headers={"X-Name": "模型"}), ForwardRequest("GET", "/x")) as (_, response):
        headers = [(name, value.encode("latin-1")) for name, value in response.headers]
    assert headers == [("x-name", "模型".encode())]


@pytest.mark.parametrize(
    ("said", "begun"),
    [
        (b"Content-Length: 4\r\n\r\nbody", True),
        (b"Content-Length: 4\r\n\r\nb", True),
        (b"Content-Length: 0\r\n\r\n", True),
        (b"Content-Length: 4\r\n\r\n", False),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n", True),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n", False),
    ],
)
async def test_an_answer_says_whether_its_body_has_begun(said: bytes, begun: bool) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\n" + said)
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        http = HttpClient(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        async with forward(http, ForwardRequest("GET", "/x"), "b") as response:
            assert response.begun is begun
        await http.aclose()
        nursery.cancel_scope.cancel()


async def test_headers_that_several_connection_headers_name_do_not_pass() -> None:
    given = [("Connection", "X-One"), ("X-One", "1"), ("Connection", "X-Two"), ("X-Two", "2"), ("X-Three", "3")]
    async with passing(json_reply({}), ForwardRequest("GET", "/x", given)) as (server, _):
        (request,) = server.requests
    assert [name for name in request.headers if name.startswith("x-")] == ["x-three"]


METHODS = {"GET": "GET", "patch": "PATCH", "A" * 20: "A" * 20, "A" * 21: None, "": None, "G T": None, "G1": None}
PATHS = {"/": True, "/!~": True, "/a?b=c": True, "": False, "a": False, "/a#": False, "/\x7f": False, "/ ": False}


@pytest.mark.parametrize(("method", "sent"), METHODS.items())
@pytest.mark.parametrize(("path", "fine"), PATHS.items())
async def test_methods_and_paths(method: str, sent: str | None, path: str, fine: bool) -> None:
    request = ForwardRequest(method, path)
    if sent is None or not fine:
        http = HttpClient("http://host")
        with pytest.raises(
            AdapterRequestError, match=r"^http://host: the request's path or method cannot be forwarded$"
        ):
            async with forward(http, request, "b"):
                pass
        await http.aclose()
        return
    async with passing(json_reply({}), request) as (server, _):
        assert [(asked.method, asked.path) for asked in server.requests] == [(sent, path)]


@pytest.mark.parametrize("status", [200, 299, 300, 404, 500])
@pytest.mark.parametrize("size", [0, 10, 64 * 1024, 200_000])
async def test_a_judge_reads_the_beginning_of_a_refusal_and_all_of_it_is_handed_on(status: int, size: int) -> None:
    judged: list[AdapterError] = []

    async def judge(error: AdapterError) -> AdapterError:
        judged.append(error)
        return error

    pieces = [b"x" * min(size - at, 32 * 1024) for at in range(0, size, 32 * 1024)]
    async with passing(Reply(pieces, status), ForwardRequest("GET", "/x"), judge) as (_, response):
        assert [error.status for error in judged] == ([] if status < 300 else [status])
        assert b"".join([piece async for piece in response.body]) == b"x" * size


async def test_a_refusal_without_end_is_not_read_to_it() -> None:
    async def judge(error: AdapterError) -> AdapterError:
        return error

    async with passing(Reply([b"x" * 64 * 1024], 500, then="silence"), ForwardRequest("GET", "/x"), judge) as (
        _,
        response,
    ):
        assert response.status == 500


async def test_a_refusal_is_waited_for_fifteen_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await trio.sleep_forever()

    async def judge(error: AdapterError) -> AdapterError:
        return error

    began = trio.current_time()
    async with StreamingTransport(refuse) as transport:
        http = HttpClient("http://host", transport=transport)
        async with forward(http, ForwardRequest("GET", "/x"), "b", judge) as response:
            assert (response.status, trio.current_time() - began) == (500, 15)
            pieces = aiter(response.body)
            assert await anext(pieces) == b"x"
            with pytest.raises(AdapterTimeoutError, match=r"^a refusal takes longer than it is waited for$"):
                await anext(pieces)
        await http.aclose()


@asynccontextmanager
async def in_pieces(
    *pieces: bytes, status: int = 200, pause: float = 0.0, judge: Judge | None = None, **bounds: float
) -> AsyncIterator[ForwardResponse]:
    """Pass a request on, in virtual time. The answer begins after half a second, and there is a pause before each piece."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await trio.sleep(0.5)
        await send({"type": "http.response.start", "status": status, "headers": []})
        for piece in pieces:
            await trio.sleep(pause)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with StreamingTransport(answer) as transport:
        http = HttpClient("http://host", transport=transport, bounds=Bounds.of(bounds))
        async with forward(http, ForwardRequest("GET", "/x"), "b", judge) as response:
            yield response
        await http.aclose()


async def test_each_piece_of_an_answer_counts_as_an_event(autojump_clock: trio.testing.MockClock) -> None:
    async with in_pieces(b"a", b"b", b"c", pause=1.5, first_event_timeout=1, read_timeout=2) as response:
        assert [piece async for piece in response.body] == [b"a", b"b", b"c"]
    async with in_pieces(b"a", pause=2.5, first_event_timeout=1, read_timeout=2) as response:
        with pytest.raises(AdapterTimeoutError):
            await anext(aiter(response.body))


async def test_an_answer_that_is_left_early_is_ended_at_once(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    async with in_pieces(b"a", b"b", pause=1) as response:
        assert await anext(aiter(response.body)) == b"a"
    assert trio.current_time() - began == 1.5


async def test_of_a_refusal_64_kib_are_read_to_find_out_what_it_means(autojump_clock: trio.testing.MockClock) -> None:
    judged: list[str] = []

    async def judge(error: AdapterError) -> AdapterError:
        judged.append(str(error))
        return error

    body = b'{"error":"the cause"}'.rjust(64 * 1024)
    first, then = 63 * 1024, 64 * 1024 - 64  # a last piece begins just below the bound
    async with in_pieces(body[:first], body[first:then], body[then:], status=500, judge=judge) as response:
        assert b"".join([piece async for piece in response.body]) == body
    assert judged == ["http://host: the cause (status 500)"]


PRIVATE = ForwardRequest("GET", "/x", [("X-Session", "a secret")])


async def test_what_programs_that_report_errors_show_of_an_error_has_no_header_in_it() -> None:
    """They show the locals of its frames."""

    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("no")

    http = HttpClient("http://host", transport=httpx.MockTransport(answer))
    with pytest.raises(AdapterConnectError) as caught:
        async with forward(http, PRIVATE, "b"):
            pass
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "http = " in shown
    assert "a secret" not in shown
    await http.aclose()


async def test_what_a_judge_takes_for_an_eviction_is_raised() -> None:
    async def judge(error: AdapterError) -> AdapterError:
        return ModelEvictedError(f"gone: {error}")

    async with loopback(lambda _: json_reply({"error": "m"}, 404)) as server:
        http = HttpClient(server.url)
        with pytest.raises(ModelEvictedError, match=r"^gone: .*: m \(status 404\)$"):
            async with forward(http, ForwardRequest("GET", "/x"), "b", judge):
                pass
        await http.aclose()
