"""One server over HTTP: requests with typed errors, everything bounded, and nothing shown that was sent as a secret.

No idle connection is kept: each request opens its own, which costs under a millisecond on loopback. Local servers close idle connections
after 5 s, and some right after a streamed answer, whatever they announce; a request on a connection that is just being closed is lost,
and it would be unknown whether it was carried out. Requests that are passed on for others are the exception: see ``kept``. And no request
waits below the manager, which is the only limit: the number of connections is not bounded.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio

from statemachine.config.identity import public_url
from statemachine.errors import AdapterConnectError, AdapterError, AdapterProtocolError
from statemachine.foreign import ForeignJSONError, read_json

from .bounds import CONTROL_SECONDS, Bounds, Patience
from .error_body import has_error
from .errors import adapter_error, connection_error
from .for_httpx import NO_TLS, Body, Borrowed, Credentials, tls, user_info
from .heads import header_lines, request_line
from .kept import KeptConnections
from .library import httpx
from .lines import LineTooLongError
from .ndjson import NDJSONDecoder
from .response import LOST, HttpResponse, HttpxAnswer, RawAnswer
from .secrets import secrets_in_headers, secrets_in_url, without_frames
from .sse import SSEDecoder

__all__ = ["HttpClient"]

_HEADERS: Final = "latin-1"
"""The encoding of header values, in which every byte is a character: what a client sent goes on as it was."""
_WITH_CONTENT: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests say their length even where it is 0 (RFC 9110, 8.6): some servers wait for a body else, or refuse."""


