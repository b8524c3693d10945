"""Serve HTTP/1.1 to clients: an ASGI server on trio, with a task for each connection that answers, and one that reads meanwhile.

It is small because a gateway needs little: no TLS, no HTTP/2, no websockets, no protocol that a request could switch to. h11 reads the
requests; one that it cannot read in one way only is refused, and its connection is closed. What is added to it is patience with an end.
A client that is slow with a head, idle, or that no longer reads its answer loses its connection.

An application that a client no longer waits for is cancelled: also where the client has closed its side only. So ``receive`` says
``http.disconnect`` in one case, that a body cannot be read on.

A connection above the limit is *crowded*: its first request gets there with the extension ``crowded``, so that the application can
refuse it in its own words; then it is closed. Where even these are too many, a connection is closed at once.
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
from typing import Any, Final
from urllib.parse import unquote

import h11
import trio

from .answer import Receive, Send
from .incoming import LOST, Incoming
from .reply import Reply

__all__ = ["Application", "ClientBounds", "serve_http"]

log = logging.getLogger(__name__)

Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

HEAD_LIMIT_BYTES: Final = 64 * 1024
LINGER_SECONDS: Final = 2.0
"""How long a client may go on with a body that is not read: closing at once could take the answer back that it has not read yet."""
CROWD_LIMIT: Final = 64
"""How many connections above the limit are answered at a time, by a refusal."""
CROWD_SECONDS: Final = 5.0
"""How long such a connection may take to its request's head."""
_BLANK_LINES: Final = re.compile(rb"(?:\r?\n)*")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_NO_SWITCH: Final = h11.Response(status_code=400, headers=[])  # tells h11 that no other protocol is switched to
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientBounds:
    """What a client may do: take ``idle_seconds`` to its next request's head, and ``reader_seconds()`` to read a piece of its answer.

    ``connections()`` is how many there may be at a time.
    """

    idle_seconds: float
    reader_seconds: Callable[[], float]
    connections: Callable[[], int]


async def serve_http(app: Application, listener: trio.SocketListener, bounds: ClientBounds) -> None:
    """Serve ``app`` until it is cancelled."""
    async with trio.open_nursery() as nursery:
        await trio.serve_listeners(_Server(app, bounds, nursery).serve, [listener])


class _Server:
    """All connections. ``nursery`` is for the tasks that read while others answer: one for each connection would take longer."""

    def __init__(self, app: Application, bounds: ClientBounds, nursery: trio.Nursery) -> None:
        self._app = app
        self._bounds = bounds
        self._nursery = nursery
        self._open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        above = self._open - self._bounds.connections()
        self._open += 1
        try:
            if above < CROWD_LIMIT:
                await _Connection(self._app, stream, self._bounds, self._nursery, is_crowded=above >= 0).run()
        except OSError:  # reset before it was looked at
            pass
        except Exception:  # a fault of ours: the other connections go on
            log.exception("a connection has failed")
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)


