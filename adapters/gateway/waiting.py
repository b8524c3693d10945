"""Who waits in the gateway, and what for: positions for comments, limits for each agent, the queue for the status page.

The gateway is the manager's only user, so its own list of requests without a lease is the queue.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import trio

from statemachine.errors import QueueFullError

from .loads import Loads

__all__ = ["WaitingRequest", "WaitingRoom"]


@dataclass(frozen=True, slots=True)
class WaitingRequest:
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
        self.per_agent = per_agent
        self._numbers = count(1)
        self._waiters: dict[int, WaitingRequest] = {}
        self._agents: Counter[str] = Counter()

    def __iter__(self) -> Iterator[WaitingRequest]:
        return iter(tuple(self._waiters.values()))

    def __len__(self) -> int:
        return len(self._waiters)

    @contextmanager
    def enter(self, agent: str, provider: str, model: str, pool: str) -> Iterator[WaitingRequest]:
        """Stand in the room for the length of the block. Raises QueueFullError where the agent has too many there."""
        if self._agents[agent] >= self.per_agent:
            text = f"{agent} has {self.per_agent} requests waiting already, the most that one agent may have"
            raise QueueFullError(text, requested=f"{provider}/{model}", limit=self.per_agent)
        waiter = WaitingRequest(next(self._numbers), agent, provider, model, pool, trio.current_time())
        self._waiters[waiter.number] = waiter
        self._agents[agent] += 1
        try:
            yield waiter
        finally:
            del self._waiters[waiter.number]
            self._agents[agent] -= 1
            if not self._agents[agent]:
                del self._agents[agent]

    def described(self, now: float) -> Iterator[tuple[WaitingRequest, str]]:
        """Yield each waiter, in the order of arrival, with why it waits."""
        queues = self._queues()
        positions: Counter[str] = Counter()
        for waiter in self:
            positions[waiter.pool] += 1
            yield waiter, self._reason(waiter, positions[waiter.pool], queues[waiter.pool], now)

    def describe(self, waiter: WaitingRequest, now: float) -> str:
        """Say in one line why the request waits."""
        queue = self._queues()[waiter.pool]
        return self._reason(waiter, queue.index(waiter) + 1, queue, now)

    def _queues(self) -> Mapping[str, list[WaitingRequest]]:
        queues: defaultdict[str, list[WaitingRequest]] = defaultdict(list)
        for waiter in self._waiters.values():
            queues[waiter.pool].append(waiter)
        return queues

    def _reason(self, waiter: WaitingRequest, position: int, queue: Sequence[WaitingRequest], now: float) -> str:
        load = self._loads.under_way(waiter.provider, waiter.model)
        if load is not None:
            usual = self._loads.usual_seconds(waiter.provider, waiter.model)
            about = "" if usual is None else f" of about {usual:.0f} s"
            return f"loading {waiter.model}, {now - load:.0f} s{about}"
        return f"queued, position {position} of {len(queue)}, oldest first needs {queue[0].model}"
