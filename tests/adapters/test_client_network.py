"""How the client uses the network: ports, proxies, how many connections there are, what lies below is told, and closing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import trio
import trio.abc
import trio.testing

from adapters.http import Bounds, HttpClient
from adapters.http.forward import forward
from statemachine import AdapterConnectError, ForwardRequest

from .loopback import Loopback, Reply, Request, json_reply, loopback


async def by_itself(http: HttpClient) -> None:
    assert await http.json("GET", "/x") == {}


async def passed_on(http: HttpClient) -> None:
    async with forward(http, ForwardRequest("GET", "/x"), "m") as answer:
        assert b"".join([piece async for piece in answer.body]) == b"{}"


BOTH = pytest.mark.parametrize("ask", [by_itself, passed_on])


class OnPort80(trio.abc.HostnameResolver):
    """Knows one host, ``server``, whose port 80 is that of ``real``; None: it never answers."""

    def __init__(self, real: Loopback | None) -> None:
        self.real = real

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        assert (host, port) == (b"server", 80)
        if self.real is None:
            await trio.sleep_forever()
            raise AssertionError("it never answers")
        url = httpx.URL(self.real.url)
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (url.host, url.port))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


@BOTH
async def test_a_server_is_at_port_80_where_its_url_has_none(ask: Callable[[HttpClient], Awaitable[None]]) -> None:
    async with loopback(lambda _: json_reply({})) as server:
        trio.socket.set_custom_hostname_resolver(OnPort80(server))
        http = HttpClient("http://server")
        await ask(http)
        await http.aclose()
        assert [request.headers["host"] for request in server.requests] == ["server"]


@BOTH
async def test_how_long_connecting_may_take(
    ask: Callable[[HttpClient], Awaitable[None]], autojump_clock: trio.testing.MockClock
) -> None:
    trio.socket.set_custom_hostname_resolver(OnPort80(None))
    http = HttpClient("http://server", bounds=Bounds(connect_timeout=3))
    began = trio.current_time()
    with pytest.raises(AdapterConnectError) as caught:
        await ask(http)
    assert (str(caught.value), caught.value.sent) == ("http://server: ConnectTimeout", False)
    assert trio.current_time() - began == pytest.approx(3)
    await http.aclose()


@BOTH
async def test_the_proxies_of_the_environment_are_not_used(
    ask: Callable[[HttpClient], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with loopback(lambda _: json_reply({})) as server, loopback(lambda _: json_reply({}, 500)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        http = HttpClient(server.url)
        await ask(http)
        await http.aclose()
        assert (server.connections, proxy.connections) == (1, 0)


async def test_no_request_waits_for_another() -> None:
    """httpx by itself has a hundred connections at most."""
    together, all_here = 101, trio.Event()

    async def answer(_: Request) -> Reply:
        if len(server.requests) == together:
            all_here.set()
        await all_here.wait()
        return json_reply({})

    async with loopback(answer) as server:
        http = HttpClient(server.url)
        async with trio.open_nursery() as nursery:
            for _ in range(together):
                nursery.start_soon(by_itself, http)
        await http.aclose()
        assert server.peak == together


async def test_no_connection_is_kept_whatever_the_headers_say() -> None:
    async with loopback(lambda _: json_reply({}, then="keep")) as server:
        http = HttpClient(server.url, headers={"Connection": "keep-alive"})
        for _ in range(3):
            await by_itself(http)
        assert server.connections == 3
        await http.aclose()


async def test_only_connecting_has_a_time_out_of_its_own_below_the_client() -> None:
    """All other bounds of time are the client's: there are none below that could end a request before."""
    seen: list[dict[str, float | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    http = HttpClient("http://host", bounds=Bounds(connect_timeout=3), transport=httpx.MockTransport(answer))
    await by_itself(http)
    await http.aclose()
    assert seen == [{"connect": 3, "read": None, "write": None, "pool": None}]


async def test_credentials_of_a_url_are_neither_logged_nor_shown_to_a_transport(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers["Authorization"]))
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    http = HttpClient("http://me:pass@host/v1", transport=httpx.MockTransport(answer))
    with caplog.at_level(logging.DEBUG):
        await by_itself(http)
    await http.aclose()
    assert seen == [("http://host/x", "Basic bWU6cGFzcw==")]
    assert "http://host/x" in caplog.text
    assert "pass" not in caplog.text


async def test_a_client_cannot_name_another_host_or_token_in_what_is_passed_on() -> None:
    async with loopback(lambda _: json_reply({})) as server:
        http = HttpClient(server.url, token="ours", token_header="X-Token")
        theirs = [("HOST", "theirs"), ("x-TOKEN", "theirs"), ("X-Other", "x-token")]
        answer = await http.pass_on("GET", "/x", b"", theirs, http.patience())
        await answer.aclose()
        await http.aclose()
        assert server.requests[0].headers == {
            "host": server.url.removeprefix("http://"),
            "x-token": "ours",
            "x-other": "x-token",
            "accept-encoding": "identity",
        }


async def test_closing_closes_every_idle_connection_also_when_cancelled() -> None:
    left = 0
    all_left = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal left
        async with stream:
            while await stream.receive_some():
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        left += 1
        if left == 2:
            all_left.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        http = HttpClient(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        async with forward(http, ForwardRequest("GET", "/x"), "m") as one:
            await passed_on(http)
            assert b"".join([piece async for piece in one.body]) == b"{}"
        with trio.CancelScope() as scope:
            scope.cancel()
            await http.aclose()
        with trio.fail_after(10):
            await all_left.wait()
        nursery.cancel_scope.cancel()
