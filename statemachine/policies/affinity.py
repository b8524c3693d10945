"""The resident model first, so many times."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from ..checks import check_count
from .line import ByModel
from .policy import BasePolicy, Bound, Choice, Rank, Waiter

__all__ = ["Affinity"]


class Affinity(BasePolicy):
    """The model that was served last goes first, until the oldest waiter has been passed over ``passes`` times.

    Bound: ``passes``. A request that passes over some waiter passes over the oldest one too, so nobody is passed over more
    often than the oldest, and that is served as soon as its count is full.
    """

    def __init__(self, passes: int = 16) -> None:
        check_count("passes", passes, least=0)
        self.bound: Final = Bound(passes=passes, late=None)
        self._passes: Final = passes
        self._waiting = ByModel()
        self._model = ""  # served last
        self._ahead: list[int] = []  # heap of the placed tickets that are younger than the oldest waiter

    def arrived(self, waiter: Waiter) -> None:
        self._waiting.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._model = waiter.signature
        heappush(self._ahead, waiter.ticket)
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        self._waiting.remove(waiter)
        everyone = self._waiting.all
        while self._ahead and not (everyone and self._ahead[0] > everyone.first):
            heappop(self._ahead)

    def choose(self) -> Choice | None:
        if not self._waiting.all:
            return None
        line = self._waiting.of.get(self._model)
        if line is None or len(self._ahead) >= self._passes:
            return Choice(self._waiting.all.first, "oldest")
        return Choice(line.first, "same model")

    def snapshot(self, rank: Rank) -> Hashable:
        return self._model, tuple(sorted(map(rank, self._ahead)))

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._model, ahead = memory
        self._ahead = list(ahead)  # sorted, and so a heap
