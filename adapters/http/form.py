"""Which form a body has, by its first bytes: servers label streams as JSON, JSON as a stream, and either as nothing at all."""

from __future__ import annotations

import codecs
import re
from typing import Final, Literal, TypeAlias

__all__ = ["FormReader"]

Form: TypeAlias = Literal["events", "whole"]

_EVENTS: Final = re.compile(rb"(:|(data|event|id|retry)[ \t]*(:|[\r\n]))")
_ENOUGH_BYTES: Final = 32
_UNDECIDED: Final = (b"d", b"e", b"i", b"r", codecs.BOM_UTF8[:1])


class FormReader:
    """Takes the beginning of a body until its form is known: ``"events"`` (server-sent ones) or ``"whole"`` (anything else)."""

    def __init__(self) -> None:
        self.form: Form | None = None
        self._start = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what can be read now: nothing until the form is known, then all that came."""
        if self.form is not None:
            return piece
        self._start = (self._start + piece).removeprefix(codecs.BOM_UTF8).lstrip()  # neither means anything
        if _EVENTS.match(self._start):
            return self._known("events")
        if len(self._start) >= _ENOUGH_BYTES or (self._start and self._start[:1] not in _UNDECIDED):
            return self._known("whole")
        return b""

    def finish(self) -> Form | None:
        """Return the form, at the end of the body; None where there was nothing. What ended before its form was known cannot be read."""
        if self.form is None and self._start:
            cut_off = any(name.startswith(self._start.rstrip()) for name in (b"data", b"event", b"id", b"retry"))
            self.form = "events" if cut_off else "whole"
        return self.form

    def _known(self, form: Form) -> bytes:
        self.form = form
        return self._start
