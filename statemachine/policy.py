"""Who is served next: the order of the requests that wait for one pool.

A policy is a small pure object that the model consults. It is incremental: told of every arrival and departure, asked for a
choice. ``choose`` has no side effects, so it may be asked as often as one likes. What it remembers is part of the
model's state: integers and names only.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol, TypeAlias

__all__ = ["Choice", "Fifo", "Policy", "PolicyFactory", "Waiter"]


class Waiter(Protocol):
    """What a policy may know of a request."""

    @property
    def ticket(self) -> int: ...
    @property
    def signature(self) -> str: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def priority(self) -> int: ...


class Choice(NamedTuple):
    """The request to be served next, and why this one."""

    ticket: int
    reason: str


class Policy(Protocol):
    """The order of one pool's queue. Tickets grow with arrival; a request that comes back keeps its ticket, and so its place."""

    def arrived(self, waiter: Waiter) -> None:
        """``waiter`` joins the queue (or comes back to it: the start it had joined failed)."""
        ...

    def left(self, waiter: Waiter) -> None:
        """``waiter`` left the queue: served, cancelled, timed out or rejected."""
        ...

    def choose(self) -> Choice | None:
        """The only request that may be served now, or None. No side effects."""
        ...

    def snapshot(self) -> Hashable:
        """What it remembers beyond its waiters."""
        ...

    def restore(self, memory: Hashable) -> None:
        """Remember ``memory``, made by :meth:`snapshot`. Called on a new policy after all waiters have arrived."""
        ...


PolicyFactory: TypeAlias = Callable[[], Policy]


class Fifo:
    """Higher priority first; within a priority first come, first served. Each operation costs the same however many wait."""

    def __init__(self) -> None:
        self._lanes: dict[int, OrderedDict[int, None]] = {}
        self._priorities: list[int] = []  # those in use, ascending

    def arrived(self, waiter: Waiter) -> None:
        ticket = waiter.ticket
        lane = self._lanes.get(waiter.priority)
        if lane is None:
            lane = self._lanes[waiter.priority] = OrderedDict()
            insort(self._priorities, waiter.priority)
        behind = bool(lane) and next(reversed(lane)) > ticket
        lane[ticket] = None
        if behind:  # it comes back: to its old place
            _restore_order(lane, ticket)

    def left(self, waiter: Waiter) -> None:
        lane = self._lanes[waiter.priority]
        del lane[waiter.ticket]
        if not lane:
            del self._lanes[waiter.priority]
            self._priorities.remove(waiter.priority)

    def choose(self) -> Choice | None:
        if not self._priorities:
            return None
        priority = self._priorities[-1]
        return Choice(
            next(iter(self._lanes[priority])), "oldest" if priority == 0 else f"oldest of priority {priority}"
        )

    def snapshot(self) -> Hashable:
        return ()

    def restore(self, memory: Hashable) -> None:
        pass


def _restore_order(lane: OrderedDict[int, None], ticket: int) -> None:
    if ticket < next(iter(lane)):
        lane.move_to_end(ticket, last=False)
        return
    for later in sorted(t for t in lane if t >= ticket):
        lane.move_to_end(later)
