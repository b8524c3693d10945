"""The resident model first, a bounded number of times."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from ..checks import check_count
from .line import ByModel
from .policy import BasePolicy, Bound, Choice, NamedPolicy, Rank, Waiter
from .round_robin import RoundRobin

__all__ = ["POLICY", "Affinity"]


class Affinity(BasePolicy):
    """Serve requests for the model that was served last, until the oldest waiter has been passed over ``passes`` times.

    Bound: ``passes``. A request that passes over some waiter passes over the oldest one as well. So no waiter is overtaken more often
    than the oldest, which is served as soon as ``passes`` requests have passed it over.

    With a ``quantum`` the agent that has been served least goes first among those that wait for the model
    (:class:`.round_robin.RoundRobin`); without one the oldest request does. The bound is the same. Raises ConfigurationError.
    """

    def __init__(self, passes: int = 16, quantum: int | None = None) -> None:
        check_count("passes", passes, least=0)
        self.bound: Final = Bound(passes=passes, late=None)
        self._passes: Final = passes
        self._waiting = ByModel()
        self._turn = ""  # the model that was served last
        self._ahead: list[int] = []  # heap of the placed tickets that have passed over the oldest waiter
        self._agents = None if quantum is None else RoundRobin(quantum)

    def arrived(self, waiter: Waiter) -> None:
        self._waiting.add(waiter)
        if self._agents is not None:
            self._agents.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        if self._agents is not None and (waiter.signature != self._turn or self._agents.has_had_a_round(waiter)):
            self._agents.begin(waiter.signature)
        self._turn = waiter.signature
        heappush(self._ahead, waiter.ticket)
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        self._waiting.remove(waiter)
        if self._agents is not None:
            self._agents.remove(waiter)
        everyone = self._waiting.all
        while self._ahead and not (everyone and self._ahead[0] > everyone.first):
            heappop(self._ahead)

    @property
    def charges(self) -> bool:
        return self._agents is not None or getattr(self.served, "__func__", None) is not Affinity.served

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        if self._agents is not None:
            self._agents.charge(waiter, milliseconds)

    def choose(self) -> Choice | None:
        if not self._waiting.all:
            return None
        line = self._waiting.of.get(self._turn)
        if line is None or len(self._ahead) >= self._passes:
            return Choice(self._waiting.all.first, "oldest")
        if self._agents is not None:
            return Choice(self._agents.first(None), "same model, its agent's turn")
        return Choice(line.first, "same model")

    def snapshot(self, rank: Rank) -> Hashable:
        passes = self._turn, tuple(sorted(map(rank, self._ahead)))
        return passes if self._agents is None else (*passes, self._agents.snapshot())

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._turn, ahead, *agents = memory
        self._ahead = list(ahead)  # sorted, and so a heap
        if self._agents is not None:
            self._agents.restore(agents[0], self._turn)


POLICY: Final = NamedPolicy(Affinity, "PASSES")
