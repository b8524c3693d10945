"""The client over TLS, with a real server whose certificate it trusts."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from adapters.http import HttpClient
from adapters.http.for_httpx import tls
from adapters.http.forward import forward
from statemachine import AdapterConnectError, AdapterError, ForwardRequest

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture
def trusted() -> Iterator[None]:
    """Have the client trust the server's certificate, beside the usual ones."""
    tls.cache_clear()
    tls().load_verify_locations(CERTIFICATE)
    yield
    tls.cache_clear()


@asynccontextmanager
async def https(answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") -> AsyncIterator[str]:
    """A server that gives each request the same answer, then closes the connection. Its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async with stream:
            try:
                await stream.receive_some(65536)
            except trio.BrokenResourceError:  # the client does not trust it
                return
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        over_tls = trio.SSLListener(listener, context, https_compatible=True)
        nursery.start_soon(trio.serve_listeners, serve, [over_tls])
        yield f"https://localhost:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def judge(error: AdapterError) -> AdapterError:
    return error


@pytest.mark.usefixtures("trusted")
async def test_a_server_whose_certificate_is_trusted_is_asked_over_tls() -> None:
    async with https() as url:
        http = HttpClient(url)
        assert await http.json("GET", "/x") == {}
        async with forward(http, ForwardRequest("GET", "/x"), "m") as answer:
            assert b"".join([piece async for piece in answer.body]) == b"{}"
        await http.aclose()


async def test_a_server_whose_certificate_is_unknown_is_sent_nothing() -> None:
    async with https() as url:
        http = HttpClient(url)
        with pytest.raises(AdapterConnectError) as caught:
            await http.json("GET", "/x")
        assert not caught.value.sent
        await http.aclose()


@pytest.mark.usefixtures("trusted")
async def test_a_refusal_that_breaks_off_is_handed_on_as_one_that_breaks_off() -> None:
    async with https(b"HTTP/1.1 404 X\r\nContent-Length: 1000\r\n\r\nbeginning") as url:
        http = HttpClient(url)
        async with forward(http, ForwardRequest("GET", "/x"), "m", judge) as answer:
            pieces = aiter(answer.body)
            assert (answer.status, await anext(pieces)) == (404, b"beginning")
            with pytest.raises(AdapterConnectError):
                await anext(pieces)
        await http.aclose()


async def test_where_there_is_no_tls_no_certificates_are_read() -> None:
    """Reading them takes 20 ms, in which nothing else is done."""
    tls.cache_clear()
    answering = httpx.MockTransport(lambda _: httpx.Response(200))
    for http in (
        HttpClient("http://host"),
        HttpClient("http://h", transport=answering),
        HttpClient("https://h", transport=answering),
    ):
        await http.aclose()
    assert tls.cache_info().misses == 0
    await HttpClient("https://host").aclose()
    assert tls.cache_info().misses == 1
