"""Which form a body has, by its first bytes: servers label streams as JSON, JSON as a stream, and either as nothing at all."""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["FormReader"]

_EVENTS: Final = re.compile(rb"(:|(data|event|id|retry)[ \t]*(:|[\r\n]))")
_ENOUGH_BYTES: Final = 32


class FormReader:
    """Takes the beginning of a body until its form is known: ``"events"`` (server-sent ones) or ``"whole"`` (anything else)."""

    def __init__(self) -> None:
        self.form: Literal["events", "whole"] | None = None
        self._start = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """What can be read now: nothing until the form is known, then all that came."""
        if self.form is not None:
            return piece
        self._start += piece
        first = bytes(self._start[:4096]).removeprefix(b"\xef\xbb\xbf").lstrip()
        if _EVENTS.match(first):
            return self._known("events")
        if len(first) >= _ENOUGH_BYTES or (first and first[:1] not in b"deir\xef"):
            return self._known("whole")
        if len(self._start) > 4096:
            self._start = bytearray(first)  # blanks before a body mean nothing
        return b""

    def finish(self) -> bytes:
        """The rest, at the end of a body that ended before its form was known."""
        first = bytes(self._start).strip()
        if self.form is not None or not first:
            return b""
        cut_off = any(name.startswith(first) for name in (b"data", b"event", b"id", b"retry"))
        return self._known("events" if cut_off else "whole")

    def _known(self, form: Literal["events", "whole"]) -> bytes:
        self.form = form
        start = bytes(self._start)
        self._start.clear()
        return start
