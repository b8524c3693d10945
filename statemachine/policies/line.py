"""Waiters in the order of their tickets: the parts of which policies are made."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from .policy import Waiter

__all__ = ["ByModel", "Line"]

_NONE: Final = -1


class Line:
    """Tickets in order. A newcomer has the highest ticket; a request that comes back gets its former position.

    ``first`` is the oldest ticket, where there is one. Most lines have no other, such as those of ten thousand agents that wait for one
    model each: so only the others need a dictionary, which takes ten times the memory of all else.
    """

    __slots__ = ("_later", "_youngest", "first")

    def __init__(self) -> None:
        self.first = _NONE
        self._later: OrderedDict[int, None] | None = None  # all but the first
        self._youngest = _NONE  # the youngest ticket that was ever here

    def __len__(self) -> int:
        return 0 if self.first == _NONE else 1 + len(self._later or ())

    def add(self, waiter: Waiter) -> None:
        """Add ``waiter`` at its position."""
        ticket = waiter.ticket
        if ticket <= self._youngest:
            self._take_back(ticket)
            return
        self._youngest = ticket
        if self.first == _NONE:
            self.first = ticket
        elif self._later is None:
            self._later = OrderedDict.fromkeys((ticket,))
        else:
            self._later[ticket] = None

    def _take_back(self, ticket: int) -> None:
        later = self._later = self._later or OrderedDict()
        if self.first == _NONE:
            self.first = ticket
        elif ticket < self.first:
            later[self.first] = None
            later.move_to_end(self.first, last=False)
            self.first = ticket
        else:
            younger = [t for t in later if t > ticket]
            later[ticket] = None
            for one in younger:
                later.move_to_end(one)

    def remove(self, waiter: Waiter) -> None:
        """Remove ``waiter``, which is in the line."""
        later = self._later
        if waiter.ticket != self.first:
            assert later is not None, "it is in the line"
            del later[waiter.ticket]
        else:
            self.first = later.popitem(last=False)[0] if later else _NONE

    @property
    def last(self) -> int:
        """The youngest ticket."""
        return next(reversed(self._later)) if self._later else self.first


class ByModel:
    """All waiters in one line, and each model's in a line of its own."""

    def __init__(self) -> None:
        self.all = Line()
        self.of: dict[str, Line] = {}

    def add(self, waiter: Waiter) -> None:
        self.all.add(waiter)
        self.of.setdefault(waiter.signature, Line()).add(waiter)

    def remove(self, waiter: Waiter) -> None:
        self.all.remove(waiter)
        line = self.of[waiter.signature]
        line.remove(waiter)
        if not line:
            del self.of[waiter.signature]
