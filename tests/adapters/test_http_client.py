"""The client, byte for byte on a socket, and in virtual time: what it sends, what it makes of answers, and when it gives up."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from starlette.types import Receive, Scope, Send

from adapters.http import Bounds, HttpClient, Patience
from adapters.http.client import encoded, payload_of
from adapters.http.for_httpx import NO_TLS, tls
from adapters.http.forward import forward
from simulation.mock.transport import StreamingTransport
from statemachine import (
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    ForwardRequest,
    ModelLoadError,
)

from .loopback import Reply, json_reply, loopback

SECRET = "sk-0123456789abcdef"


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end) and len(body) == (int(length[1]) if length else 0)


class Wire:
    """A server that keeps what it is sent, byte for byte, and answers each connection alike, then closes it."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.sent: list[bytes] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            said = b""
            while not _is_whole(said):
                said += await stream.receive_some()
            self.sent.append(said)
            await stream.send_all(self.answer)

    @property
    def head(self) -> list[str]:
        """The lines of the last head, sorted but for the first."""
        first, *lines = self.sent[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")
        return [first, *sorted(lines, key=str.lower)]


@asynccontextmanager
async def wire(answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") -> AsyncIterator[tuple[Wire, str]]:
    server = Wire(answer)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server, f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


# ---- what is trusted ----


def test_https_trusts_the_usual_certificates_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    tls.cache_clear()
    assert tls().cert_store_stats()["x509_ca"] > 50
    assert tls() is tls()
    assert NO_TLS.cert_store_stats()["x509_ca"] == 0


# ---- what is sent ----

AGENT = f"User-Agent: python-httpx/{httpx.__version__}"


async def test_a_request_byte_for_byte() -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{host}/v1/", token=SECRET, headers={"X-Own": "1"})
        assert await http.json("POST", "/v1/models", {"a": "\u00e9"}) == {}
        assert server.head == [
            "POST /v1/models HTTP/1.1", "Accept-Encoding: identity", "Accept: */*", f"Authorization: Bearer {SECRET}",
            "Connection: close", "Content-Length: 15", "Content-Type: application/json", f"Host: {host}", AGENT, "X-Own: 1",
        ]  # fmt: skip
        assert server.sent[0].endswith(b'\r\n\r\n{"a": "\\u00e9"}')
        await http.json("GET", "/x?a=b%20c")
        assert server.head == [
            "GET /x?a=b%20c HTTP/1.1", "Accept-Encoding: identity", "Accept: */*", f"Authorization: Bearer {SECRET}",
            "Connection: close", "Content-Type: application/json", f"Host: {host}", AGENT, "X-Own: 1",
        ]  # fmt: skip
        assert server.sent[1].endswith(b"\r\n\r\n")
        await http.aclose()


async def test_a_request_that_is_passed_on_byte_for_byte() -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{host}", token=SECRET, headers={"X-Own": "1", "x-mine": "2"})
        given = [
            ("Content-Type", "a/b"),
            ("X-MINE", "theirs"),
            ("X-Two", "1"),
            ("X-Two", "2"),
            ("Authorization", "theirs"),
        ]
        async with forward(http, ForwardRequest("post", "/x", given, b'{"model":"a"}'), "b") as answer:
            assert b"".join([piece async for piece in answer.body]) == b"{}"
        assert server.head == [
            "POST /x HTTP/1.1", "Accept-Encoding: identity", f"Authorization: Bearer {SECRET}", "Content-Length: 13", "Content-Type: a/b",
            f"Host: {host}", "X-MINE: theirs", "X-Own: 1", "X-Two: 1", "X-Two: 2",
        ]  # fmt: skip
        async with forward(http, ForwardRequest("GET", "/x"), "b"):
            pass
        assert server.head == [
            "GET /x HTTP/1.1",
            "Accept-Encoding: identity",
            f"Authorization: Bearer {SECRET}",
            f"Host: {host}",
            "x-mine: 2",
            "X-Own: 1",
        ]
        await http.aclose()


@pytest.mark.parametrize("borrowed", [False, True], ids=["kept", "httpx"])
@pytest.mark.parametrize(
    ("method", "says"), [("POST", True), ("PUT", True), ("patch", True), ("GET", False), ("DELETE", False)]
)
async def test_a_request_without_a_body_says_so_where_its_method_has_one(
    method: str, says: bool, borrowed: bool
) -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{host}", transport=httpx.AsyncHTTPTransport() if borrowed else None)
        async with forward(http, ForwardRequest(method, "/x"), "m"):
            pass
        assert ("Content-Length: 0" in server.head) is says
        await http.aclose()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/x HTTP/1.1\r\nX-Evil: 1\r\nY: "),
        ("POST /a HTTP/1.1\r\nX-Evil:", "/x"),
        ("POST", "/a b"),
        ("POST", "/\xe9"),
    ],
)
async def test_no_method_or_path_can_split_a_request_that_is_passed_on(method: str, path: str) -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{host}")
        with pytest.raises(AdapterRequestError):
            async with forward(http, ForwardRequest(method, path), "m"):
                pass
        assert not server.sent
        await http.aclose()


