"""A transport for requests that are passed on: HTTP/1.1 on trio and h11, with few steps and with connections that are used again.

A gateway adds its own time to every answer, so a request leaves in one write, and a connection that has just served one serves the next.
Local servers close idle connections after 5 s, and some right after an answer, whatever they announce. So a connection is used again
only within :data:`IDLE_SECONDS`, and not if the server has closed it. Where the server was just closing it, the request is
sent once more, on a new connection: that is done only where the connection had served before, no byte of an answer came, and it was lost
within :data:`LOST_SECONDS`. A server that takes longer than that has begun with the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import h11
import trio

from .bounds import PIECE_BYTES
from .library import httpx

__all__ = ["KeptTransport"]

IDLE_SECONDS: Final = 1.0
LOST_SECONDS: Final = 1.0
IDLE_LIMIT: Final = 64
"""How many idle connections are kept; further ones are closed."""
HEAD_LIMIT_BYTES: Final = 100 * 1024


class KeptTransport(httpx.AsyncBaseTransport):
    """Requests over http to any server. Raises what httpx's own transport raises. ``connect_timeout`` is in seconds; None: unbounded."""

    def __init__(self, connect_timeout: float | None) -> None:
        self._connect_timeout = float("inf") if connect_timeout is None else connect_timeout
        self._idle: list[_Connection] = []  # the one that was used last at the end
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; return the answer, its head read."""
        if self._closed:
            raise RuntimeError("the transport is closed")
        content = b"".join([piece async for piece in _pieces_of(request)])
        origin = (request.url.host, request.url.port or 80)
        if (connection := await self._young(origin)) is not None:
            try:
                return await self._exchange(connection, request, content)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if not connection.was_closing:
                    raise
        return await self._exchange(await self._connected(origin), request, content)

    async def aclose(self) -> None:
        """Close the idle connections, and take no more requests. Those in use are closed with their answers."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _exchange(self, connection: _Connection, request: httpx.Request, content: bytes) -> httpx.Response:
        try:
            head = await connection.ask(request, content)
        except BaseException:
            await connection.close()
            raise
        return httpx.Response(
            head.status_code, headers=head.headers.raw_items(), stream=_Body(self, connection), request=request
        )

    async def _young(self, origin: tuple[str, int]) -> _Connection | None:
        """Take an idle connection that can be used again; close those that cannot."""
        while self._idle:
            connection = self._idle.pop()
            if connection.origin == origin and not connection.is_old() and not connection.has_news():
                return connection
            await connection.close()
        return None

    async def _connected(self, origin: tuple[str, int]) -> _Connection:
        try:
            with trio.fail_after(self._connect_timeout):
                return _Connection(origin, await trio.open_tcp_stream(*origin))
        except trio.TooSlowError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def give_back(self, connection: _Connection) -> None:
        """Keep the connection of an answer that is over, if it can serve another one. Those that have become too old are closed."""
        if not self._closed and connection.ready_again():
            self._idle.append(connection)
        else:
            await connection.close()
        while len(self._idle) > IDLE_LIMIT or (self._idle and self._idle[0].is_old()):
            await self._idle.pop(0).close()


class _Connection:
    """One connection to ``origin``, for one request at a time."""

    def __init__(self, origin: tuple[str, int], stream: trio.SocketStream) -> None:
        self.origin = origin
        self._idle_since = 0.0
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        self._has_served = False
        self._heard = False  # a byte of the answer to the present request
        self._lost_after = 0.0

    @property
    def was_closing(self) -> bool:
        """Whether the server seems to have closed it before it read the request."""
        return self._has_served and not self._heard and self._lost_after <= LOST_SECONDS

    def is_old(self) -> bool:
        """Return whether it has been idle for too long to be used again."""
        return trio.current_time() - self._idle_since > IDLE_SECONDS

    def has_news(self) -> bool:
        """Return whether there is something to read, though nothing was asked: most likely its end."""
        return self._stream.socket.is_readable()

    async def ask(self, request: httpx.Request, content: bytes) -> h11.Response:
        """Send a request; return the head of its answer."""
        began, self._heard = trio.current_time(), False
        try:
            asked = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            said = [
                self._http.send(asked),
                self._http.send(h11.Data(data=content)),
                self._http.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        try:
            await self._send(b"".join(piece for piece in said if piece))
            while not isinstance(event := await self._event(), h11.Response):
                if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                    raise httpx.RemoteProtocolError("the server answered with something else than a response")
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            self._lost_after = trio.current_time() - began
            raise
        return event

    async def piece(self) -> bytes | None:
        """Return the next bytes of the body; None at its end."""
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                return bytes(event.data)
        return None

    def ready_again(self) -> bool:
        """Make the connection ready for another request; return whether it is. What came unasked would be taken for its answer."""
        if (
            self._http.our_state is not h11.DONE
            or self._http.their_state is not h11.DONE
            or self._http.trailing_data[0]
        ):
            return False
        self._http.start_next_cycle()
        self._has_served, self._idle_since = True, trio.current_time()
        return True

    async def close(self) -> None:
        """Close it at once."""
        await trio.aclose_forcefully(self._stream)

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if not self.has_news():  # else the server has answered before it read all, and then closed
                raise httpx.WriteError(str(error)) from error

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event; NEED_DATA is none of them, whatever h11's types say."""
        while True:
            try:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._stream.receive_some(PIECE_BYTES)
                self._heard = self._heard or bool(data)
                if not data and not self._heard:
                    raise httpx.RemoteProtocolError("the server disconnected without an answer")
                self._http.receive_data(data)
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpx.ReadError(str(error)) from error


class _Body(httpx.AsyncByteStream):
    """The body of one answer. Closing it gives the connection back, or ends the request."""

    def __init__(self, transport: KeptTransport, connection: _Connection) -> None:
        self._transport = transport
        self._connection: _Connection | None = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None or (piece := await self._connection.piece()) is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Give the connection back where the body was read to its end; else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._transport.give_back(connection)


def _pieces_of(request: httpx.Request) -> httpx.AsyncByteStream:
    assert isinstance(request.stream, httpx.AsyncByteStream)
    return request.stream
