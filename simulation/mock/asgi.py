"""One HTTP exchange, as an ASGI application sees it: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["Application", "ClientGoneError", "Exchange", "Message", "Receive", "Send", "answer_lifespan"]

Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]  # scope, receive, send, in the types of any framework

_JSON: Final = b"application/json; charset=utf-8"


class ClientGoneError(Exception):
    """The client has closed its connection."""


class Exchange:
    """A request, and the answer to it: either one JSON body or a stream of server-sent events.

    An exchange that is left unfinished makes the server cut the connection.
    """

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.streaming = False
        self._receive = receive
        self._send = send

    async def read(self) -> bytes:
        """The whole request body. Raises ClientGoneError."""
        pieces: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(pieces)

    async def wait_disconnected(self) -> None:
        """Return when the client has gone, or has its whole answer. The body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def send_json(self, status: int, body: object, *, indent: int | None = None) -> None:
        """The whole answer."""
        content = json.dumps(body, indent=indent).encode()
        await self._start(status, _JSON, (b"content-length", str(len(content)).encode()))
        await self._send({"type": "http.response.body", "body": content, "more_body": False})

    async def send_event(self, data: object, *, event: str | None = None) -> None:
        """One server-sent event; the first starts the stream. ``data`` is sent as JSON, a string as it is."""
        await self.start_stream()
        text = data if isinstance(data, str) else json.dumps(data)
        name = "" if event is None else f"event: {event}\n"
        await self._send({"type": "http.response.body", "body": f"{name}data: {text}\n\n".encode(), "more_body": True})

    async def start_stream(self) -> None:
        """Send the head of a stream (status 200), unless that has been done."""
        if not self.streaming:
            self.streaming = True
            await self._start(200, b"text/event-stream", (b"cache-control", b"no-cache"))

    async def end_stream(self) -> None:
        """Nothing more comes."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, status: int, content_type: bytes, *more: tuple[bytes, bytes]) -> None:
        headers = [(b"content-type", content_type), (b"x-powered-by", b"Express"), *more]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and to stop, for an application that has nothing to do at either."""
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
