"""First come, first served."""

from __future__ import annotations

from typing import Final

from .line import Line
from .policy import BasePolicy, Bound, Choice, Waiter

__all__ = ["Fifo"]


class Fifo(BasePolicy):
    """First come, first served. Nobody is ever passed over; a slot switches whenever the next request is for another model."""

    bound: Final = Bound(passes=0, late=0)

    def __init__(self) -> None:
        self._line = Line()

    def arrived(self, waiter: Waiter) -> None:
        self._line.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._line.remove(waiter)

    def left(self, waiter: Waiter) -> None:
        self._line.remove(waiter)

    def choose(self) -> Choice | None:
        return Choice(self._line.first, "oldest") if self._line else None
