"""One server over HTTP: requests with typed errors, and nothing shown that was sent as a secret."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import httpx
import trio

from statemachine.config.identity import public_url
from statemachine.errors import AdapterError, AdapterProtocolError

from .http_errors import adapter_error, connection_error, has_error

__all__ = ["HttpClient"]

CLOSE_SECONDS: Final = 5


class HttpClient:
    """An ``httpx.AsyncClient`` for the server at ``base_url`` (with or without a slash or ``/v1`` at its end).

    ``token`` is sent as a bearer token. ``connect_timeout`` bounds connecting and ``read_timeout`` the silence between two pieces of an
    answer, in seconds (None: unbounded). The environment's proxies are not used: the server is a local one. ``transport`` replaces the
    network; it may be shared, so it is never closed here.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None,
        connect_timeout: float | None,
        read_timeout: float | None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = public_url(base_url)
        url = httpx.URL(base_url)
        self._secrets = tuple(filter(None, (token, url.password)))
        self._client = httpx.AsyncClient(
            base_url=url.copy_with(path=url.path.rstrip("/").removesuffix("/v1").rstrip("/")),
            auth=None if token is None else _BearerAuth(token),
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
            transport=None if transport is None else _Borrowed(transport),
            trust_env=False,
        )

    async def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        read_timeout: float | None = None,
        otherwise: type[AdapterError] = AdapterError,
    ) -> dict[str, Any]:
        """The JSON object that the server answers. Raises AdapterError; ``otherwise`` for an unknown failure of the server.

        ``read_timeout`` (seconds) overrides the client's.
        """
        timeout = self._client.timeout
        if read_timeout is not None:
            timeout = httpx.Timeout(read_timeout, connect=timeout.connect)
        content = None if body is None else json.dumps(body).encode()
        try:
            response = await self._client.request(method, path, content=content, headers=_JSON, timeout=timeout)
        except httpx.HTTPError as error:
            raise self.lost(error) from error
        return self.checked(response.status_code, response.content, otherwise=otherwise)

    def stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """POST ``body``; the block gets the response before its body. Raises httpx.HTTPError."""
        return self._client.stream("POST", path, content=json.dumps(body).encode(), headers={**headers, **_JSON})

    def checked(
        self,
        status: int,
        content: bytes,
        *,
        secrets: Collection[str] = (),
        otherwise: type[AdapterError] = AdapterError,
    ) -> dict[str, Any]:
        """``content`` as the JSON object it should be. Raises AdapterError; an error may come with any status, 200 included."""
        try:
            payload = json.loads(content)
        except ValueError:
            payload = content.decode("utf-8", "replace")
        if not 200 <= status < 300 or has_error(payload):
            raise self.failure(status, payload, secrets=secrets, otherwise=otherwise)
        if not isinstance(payload, dict):
            raise AdapterProtocolError(f"{self.server}: the answer is not a JSON object (status {status})")
        return payload

    def failure(
        self,
        status: int | None,
        payload: object,
        *,
        secrets: Collection[str] = (),
        otherwise: type[AdapterError] = AdapterError,
    ) -> AdapterError:
        """The error that ``payload`` reports; ``status`` is None inside a stream."""
        return adapter_error(
            status, payload, server=self.server, secrets=(*self._secrets, *secrets), otherwise=otherwise
        )

    def lost(self, error: httpx.HTTPError) -> AdapterError:
        """The error for a request without an answer, or whose answer broke off."""
        return connection_error(error, server=self.server)

    async def aclose(self) -> None:
        """Close every connection, also when cancelled."""
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_SECONDS, shield=True):
            await self._client.aclose()


_JSON: Final = {"Content-Type": "application/json"}


class _BearerAuth(httpx.Auth):
    """Unlike a default header, it also replaces user info of the URL and an Authorization header of a single request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport that belongs to somebody else: used, not closed."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)
