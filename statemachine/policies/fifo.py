"""First come, first served."""

from __future__ import annotations

from typing import Final

from .line import Line
from .policy import BasePolicy, Bound, Choice, NamedPolicy

__all__ = ["POLICY", "Fifo"]


class Fifo(Line, BasePolicy):
    """Serve the oldest request. None is ever overtaken; a slot switches whenever the next request is for another model."""

    bound: Final = Bound(passes=0, late=0)

    arrived = Line.add
    placed = left = Line.remove

    def choose(self) -> Choice | None:
        return Choice(self.first, "oldest") if len(self) else None


POLICY: Final = NamedPolicy(Fifo)