class _Connection:
    """One client's connection."""

    def __init__(
        self,
        app: Application,
        stream: trio.SocketStream,
        bounds: ClientBounds,
        nursery: trio.Nursery,
        *,
        is_crowded: bool,
    ) -> None:
        self._app = app
        self._stream = stream
        self._bounds = bounds
        self._nursery = nursery
        self._client = stream.socket.getpeername()[:2]
        self._patience = trio.CancelScope()  # its deadline is set while the client is waited for
        self._is_crowded = is_crowded
        self._is_last = is_crowded  # no request is read after the present one
        self._incoming = Incoming(stream, self._leave)
        # the present request and its answer
        self._http: h11.Connection  # which reads it
        self._rest = b""  # what came behind the former one
        self._is_answered = True
        self._is_read = False  # to its end
        self._is_told = False  # the application has it all
        self._begun = b""  # its body, as far as it came with the head
        self._waits_to_send = False  # until it is told to go ahead with its body
        self._fault: h11.RemoteProtocolError | None = None  # of its body
        self._reply = Reply()
        self._head = b""  # of the answer: it leaves with what follows it

    async def run(self) -> None:
        """Answer one request after another, until the connection ends."""
        try:
            with self._patience:
                while (request := await self._request()) is not None:
                    await self._answer(request)
                    if not self._is_ready_again():
                        self._reset_where_the_end_tells_nothing()
                        await self._linger()
                        break
        finally:
            self._incoming.no_longer_wanted()

    # ---- the request ----

    async def _request(self) -> h11.Request | None:
        """Return the head of the next request; None where there is none."""
        self._patience.deadline = trio.current_time() + (
            CROWD_SECONDS if self._is_crowded else self._bounds.idle_seconds
        )
        said, self._rest = self._rest, b""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        self._is_answered = self._is_read = self._is_told = False
        self._incoming.is_awaited = True
        self._reply = Reply()
        try:
            # what some clients send behind a body, or before a request, is skipped (RFC 9112, 2.2)
            while (said := _BLANK_LINES.sub(b"", said, count=1)) in (b"", b"\r") and not self._incoming.gone:
                said += await self._incoming.more()
            self._http.receive_data(said)
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._incoming.more())
            if not isinstance(event, h11.Request):
                return None
            self._reply = Reply(to_head=event.method == b"HEAD", to_old=event.http_version < b"1.1")
            _check(event)
            self._begun = self._body_here()
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, str(error))
            await self._linger()
            return None
        self._waits_to_send = self._http.they_are_waiting_for_100_continue
        self._patience.deadline = math.inf
        return event

    async def _receive(self) -> Mapping[str, Any]:
        """Return the next piece of the request's body. After its end: wait until the client has gone, which cancels."""
        if self._waits_to_send:
            self._waits_to_send = False
            await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._is_told:
            await trio.sleep_forever()
        try:
            body = await self._body()
            self._is_told = self._is_read
            return {"type": "http.request", "body": body, "more_body": not self._is_read}
        except h11.RemoteProtocolError as error:
            self._fault = error
            return {"type": "http.disconnect"}

    async def _body(self) -> bytes:
        """Return what of the body is here; wait where there is nothing."""
        body, self._begun = self._begun, b""
        while not body and not self._is_read:
            self._http.receive_data(await self._incoming.more())
            await self._leave_with_the_client()
            body = self._body_here()
        return body

    def _body_here(self) -> bytes:
        """Return what of the body is here."""
        pieces: list[bytes] = []
        while isinstance(event := self._http.next_event(), h11.Data):
            pieces.append(bytes(event.data))
        self._is_read = event is not h11.NEED_DATA
        self._incoming.is_awaited = not self._is_read
        return b"".join(pieces)

    # ---- the answer ----

    async def _answer(self, request: h11.Request) -> None:
        path, _, query = _origin_form(request.target).partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": self._client,
            "server": None,
            "extensions": {"crowded": {}} if self._is_crowded else {},
        }
        self._incoming.read_ahead_in(self._nursery)
        try:
            await self._leave_with_the_client()
            await self._app(scope, self._receive, self._send)
        except Exception:
            log.exception("%s %s has failed", scope["method"], request.target.decode("ascii"))
            await self._refuse(500, "internal error")
        if self._fault is not None:
            await self._refuse(self._fault.error_status_hint, str(self._fault))
        self._is_answered, self._rest = True, self._http.trailing_data[0]

    async def _send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._skip_body()
            self._is_last = self._is_last or not self._can_go_on()
            self._head = self._reply.head(message["status"], message["headers"], is_last=self._is_last)
            return
        head, self._head = self._head, b""
        said = head + self._reply.piece(message.get("body", b""))
        if not message.get("more_body", False):
            said += self._reply.end()
        if said:
            await self._write(said)

    async def _refuse(self, status: int, reason: str) -> None:
        """Answer by the server itself, where nothing was answered yet, and close the connection afterwards."""
        if self._reply.state == "none" and not self._incoming.gone:
            self._is_last = True
            text = reason.encode("utf-8", "backslashreplace")
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": text})

    def _skip_body(self) -> None:
        """Read over what is here of a body that the application did not want."""
        with suppress(h11.RemoteProtocolError):
            if not self._is_read:
                self._body_here()

    def _is_ready_again(self) -> bool:
        return not self._is_last and not self._incoming.has_dropped and self._reply.state == "whole"

    def _can_go_on(self) -> bool:
        """Return whether another request can follow: what of this one is not read would be in its way."""
        if self._is_read and self._http.their_state is not h11.DONE:
            self._http.send(_NO_SWITCH)
        return self._http.their_state is h11.DONE

    # ---- the connection ----

    async def _linger(self) -> None:
        """Let the client read the answer to a request that was not read to its end, or behind which it sends on."""
        if not self._is_read or self._incoming.has_dropped or self._is_crowded:
            with trio.move_on_after(LINGER_SECONDS), suppress(*LOST):
                await self._stream.send_eof()
                while await self._incoming.more():
                    pass

    def _reset_where_the_end_tells_nothing(self) -> None:
        """Reset the connection where its end would be taken for that of an answer which has broken off: HTTP/1.0 has no other."""
        if self._reply.state == "begun" and self._http.their_http_version == b"1.0":
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _write(self, data: bytes) -> None:
        self._patience.deadline = trio.current_time() + self._bounds.reader_seconds()
        try:
            await self._stream.send_all(data)
        except LOST:
            self._incoming.gone = True
        finally:
            self._patience.deadline = math.inf
        await self._leave_with_the_client()

    def _leave(self) -> None:
        """End what is done for the client, who has gone. Between requests there is nothing, but what it has sent before."""
        if not self._is_answered:
            self._patience.cancel()

    async def _leave_with_the_client(self) -> None:
        if self._incoming.gone:
            self._patience.cancel()
            await trio.lowlevel.checkpoint()


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
