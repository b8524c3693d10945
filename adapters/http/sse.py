"""Server-sent events, from bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.

Four things differ from the standard. A line that is a bare JSON object is data: servers that fail in mid-stream write their error so. A
named event without data is not dropped: servers send a bare ``event: error``. What stands
complete at the end of the stream is an event, though the blank line after it is missing; so does a last line without a line end, where
it is whole by itself: ``[DONE]``, or JSON that is closed. And lines and events are bounded.
"""

from __future__ import annotations

from typing import Final

from statemachine.foreign import ForeignJSONError, read_json
from statemachine.value import value

from .bounds import NAME_LIMIT_CHARACTERS
from .lines import LINE_LIMIT_BYTES, LineDecoder, LineTooLongError

__all__ = ["EVENT_LIMIT_BYTES", "SSEDecoder", "ServerSentEvent"]

EVENT_LIMIT_BYTES: Final = 8 * 1024 * 1024
_OBJECT: Final = b'{"'


@value
class ServerSentEvent:
    """``event`` is its name, ``"message"`` where it has none; ``data`` its lines of data, joined."""

    event: str
    data: str


class SSEDecoder:
    """Takes the stream in pieces of any size, which may split lines and characters anywhere."""

    def __init__(self, *, line_limit: int = LINE_LIMIT_BYTES, event_limit: int = EVENT_LIMIT_BYTES) -> None:
        self._lines = LineDecoder(line_limit)
        self._event_limit = event_limit
        self._event = ""
        self._data: bytearray | None = None

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """Return the events that ``piece`` completes. Raises LineTooLongError."""
        return [event for line in self._lines.feed(piece) if (event := self._read(line)) is not None]

    def finish(self) -> list[ServerSentEvent]:
        """Return what stands complete at the proper end of the stream. A line that was cut off is dropped."""
        rest = bytes(self._lines.rest)
        self._lines.rest.clear()
        if _is_whole(rest):
            self._read(rest)
        event = self._dispatch()
        return [] if event is None else [event]

    def _read(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(b"data:"):  # nearly all of them
            self._add(line[6:] if line[5:6] == b" " else line[5:])
            return None
        if (bare := line.lstrip()).startswith(b"data:"):  # indented by something in between
            return self._read(bare)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._add(b"")
        elif line.startswith(_OBJECT):
            self._add(line)
        elif name == b"event":
            self._event = value.removeprefix(b" ")[:NAME_LIMIT_CHARACTERS].decode("utf-8", "replace")
        return None

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = bytearray(value)
        else:
            self._data += b"\n" + value
        if len(self._data) > self._event_limit:
            raise LineTooLongError(f"an event of more than {self._event_limit} bytes")

    def _dispatch(self) -> ServerSentEvent | None:
        if not self._event and self._data is None:
            return None
        event = ServerSentEvent(self._event or "message", (self._data or b"").decode("utf-8", "replace"))
        self._event, self._data = "", None
        return event


def _is_whole(line: bytes) -> bool:
    name, _, value = (b"data", b":", line) if line.startswith(_OBJECT) else line.partition(b":")
    if name != b"data" or value.strip() == b"[DONE]":
        return name == b"data"
    try:
        return isinstance(read_json(value), (dict, list))
    except ForeignJSONError:
        return False
