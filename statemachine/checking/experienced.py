"""A policy that has learnt, for a search that would take long to teach it."""

from __future__ import annotations

from ..policies import CostAware, Waiter

__all__ = ["Experienced"]


class Experienced(CostAware):
    """CostAware, which has seen a request wait for 100 ms, and lets one newcomer in.

    Loads take sixteen milliseconds, and answers one, or four if they take any time at all. So switches are expensive or they are not, turns
    are stretched and paused in or not, and what is usual is learned in every order, of few levels. Pauses are of sixteen milliseconds.
    """

    def __init__(self, quantum: int | None = None) -> None:
        super().__init__(1, quantum)
        self._longest = 100

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, 16)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        super().served(waiter, 4 if milliseconds else 1)
