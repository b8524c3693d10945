"""Connections of requests that are passed on: used again while they are young, and a request is never answered twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from adapters.http import HttpClient, forward
from statemachine import AdapterConnectError, ForwardRequest

from .loopback import Reply, json_reply, loopback

REQUEST = ForwardRequest("POST", "/v1/chat/completions", body=b'{"model":"m"}')
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def ask(http: HttpClient) -> bytes:
    """Pass one request on, and return the body of the answer."""
    async with forward(http, REQUEST, "m") as response:
        return b"".join([piece async for piece in response.body])


@asynccontextmanager
async def client(url: str) -> AsyncIterator[HttpClient]:
    http = HttpClient(url)
    try:
        yield http
    finally:
        await http.aclose()


class Scripted:
    """A server whose connections each do what is told: an item is what is said to one request; None: it closes instead."""

    def __init__(self, *connections: Sequence[bytes | None]) -> None:
        self.requests = self.connections = 0
        self._left = [list(said) for said in connections]
        self.before_closing: Callable[[], None] = lambda: None

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        async with stream:
            for said in self._left.pop(0):
                if not await stream.receive_some(65536):
                    return
                self.requests += 1
                if said is None:
                    self.before_closing()
                    return
                await stream.send_all(said)


@asynccontextmanager
async def scripted(*connections: Sequence[bytes | None]) -> AsyncIterator[tuple[Scripted, str]]:
    server = Scripted(*connections)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server, f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_a_connection_serves_again() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server, client(server.url) as http:
        assert [await ask(http) for _ in range(5)] == [b"{}"] * 5
        assert server.connections == 1


async def test_a_body_that_comes_with_its_head_is_here() -> None:
    for answer in (ANSWER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
        async with scripted([answer]) as (_, url), client(url) as http:
            async with forward(http, REQUEST, "m") as response:
                assert response.begun


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async with loopback(lambda _: json_reply({}, then="close")) as server, client(server.url) as http:
        assert [await ask(http) for _ in range(5)] == [b"{}"] * 5
        assert (server.connections, len(server.requests)) == (5, 5)


async def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    clock = trio.testing.MockClock()  # stands still but for the jump

    async def run() -> None:
        async with scripted([ANSWER, ANSWER], [ANSWER]) as (server, url), client(url) as http:
            assert await ask(http) == b"{}"
            clock.jump(2)
            assert await ask(http) == b"{}"
            assert server.connections == 2

    await trio.to_thread.run_sync(lambda: trio.run(run, clock=clock))


async def test_requests_at_a_time_have_a_connection_each() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server, client(server.url) as http:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, http)
        assert server.open <= 20
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, http)
        assert server.connections <= 20
    assert len(server.requests) == 40


async def test_a_request_that_met_a_closing_connection_is_sent_once_more() -> None:
    async with scripted([ANSWER, None], [ANSWER]) as (server, url), client(url) as http:
        assert [await ask(http), await ask(http)] == [b"{}"] * 2
    assert server.requests == 3


@pytest.mark.parametrize(
    "connections",
    [
        ([None], [ANSWER]),
        ([ANSWER, b"HTTP/1.1 200"], [ANSWER]),
        ([ANSWER, ANSWER[:-1]], [ANSWER]),
        ([ANSWER, None], [None], [ANSWER]),
    ],
    ids=["a new connection", "half a head", "half a body", "lost twice"],
)
async def test_what_may_have_been_carried_out_is_not_sent_again(connections: Sequence[Sequence[bytes | None]]) -> None:
    async with scripted(*connections) as (server, url), client(url) as http:
        if connections[0][0] is not None:
            assert await ask(http) == b"{}"
        with pytest.raises(AdapterConnectError):
            await ask(http)
    assert server.requests == sum(len(said) for said in connections[:-1])


async def test_a_server_that_took_its_time_had_begun_with_the_request() -> None:
    clock = trio.testing.MockClock()  # stands still, until the server closes

    async def run() -> None:
        async with scripted([ANSWER, None], [ANSWER]) as (server, url), client(url) as http:
            server.before_closing = lambda: clock.jump(5)
            assert await ask(http) == b"{}"
            with pytest.raises(AdapterConnectError):
                await ask(http)
        assert server.requests == 2

    await trio.to_thread.run_sync(lambda: trio.run(run, clock=clock))


async def test_leaving_early_ends_the_request_and_its_connection() -> None:
    async with loopback(lambda _: Reply([b"1"], then="silence")) as server, client(server.url) as http:
        async with forward(http, REQUEST, "m") as response:
            async for _ in response.body:
                break
        await server.left.wait()
    assert server.connections == 1


async def test_nothing_is_sent_by_a_client_that_was_closed() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server:
        async with client(server.url) as http:
            assert await ask(http)
        with pytest.raises(AdapterConnectError, match="shut down"):
            await ask(http)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\n{}", b""], ids=["with an answer", "without"]
)
async def test_a_server_may_close_before_it_has_read_the_request(said: bytes) -> None:
    async with scripted([said]) as (server, url), client(url) as http:
        long = ForwardRequest("POST", "/x", body=b" " * 20_000_000)
        if said:
            async with forward(http, long, "m") as response:
                assert (response.status, b"".join([piece async for piece in response.body])) == (413, b"{}")
        else:
            with pytest.raises(AdapterConnectError):
                await forward(http, long, "m").__aenter__()
    assert server.requests == 1


async def test_a_connection_on_which_something_came_unasked_is_not_used_again() -> None:
    """Such as the 408 of a server that closes an idle connection: it would be taken for the next request's answer."""
    asked_to, said = trio.Event(), trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(ANSWER)
            if not said.is_set():
                await asked_to.wait()
                await stream.send_all(b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n")
                said.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with client(f"http://127.0.0.1:{listener.socket.getsockname()[1]}") as http:
            assert await ask(http) == b"{}"
            asked_to.set()
            await said.wait()
            async with forward(http, REQUEST, "m") as response:
                assert response.status == 200
        nursery.cancel_scope.cancel()
