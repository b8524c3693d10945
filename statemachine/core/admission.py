"""Admission: refuse a request that could not be placed and must not wait.

There are three reasons. Waiting is switched off (``on_limit`` or ``on_conflict`` is ``"raise"``). The queue is full (``max_waiting``).
Or only the requester's own leases block it, so that it would wait for itself without end: a *self-deadlock*.

Example: a task holds the only lease of a local slot, and asks for another model of that slot before it has released the first. No other
task can free the slot, so the request is refused at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..policies import Pause
from .events import Cause
from .index import Pool, Request
from .ledger import holder

__all__ = ["Admission"]


class Admission:
    """The rules that refuse a request. They read a pool and change nothing.

    ``max_waiting`` bounds the waiting requests of a pool (None: unbounded).
    """

    def __init__(self, max_waiting: int | None) -> None:
        self.max_waiting = max_waiting

    def refusal(self, pool: Pool, request: Request) -> Cause | None:
        """Return why ``request``, which was just added to the queue of ``pool``, must not wait in it; None if it may."""
        own = request.held_above or request.owner in pool.leases_by_owner
        if pool.raises or (own and self.is_self_deadlock(pool, request)):
            return self.contention(pool, request)
        return Cause.QUEUE_FULL if self.is_overfull(pool) else None

    def is_overfull(self, pool: Pool) -> bool:
        """Return whether more requests wait in ``pool`` than ``max_waiting`` allows."""
        return self.max_waiting is not None and len(pool.waiting) > self.max_waiting

    def contention(self, pool: Pool, request: Request) -> Cause:
        """Return what a request that must not wait is told about the holder of ``pool``."""
        if not pool.is_slot:
            return Cause.LIMIT
        held_by = holder(pool)
        return Cause.BUSY if held_by is not None and held_by.demand.signature == request.signature else Cause.CONFLICT

    def is_self_deadlock(self, pool: Pool, request: Request) -> bool:
        """Return whether ``request`` is blocked by its owner's own leases alone.

        The leases above it count as the owner's own: their holders wait for the owner to end.
        """
        own = pool.leases_held_by(request)
        if own < pool.limit:
            return False
        if not pool.is_slot:
            return True
        (held,) = (i for i in pool.instances.values() if i.leases)
        first = pool.policy.choose()
        return (
            held.state == "draining"
            or held.demand.signature != request.signature
            or own >= held.demand.parallel
            # the next request in the queue waits for this owner's lease to end
            or isinstance(first, Pause)
            or (first is not None and pool.waiting[first.ticket].signature != held.demand.signature)
        )

    def self_deadlocks(self, pool: Pool) -> Iterator[Request]:
        """Yield the waiting requests of a slot that are blocked by their owner's own leases. Each may be removed as it is yielded.

        A wait can become a self-deadlock after it began: by a broken release, or by a newcomer of higher priority. In the pool of an API
        provider it cannot, because an owner that holds all places is refused at the beginning, and places are alike.
        """
        holders = pool.leases_by_owner  # few: a slot has one instance
        own = [request for owner in holders for request in pool.waiting_by_owner.get(owner, ())]
        for request in (*own, *pool.waiting_below.values()):
            if request.ticket in pool.waiting and self.is_self_deadlock(pool, request):
                yield request
