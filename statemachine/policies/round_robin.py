"""Fairness between agents, among those who wait for one model: deficit round robin by the time for which they have been served."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final, TypeAlias

from ..checks import check_count
from .line import Line
from .policy import Waiter

__all__ = ["RoundRobin"]

FURTHEST: Final = 4  # rounds that an agent can be ahead

_Entry: TypeAlias = tuple[int, int, str]


class RoundRobin:
    """Which of those who wait for a model goes first: one of the agent that has been served least, in rounds of ``quantum`` milliseconds.

    Deficit round robin (Shreedhar and Varghese, IEEE/ACM ToN 4, 1996), with the cost of a request charged after it, because it is not known
    before: an agent is in the round ``time served // quantum``; the lowest round goes first, and in it the oldest request. An agent that
    has not asked for some time joins the round that is being served: idling earns no credit. An agent that neither waits nor was served
    in the turn that ends is forgotten, so names that come once cost nothing for long. No agent gets further ahead than four rounds: a
    gate admits every agent that waits, so of two that always ask, the one with the longer answers would get further ahead at every turn.
    Requests without an agent are one agent's.

    Time served never goes down; instead the round that is being served goes up, and no agent is in a lower one. So a new turn changes
    nothing for those who wait, and every decision takes a time that grows with the logarithm of their number. Raises ConfigurationError.
    """

    def __init__(self, quantum: int) -> None:
        check_count("quantum", quantum)
        self._quantum = quantum
        self._turn = ""  # whose turn it is
        self._round = 0  # that is being served
        self._agents: dict[str, dict[str, Line]] = {}  # those who wait, by model and agent
        self._models: dict[str, set[str]] = {}  # for which each of them waits
        self._rounds: dict[int, int] = {}  # how many of them are in each
        # by model, a heap of its agents: round, oldest ticket, name; some of it is not true any more
        self._orders: dict[str, list[_Entry]] = {}
        self._later: list[_Entry] = []  # taken from the model's heap for this turn
        self._served: dict[str, int] = {}  # milliseconds, by agent
        self._recent: set[str] = set()  # who has been served in this turn
        # who was served in the turn before, or has left the queue since: to be forgotten, but for other reasons to remember them
        self._passing: set[str] = set()

    def add(self, waiter: Waiter) -> None:
        """``waiter`` joins the queue."""
        model, agent = waiter.signature, waiter.agent or ""
        line = self._agents.setdefault(model, {}).setdefault(agent, Line())
        line.add(waiter)
        if agent not in self._models:
            self._models[agent] = set()
            self._count(self._round_of(agent), 1)
        self._models[agent].add(model)
        if line.first == waiter.ticket:
            self._enter(model, agent)

    def remove(self, waiter: Waiter) -> None:
        """``waiter`` leaves it."""
        model, agent = waiter.signature, waiter.agent or ""
        agents = self._agents[model]
        line = agents[agent]
        line.remove(waiter)
        if line:
            if waiter.ticket < line.first:
                self._enter(model, agent)
            return
        del agents[agent]
        if not agents:
            del self._agents[model], self._orders[model]
        self._models[agent].remove(model)
        if not self._models[agent]:
            del self._models[agent]
            self._count(self._round_of(agent), -1)
            self._passing.add(agent)

    def charge(self, waiter: Waiter, milliseconds: int) -> None:
        """The agent of ``waiter`` has been served for so long."""
        agent = waiter.agent or ""
        before, even = self._round_of(agent), self._round * self._quantum
        self._served[agent] = min(max(self._served.get(agent, 0), even) + milliseconds, even + FURTHEST * self._quantum)
        self._recent.add(agent)
        now = self._round_of(agent)
        if now > before and agent in self._models:
            self._count(before, -1)
            self._count(now, 1)
            for model in self._models[agent]:
                self._enter(model, agent)

    def has_had_a_round(self, waiter: Waiter) -> bool:
        """Whether the agent of ``waiter`` has: where it goes first, so have all who wait for the model, and time may count from there."""
        return self._round_of(waiter.agent or "") > self._round

    def begin(self, model: str) -> None:
        """Begin the turn of ``model``, for which at least one agent waits.

        Time counts from the round of the agent that has been served least of those that wait; who has had less is even with that.
        """
        for entry in self._later:
            if self._is_true(*entry):
                heappush(self._orders[self._turn], entry)
        for agent in self._passing:
            if agent not in self._recent and agent not in self._models:
                self._served.pop(agent, None)
        self._passing, self._recent, self._later = self._recent, set(), []
        self._round, self._turn = min(self._rounds), model

    def first(self, last: int | None) -> int:
        """Who goes first of those with a ticket up to ``last`` (None: all), of whom there are some. During a turn it is not raised."""
        order = self._orders[self._turn]
        while True:
            entry = order[0]
            is_true = self._is_true(*entry)
            if is_true and (last is None or entry[1] <= last):
                return entry[1]
            heappop(order)
            if is_true:
                self._later.append(entry)

    def snapshot(self) -> Hashable:
        """What it remembers beyond the waiters and the model."""
        even = self._round * self._quantum
        ahead = ((agent, time - even) for agent, time in self._served.items() if time > even)
        return tuple(sorted([(agent, time, agent in self._recent) for agent, time in ahead]))

    def restore(self, memory: Hashable, model: str) -> None:
        """Remember ``memory``, made by :meth:`snapshot`, and that it is the turn of ``model``."""
        assert isinstance(memory, tuple), "made by snapshot()"
        self._turn = model
        self._served = {agent: time for agent, time, _ in memory}
        self._recent = {agent for agent, _, recent in memory if recent}
        self._passing = self._served.keys() - self._recent
        self._rounds = {}
        for agent in self._models:
            self._count(self._round_of(agent), 1)
        for name in self._agents:
            self._rebuild(name)

    def _enter(self, model: str, agent: str) -> None:
        order = self._orders.setdefault(model, [])
        heappush(order, (self._round_of(agent), self._agents[model][agent].first, agent))
        if len(order) > 64 + 4 * len(self._agents[model]):
            self._rebuild(model)

    def _rebuild(self, model: str) -> None:
        agents = self._agents[model].items()
        self._orders[model] = sorted((self._round_of(agent), line.first, agent) for agent, line in agents)

    def _is_true(self, turn: int, ticket: int, agent: str) -> bool:
        line = self._agents.get(self._turn, {}).get(agent)
        return line is not None and line.first == ticket and self._round_of(agent) == turn

    def _round_of(self, agent: str) -> int:
        return max(self._served.get(agent, 0) // self._quantum, self._round)

    def _count(self, turn: int, change: int) -> None:
        """One agent more, or less, waits in the round ``turn``."""
        self._rounds[turn] = self._rounds.get(turn, 0) + change
        if not self._rounds[turn]:
            del self._rounds[turn]
