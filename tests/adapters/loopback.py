"""A real HTTP server on loopback that says, byte for byte, what it is told to say: what the tests of faults on the wire share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import trio


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """``then``: "keep" the connection, "close" it, "reset" it in mid-answer, or "silence". ``pause``: seconds before each piece."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    then: str = "close"
    pause: float = 0.0
    chunked: bool = True


def json_reply(body: object, status: int = 200, **more: Any) -> Reply:
    return Reply([json.dumps(body).encode()], status, {"Content-Type": "application/json"}, **more)


def stream_reply(*frames: str | bytes, **more: Any) -> Reply:
    pieces = [frame.encode() if isinstance(frame, str) else frame for frame in frames]
    return Reply(pieces, headers={"Content-Type": "text/event-stream"}, **more)


Handler: TypeAlias = Callable[[Request], Reply | Awaitable[Reply]]


class Loopback:
    """``requests``: all that came, in order. ``connections``: how many were opened. ``broken``: how many clients left in mid-answer."""

    def __init__(self, handler: Handler, *, idle_seconds: float = 5.0) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        self.peak = 0
        self.broken = 0
        self.left = trio.Event()  # a connection is over
        self.url = ""
        self.accepting = trio.CancelScope()  # cancelled: it takes no more connections
        self._idle_seconds = idle_seconds

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            async with stream:
                idle = 60.0  # until the first request
                while (request := await self._read(stream, idle)) is not None:
                    idle = self._idle_seconds
                    self.requests.append(request)
                    reply = self.handler(request)
                    if not isinstance(reply, Reply):
                        reply = await reply
                    if not await _answer(stream, reply):
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self.broken += 1
        finally:
            self.open -= 1
            self.left.set()

    async def _read(self, stream: trio.SocketStream, idle: float) -> Request | None:
        data = b""
        with trio.move_on_after(idle):
            while b"\r\n\r\n" not in data:
                if not (piece := await stream.receive_some(65536)):
                    return None
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            while len(body) < int(headers.get("content-length", "0")):
                if not (piece := await stream.receive_some(65536)):
                    return None
                body += piece
            method, path, _ = first.split(" ")
            return Request(method, path, headers, body)
        return None


async def _answer(stream: trio.SocketStream, reply: Reply) -> bool:
    """Whether the connection can be used again."""
    headers = dict(reply.headers)
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
    head = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    await stream.send_all("\r\n".join([*head, "", ""]).encode())
    for piece in reply.pieces:
        await trio.sleep(reply.pause)
        await stream.send_all(b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked and piece else piece)
    if reply.then == "silence":
        await stream.receive_some(1)
        return False
    if reply.then == "reset":
        return False
    await stream.send_all(b"0\r\n\r\n" if reply.chunked else b"")
    return reply.then == "keep"


@asynccontextmanager
async def loopback(handler: Handler, **options: Any) -> AsyncIterator[Loopback]:
    server = Loopback(handler, **options)
    async with trio.open_nursery() as nursery:

        async def accept(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
            with server.accepting:
                await trio.serve_tcp(server.serve, 0, handler_nursery=nursery, task_status=task_status)

        listeners = await nursery.start(accept)
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield server
        nursery.cancel_scope.cancel()
