"""One server over HTTP: requests with typed errors, everything bounded, and nothing shown that was sent as a secret.

No idle connection is kept: each request opens its own, which costs under a millisecond on loopback. Local servers close idle connections
after 5 s, and some right after a streamed answer, whatever they announce; a request on a connection that is just being closed is lost,
and it would be unknown whether it was carried out. Requests that are passed on for others are the exception: see ``kept``. And no request
waits below the manager, which is the only limit: the number of connections is not bounded.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio

from statemachine.config.identity import public_url
from statemachine.errors import AdapterConnectError, AdapterError, AdapterProtocolError
from statemachine.foreign import ForeignJSONError, read_json

from .bounds import CONTROL_SECONDS, Bounds, Patience
from .decoding import ContentDecoder
from .error_body import has_error
from .errors import adapter_error, connection_error
from .for_httpx import NO_TLS, Body, Borrowed, Credentials, tls, user_info
from .kept import KeptTransport
from .library import httpx
from .lines import LineTooLongError
from .ndjson import NDJSONDecoder
from .secrets import secrets_in_headers, secrets_in_url, without_frames
from .sse import SSEDecoder

__all__ = ["HttpClient", "HttpResponse"]

CLOSE_SECONDS: Final = 5
DRAIN_SECONDS: Final = 0.25
URLS_REMEMBERED: Final = 32
_HEADERS: Final = "latin-1"
"""The encoding of header values, in which every byte is a character: what a client sent goes on as it was."""
_LOST: Final = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError, RuntimeError)
"""What httpx and what lies below it raise when a request cannot be made or its answer cannot be read. RuntimeError: a closed client."""


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
        self._root = url.copy_with(path=url.path.rstrip("/").removesuffix("/v1").rstrip("/"), userinfo=b"")
        self._urls: dict[str, httpx.URL] = {}
        self._secrets = tuple(
            filter(None, (token, *secrets_in_url(url), *secrets_in_headers((headers or {}).values())))
        )
        self._fixed = {"Accept-Encoding": "identity", **(headers or {})}
        self._auth = Credentials(token, token_header) if token else user_info(url)
        self._kept = KeptTransport(self.bounds.connect_timeout) if url.scheme == "http" and transport is None else None
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
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        patience: Patience,
        *,
        kept: bool = False,
    ) -> AsyncGenerator[HttpResponse, None]:
        """Make a request; the block gets the answer, its head read. Leaving the block ends the request. Raises AdapterError.

        ``path`` starts with a slash and may have a query. ``kept``: on a connection that may have served before; such a request is
        sent once more where the server was just closing the connection.
        """
        answer = await self._send(method, path, content, headers, patience, kept)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes,
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        patience: Patience,
        kept: bool,
    ) -> HttpResponse:
        response: httpx.Response | None = None
        try:
            with trio.move_on_at(patience.deadline):
                url = self._url(path)
                given = list(headers.items() if isinstance(headers, Mapping) else headers)
                if content:
                    given.append(("Content-Length", str(len(content))))
                if kept and self._kept is not None:
                    response = await self._kept.handle_async_request(self._plain_request(method, url, given, content))
                else:
                    request = self._client.build_request(method, url, headers=httpx.Headers(given, encoding=_HEADERS))
                    request.stream = Body(content)
                    response = await self._client.send(request, stream=True)
        except _LOST as error:
            lost = self.lost(error)
        else:
            if response is not None:
                return HttpResponse(self, response)
            lost = patience.exhausted(self.server)
        raise lost

    def _url(self, path: str) -> httpx.URL:
        """Return the whole URL. Making one takes long, so those without a query are remembered."""
        if (known := self._urls.get(path)) is not None:
            return known
        url = self._root.copy_with(raw_path=self._root.raw_path.rstrip(b"/") + path.encode("ascii"))
        if "?" not in path and len(self._urls) < URLS_REMEMBERED:
            self._urls[path] = url
        return url

    def _plain_request(
        self, method: str, url: httpx.URL, headers: list[tuple[str, str]], content: bytes
    ) -> httpx.Request:
        """Make the request with what this server is always sent, and without what httpx's client adds of its own."""
        given = {name.lower() for name, _ in headers}
        fixed = [pair for pair in self._fixed.items() if pair[0].lower() not in given]
        host = ("Host", url.netloc.decode("ascii"))
        said = httpx.Headers([host, *headers, *fixed], encoding=_HEADERS)
        request = httpx.Request(method, url, headers=said, stream=Body(content))
        if self._auth is not None:
            next(self._auth.auth_flow(request))  # it sets a header
        return request

    def checked(
        self,
        answer: HttpResponse,
        body: bytes,
        *,
        secrets: Collection[str] = (),
        otherwise: type[AdapterError] = AdapterError,
    ) -> dict[str, Any]:
        """Return ``body`` as the JSON object it should be. Raises AdapterError; an error may come with any status, 200 included."""
        payload = payload_of(body)
        if not answer.succeeded or has_error(payload):
            raise self.failure(answer, payload, secrets=secrets, otherwise=otherwise)
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
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_SECONDS, shield=True):
            await self._client.aclose()
            if self._kept is not None:
                await self._kept.aclose()


