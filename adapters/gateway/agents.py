"""How long each agent has waited: counted when a request gets its lease."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["AgentWait", "RecentAgents"]

REMEMBERED: Final = 500
"""How many agents are remembered; the one that was served least recently is forgotten."""


@dataclass(frozen=True, slots=True)
class AgentWait:
    """One agent's requests that had a lease: how many, and how long they waited for it, in seconds."""

    agent: str
    answered: int = 0
    total_wait: float = 0.0
    longest_wait: float = 0.0

    @property
    def mean_wait(self) -> float:
        """Seconds from request to lease, on average."""
        return self.total_wait / self.answered if self.answered else 0.0


class RecentAgents:
    """The agents that were served, the most recent last."""

    def __init__(self) -> None:
        self._agents: dict[str, AgentWait] = {}

    def __iter__(self) -> Iterator[AgentWait]:
        return iter(tuple(self._agents.values()))

    def served(self, agent: str, seconds: float) -> None:
        """Note that a request of ``agent`` has its lease after ``seconds``."""
        known = self._agents.pop(agent, None) or AgentWait(agent)
        total, longest = known.total_wait + seconds, max(known.longest_wait, seconds)
        self._agents[agent] = AgentWait(agent, known.answered + 1, total, longest)
        if len(self._agents) > REMEMBERED:
            del self._agents[next(iter(self._agents))]