class HttpClient:
    """A client of the server at ``base_url`` (with or without a slash or ``/v1`` at its end).

    ``token`` is sent as a bearer token, or as it is in the header ``token_header``. ``bounds`` says what an answer may be and how
    long it may take. ``headers`` go with every request. The environment's proxies are not used: the server is a local one.
    ``transport`` replaces the network; it may be shared, so it is never closed here.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        token_header: str = "Authorization",
        bounds: Bounds | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server: Final = public_url(base_url)
        self.bounds: Final = bounds or Bounds()
        url = httpx.URL(base_url)
        self._root = url.copy_with(path=url.path.rstrip("/").removesuffix("/v1"), userinfo=b"")
        self._root_path = self._root.raw_path.rstrip(b"/")
        self._secrets = tuple(
            filter(None, (token, *secrets_in_url(url), *secrets_in_headers((headers or {}).values())))
        )
        self._fixed = {"Accept-Encoding": "identity", **(headers or {})}
        self._auth = Credentials(token, token_header) if token else user_info(url)
        self._kept: KeptConnections | None = None
        if url.scheme == "http" and transport is None:
            self._kept = KeptConnections(url.host, url.port or 80, self.bounds.connect_timeout)
        self._always = self._own_headers(url)
        self._always_names = frozenset(name.lower() for name, _ in self._always)
        usual = httpx.Headers(self._fixed).raw
        self._usually = [(name, value) for name, value in usual if name.lower() not in self._always_names]
        self._client = httpx.AsyncClient(
            auth=self._auth,
            headers={"Connection": "close", **self._fixed},
            timeout=httpx.Timeout(None, connect=self.bounds.connect_timeout),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            transport=Borrowed(transport) if transport is not None else None,
            verify=tls() if url.scheme == "https" and transport is None else NO_TLS,
            trust_env=False,
        )

    def patience(self) -> Patience:
        """Return how long a call that begins now is waited for."""
        return Patience(self.bounds.first_event_timeout, self.bounds.read_timeout, self.bounds.call_timeout)

    async def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float | None = CONTROL_SECONDS,
        otherwise: type[AdapterError] = AdapterError,
    ) -> dict[str, Any]:
        """Return the JSON object that the server answers. Raises AdapterError; ``otherwise`` for an unknown failure of the server.

        ``seconds`` bounds the request from its start to the end of its answer (None: unbounded).
        """
        patience = Patience.within(seconds)
        content = b"" if body is None else encoded(body)
        try:
            async with self.open(method, path, content, {"Content-Type": "application/json"}, patience) as answer:
                return self.checked(answer, await answer.read(patience), otherwise=otherwise)
        except AdapterError as error:
            raise without_frames(error)  # noqa: B904  # it is the same error

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
        patience: Patience,
    ) -> AsyncGenerator[HttpResponse, None]:
        """Make a request; the block gets the answer, its head read. Leaving the block ends the request. Raises AdapterError.

        ``path`` starts with a slash and may have a query.
        """
        given = list(headers.items())
        answer = await self._answered(lambda: self._sent(method, path, content, given), patience)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def pass_on(
        self, method: str, path: str, content: bytes, headers: Sequence[tuple[str, str]], patience: Patience
    ) -> HttpResponse:
        """Make a request of another program; return the answer, its head read. It has to be closed. Raises AdapterError.

        The connection may have served before. The request is sent once more where the server was just closing that.
        """
        if (kept := self._kept) is None:
            return await self._answered(lambda: self._sent(method, path, content, headers), patience)
        request = self._written(method, path, content, headers)

        async def asked() -> HttpResponse:
            return self._response(await kept.ask(method, request))

        return await self._answered(asked, patience)

    async def _answered(self, ask: Callable[[], Awaitable[HttpResponse]], patience: Patience) -> HttpResponse:
        """Return the answer in time. Raises AdapterError."""
        try:
            with trio.move_on_at(patience.deadline):
                return await ask()
        except LOST as error:
            lost = self.lost(error)
        else:
            lost = patience.exhausted(self.server)
        raise lost

    async def _sent(self, method: str, path: str, content: bytes, headers: Sequence[tuple[str, str]]) -> HttpResponse:
        given = [*headers, ("Content-Length", str(len(content)))] if content else headers
        url = self._root.copy_with(raw_path=self._target(path))
        request = self._client.build_request(method, url, headers=httpx.Headers(given, encoding=_HEADERS))
        request.stream = Body(content)
        return self._response(HttpxAnswer(await self._client.send(request, stream=True)))

    def _response(self, answer: RawAnswer) -> HttpResponse:
        return HttpResponse(answer, self.server, self.lost, self.bounds.max_body_bytes)

    def _target(self, path: str) -> bytes:
        return self._root_path + path.encode("ascii")

    def _own_headers(self, url: httpx.URL) -> list[tuple[bytes, bytes]]:
        """Return the headers that every request has, whatever its own are."""
        request = httpx.Request("GET", url)
        if self._auth is not None:
            next(self._auth.auth_flow(request))  # it sets a header
        return request.headers.raw

    def _written(self, method: str, path: str, content: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
        """Return a whole request. Raises AdapterRequestError where its first line or a header cannot be sent."""
        has_length = content or method in _WITH_CONTENT
        length = [(b"Content-Length", b"%d" % len(content))] if has_length else []
        try:
            given = [(name.encode(_HEADERS), value.encode(_HEADERS)) for name, value in headers]
            names = {name.lower() for name, _ in given}
            usual = [pair for pair in self._usually if pair[0].lower() not in names]
            others = [pair for pair in given if pair[0].lower() not in self._always_names]
            lines = header_lines([*self._always, *others, *usual, *length])
            first = request_line(method.encode("ascii"), self._target(path))
            return b"%s%s\r\n%s" % (first, lines, content)
        except ValueError as error:
            raise self.lost(httpx.LocalProtocolError(str(error))) from None

    def checked(
        self,
        answer: HttpResponse,
        body: bytes,
        *,
        otherwise: type[AdapterError] = AdapterError,
    ) -> dict[str, Any]:
        """Return ``body`` as the JSON object it should be. Raises AdapterError; an error may come with any status, 200 included."""
        payload = payload_of(body)
        if not answer.succeeded or has_error(payload):
            raise self.failure(answer, payload, otherwise=otherwise)
        if not isinstance(payload, dict):
            raise AdapterProtocolError(
                f"{self.server}: the answer is not a JSON object (status {answer.status})", status=answer.status
            )
        return payload

    def failure(
        self,
        answer: HttpResponse | None,
        payload: object,
        *,
        secrets: Collection[str] = (),
        otherwise: type[AdapterError] = AdapterError,
    ) -> AdapterError:
        """Make the error that ``payload`` reports; ``answer`` is None inside a stream, whose status says nothing."""
        return adapter_error(
            None if answer is None else answer.status,
            payload,
            server=self.server,
            headers=None if answer is None else answer.headers,
            secrets=(*self._secrets, *secrets),
            otherwise=otherwise,
        )

    def lost(self, error: Exception) -> AdapterError:
        """Make the error for a request without an answer, or whose answer broke off."""
        if self._client.is_closed:
            closed = AdapterConnectError(f"{self.server}: the adapter has been shut down", retryable=False)
            closed.sent = False
            return closed
        return connection_error(error, server=self.server)

    async def aclose(self) -> None:
        """Close every connection, also when cancelled."""
        with trio.CancelScope(shield=True):
            await self._client.aclose()
            if self._kept is not None:
                await self._kept.aclose()


def encoded(body: Mapping[str, Any]) -> bytes:
    """Encode a request's body."""
    return json.dumps(body).encode()


def payload_of(body: bytes) -> object:
    """Return what an answer that is no stream holds.

    It is JSON data, of several lines the error or the last one; the data of its first event, where it is an event stream; else its text.
    """
    try:
        return read_json(body)
    except ForeignJSONError:
        if objects := _objects(body):
            return next(filter(has_error, objects), objects[-1])
        decoder = SSEDecoder()
        with suppress(ForeignJSONError, LineTooLongError):
            for event in (*decoder.feed(body), *decoder.finish()):
                return read_json(event.data)
        return body.decode("utf-8", "replace")


def _objects(body: bytes) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a body that is nothing but them, one a line: a stream where none was asked for."""
    decoder = NDJSONDecoder()
    try:
        found = [*decoder.feed(body), *decoder.finish()]
    except LineTooLongError:
        return []
    return found if all(isinstance(value, Mapping) for value in found) else []
