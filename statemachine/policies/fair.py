"""Fairness between agents, inside a model's batch: deficit round robin by the time for which they have been served."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from ..checks import check_count
from .gated import Gated
from .line import Line
from .policy import Choice, Rank, Waiter

__all__ = ["Fair"]


class Fair(Gated):
    """Gated; but of those admitted the agent goes first that has been served least, in rounds of ``quantum`` milliseconds.

    Deficit round robin (Shreedhar and Varghese, IEEE/ACM ToN 4, 1996), with the cost of a request charged after it, because nobody knows
    it before: an agent is in the round ``time served // quantum``; the lowest round goes first, and in it the oldest request. Whoever has
    not asked for some time joins the round that is being served: idling earns no credit. Requests without an agent are one agent's.

    Bound: that of Gated, for a request's own model too, of which only those admitted with it can pass it over. Raises ConfigurationError.
    """

    def __init__(self, extra: int = 0, quantum: int = 10_000) -> None:
        super().__init__(extra)
        check_count("quantum", quantum)
        self._quantum: Final = quantum
        self._agents: dict[str, dict[str, Line]] = {}  # by model and agent
        self._served: dict[str, int] = {}  # milliseconds, by agent, above the round that is being served
        self._batch: list[tuple[int, int, str]] = []  # heap: round, oldest ticket, agent; what is on top is true

    def arrived(self, waiter: Waiter) -> None:
        super().arrived(waiter)
        agent = waiter.agent or ""
        line = self._agents.setdefault(waiter.signature, {}).setdefault(agent, Line())
        line.add(waiter)
        if waiter.signature == self._model and waiter.ticket == line.first:
            self._enter(agent)

    def left(self, waiter: Waiter) -> None:
        agents, agent = self._agents[waiter.signature], waiter.agent or ""
        agents[agent].remove(waiter)
        if not agents[agent]:
            del agents[agent]
        if not agents:
            del self._agents[waiter.signature]
        super().left(waiter)
        if waiter.signature == self._model:
            self._enter(agent)
            self._drop()

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        agent = waiter.agent or ""
        self._served[agent] = self._served.get(agent, 0) + milliseconds
        self._enter(agent)
        self._drop()

    def snapshot(self, rank: Rank) -> Hashable:
        return super().snapshot(rank), tuple(sorted((agent, time) for agent, time in self._served.items() if time))

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        gate, served = memory
        super().restore(gate)
        self._served = dict(served)
        self._gather()

    # ---- the batch ----

    def _next_admitted(self, line: Line) -> Choice:
        return Choice(self._batch[0][1], "its agent's turn")

    def _give_turn(self, waiter: Waiter) -> None:
        super()._give_turn(waiter)
        self._forget_what_all_have_had()
        self._gather()

    def _forget_what_all_have_had(self) -> None:
        """Count from the round of the agent that has been served least of those that wait; who has gone before is even with that."""
        waiting = {agent for agents in self._agents.values() for agent in agents}
        least = min(self._round(agent) for agent in waiting) * self._quantum
        self._served = {agent: time - least for agent, time in self._served.items() if time > least}

    def _gather(self) -> None:
        self._batch = []
        for agent in self._agents.get(self._model, {}):
            self._enter(agent)

    def _enter(self, agent: str) -> None:
        """``agent``'s oldest admitted request, in its round."""
        line = self._agents.get(self._model, {}).get(agent)
        if line is not None and (self._open or line.first <= self._last):
            heappush(self._batch, (self._round(agent), line.first, agent))

    def _drop(self) -> None:
        """What is not true any more, from the top."""
        while self._batch and not self._is_next(*self._batch[0]):
            heappop(self._batch)

    def _is_next(self, turn: int, ticket: int, agent: str) -> bool:
        line = self._agents.get(self._model, {}).get(agent)
        return line is not None and line.first == ticket and self._round(agent) == turn

    def _round(self, agent: str) -> int:
        return self._served.get(agent, 0) // self._quantum