async def test_headers_that_are_passed_on_keep_every_byte_on_any_transport() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.extend(value for name, value in request.headers.raw if name == b"X-A")
        return httpx.Response(200, json={})

    http = HttpClient("http://host", transport=httpx.MockTransport(answer))
    async with forward(http, ForwardRequest("GET", "/x", [("X-A", "\xe9\xff")]), "m"):
        pass
    assert seen == [b"\xe9\xff"]
    await http.aclose()


@pytest.mark.parametrize(
    ("base", "paths"),
    [("", ["/v1/x", "/x"]), ("/", ["/v1/x", "/x"]), ("/v1", ["/v1/x", "/x"]), ("/v1/", ["/v1/x", "/x"]), ("/a/", ["/a/v1/x", "/a/x"]),
     ("/aX", ["/aX/v1/x", "/aX/x"]), ("/a//v1", ["/a/v1/x", "/a/x"]), ("/a/v1//", ["/a/v1/x", "/a/x"]), ("/av1", ["/av1/v1/x", "/av1/x"])],
)  # fmt: skip
async def test_where_paths_lead(base: str, paths: list[str]) -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{host}{base}")
        for path in ("/v1/x", "/x", "/v1/x", "/x"):
            await http.json("GET", path)
        await http.aclose()
    assert [sent.split(b" ")[1].decode() for sent in server.sent] == paths * 2


async def test_many_paths() -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{host}")
        paths = [f"/{number}?q={number}" if number % 2 else f"/{number}" for number in range(36)]
        for path in paths * 2:
            await http.json("GET", path)
        await http.aclose()
    assert [sent.split(b" ")[1].decode() for sent in server.sent] == paths * 2


@pytest.mark.parametrize(
    ("user", "options", "sent"),
    [
        ("", {}, None),
        ("", {"token": None}, None),
        ("", {"token": "t"}, "Authorization: Bearer t"),
        ("", {"token": "t", "token_header": "X-Api-Key"}, "X-Api-Key: t"),
        ("me:pass@", {}, "Authorization: Basic bWU6cGFzcw=="),
        ("me:pass@", {"token": "t"}, "Authorization: Bearer t"),
        ("", {"headers": {"Authorization": "own"}}, "Authorization: own"),
        ("", {"headers": {"Authorization": "own"}, "token": "t"}, "Authorization: Bearer t"),
    ],
)
async def test_credentials(user: str, options: dict[str, Any], sent: str | None) -> None:
    async with wire() as (server, host):
        http = HttpClient(f"http://{user}{host}", **options)
        await http.json("GET", "/x")
        async with forward(http, ForwardRequest("GET", "/x"), "m"):
            pass
        await http.aclose()
    for said in server.sent:
        lines = [
            line for line in said.decode().split("\r\n") if line.lower().startswith(("authorization", "x-api-key"))
        ]
        assert lines == ([] if sent is None else [sent])
    assert http.server == f"http://{host}".replace("127.0.0.1", "localhost")


# ---- what answers are ----


