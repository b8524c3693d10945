"""Lines, from bytes that come in pieces of any size: what server-sent events and NDJSON are made of.

The work is linear in the bytes, however small the pieces are; a line without end is refused once it is longer than its bound; a byte
order mark at the very start is dropped.
"""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["LINE_LIMIT_BYTES", "LineDecoder", "LineTooLongError"]

LINE_LIMIT_BYTES: Final = 4 * 1024 * 1024
_LF: Final = 10
_CR: Final = 13


class LineTooLongError(ValueError):
    """A line, or the data of an event, is longer than it may be."""


class LineDecoder:
    """Splits at LF, CR LF and CR. ``rest`` is the line that has not ended."""

    def __init__(self, limit: int = LINE_LIMIT_BYTES) -> None:
        self.rest = bytearray()
        self._limit = limit
        self._started = False
        self._after_return = False  # the last piece ended in CR: an LF that follows belongs to it

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that ``piece`` completes, without their ends. Raises LineTooLongError."""
        if not self._started:
            piece = self._without_mark(piece)
        if self._after_return and piece:
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if not piece:
            return []
        too_long = len(self.rest) + len(piece) > self._limit
        lines = piece.splitlines()
        if (last := piece[-1]) == _LF or last == _CR:
            self._after_return = last == _CR
            unended = b""
        else:
            unended = lines.pop()
        if lines and self.rest:
            lines[0] = bytes(self.rest) + lines[0]
            self.rest.clear()
        self.rest += unended
        if too_long and max(map(len, [self.rest, *lines])) > self._limit:
            raise LineTooLongError(f"a line of more than {self._limit} bytes")
        return lines

    def _without_mark(self, piece: bytes) -> bytes:
        """Return ``piece`` once it is known whether the stream begins with a byte order mark; until then nothing."""
        start = bytes(self.rest) + piece
        self.rest.clear()
        if len(start) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(start):
            self.rest += start
            return b""
        self._started = True
        return start.removeprefix(codecs.BOM_UTF8)
