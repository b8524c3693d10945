"""What every mock server needs of HTTP: bounded JSON bodies, JSON answers, and streams of server-sent events."""

from __future__ import annotations

import json
import math
from contextlib import aclosing
from hashlib import sha1
from typing import Any, Final, Never, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Send

__all__ = ["Body", "BodyError", "ClientGoneError", "EventStream", "frame", "json_response", "read_json", "wait_gone"]

Body: TypeAlias = dict[str, Any]

MAX_BODY_BYTES: Final = 64 * 2**20
TOO_LARGE: Final = f"the body must have at most {MAX_BODY_BYTES} bytes"


class ClientGoneError(Exception):
    """The client has closed its connection."""


class BodyError(Exception):
    """The request's body cannot be read; ``status`` says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def read_json(request: Request) -> object:
    """Read the request's body, from JSON. Raises BodyError and ClientGoneError."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise BodyError(415, "the body must be JSON")
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 15 or int(length) > MAX_BODY_BYTES):
        raise BodyError(413, TOO_LARGE)
    body = bytearray()
    try:
        async with aclosing(request.stream()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise BodyError(413, TOO_LARGE)
    except ClientDisconnect:
        raise ClientGoneError from None
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BodyError(400, "the body must be JSON") from None


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def json_response(status: int, body: object, *, indent: int | None = None) -> Response:
    """Return an answer in one piece, with the headers of an Express server."""
    content = json.dumps(body, indent=indent, separators=None if indent else (",", ":")).encode()
    etag = f'W/"{len(content):x}-{sha1(content, usedforsecurity=False).hexdigest()[:27]}"'
    headers = {"X-Powered-By": "Express", "ETag": etag}
    return Response(content, status, headers, media_type="application/json; charset=utf-8")


def frame(data: object, *, event: str | None = None) -> bytes:
    """Return one server-sent event. ``data`` is sent as JSON, a string as it is."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {text}\n\n".encode()


class EventStream:
    """A streamed answer. One that is left without :meth:`end` makes the server cut the connection."""

    def __init__(self, send: Send) -> None:
        self.started = False
        self._send = send

    async def start(self) -> None:
        """Send the head (status 200), unless that has been done."""
        if not self.started:
            self.started = True
            head = Response(headers={"Cache-Control": "no-cache", "X-Powered-By": "Express"}).raw_headers
            headers = [
                (b"content-type", b"text/event-stream"),
                *(pair for pair in head if pair[0] != b"content-length"),
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(self, frames: list[bytes]) -> None:
        """Send ``frames``, if there are any."""
        if frames:
            await self.start()
            await self._send({"type": "http.response.body", "body": b"".join(frames), "more_body": True})

    async def end(self) -> None:
        """End the body."""
        await self.start()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def wait_gone(receive: Receive) -> None:
    """Return when the client has gone, or has its whole answer. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