def reply_of(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def asked(answer: bytes, **options: Any) -> Any:
    """The answer, or the class and text of the error."""
    async with wire(answer) as (_, host):
        http = HttpClient(f"http://{host}", token=SECRET)
        try:
            return await http.json("GET", "/x", **options)
        except AdapterError as error:
            return error, str(error).replace(http.server, "S")
        finally:
            await http.aclose()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (200, b"[1]", AdapterProtocolError, "S: the answer is not a JSON object (status 200)"),
        (204, b"", AdapterProtocolError, "S: the answer is not a JSON object (status 204)"),
        (200, b"x", AdapterProtocolError, "S: the answer is not a JSON object (status 200)"),
        (200, b'{"error": "m"}', AdapterError, "S: m (status 200)"),
        (300, b"{}", AdapterProtocolError, "S: an error without a message (status 300)"),
        (404, b'{"a": 1}', AdapterError, "S: an error without a message (status 404)"),
        (500, b"m\r\n\xff", AdapterError, "S: m \ufffd (status 500)"),
        (500, b'data: {"error": {"message": "m"}}\n\n', AdapterError, "S: m (status 500)"),
        (500, f'{{"error": "m {SECRET}"}}'.encode(), AdapterError, "S: m *** (status 500)"),
    ],
)
async def test_answers_that_are_none(status: int, body: bytes, kind: type[AdapterError], text: str) -> None:
    error, said = await asked(reply_of(status, body))
    assert isinstance(error, kind)
    assert (said, error.status) == (text, status)


async def test_answers_that_are_good() -> None:
    for status, body in (
        (200, b'{"a": [1]}'),
        (201, b' {"a": [1]} '),
        (299, b'data: {"a": [1]}\n\ndata: {"b": 1}\n\n'),
    ):
        assert await asked(reply_of(status, body)) == {"a": [1]}


async def test_an_answer_is_decoded_as_its_head_says() -> None:
    body = zlib.compress(b'{"a": [1]}')
    for header in ("Content-Encoding: deflate", "CONTENT-encoding: x\r\ncontent-ENCODING: deflate"):
        assert await asked(reply_of(200, body, header)) == {"a": [1]}
    _, said = await asked(reply_of(200, b"{}", "Content-Encoding: br"))
    assert said == "S: the answer has an encoding that was not asked for"


async def test_an_encoded_answer_may_come_in_pieces() -> None:
    body = zlib.compress(b'{"a": [1]}')

    class Halves(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in (body[:7], body[7:12], body[12:]):
                yield piece

    head = {"Content-Encoding": "deflate"}
    http = HttpClient(
        "http://host", transport=httpx.MockTransport(lambda _: httpx.Response(200, headers=head, stream=Halves()))
    )
    assert await http.json("GET", "/x") == {"a": [1]}
    await http.aclose()


async def test_a_failure_is_what_the_caller_takes_it_for_and_may_say_when_to_try_again() -> None:
    error, _ = await asked(reply_of(500, b"m", "Retry-After: 7"), otherwise=ModelLoadError)
    assert (type(error), error.retry_after, error.retryable) == (ModelLoadError, 7, True)
    error, _ = await asked(reply_of(500, b"m"))
    assert (type(error), error.retry_after) == (AdapterError, None)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'{"a": 1}', {"a": 1}), (b" [1] ", [1]), (b'"x"', "x"), (b"7", 7), (b"null", None),
        (b'{"a": 1}\n{"error": "m"}\n{"b": 2}\n', {"error": "m"}),
        (b'{"a": 1}\n\n{"b": 2}', {"b": 2}), (b'{"a": 1}\n{"b": 2}\n{"c": 3}\n{"d": 4}', {"d": 4}),
        (b'{"a": 1}\n[2]', {"a": 1}), (b"", ""), (b"text", "text"),
        (b"\xff", "\ufffd"),
        (b'data: {"a": 1}\n\ndata: {"b": 1}\n\n', {"a": 1}), (b'data: {"a": 1}', {"a": 1}), (b"data: x\n\n", "data: x\n\n"),
        (b': ping\n\nevent: error\ndata: [1]\n\n', [1]), (b"data: x\n\ndata: 7\n\n", "data: x\n\ndata: 7\n\n"),
    ],
)  # fmt: skip
def test_what_a_body_holds(body: bytes, payload: object) -> None:
    assert payload_of(body) == payload


