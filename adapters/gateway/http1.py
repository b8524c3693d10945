"""Serve HTTP/1.1 to clients: an ASGI server on trio and h11, with one task for each connection.

It is small because a gateway needs little: no TLS, no HTTP/2, no websockets, no protocol that a request could switch to. What it adds to
h11 is patience with an end. A client that is slow with a head, idle, or that no longer reads its answer loses its connection, and whatever
is done for it is cancelled. A request that h11 cannot read in one way only is refused, and its connection is closed.

As in other ASGI servers, a client that closes its side has gone: ``receive`` says ``http.disconnect``. What is sent to it then is dropped.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache, partial
from time import time
from typing import Any, Final
from urllib.parse import unquote

import h11
import trio

from .answer import Receive, Send

__all__ = ["Application", "serve_http"]

log = logging.getLogger(__name__)

Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

PIECE_BYTES: Final = 64 * 1024
HEAD_LIMIT_BYTES: Final = 64 * 1024
AHEAD_LIMIT_BYTES: Final = 64 * 1024
"""How much is read of what follows a request that is being answered: a client may send its next request early."""
LINGER_SECONDS: Final = 2.0
"""How long a client may go on with a body that is not read: closing at once could take the answer back that it has not read yet."""
_GONE: Final = {"type": "http.disconnect"}
_LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_BODILESS: Final = frozenset({204, 304})


async def serve_http(
    app: Application, listener: trio.SocketListener, *, idle_seconds: float, reader_seconds: Callable[[], float]
) -> None:
    """Serve ``app`` until it is cancelled.

    ``idle_seconds``: how long a connection may take to its next request's head. ``reader_seconds`` is asked how long a client may take to
    read a piece of its answer.
    """
    await trio.serve_listeners(partial(_serve_client, app, idle_seconds, reader_seconds), [listener])


async def _serve_client(
    app: Application, idle_seconds: float, reader_seconds: Callable[[], float], stream: trio.SocketStream
) -> None:
    try:
        await _Connection(app, stream, idle_seconds, reader_seconds).run()
    except OSError:  # reset before it was looked at
        pass
    except Exception:  # a fault of ours: the other connections go on
        log.exception("a connection has failed")
    finally:
        await trio.aclose_forcefully(stream)


class _Connection:
    """One client's connection."""

    def __init__(
        self, app: Application, stream: trio.SocketStream, idle_seconds: float, reader_seconds: Callable[[], float]
    ) -> None:
        self._app = app
        self._stream = stream
        self._idle_seconds = idle_seconds
        self._reader_seconds = reader_seconds
        self._client = stream.socket.getpeername()[:2]
        self._server = stream.socket.getsockname()[:2]
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        self._patience = trio.CancelScope()  # its deadline is set while the client is waited for
        self._gone = False  # the client has closed its side
        self._is_read = False  # the present request, to its end
        self._has_no_body = False  # the present answer
        self._fault: h11.RemoteProtocolError | None = None  # of the present request's body

    async def run(self) -> None:
        """Answer one request after another, until the connection ends."""
        with self._patience:
            while (request := await self._request()) is not None:
                await self._answer(request)
                if not self._is_ready_again():
                    await self._linger()
                    return

    async def _request(self) -> h11.Request | None:
        """Return the head of the next request; None where there is none."""
        self._patience.deadline = trio.current_time() + self._idle_seconds
        self._is_read, self._has_no_body, self._fault = False, False, None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                await self._read()
            if isinstance(event, h11.Request):
                self._has_no_body = event.method == b"HEAD"
                _check(event)
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, str(error))
            await self._linger()
            return None
        self._patience.deadline = math.inf
        return event if isinstance(event, h11.Request) else None

    async def _answer(self, request: h11.Request) -> None:
        path, _, query = request.target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": self._client,
            "server": self._server,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception:
            log.exception("%s %s has failed", scope["method"], request.target.decode("ascii"))
            await self._refuse(500, "internal error")
        if self._fault is not None:
            await self._refuse(self._fault.error_status_hint, str(self._fault))

    async def _receive(self) -> Mapping[str, Any]:
        """Return the next piece of the request's body. After its end: wait until the client has gone."""
        if self._http.they_are_waiting_for_100_continue:
            await self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        if not self._is_read:
            try:
                return {"type": "http.request", "body": await self._body(), "more_body": not self._is_read}
            except h11.RemoteProtocolError as error:
                self._fault = None if self._gone else error
                return _GONE
        while not self._gone:
            if len(self._http.trailing_data[0]) > AHEAD_LIMIT_BYTES:
                await trio.sleep_forever()
            await self._read()
        return _GONE

    async def _body(self) -> bytes:
        """Return what of the body is here; wait where there is nothing."""
        pieces: list[bytes] = []
        while not self._is_read:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif event is not h11.NEED_DATA:
                self._is_read = True
            elif pieces:
                break
            else:
                await self._read()
        return b"".join(pieces)

    async def _send(self, message: Mapping[str, Any]) -> None:
        if self._gone:
            await trio.lowlevel.checkpoint()
        elif message["type"] == "http.response.start":
            await self._write(self._head(message["status"], list(message["headers"])))
        else:
            piece = b"" if self._has_no_body else message.get("body", b"")
            said = self._http.send(h11.Data(data=piece)) if piece else None
            ended = None if message.get("more_body", False) else self._http.send(h11.EndOfMessage())
            await self._write((said or b"") + (ended or b""))

    def _head(self, status: int, headers: list[tuple[bytes, bytes]], *, is_last: bool = False) -> bytes | None:
        self._skip_body()
        if is_last or not self._is_read:  # the rest of this request would be in the way of the next one
            headers.append((b"connection", b"close"))
        if not any(name == b"date" for name, _ in headers):
            headers.append((b"date", _date(int(time()))))
        self._has_no_body = self._has_no_body or status in _BODILESS
        return self._http.send(h11.Response(status_code=status, headers=headers))

    async def _refuse(self, status: int, reason: str) -> None:
        """Answer by the server itself, where nothing was answered yet, and close the connection afterwards."""
        if not self._gone and self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = reason.encode("utf-8", "backslashreplace")
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            await self._write(self._head(status, headers, is_last=True))
            await self._send({"type": "http.response.body", "body": text})

    def _skip_body(self) -> None:
        """Read over what is here of a body that the application did not want."""
        with suppress(h11.RemoteProtocolError):
            while not self._is_read and isinstance(event := self._http.next_event(), h11.Data | h11.EndOfMessage):
                self._is_read = isinstance(event, h11.EndOfMessage)

    def _is_ready_again(self) -> bool:
        if self._gone or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _linger(self) -> None:
        """Let the client read the answer to a request that was not read to its end."""
        if not self._gone and not self._is_read:
            with trio.move_on_after(LINGER_SECONDS), suppress(*_LOST):
                await self._stream.send_eof()
                while await self._stream.receive_some(PIECE_BYTES):
                    pass

    async def _read(self) -> None:
        try:
            data = await self._stream.receive_some(PIECE_BYTES)
        except _LOST:
            data = b""
        self._gone = self._gone or not data
        self._http.receive_data(data)

    async def _write(self, data: bytes | None) -> None:
        if data:
            self._patience.deadline = trio.current_time() + self._reader_seconds()
            try:
                await self._stream.send_all(data)
            except _LOST:
                self._gone = True
            except trio.Cancelled:
                self._gone = True  # how much of it was sent is not known
                raise
            finally:
                self._patience.deadline = math.inf


def _check(request: h11.Request) -> None:
    """Refuse what h11 lets pass. Raises h11.RemoteProtocolError."""
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("only HTTP/1 is spoken here", error_status_hint=505)
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:  # RFC 9112, 6.1
        raise h11.RemoteProtocolError("the body's length is given in two ways")


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")
