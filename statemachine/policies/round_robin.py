"""Fairness between the agents that wait for one model: deficit round robin by the time for which they have been served."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final, TypeAlias

from ..checks import check_count
from .line import Line
from .policy import Waiter

__all__ = ["RoundRobin"]

FURTHEST: Final = 4  # how many rounds an agent can be ahead


class _Agent:
    """What is known of one agent: its requests, and the time for which it has been served. One record, as thousands may wait.

    ``models`` are those that it waits for; ``served`` is in milliseconds.
    """

    __slots__ = ("models", "name", "served")

    def __init__(self, name: str) -> None:
        self.name = name
        self.models: tuple[str, ...] = ()
        self.served = 0

    def __lt__(self, other: object) -> bool:
        """Return False: two entries of one ticket are of one agent, which was forgotten in between. Either may be first."""
        return False


_Entry: TypeAlias = tuple[int, int, _Agent]
"""Round, oldest ticket, agent."""


class RoundRobin:
    """Choose among the requests for a model: first those of the agent that has been served least, in rounds of ``quantum`` milliseconds.

    This is deficit round robin (Shreedhar and Varghese, IEEE/ACM ToN 4, 1996). Only the cost of a request is charged after it, because
    it is not known before. An agent is in the round ``time served // quantum``. The lowest round goes first, and in it the oldest
    request. Requests without an agent count as one agent's.

    Example, with a quantum of 10 s: agent x has been served for 12 s and y for 8 s. x is in round 1 and y in round 0, so y goes first
    until it has been served for 10 s. Then both are in round 1, and the oldest request goes first.

    - An agent that has not asked for some time joins the round that is being served: idle time earns no credit.
    - An agent that neither waits nor was served in the turn that ends is forgotten, so the memory stays bounded.
    - No agent gets more than four rounds ahead. Otherwise, of two agents that always ask, the one with the longer answers would get
      further ahead in every turn, because a gate admits both.

    The time served never goes down. Instead the round that is being served goes up, and no agent is in a lower one. So a new turn changes
    nothing for the waiters, and a decision takes a time that grows with the logarithm of their number. Raises ConfigurationError.
    """

    def __init__(self, quantum: int) -> None:
        check_count("quantum", quantum)
        self._quantum = quantum
        self._turn = ""  # the model that has the turn
        self._round = 0  # the round that is being served
        self._agents: dict[str, _Agent] = {}  # by name: those that wait, or have been served lately
        self._lines: dict[str, dict[_Agent, Line]] = {}  # the waiters, by model and agent
        self._rounds: dict[int, int] = {}  # how many waiting agents are in each round
        self._orders: dict[str, list[_Entry]] = {}  # by model, a heap of its agents; some entries are outdated
        self._later: list[_Entry] = []  # entries left out of the heap until this turn is over
        self._recent: set[_Agent] = set()  # the agents that have been served in this turn
        # agents that were served in the turn before, or have left the queue since: forgotten with this turn, unless they ask or are served
        self._passing: set[_Agent] = set()

    def add(self, waiter: Waiter) -> None:
        """Add ``waiter`` to the queue."""
        model, agent = waiter.signature, self._agent_of(waiter)
        lines = self._lines.get(model)
        if lines is None:
            lines, self._orders[model] = self._lines.setdefault(model, {}), []
        line = lines.get(agent)
        if line is None:
            line = lines[agent] = Line()
            if not agent.models:
                self._count(self._round_of(agent), 1)
            agent.models += (model,)
        line.add(waiter)
        if line.first == waiter.ticket:
            self._enter(model, agent, line.first)

    def remove(self, waiter: Waiter) -> None:
        """Remove ``waiter`` from the queue."""
        model, agent = waiter.signature, self._agent_of(waiter)
        lines = self._lines[model]
        line = lines[agent]
        line.remove(waiter)
        if line:
            if waiter.ticket < line.first:
                self._enter(model, agent, line.first)
            return
        del lines[agent]
        if not lines:
            del self._lines[model], self._orders[model]
        agent.models = tuple([other for other in agent.models if other != model])
        if not agent.models:
            self._count(self._round_of(agent), -1)
            self._passing.add(agent)

    def charge(self, waiter: Waiter, milliseconds: int) -> None:
        """Record that the agent of ``waiter`` has been served for ``milliseconds``."""
        agent = self._agent_of(waiter)
        before, even = self._round_of(agent), self._round * self._quantum
        agent.served = min(max(agent.served, even) + milliseconds, even + FURTHEST * self._quantum)
        self._recent.add(agent)
        now = self._round_of(agent)
        if now > before and agent.models:
            self._count(before, -1)
            self._count(now, 1)
            for model in agent.models:
                self._enter(model, agent, self._lines[model][agent].first)

    def has_had_a_round(self, waiter: Waiter) -> bool:
        """Return whether the agent of ``waiter``, which goes first now, is ahead of the present round.

        Then every agent that waits for the model is, and a new round may begin.
        """
        return self._round_of(self._agent_of(waiter)) > self._round

    def begin(self, model: str) -> None:
        """Begin the turn of ``model``, for which at least one agent waits.

        The round of the waiting agent that has been served least is served now. An agent that was in a lower round joins it.
        """
        for entry in self._later:
            if self._is_true(entry):
                heappush(self._orders[self._turn], entry)
        for agent in self._passing:
            if not agent.models and agent not in self._recent:
                del self._agents[agent.name]
        self._passing, self._recent, self._later = self._recent, set(), []
        self._round, self._turn = min(self._rounds), model

    def first(self, last: int | None) -> int:
        """Return the ticket that goes first of those up to ``last`` (None: of all). There is one. During a turn ``last`` does not grow."""
        order = self._orders[self._turn]
        while True:
            entry = order[0]
            is_true = self._is_true(entry)
            if is_true and (last is None or entry[1] <= last):
                return entry[1]
            heappop(order)
            if is_true:
                self._later.append(entry)

    def snapshot(self) -> Hashable:
        """Return what is remembered beyond the waiters and the model."""
        even = self._round * self._quantum
        ahead = [agent for agent in self._agents.values() if agent.served > even]
        return tuple(sorted([(agent.name, agent.served - even, agent in self._recent) for agent in ahead]))

    def restore(self, memory: Hashable, model: str) -> None:
        """Take ``memory``, made by :meth:`snapshot`, for the turn of ``model``."""
        assert isinstance(memory, tuple), "made by snapshot()"
        self._turn = model
        for name, time, recent in memory:
            agent = self._named(name)
            agent.served = time
            (self._recent if recent else self._passing).add(agent)
        self._rounds = {}
        for agent in self._agents.values():
            if agent.models:
                self._count(self._round_of(agent), 1)
        for name in self._lines:
            self._rebuild(name)

    def _agent_of(self, waiter: Waiter) -> _Agent:
        return self._named(waiter.agent or "")

    def _named(self, name: str) -> _Agent:
        agent = self._agents.get(name)
        if agent is None:
            agent = self._agents[name] = _Agent(name)
        return agent

    def _enter(self, model: str, agent: _Agent, ticket: int) -> None:
        order = self._orders[model]
        heappush(order, (self._round_of(agent), ticket, agent))
        if len(order) > 64 + 4 * len(self._lines[model]):
            self._rebuild(model)

    def _rebuild(self, model: str) -> None:
        entries = [(self._round_of(agent), line.first, agent) for agent, line in self._lines[model].items()]
        self._orders[model] = sorted(entries)

    def _is_true(self, entry: _Entry) -> bool:
        turn, ticket, agent = entry
        lines = self._lines.get(self._turn)
        line = None if lines is None else lines.get(agent)
        return line is not None and line.first == ticket and self._round_of(agent) == turn

    def _round_of(self, agent: _Agent) -> int:
        return max(agent.served // self._quantum, self._round)

    def _count(self, turn: int, change: int) -> None:
        """Count ``change`` waiting agents more in the round ``turn``."""
        self._rounds[turn] = self._rounds.get(turn, 0) + change
        if not self._rounds[turn]:
            del self._rounds[turn]
