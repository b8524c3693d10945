"""An httpx transport that runs an ASGI application in the same process, and streams.

httpx's own ASGI transport runs the application to its end before it hands over the first byte: time to first token,
early close and cancellation in mid-answer could not be seen. Here each request's application runs as a task, each piece of
the body is handed over when it is sent (the sender waits until it is taken), and a client that goes away is reported to the
application as ``http.disconnect``, which ends nothing by itself: as behind a real server, the application decides.

Under a mock clock everything happens in virtual time. httpx's read time-out is kept, as a network transport keeps it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx
import trio
from starlette.types import ASGIApp, Message

__all__ = ["StreamingTransport"]


class StreamingTransport(httpx.AsyncBaseTransport):
    """Answers the requests of any number of clients from ``app``, whose tasks live in this context manager's block.

    Clients may enter and close it too, as httpx does, within that block. At its end whatever still runs is cancelled.

    An exception of the application is raised where its answer is awaited: by the request before the head was sent, by the
    body after it, and out of the block (in a group) when the client has gone. An application that ends without finishing
    its answer has cut the connection: ``httpx.RemoteProtocolError``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._depth = 0
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        self._depth += 1
        if self._depth == 1:
            self._manager = trio.open_nursery()
            self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._depth -= 1
        if self._depth > 0 or self._nursery is None:
            return
        self._nursery.cancel_scope.cancel()
        self._nursery = None
        if isinstance(exc_value, Exception):  # let the body's exception leave bare, not in the nursery's group
            exc_type = exc_value = traceback = None
        await self._manager.__aexit__(exc_type, exc_value, traceback)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``. Returns as soon as the head of the answer is there."""
        if self._nursery is None:
            raise RuntimeError("the transport must be entered before it is used")
        assert isinstance(request.stream, httpx.AsyncByteStream), "an asynchronous client sends an asynchronous stream"
        body = b"".join([piece async for piece in request.stream])
        connection = _Connection(body, request.extensions.get("timeout", {}).get("read"))
        self._nursery.start_soon(connection.run, self._app, _scope(request))
        try:
            return await connection.response()
        except BaseException:
            await connection.aclose()
            raise


class _Connection(httpx.AsyncByteStream):
    """One request under way. To the application it is ``receive`` and ``send``, to the client the body of the answer."""

    def __init__(self, request_body: bytes, read_timeout: float | None) -> None:
        self._request_body: bytes | None = request_body
        self._read_timeout = math.inf if read_timeout is None else read_timeout
        self._sender, self._receiver = trio.open_memory_channel[bytes](0)
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._head_or_end = trio.Event()
        self._over = trio.Event()  # the client has left, or has read its answer
        self._complete = False
        self._error: Exception | None = None

    # ---- the application's side ----

    async def run(self, app: ASGIApp, scope: Message) -> None:
        try:
            with self._sender:
                await app(scope, self._receive, self._send)
        except Exception as error:
            if self._over.is_set():
                raise
            self._error = error
        finally:
            self._head_or_end.set()

    async def _receive(self) -> Message:
        if self._request_body is not None:
            body, self._request_body = self._request_body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message["status"], list(message["headers"])
            self._head_or_end.set()
            return
        if message["body"]:
            try:
                await self._sender.send(message["body"])
            except trio.BrokenResourceError:
                return  # the client has left: what is sent goes nowhere
        if not message.get("more_body", False):
            self._complete = True
            self._sender.close()

    # ---- the client's side ----

    async def response(self) -> httpx.Response:
        """Return the answer, its body still to come."""
        with self._bounded():
            await self._head_or_end.wait()
        if self._head is None:
            self._raise_end()
            raise RuntimeError("the application ended without an answer")
        status, headers = self._head
        return httpx.Response(status, headers=headers, stream=self, extensions={"http_version": b"HTTP/1.1"})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                with self._bounded():
                    piece = await self._receiver.receive()
            except trio.EndOfChannel:
                break
            yield piece
        self._raise_end()

    async def aclose(self) -> None:
        self._receiver.close()
        self._over.set()

    def _raise_end(self) -> None:
        if self._error is not None:
            raise self._error
        if self._head is not None and not self._complete:
            raise httpx.RemoteProtocolError("the application ended without finishing its answer")

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        with trio.move_on_after(self._read_timeout) as scope:
            yield
        if scope.cancelled_caught:
            raise httpx.ReadTimeout(f"nothing came for {self._read_timeout:g} s")


def _scope(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (url.host, url.port),
    }
