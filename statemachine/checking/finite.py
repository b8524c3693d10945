"""A policy whose memory is unbounded, made finite for a search without end."""

from __future__ import annotations

from typing import Final

from ..policies import Fair, Waiter

__all__ = ["FiniteFair"]


class FiniteFair(Fair):
    """Fair, which remembers no more than ``most`` milliseconds of what an agent has had.

    Fair itself has no such limit: of two agents that always ask, one whose answers always take longer gets further ahead at every turn,
    since each gate admits both, and what only one of them has had is not forgotten while the other waits. Leads beyond ``most`` are all the
    same here, so what is found holds of runs of Fair in which nobody gets further ahead than that.
    """

    def __init__(self, extra: int, quantum: int, most: int) -> None:
        super().__init__(extra, quantum)
        self._most: Final = most

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        left = self._most - self._served.get(waiter.agent or "", 0)
        super().served(waiter, min(milliseconds, left))
