"""A client for requests that are passed on: HTTP/1.1 on trio, read by h11, with few steps and with connections that are used again.

A gateway adds its own time to every answer, so a request leaves in one write, and a connection that has just served one serves the next.
Local servers close idle connections after 5 s, and some right after an answer, whatever they announce. So a connection is used again
only within :data:`IDLE_SECONDS`, and not if the server has closed it. Where the server was just closing it, the request is
sent once more, on a new connection: that is done only where the connection had served before, no byte of an answer came, and it was lost
within :data:`LOST_SECONDS`. A server that takes longer than that has begun with the request.

h11 reads the answers. Of the request it is told the method only, which is all that the reading of an answer depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

import h11
import trio

from .bounds import PIECE_BYTES
from .library import httpx

__all__ = ["KeptAnswer", "KeptConnections"]

IDLE_SECONDS: Final = 1.0
LOST_SECONDS: Final = 1.0
IDLE_LIMIT: Final = 64
"""How many idle connections are kept; further ones are closed."""
HEAD_LIMIT_BYTES: Final = 100 * 1024
_LOST: Final = (httpx.NetworkError, httpx.RemoteProtocolError)


class KeptConnections:
    """Connections to one server, over http. Raises what httpx raises. ``connect_timeout`` is in seconds; None: unbounded."""

    def __init__(self, host: str, port: int, connect_timeout: float | None) -> None:
        self._address = (host, port)
        self._connect_timeout = float("inf") if connect_timeout is None else connect_timeout
        self._idle: list[_Connection] = []  # the one that was used last at the end
        self._closed = False

    async def ask(self, method: str, request: bytes) -> KeptAnswer:
        """Send ``request``, a whole one; return the answer, its head read."""
        if self._closed:
            raise RuntimeError("the client is closed")
        if (connection := await self._young()) is not None:
            try:
                return await self._exchange(connection, method, request)
            except _LOST:
                if not connection.was_closing:
                    raise
        return await self._exchange(await self._connected(), method, request)

    async def aclose(self) -> None:
        """Close the idle connections, and take no more requests. Those in use are closed with their answers."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _exchange(self, connection: _Connection, method: str, request: bytes) -> KeptAnswer:
        try:
            return KeptAnswer(self, connection, await connection.ask(method, request))
        except BaseException:
            await connection.close()
            raise

    async def _young(self) -> _Connection | None:
        """Take an idle connection that can be used again; close those that cannot."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_old() and not connection.has_news():
                return connection
            await connection.close()
        return None

    async def _connected(self) -> _Connection:
        try:
            with trio.fail_after(self._connect_timeout):
                return _Connection(await trio.open_tcp_stream(*self._address))
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
    """One connection, for one request at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._idle_since = 0.0
        self._stream = stream
        self._http: h11.Connection  # which reads the answer to the present request
        self._heard = False  # a byte of the answer to the present request
        self._lost_after = 0.0

    @property
    def was_closing(self) -> bool:
        """Whether the server seems to have closed it before it read the request. It is asked of connections that have served before."""
        return not self._heard and self._lost_after <= LOST_SECONDS

    def is_old(self) -> bool:
        """Return whether it has been idle for too long to be used again."""
        return trio.current_time() - self._idle_since > IDLE_SECONDS

    def has_news(self) -> bool:
        """Return whether there is something to read, though nothing was asked: most likely its end."""
        return self._stream.socket.is_readable()

    async def ask(self, method: str, request: bytes) -> h11.Response:
        """Send a request; return the head of its answer."""
        began, self._heard = trio.current_time(), False
        try:
            await self._send(request)
            self._http = _reader(method)
            while not isinstance(event := await self._event(), h11.Response):
                if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                    raise httpx.RemoteProtocolError("the server answered with something else than a response")
        except _LOST:
            self._lost_after = trio.current_time() - began
            raise
        return event

    def here(self) -> tuple[bytes, bool]:
        """Return what of the body has come, and whether that is its end. Raises httpx.RemoteProtocolError where nothing comes before it."""
        pieces: list[bytes] = []
        try:
            while isinstance(event := self._http.next_event(), h11.Data):
                pieces.append(bytes(event.data))
        except h11.RemoteProtocolError as error:
            if not pieces:  # else it is raised again, behind them
                raise httpx.RemoteProtocolError(str(error)) from error
            return b"".join(pieces), False
        return b"".join(pieces), event is not h11.NEED_DATA

    async def hear(self) -> None:
        """Wait for more of the answer."""
        try:
            data = await self._stream.receive_some(PIECE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from error
        self._heard = self._heard or bool(data)
        if not data and not self._heard:
            raise httpx.RemoteProtocolError("the server disconnected without an answer")
        self._http.receive_data(data)

    def ready_again(self) -> bool:
        """Return whether it can serve another request. What came unasked would be taken for its answer."""
        self._idle_since = trio.current_time()
        return self._http.their_state is h11.DONE and not self._http.trailing_data[0]

    async def close(self) -> None:
        """Close it at once."""
        await trio.aclose_forcefully(self._stream)

    async def _send(self, data: bytes) -> None:
        """Send ``data``. That the server reads no more is no failure by itself: it may have answered before, as reading will tell."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_all(data)

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event; NEED_DATA is none of them, whatever h11's types say."""
        while True:
            try:
                if (event := self._http.next_event()) is not h11.NEED_DATA:
                    return event
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            await self.hear()


class KeptAnswer:
    """The answer to one request: its head, and its body in pieces. ``begun``: the first piece, or the end, is here already."""

    def __init__(self, connections: KeptConnections, connection: _Connection, head: h11.Response) -> None:
        self.status: Final[int] = head.status_code
        self.headers: Final[Sequence[tuple[bytes, bytes]]] = list(head.headers)
        self._connections = connections
        self._connection: _Connection | None = connection
        self._here, self._is_over = connection.here()
        self.begun: Final = bool(self._here) or self._is_over

    def here(self) -> bytes:
        """Return what of the body is here, without waiting."""
        here, self._here = self._here, b""
        return here

    async def piece(self) -> bytes | None:
        """Return what of the body is here, or comes next; None at its end."""
        while not (here := self.here()) and not self._is_over and self._connection is not None:
            self._here, self._is_over = self._connection.here()
            if not self._here and not self._is_over:
                await self._connection.hear()
        return here or None

    async def aclose(self, linger: float) -> None:
        """Give the connection back where the body was read to its end; else close it. No end is waited for, whatever ``linger`` says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._connections.give_back(connection)


def _reader(method: str) -> h11.Connection:
    """Return what reads the answer to a request with this method."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT_BYTES)
    http.send(_asked(method))
    http.send(_ASKED_ALL)
    return http


@lru_cache(maxsize=16)
def _asked(method: str) -> h11.Request:
    return h11.Request(method=method, target="/", headers=[("Host", "")])


_ASKED_ALL: Final = h11.EndOfMessage()
