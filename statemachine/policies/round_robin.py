"""Fairness between agents, among those who wait for one model: deficit round robin by the time for which they have been served."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from ..checks import check_count
from .line import Line
from .policy import Waiter

__all__ = ["RoundRobin"]

FURTHEST: Final = 4  # rounds that an agent can be ahead


class RoundRobin:
    """Which of those who wait for a model goes first: one of the agent that has been served least, in rounds of ``quantum`` milliseconds.

    Deficit round robin (Shreedhar and Varghese, IEEE/ACM ToN 4, 1996), with the cost of a request charged after it, because nobody knows
    it before: an agent is in the round ``time served // quantum``; the lowest round goes first, and in it the oldest request. Whoever has
    not asked for some time joins the round that is being served: idling earns no credit. Whoever neither waits nor was served in the turn
    that ends is forgotten, so names that come once cost nothing for long. Nobody gets further ahead than four rounds: a gate admits
    every agent that waits, so of two that always ask, the one with the longer answers would get further ahead at every turn. Requests
    without an agent are one agent's.

    A decision takes a time that grows with the logarithm of the waiters; the beginning of a turn, one that grows with the agents that wait.

    Raises ConfigurationError.
    """

    def __init__(self, quantum: int) -> None:
        check_count("quantum", quantum)
        self._quantum = quantum
        self._model = ""  # whose turn it is
        self._agents: dict[str, dict[str, Line]] = {}  # by model and agent
        self._waiting: dict[str, int] = {}  # how many, by agent
        self._served: dict[str, int] = {}  # milliseconds, by agent, above the round that is being served
        self._recent: set[str] = set()  # who has been served in this turn
        # a heap of the model's agents: round, oldest ticket, name; some of it is not true any more
        self._turn: list[tuple[int, int, str]] = []

    def add(self, waiter: Waiter) -> None:
        """``waiter`` joins the queue."""
        agent = waiter.agent or ""
        line = self._agents.setdefault(waiter.signature, {}).setdefault(agent, Line())
        line.add(waiter)
        self._waiting[agent] = self._waiting.get(agent, 0) + 1
        if waiter.signature == self._model and waiter.ticket == line.first:
            self._enter(agent)

    def remove(self, waiter: Waiter) -> None:
        """``waiter`` leaves it."""
        agents, agent = self._agents[waiter.signature], waiter.agent or ""
        agents[agent].remove(waiter)
        if not agents[agent]:
            del agents[agent]
        if not agents:
            del self._agents[waiter.signature]
        self._waiting[agent] -= 1
        if not self._waiting[agent]:
            del self._waiting[agent]
        if waiter.signature == self._model:
            self._enter(agent)

    def charge(self, waiter: Waiter, milliseconds: int) -> None:
        """The agent of ``waiter`` has been served for so long."""
        agent = waiter.agent or ""
        self._served[agent] = min(self._served.get(agent, 0) + milliseconds, FURTHEST * self._quantum)
        self._recent.add(agent)
        self._enter(agent)

    def has_had_a_round(self, waiter: Waiter) -> bool:
        """Whether the agent of ``waiter`` has: where it goes first, so have all who wait for the model, and time may count from there."""
        return self._round(waiter.agent or "") > 0

    def begin(self, model: str) -> None:
        """It is the turn of ``model``, for which somebody waits.

        Time counts from the round of the agent that has been served least of those that wait; who has had less is even with that.
        """
        least = min(map(self._round, self._waiting)) * self._quantum
        known, before = self._recent.union(self._waiting), self._served
        self._served = {agent: before[agent] - least for agent in known if before.get(agent, 0) > least}
        self._recent = set()
        self._gather(model)

    def first(self, last: int | None) -> int:
        """Who goes first of those with a ticket up to ``last`` (None: all), of whom there are some. During a turn it is not raised."""
        while not self._is_next(*self._turn[0], last):
            heappop(self._turn)
        return self._turn[0][1]

    def snapshot(self) -> Hashable:
        """What it remembers beyond the waiters and the model."""
        return tuple(sorted((agent, time, agent in self._recent) for agent, time in self._served.items() if time))

    def restore(self, memory: Hashable, model: str) -> None:
        """Remember ``memory``, made by :meth:`snapshot`, and that it is the turn of ``model``."""
        assert isinstance(memory, tuple), "made by snapshot()"
        self._served = {agent: time for agent, time, _ in memory}
        self._recent = {agent for agent, _, recent in memory if recent}
        self._gather(model)

    def _gather(self, model: str) -> None:
        self._model, self._turn = model, []
        for agent in self._agents.get(model, ()):
            self._enter(agent)

    def _enter(self, agent: str) -> None:
        line = self._agents.get(self._model, {}).get(agent)
        if line is not None:
            heappush(self._turn, (self._round(agent), line.first, agent))

    def _is_next(self, turn: int, ticket: int, agent: str, last: int | None) -> bool:
        line = self._agents[self._model].get(agent)
        is_true = line is not None and line.first == ticket and self._round(agent) == turn
        return is_true and (last is None or ticket <= last)

    def _round(self, agent: str) -> int:
        return self._served.get(agent, 0) // self._quantum
