"""The answer to one client, over ASGI: comments while it waits, then the server's bytes, or a problem in the client's dialect.

The head is sent once, as late as possible: with the first comment, with the server's answer, or with a problem. After that a
problem can only be told inside the stream.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .dialects import Dialect
from .problems import Problem

__all__ = ["ClientAnswer", "Receive", "Send"]

Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


class ClientAnswer:
    """``streams``: whether the client asked for a stream; ``comments_off``: whether it wants no comments in it.

    ``status`` is what was sent, None before the head.

    ``is_forwarding``: a server has answered.
    """

    def __init__(self, send: Send, dialect: Dialect, *, streams: bool = False) -> None:
        self.dialect = dialect
        self.streams = streams
        self.comments_off = False
        self.status: int | None = None
        self.is_forwarding = False
        self._send = send
        self._ended = False
        self._headers: Sequence[tuple[str, str]] = ()  # which were sent

    @property
    def takes_comments(self) -> bool:
        """Whether a comment may be sent: only into a stream whose clients skip comments."""
        return self.streams and self.dialect.comments and not self.comments_off and not self._ended

    async def comment(self, text: str) -> None:
        """Send one comment line, and before it the head of a stream if there is none yet."""
        if self.status is None:
            headers = {"Content-Type": self.dialect.stream_type, "Cache-Control": "no-cache"}
            await self.start(200, tuple(headers.items()))
        line = "".join(character if character.isprintable() else "?" for character in text)
        await self.piece(f": {line}\n\n".encode())

    async def start(self, status: int, headers: Sequence[tuple[str, str]], *, at_once: bool = False) -> None:
        """Send the head: with the first piece, which spares a write; ``at_once`` where that has to be waited for."""
        assert self.status is None, "there is one head"
        self.status = status
        self._headers = headers
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if at_once:
            await self.piece(b"")

    async def piece(self, piece: bytes) -> None:
        """Send bytes of the body."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self, piece: bytes = b"") -> None:
        """End the body, with its last piece."""
        self._ended = True
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})

    async def whole(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole JSON answer."""
        content = json.dumps(body).encode()
        fixed = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(content))}
        await self.start(status, tuple({**fixed, **(headers or {})}.items()))
        await self.end(content)

    async def problem(self, problem: Problem) -> None:
        """Tell what went wrong: as a whole answer, or inside the stream that has begun. Nothing can be told after the end.

        An answer that is no stream is left without its end, so that the server breaks the connection and it cannot be taken for whole.
        """
        if self._ended:
            return
        if self.status is None:
            await self.whole(problem.status, self.dialect.body(problem), problem.headers)
        elif self._has_streamed():
            await self.end(self.dialect.in_stream(problem))
        else:
            self._ended = True

    def _has_streamed(self) -> bool:
        """Return whether the head that was sent announced a stream of this dialect."""
        stream = _media_type(self.dialect.stream_type)
        return any(name.lower() == "content-type" and _media_type(value) == stream for name, value in self._headers)


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()