class HttpResponse:
    """The server's answer: its head has been read, its body comes in pieces, decoded from any content encoding."""

    def __init__(self, http: HttpClient, response: httpx.Response) -> None:
        self.status: Final = response.status_code
        self.headers: Final = response.headers
        self._http = http
        self._response = response
        self._raw = response.aiter_raw()
        self._decoder: ContentDecoder | None = None
        self._decoded: Iterator[bytes] | None = None
        self._linger = 0.0

    async def piece(self, patience: Patience) -> bytes | None:
        """Return the next piece of the body, at most 64 KiB of what was encoded; None at its proper end. Raises AdapterError."""
        while True:
            for decoded in self._decoded or ():
                return decoded
            raw = await self._next(patience)
            if raw is None:
                return None
            if self._decoder is None:
                self._decoder = ContentDecoder(self.headers.get("Content-Encoding", ""), self._http.server)
            self._decoded = self._decoder.feed(raw)

    async def read(self, patience: Patience) -> bytes:
        """Read the whole body, within ``max_body_bytes``. Raises AdapterError.

        Of a refusal (a status outside 2xx) what can be read within 15 s: the status has said what it means, whatever becomes of its body.
        """
        body = bytearray()
        if self.succeeded:
            await self._read_into(body, patience)
        else:
            with trio.move_on_after(CONTROL_SECONDS), suppress(AdapterError):
                await self._read_into(body, patience)
        return bytes(body)

    async def _read_into(self, body: bytearray, patience: Patience) -> None:
        most = self._http.bounds.max_body_bytes
        while (piece := await self.piece(patience)) is not None:
            body += piece
            if len(body) > most:
                raise AdapterProtocolError(f"{self._http.server}: an answer of more than {most} bytes")

    @property
    def succeeded(self) -> bool:
        """Whether its status is 2xx."""
        return 200 <= self.status < 300

    def finished(self) -> None:
        """Note that all that matters is read: closing may wait a moment for the body's end, so that the server sees no interruption."""
        self._linger = DRAIN_SECONDS

    async def aclose(self) -> None:
        """End the request, also when cancelled.

        The read that is given up is cancelled, which ends all of httpx's nested generators: closing the outermost would leave the
        inner ones to the garbage collector.
        """
        with trio.CancelScope(deadline=trio.current_time() + self._linger, shield=True) as reading, suppress(*_LOST):
            if not self._linger:
                reading.cancel()
            async for _ in self._raw:
                pass
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_SECONDS, shield=True), suppress(*_LOST):
            await self._response.aclose()

    async def _next(self, patience: Patience) -> bytes | None:
        try:
            with trio.move_on_at(patience.deadline):
                return await anext(self._raw, None)
        except _LOST as error:
            lost = self._http.lost(error)
        else:
            lost = patience.exhausted(self._http.server)
        raise lost


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
