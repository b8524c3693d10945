"""Who waits in the gateway, and what for: positions for comments, limits for each agent, the queue for the status page.

The gateway is the manager's only user, so its own list of requests without a lease is the queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import trio

from statemachine.errors import QueueFullError

from .loads import Loads

__all__ = ["Waiter", "WaitingRoom"]


@dataclass(frozen=True, slots=True)
class Waiter:
    """One request without a lease. ``pool`` is what it waits for, ``since`` its arrival on trio's clock."""

    number: int
    agent: str
    provider: str
    model: str
    pool: str
    since: float


class WaitingRoom:
    """The requests without a lease, in the order of arrival. ``per_agent`` is the most that one agent may have there."""

    def __init__(self, loads: Loads, per_agent: int) -> None:
        self._loads = loads
        self._per_agent: Final = per_agent
        self._numbers = count(1)
        self._waiters: dict[int, Waiter] = {}
        self._agents: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Waiter]:
        return iter(tuple(self._waiters.values()))

    def __len__(self) -> int:
        return len(self._waiters)

    @contextmanager
    def enter(self, agent: str, provider: str, model: str, pool: str) -> Iterator[Waiter]:
        """Stand in the room for the length of the block. Raises QueueFullError where the agent has too many there."""
        if self._agents[agent] >= self._per_agent:
            text = f"{agent} has {self._per_agent} requests waiting already, the most that one agent may have"
            raise QueueFullError(text, requested=f"{provider}/{model}", limit=self._per_agent)
        waiter = Waiter(next(self._numbers), agent, provider, model, pool, trio.current_time())
        self._waiters[waiter.number] = waiter
        self._agents[agent] += 1
        try:
            yield waiter
        finally:
            del self._waiters[waiter.number]
            self._agents[agent] -= 1
            if not self._agents[agent]:
                del self._agents[agent]

    def describe(self, waiter: Waiter, now: float) -> str:
        """Say in one line why the request waits."""
        load = self._loads.under_way(waiter.provider, waiter.model)
        if load is not None:
            usual = self._loads.usual_seconds(waiter.provider, waiter.model)
            about = "" if usual is None else f" of about {usual:.0f} s"
            return f"loading {waiter.model}, {now - load:.0f} s{about}"
        queue = [other for other in self._waiters.values() if other.pool == waiter.pool]
        position = 1 + next(place for place, other in enumerate(queue) if other.number == waiter.number)
        return f"queued, position {position} of {len(queue)}, oldest first needs {queue[0].model}"
