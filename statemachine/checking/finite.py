"""Policies that learn, made finite for a search without end."""

from __future__ import annotations

from typing import Final

from ..policies import CostAware, Fair, Waiter

__all__ = ["Experienced", "FiniteFair"]


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
        assert self._agents is not None, "Fair has a quantum"
        super().served(waiter, min(milliseconds, self._most - self._agents.time_of(waiter)))


class Experienced(CostAware):
    """CostAware, which has seen somebody wait for 100 ms, and lets one newcomer in.

    Loads take sixteen milliseconds, and answers one, or four if they take any time at all. So switches are dear or they are not, turns
    are stretched and paused in or not, and what is usual is learned in every order, of few levels.
    """

    def __init__(self, quantum: int | None = None) -> None:
        super().__init__(1, quantum)
        self._longest = 100

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, 16)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        super().served(waiter, 4 if milliseconds else 1)
