"""NDJSON, from bytes: one JSON value a line. Blank lines are none; a last line without a line end counts where it is whole."""

from __future__ import annotations

from typing import Any

from statemachine.foreign import ForeignJSONError, read_json

from .lines import LINE_LIMIT_BYTES, LineDecoder

__all__ = ["NDJSONDecoder"]


class NDJSONDecoder:
    """Takes the stream in pieces of any size. Values are JSON data; a line that is no JSON is its text."""

    def __init__(self, *, line_limit: int = LINE_LIMIT_BYTES) -> None:
        self._lines = LineDecoder(line_limit)

    def feed(self, piece: bytes) -> list[Any]:
        """Return the values of the lines that ``piece`` completes. Raises LineTooLongError."""
        return [_value(line) for line in self._lines.feed(piece) if line.strip()]

    def finish(self) -> list[Any]:
        """Return what stands complete at the proper end of the stream. A line that was cut off is dropped."""
        rest = bytes(self._lines.rest)
        self._lines.rest.clear()
        value = _value(rest)
        return [value] if isinstance(value, (dict, list)) else []


def _value(line: bytes) -> Any:
    try:
        return read_json(line)
    except ForeignJSONError:
        return line.decode("utf-8", "replace")
