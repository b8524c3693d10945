"""Waiters in the order of their tickets: the parts of which policies are made."""

from __future__ import annotations

from collections import OrderedDict

from .policy import Waiter

__all__ = ["ByModel", "Line"]


class Line:
    """Tickets in order. A newcomer has the highest ticket; a request that comes back gets its former position."""

    __slots__ = ("_tickets", "_youngest")

    def __init__(self) -> None:
        self._tickets: OrderedDict[int, None] = OrderedDict()
        self._youngest = 0  # the youngest ticket that was ever here

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, waiter: Waiter) -> None:
        """Add ``waiter`` at its position."""
        ticket = waiter.ticket
        if ticket > self._youngest:
            self._tickets[ticket] = None
            self._youngest = ticket
        else:
            self._take_back(ticket)

    def _take_back(self, ticket: int) -> None:
        tickets = self._tickets
        if tickets and ticket > self.first:
            later = [t for t in tickets if t > ticket]
            tickets[ticket] = None
            for one in later:
                tickets.move_to_end(one)
        else:
            tickets[ticket] = None
            tickets.move_to_end(ticket, last=False)

    def remove(self, waiter: Waiter) -> None:
        """Remove ``waiter``."""
        del self._tickets[waiter.ticket]

    @property
    def first(self) -> int:
        """The oldest ticket."""
        return next(iter(self._tickets))

    @property
    def last(self) -> int:
        """The youngest ticket."""
        return next(reversed(self._tickets))


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
