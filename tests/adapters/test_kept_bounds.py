"""Connections that are kept, at their bounds: how long, how many, how long a head, and what is no answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.lowlevel
import trio.testing

from adapters.http import Bounds, HttpClient, forward
from statemachine import AdapterConnectError, AdapterRequestError, ForwardRequest

from .loopback import Reply, json_reply, loopback
from .test_kept import ANSWER, REQUEST, ask, client, scripted


async def by_the_clock(run: Callable[[trio.testing.MockClock], Awaitable[None]]) -> None:
    """Run with a clock that stands still but for its jumps."""
    clock = trio.testing.MockClock()

    async def main() -> None:
        await run(clock)

    await trio.to_thread.run_sync(lambda: trio.run(main, clock=clock))


@pytest.mark.parametrize(("seconds", "connections"), [(0, 1), (1, 1), (1.001, 2)])
async def test_how_long_a_connection_may_be_idle(seconds: float, connections: int) -> None:
    async def run(clock: trio.testing.MockClock) -> None:
        async with scripted([ANSWER, ANSWER], [ANSWER]) as (server, url), client(url) as http:
            clock.jump(100)
            assert await ask(http) == b"{}"
            clock.jump(seconds)
            assert await ask(http) == b"{}"
            assert server.connections == connections

    await by_the_clock(run)


@pytest.mark.parametrize(("seconds", "again"), [(0, True), (1, True), (1.001, False)])
async def test_how_soon_a_connection_is_lost_that_was_being_closed(seconds: float, again: bool) -> None:
    async def run(clock: trio.testing.MockClock) -> None:
        async with scripted([ANSWER, None], [ANSWER]) as (server, url), client(url) as http:
            server.before_closing = lambda: clock.jump(seconds)
            assert await ask(http) == b"{}"
            if again:
                assert await ask(http) == b"{}"
            else:
                with pytest.raises(AdapterConnectError, match="RemoteProtocolError"):
                    await ask(http)
            assert server.requests == 2 + again

    await by_the_clock(run)


async def test_old_connections_are_closed_before_another_is_opened() -> None:
    async def run(clock: trio.testing.MockClock) -> None:
        async with (
            loopback(lambda _: json_reply({}, then="keep"), idle_seconds=1000) as server,
            client(server.url) as http,
        ):
            released = trio.Event()
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(held, http, released)
                while server.connections < 3:
                    await trio.lowlevel.checkpoint()
                released.set()
            assert server.open == 3
            clock.jump(1.5)
            assert await ask(http) == b"{}"
            while server.open > 1:
                await trio.lowlevel.checkpoint()
            assert server.connections == 4

    await by_the_clock(run)


async def test_old_connections_are_closed_when_another_is_given_back() -> None:
    async def run(clock: trio.testing.MockClock) -> None:
        async with (
            loopback(lambda _: json_reply({}, then="keep"), idle_seconds=1000) as server,
            client(server.url) as http,
        ):
            released, others = trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(held, http, released)
                async with trio.open_nursery() as further:
                    for _ in range(2):
                        further.start_soon(held, http, others)
                    while server.connections < 3:
                        await trio.lowlevel.checkpoint()
                    others.set()
                assert server.open == 3
                clock.jump(1.5)
                released.set()
            while server.open > 1:
                await trio.lowlevel.checkpoint()
            assert await ask(http) == b"{}"
            assert server.connections == 3

    await by_the_clock(run)


async def held(http: HttpClient, released: trio.Event) -> None:
    """A request whose answer is read when it is released."""
    async with forward(http, REQUEST, "m") as response:
        await released.wait()
        async for _ in response.body:
            pass


async def test_how_many_connections_are_kept() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server, client(server.url) as http:
        released = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(70):
                nursery.start_soon(held, http, released)
            while server.connections < 70:
                await trio.lowlevel.checkpoint()
            released.set()
        while server.open > 64:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert server.open == 64


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (90_000, True), (200_000, False)])
async def test_how_long_a_head_may_be(size: int, fits: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: " + b"x" * size + b"\r\n\r\n{}"
    async with scripted([answer]) as (_, url), client(url) as http:
        if fits:
            assert await ask(http) == b"{}"
        else:
            with pytest.raises(AdapterConnectError, match="RemoteProtocolError"):
                await ask(http)


@pytest.mark.parametrize(("size", "fits"), [(100 * 1024, True), (100 * 1024 + 1, False)])
async def test_how_much_is_read_of_a_head_that_has_not_ended(size: int, fits: bool) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: "
    start += b"x" * (size - len(start))

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(start)
            if fits:
                await trio.testing.wait_all_tasks_blocked()  # all of that is read
                await stream.send_all(b"\r\n\r\n{}")
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with client(f"http://127.0.0.1:{listener.socket.getsockname()[1]}") as http:
            if fits:
                assert await ask(http) == b"{}"
            else:
                with pytest.raises(AdapterConnectError, match="RemoteProtocolError"):
                    await ask(http)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, None),
        (b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ANSWER, None),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", None),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "RemoteProtocolError"),
        (b"no HTTP at all\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n", "RemoteProtocolError"),
    ],
)
async def test_what_is_an_answer(answer: bytes, error: str | None) -> None:
    async with scripted([answer], [ANSWER]) as (server, url), client(url) as http:
        if error is None:
            assert await ask(http) == b"{}"
        else:
            with pytest.raises(AdapterConnectError, match=rf": {error}$"):
                await ask(http)
            assert await ask(http) == b"{}"
            assert server.connections == 2


async def test_a_request_that_cannot_be_sent() -> None:
    async with scripted([ANSWER]) as (server, url), client(url) as http:
        request = ForwardRequest("GET", "/x", [("X-A", "a\nb")])
        with pytest.raises(AdapterRequestError, match=r": LocalProtocolError$"):
            async with forward(http, request, "m"):
                pass
        assert server.requests == 0


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True),
        (ANSWER + b"more than was promised", False),
        (ANSWER + b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nanother's", False),  # would be the next one's answer
    ],
)
async def test_after_which_answers_a_connection_serves_again(answer: bytes, again: bool) -> None:
    async with scripted([answer, ANSWER], [ANSWER]) as (server, url), client(url) as http:
        await ask(http)
        assert await ask(http) == b"{}"
        assert server.connections == (1 if again else 2)


async def test_an_answer_that_is_left_is_not_read_on_and_its_connection_not_used_again() -> None:
    async with loopback(lambda _: Reply([b"1", b"2"], then="keep")) as server, client(server.url) as http:
        async with forward(http, REQUEST, "m"):
            pass
        assert await ask(http) == b"12"
        assert server.connections == 2


async def test_a_client_that_is_closed_closes_what_is_given_back_later() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server:
        http = HttpClient(server.url)
        async with forward(http, REQUEST, "m") as response:
            await http.aclose()
            assert b"".join([piece async for piece in response.body]) == b"{}"
        await server.left.wait()
        assert server.open == 0


async def test_how_long_connecting_may_take() -> None:
    async with scripted([ANSWER]) as (server, url):
        http = HttpClient(url, bounds=Bounds(connect_timeout=0))
        with pytest.raises(AdapterConnectError, match=r": ConnectTimeout$") as caught:
            await ask(http)
        await http.aclose()
        assert (server.requests, caught.value.sent) == (0, False)


async def test_connecting_may_take_any_time() -> None:
    async with scripted([ANSWER]) as (_, url):
        http = HttpClient(url, bounds=Bounds(connect_timeout=None))
        assert await ask(http) == b"{}"
        await http.aclose()


async def test_what_came_before_an_answer_broke_off_is_handed_on() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with scripted([head + b"1\r\n{\r\n1\r\n}\r\nno length\r\n"]) as (_, url), client(url) as http:
        async with forward(http, REQUEST, "m") as response:
            assert response.begun
            pieces = aiter(response.body)
            assert await anext(pieces) == b"{}"
            with pytest.raises(AdapterConnectError, match=r": RemoteProtocolError$"):
                await anext(pieces)