def test_a_body_of_one_long_line_is_its_text() -> None:
    body = b"x" * (4 * 1024 * 1024 + 1)
    assert payload_of(body) == body.decode()
    assert encoded({"a": "\u00e9", "b": [None, 1.5]}) == b'{"a": "\\u00e9", "b": [null, 1.5]}'


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
async def test_a_body_may_be_as_long_as_its_bound(size: int) -> None:
    async with wire(reply_of(200, b"x" * size)) as (_, host):
        http = HttpClient(f"http://{host}", bounds=Bounds(max_body_bytes=100))
        async with http.open("GET", "/x", b"", {}, http.patience()) as answer:
            if size <= 100:
                assert await answer.read(http.patience()) == b"x" * size
            else:
                with pytest.raises(AdapterProtocolError) as caught:
                    await answer.read(http.patience())
                assert str(caught.value) == f"{http.server}: an answer of more than 100 bytes"
        await http.aclose()


@pytest.mark.parametrize("status", [300, 404, 500])
async def test_of_a_refusal_is_read_what_can_be(status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\n".encode()
    for answer, said in ((head + b"x" * 10, b"x" * 10), (head + b"x" * 1000, b"x" * 1000)):
        async with wire(answer) as (_, host):
            http = HttpClient(f"http://{host}", bounds=Bounds(max_body_bytes=100))
            async with http.open("GET", "/x", b"", {}, http.patience()) as response:
                assert (response.succeeded, await response.read(http.patience())) == (False, said)
            await http.aclose()


# ---- when it gives up ----


class App:
    """Answers after ``seconds``, then sends pieces ``pause`` seconds apart; stays silent at the end where it does not ``end``."""

    def __init__(self, *pieces: bytes, seconds: float = 0, pause: float = 0, end: bool = True) -> None:
        self.pieces, self.seconds, self.pause, self.end = pieces, seconds, pause, end
        self.finished = self.left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await trio.sleep(self.seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in self.pieces:
            await trio.sleep(self.pause)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not self.end:
            self.left = (await receive())["type"] == "http.disconnect"
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.finished = True


@asynccontextmanager
async def served(app: App, **bounds: Any) -> AsyncIterator[HttpClient]:
    async with StreamingTransport(app) as transport:
        http = HttpClient("http://host", bounds=Bounds(**bounds), transport=transport)
        yield http
        await http.aclose()


async def test_a_control_request_has_fifteen_seconds_in_all(autojump_clock: trio.testing.MockClock) -> None:
    assert await _json(App(b"{", b"}", seconds=14, pause=0.4)) == ("{}", 14.8)
    late = "AdapterTimeoutError: http://host: the call takes longer than it may"
    for app in (App(seconds=16), App(b"{", b"}", seconds=14, pause=0.6), App(b"{", end=False)):
        assert await _json(app) == (late, 15)
    assert await _json(App(seconds=16), seconds=3) == (late, 3)
    assert await _json(App(b"{}", seconds=10_000), seconds=None) == ("{}", 10_000)


async def _json(app: App, **options: Any) -> tuple[str, float]:
    """What comes of a request, and when, in seconds."""
    began = trio.current_time()
    async with served(app) as http:
        try:
            said = str(await http.json("GET", "/x", **options))
        except AdapterError as error:
            said = f"{type(error).__name__}: {error}"
        return said, round(trio.current_time() - began, 3)


async def test_what_the_patience_of_a_call_is_made_of(autojump_clock: trio.testing.MockClock) -> None:
    async with served(App(), first_event_timeout=1, read_timeout=2, call_timeout=3) as http:
        patience = http.patience()
        assert patience.deadline - trio.current_time() == pytest.approx(1)
        patience.event_seen()
        assert patience.deadline - trio.current_time() == pytest.approx(2)
        await trio.sleep(2)
        patience.event_seen()
        assert patience.deadline - trio.current_time() == pytest.approx(1)


async def test_an_answer_that_is_left_early_is_ended_at_once_and_one_that_is_finished_may_end_by_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for finished, pause, ended, seconds in ((False, 0.1, False, 0.1), (True, 0.1, True, 0.2), (True, 0.3, False, 0.55)):
        app = App(b"a", b"b", pause=pause)
        began = trio.current_time()
        async with served(app) as http:
            async with http.open("GET", "/x", b"", {}, Patience.within(5)) as answer:
                assert await answer.piece(Patience.within(5)) == b"a"
                if finished:
                    answer.finished()
            assert trio.current_time() - began == pytest.approx(seconds)
            await trio.testing.wait_all_tasks_blocked()
        assert app.finished is ended


async def test_a_client_that_was_closed_says_so_and_has_sent_nothing() -> None:
    async with loopback(lambda _: json_reply({})) as server:
        http = HttpClient(server.url)
        await http.aclose()
        with pytest.raises(AdapterConnectError) as caught:
            await http.json("GET", "/x")
    assert (str(caught.value), caught.value.sent, caught.value.retryable) == (
        f"{http.server}: the adapter has been shut down",
        False,
        False,
    )
    assert server.connections == 0


async def test_a_server_that_is_not_there() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()
    http = HttpClient(url)

    async def opened() -> None:
        async with http.open("GET", "/x", b"", {}, http.patience()):
            pass

    for ask in (opened, lambda: http.pass_on("GET", "/x", b"", [], http.patience())):
        with pytest.raises(AdapterConnectError) as caught:
            await ask()
        assert (str(caught.value), caught.value.sent, caught.value.retryable) == (
            f"{http.server}: ConnectError",
            False,
            True,
        )
    await http.aclose()


@pytest.mark.parametrize("path", ["/\u00e9", "/\ud800"])
async def test_a_path_that_cannot_be_sent(path: str) -> None:
    http = HttpClient("http://127.0.0.1:9")
    with pytest.raises(AdapterError, match=r"^http://localhost:9: UnicodeEncodeError$"):
        await http.json("GET", path)
    await http.aclose()


@pytest.mark.parametrize("then", ["reset", "close"])
async def test_each_request_has_a_connection_of_its_own(then: str) -> None:
    async with loopback(lambda _: Reply([b"{}"], then="keep")) as server:
        http = HttpClient(server.url)
        for _ in range(3):
            assert await http.json("GET", "/x") == {}
        await http.aclose()
    assert server.connections == 3


async def test_a_transport_that_is_borrowed_is_not_closed() -> None:
    async with StreamingTransport(App(b"{}")) as transport:
        for _ in range(2):
            http = HttpClient("http://host", transport=transport)
            assert await http.json("GET", "/x") == {}
            await http.aclose()


async def test_closing_is_not_interrupted() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server:
        http = HttpClient(server.url)
        async with forward(http, ForwardRequest("GET", "/x"), "m") as answer:
            async for _ in answer.body:
                pass
        with trio.CancelScope() as scope:
            scope.cancel()
            await http.aclose()
        await server.left.wait()
        with pytest.raises(AdapterConnectError, match="shut down"):
            await http.json("GET", "/x")


class Endless(httpx.AsyncByteStream):
    """A body without end, that cannot be closed either."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await trio.sleep_forever()
        yield b""

    async def aclose(self) -> None:
        await trio.sleep_forever()


async def test_closing_takes_five_seconds_at_most(autojump_clock: trio.testing.MockClock) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    http = HttpClient("http://host", transport=transport)
    began = trio.current_time()
    async with http.open("GET", "/x", b"", {}, http.patience()):
        pass
    assert trio.current_time() - began == pytest.approx(5)
    await http.aclose()


class Closing(httpx.AsyncByteStream):
    """A body without end, which takes a moment to close."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await trio.sleep_forever()
        yield b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self.closed = True


async def test_an_answer_is_closed_also_when_cancelled() -> None:
    body = Closing()
    http = HttpClient("http://host", transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body)))
    with trio.CancelScope() as scope:
        async with http.open("GET", "/x", b"", {}, http.patience()):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert body.closed
    await http.aclose()


async def test_of_what_httpx_has_nothing_is_known_to_be_here() -> None:
    http = HttpClient(
        "http://host", transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"{}")))
    )
    async with forward(http, ForwardRequest("GET", "/x"), "m") as answer:
        assert not answer.begun
        assert b"".join([piece async for piece in answer.body]) == b"{}"
    await http.aclose()


def test_json_is_kept_as_it_is() -> None:
    assert json.loads(encoded({"model": "m", "n": 1})) == {"model": "m", "n": 1}
