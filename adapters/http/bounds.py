"""The bounds on everything that a server may send or take its time for: one table, with defaults, options and what each raises.

============================ ================ ============================================= ===========================================
option                       default          bounds                                        raises
============================ ================ ============================================= ===========================================
``max_body_bytes``           32 MiB           a body that is read as a whole, decoded       AdapterProtocolError
``max_line_bytes``           4 MiB            a line of a stream                            AdapterProtocolError
``max_event_bytes``          8 MiB            the data of one server-sent event             AdapterProtocolError
``connect_timeout``          5 s              connecting                                    AdapterConnectError
``first_event_timeout``      ``read_timeout`` from the request to the first event of its    AdapterTimeoutError
                                              answer, or to the end of a whole answer
``read_timeout``             600 s            the time between two events; also an answer   AdapterTimeoutError
                                              that is not a stream, from request to end
``call_timeout``             3,600 s          a whole call, its reader's pauses included    AdapterTimeoutError
============================ ================ ============================================= ===========================================

A time-out of None is unbounded. Signs of life that carry nothing (comments, empty frames, bytes of a head) are no events: they prolong
no time. These bounds have no option, because no server that means well comes near them:

=================================== ================ =================================== ============================================
what                                bound            where                               what happens
=================================== ================ =================================== ============================================
the head of an answer               100 KiB          httpcore (h11)                      AdapterConnectError
one piece of a decoded body         64 KiB           ``http/decoding.py``                it is handed on in several pieces
nesting of JSON                     128 levels       ``statemachine/foreign.py``         AdapterProtocolError
one number in JSON                  400 characters   ``statemachine/foreign.py``         AdapterProtocolError
text that is shown                  500 characters   ``statemachine/text.py``            cut, with an ellipsis
names that are shown or kept        100 characters   types, codes and names of errors,   cut, with an ellipsis
                                                     of events and of models
tool calls of one answer            1,024            ``http/tool_calls.py``              AdapterProtocolError
``Retry-After``                     one day          ``http/errors.py``                  taken as one day
control requests (list, unload)     15 s             ``http/client.py``                  AdapterTimeoutError
=================================== ================ =================================== ============================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import trio

from statemachine.errors import AdapterTimeoutError

__all__ = [
    "CONTROL_SECONDS",
    "NAME_LIMIT_CHARACTERS",
    "PIECE_BYTES",
    "RETRY_AFTER_LIMIT_SECONDS",
    "TOOL_CALL_LIMIT",
    "Bounds",
    "Patience",
]

CONTROL_SECONDS: Final = 15
NAME_LIMIT_CHARACTERS: Final = 100
PIECE_BYTES: Final = 64 * 1024
RETRY_AFTER_LIMIT_SECONDS: Final = 86_400
TOOL_CALL_LIMIT: Final = 1024
_MIB: Final = 1024 * 1024
_INFINITY: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one adapter that have an option. See the table above; times are in seconds, None is unbounded."""

    max_body_bytes: int = 32 * _MIB
    max_line_bytes: int = 4 * _MIB
    max_event_bytes: int = 8 * _MIB
    connect_timeout: float | None = 5
    first_event_timeout: float | None = 600
    read_timeout: float | None = 600
    call_timeout: float | None = 3600

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the bounds that an adapter's options give. ``first_event_timeout`` is ``read_timeout`` where it is not given."""
        given = {name: options[name] for name in cls.__slots__ if name in options}
        given.setdefault("first_event_timeout", given.get("read_timeout", cls().read_timeout))
        return cls(**given)


class Patience:
    """How long one call waits: until its first event, from one event to the next, and in all. Begins when it is made."""

    def __init__(self, first: float | None, between: float | None, whole: float | None) -> None:
        now = trio.current_time()
        self._between = between
        self._end = now + (_INFINITY if whole is None else whole)
        self._waited_from = now
        self._seconds = first

    @classmethod
    def within(cls, seconds: float | None) -> Patience:
        """Make the patience for an answer that is one piece."""
        return cls(None, None, seconds)

    @property
    def deadline(self) -> float:
        """Until when the next event is waited for, on trio's clock."""
        return min(self._end, self._waited_from + (_INFINITY if self._seconds is None else self._seconds))

    def event_seen(self) -> None:
        """Note that an event came, and its reader is ready for the next one."""
        self._waited_from, self._seconds = trio.current_time(), self._between

    def exhausted(self, server: str) -> AdapterTimeoutError:
        """Make the error for a deadline that has passed."""
        if self._seconds is None or self._end <= self._waited_from + self._seconds:
            return AdapterTimeoutError(f"{server}: the call takes longer than it may")
        return AdapterTimeoutError(f"{server}: nothing came for {self._seconds:g} s")
