"""Serve HTTP/1.1 to clients: an ASGI server on trio and h11, with one task for each connection.

It is small because a gateway needs little: no TLS, no HTTP/2, no websockets, no protocol that a request could switch to. What it adds to
h11 is patience with an end. A client that is slow with a head, idle, or that no longer reads its answer loses its connection, and whatever
is done for it is cancelled. A request that h11 cannot read in one way only is refused, and its connection is closed.

A connection above the limit is *crowded*: its first request gets there with the extension ``crowded``, so that the application can
refuse it in its own words; then it is closed. Where even these are too many, a connection is closed at once.

As in other ASGI servers, a client that closes its side has gone: ``receive`` says ``http.disconnect``. What is sent to it then is dropped.
"""

from __future__ import annotations

import logging
import math
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import Any, Final
from urllib.parse import unquote

import h11
import trio

from .answer import Receive, Send

__all__ = ["Application", "Bounds", "serve_http"]

log = logging.getLogger(__name__)

Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

PIECE_BYTES: Final = 64 * 1024
HEAD_LIMIT_BYTES: Final = 64 * 1024
AHEAD_LIMIT_BYTES: Final = 64 * 1024
"""How much is kept of what follows a request that is being answered: a client may send its next request early. What comes beyond is
read, so that the client's going is noticed, and dropped; the connection ends with the answer."""
CROWD_LIMIT: Final = 64
"""How many connections above the limit are answered at a time, by a refusal."""
CROWD_SECONDS: Final = 5.0
"""How long such a connection may take to its request's head."""
LINGER_SECONDS: Final = 2.0
"""How long a client may go on with a body that is not read: closing at once could take the answer back that it has not read yet."""
_GONE: Final = {"type": "http.disconnect"}
_LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_BODILESS: Final = frozenset({204, 304})
_BLANK_LINES: Final = re.compile(rb"(?:\r?\n)*")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a client may do: take ``idle_seconds`` to its next request's head, and ``reader_seconds()`` to read a piece of its answer.

    ``connections()`` is how many there may be at a time.
    """

    idle_seconds: float
    reader_seconds: Callable[[], float]
    connections: Callable[[], int]


async def serve_http(app: Application, listener: trio.SocketListener, bounds: Bounds) -> None:
    """Serve ``app`` until it is cancelled."""
    await trio.serve_listeners(_Server(app, bounds).serve, [listener])


class _Server:
    """All connections."""

    def __init__(self, app: Application, bounds: Bounds) -> None:
        self._app = app
        self._bounds = bounds
        self._open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        above = self._open - self._bounds.connections()
        self._open += 1
        try:
            if above < CROWD_LIMIT:
                await _Connection(self._app, stream, self._bounds, is_crowded=above >= 0).run()
        except OSError:  # reset before it was looked at
            pass
        except Exception:  # a fault of ours: the other connections go on
            log.exception("a connection has failed")
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)


class _Connection:
    """One client's connection."""

    def __init__(self, app: Application, stream: trio.SocketStream, bounds: Bounds, *, is_crowded: bool) -> None:
        self._app = app
        self._stream = stream
        self._idle_seconds = CROWD_SECONDS if is_crowded else bounds.idle_seconds
        self._reader_seconds = bounds.reader_seconds
        self._client = stream.socket.getpeername()[:2]
        self._server = stream.socket.getsockname()[:2]
        self._http = _reader()
        self._patience = trio.CancelScope()  # its deadline is set while the client is waited for
        self._is_crowded = is_crowded
        self._is_last = is_crowded  # no request is read after the present one
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
                    self._reset_where_the_end_tells_nothing()
                    return

    async def _request(self) -> h11.Request | None:
        """Return the head of the next request; None where there is none."""
        self._patience.deadline = trio.current_time() + self._idle_seconds
        self._is_read, self._has_no_body, self._fault = False, False, None
        try:
            await self._skip_blank_lines()
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

    async def _skip_blank_lines(self) -> None:
        """Read over what some clients send behind a body, or before a request (RFC 9112, 2.2)."""
        said = self._http.trailing_data[0]
        self._http = _reader()
        while not self._gone and (said := _BLANK_LINES.sub(b"", said, count=1)) in (b"", b"\r"):
            said += await self._received()
        self._http.receive_data(said)

    async def _answer(self, request: h11.Request) -> None:
        path, _, query = _origin_form(request.target).partition(b"?")
        scope: dict[str, Any] = {
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
            "extensions": {"crowded": {}} if self._is_crowded else {},
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
            if self._is_last:
                await self._received()
            else:
                await self._read()
                self._is_last = len(self._http.trailing_data[0]) > AHEAD_LIMIT_BYTES
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

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        self._skip_body()
        if self._is_last or not self._is_read:  # the rest of this request would be in the way of the next one
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
            self._is_last = True
            await self._write(self._head(status, headers))
            await self._send({"type": "http.response.body", "body": text})

    def _skip_body(self) -> None:
        """Read over what is here of a body that the application did not want."""
        with suppress(h11.RemoteProtocolError):
            while not self._is_read and isinstance(event := self._http.next_event(), h11.Data | h11.EndOfMessage):
                self._is_read = isinstance(event, h11.EndOfMessage)

    def _is_ready_again(self) -> bool:
        return not self._gone and not self._is_last and self._http.our_state is self._http.their_state is h11.DONE

    def _reset_where_the_end_tells_nothing(self) -> None:
        """Reset the connection where its end would be taken for that of an answer which has broken off: HTTP/1.0 has no other."""
        if not self._gone and self._http.our_state is h11.SEND_BODY and self._http.their_http_version == b"1.0":
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _linger(self) -> None:
        """Let the client read the answer to a request that was not read to its end."""
        if not self._gone and (self._is_last or not self._is_read):
            with trio.move_on_after(LINGER_SECONDS), suppress(*_LOST):
                await self._stream.send_eof()
                while await self._stream.receive_some(PIECE_BYTES):
                    pass

    async def _read(self) -> None:
        self._http.receive_data(await self._received())

    async def _received(self) -> bytes:
        """Return what comes next; empty where the client has gone."""
        try:
            data = bytes(await self._stream.receive_some(PIECE_BYTES))
        except _LOST:
            data = b""
        self._gone = self._gone or not data
        return data

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


def _reader() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)


def _origin_form(target: bytes) -> bytes:
    """Return path and query of a target, which clients of proxies send behind the server's name (RFC 9112, 3.2.2)."""
    if (absolute := _ABSOLUTE.match(target)) is None:
        return target
    rest = target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _check(request: h11.Request) -> None:
    """Refuse what h11 lets pass. Raises h11.RemoteProtocolError."""
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("only HTTP/1 is spoken here", error_status_hint=505)
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:  # RFC 9112, 6.1
        raise h11.RemoteProtocolError("the body's length is given in two ways")


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")
