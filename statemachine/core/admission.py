"""Admission: which requests are refused because they must not wait.

Waiting may be switched off (``on_limit``, ``on_conflict``), the queue may be full (``max_waiting``), or only the requester's own
leases may stand in its way, so that it would wait for itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..policies import Pause
from .events import Cause
from .index import Pool, Request
from .ledger import holder

__all__ = ["Admission"]


class Admission:
    """The rules that refuse a request which could not be placed. They read a pool and change nothing.

    ``max_waiting`` bounds the waiting requests of a pool (None: unbounded).
    """

    def __init__(self, max_waiting: int | None) -> None:
        self.max_waiting = max_waiting

    def refusal(self, pool: Pool, request: Request) -> Cause | None:
        """Why ``request``, which has joined the queue of ``pool``, must not wait in it; None: it may."""
        above = request.held_above
        own = above or request.owner in pool.leases_by_owner
        if pool.raises or (own and self.is_self_deadlock(pool, request, above)):
            return self.contention(pool, request)
        return Cause.QUEUE_FULL if self.is_overfull(pool) else None

    def is_overfull(self, pool: Pool) -> bool:
        """Whether more requests wait in ``pool`` than ``max_waiting`` allows."""
        return self.max_waiting is not None and len(pool.waiting) > self.max_waiting

    def contention(self, pool: Pool, request: Request) -> Cause:
        """What a request that must not wait is told about the holder of ``pool``."""
        if not pool.is_slot:
            return Cause.LIMIT
        held_by = holder(pool)
        return Cause.BUSY if held_by is not None and held_by.demand.signature == request.signature else Cause.CONFLICT

    def is_self_deadlock(self, pool: Pool, request: Request, above: int = 0) -> bool:
        """Whether only the requester's own leases block ``request``, and ``above`` more, whose holders wait for it to end.

        One of these leases at least is there.
        """
        own = pool.leases_by_owner.get(request.owner, 0) + above
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
        """The waiting requests of a slot that only their own owner's leases block now. Each may be removed as it is found.

        A broken release, or a newcomer of higher priority, can make a wait so after it began. An API provider's pool has none: what
        an owner of its leases waits for can be held by others only.
        """
        for owner in pool.leases_by_owner:  # as many as one instance has leases
            for request in list(pool.waiting_by_owner.get(owner, ())):
                if self.is_self_deadlock(pool, request):
                    yield request
