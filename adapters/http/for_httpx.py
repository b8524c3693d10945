"""What httpx is given in the place of parts of its own: a request's body, credentials, TLS, and a transport that is only borrowed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Generator
from functools import cache
from typing import Final

from .library import httpx

__all__ = ["NO_TLS", "Body", "Borrowed", "Credentials", "tls", "user_info"]

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no certificate: for servers that are asked without TLS, so that no certificates are read, which blocks the event loop."""


@cache
def tls() -> ssl.SSLContext:
    """Return the context that trusts the usual certificates. Made once: reading them takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


def user_info(url: httpx.URL) -> httpx.Auth | None:
    """Return the credentials in a URL, if it has any."""
    return httpx.BasicAuth(url.username, url.password) if url.userinfo else None


class Credentials(httpx.Auth):
    """A token in a header. Unlike a default header, it also replaces user info of the URL and a header of a single request."""

    def __init__(self, token: str, header: str) -> None:
        self._header = header
        self._value = f"Bearer {token}" if header == "Authorization" else token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._header] = self._value
        yield request


class Body(httpx.AsyncByteStream):
    """A request's body. httpx's own is an async generator, which a cancelled request leaves to the garbage collector."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once(AsyncIterator[bytes]):
    """Yields one piece."""

    def __init__(self, piece: bytes) -> None:
        self._left = [piece]

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class Borrowed(httpx.AsyncBaseTransport):
    """A transport that belongs to another: used, not closed."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)
