"""Server-sent events, from bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.

Two things differ from the standard. A named event without data is not dropped: servers send a bare ``event: error``. And what stands
complete at the end of the stream is an event, though the blank line after it is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["LINE_LIMIT_BYTES", "LineTooLongError", "SSEDecoder", "ServerSentEvent"]

LINE_LIMIT_BYTES: Final = 4 * 1024 * 1024
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class LineTooLongError(ValueError):
    """A line is longer than LINE_LIMIT_BYTES."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """``event`` is its name, ``"message"`` where it has none; ``data`` its lines of data, joined."""

    event: str
    data: str


class SSEDecoder:
    """Takes the stream in pieces of any size, which may split lines and characters anywhere."""

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the pieces of a line that has not ended
        self._event = ""
        self._data: list[bytes] = []
        self._after_return = False  # the last piece ended in CR: an LF that follows belongs to it

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that ``piece`` completes. Raises LineTooLongError."""
        if not piece:
            return []
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        first, *others = _LINE_END.split(piece)
        self._line.append(first)
        if sum(map(len, self._line)) > LINE_LIMIT_BYTES:
            raise LineTooLongError(f"a line of more than {LINE_LIMIT_BYTES} bytes")
        if not others:
            return []
        lines = [b"".join(self._line), *others]
        self._line = [lines.pop()]
        return [event for line in lines if (event := self._read(line)) is not None]

    def finish(self) -> list[ServerSentEvent]:
        """What stands complete at the end of the stream. A line that was cut off is dropped."""
        event = self._dispatch()
        return [] if event is None else [event]

    def _read(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._event, self._data
        self._event, self._data = "", []
        if not name and not data:
            return None
        return ServerSentEvent(name or "message", b"\n".join(data).decode("utf-8", "replace"))
