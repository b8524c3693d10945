"""A cost-aware policy that has learnt already, for searches that would take long to teach it."""

from __future__ import annotations

from ..policies import CostAware, Waiter

__all__ = ["Experienced"]


class Experienced(CostAware):
    """CostAware that remembers a wait of 100 ms, and lets one newcomer in.

    It takes every load for 16 ms, and every answer for 1 ms, or for 4 ms if it took any time at all. So switches can be expensive or not,
    turns can be stretched and paused or not, and few levels can be learnt, in any order. A pause is 16 ms.
    """

    def __init__(self, quantum: int | None = None) -> None:
        super().__init__(1, quantum)
        self._longest = 100

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, 16)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        super().served(waiter, 4 if milliseconds else 1)
