"""Who must not wait: where waiting is switched off, where the queue is full, and whoever would wait for what is one's own."""

from __future__ import annotations

from ..policies import Pause
from .events import Cause
from .index import Pool, Request
from .ledger import Moves, holder

__all__ = ["Refusing"]


class Refusing(Moves):
    """The model's refusals."""

    def _why_not_wait(self, pool: Pool, request: Request) -> Cause | None:
        """Why ``request`` must not wait in ``pool``, if there is a reason."""
        if pool.raises or (request.owner in pool.leases_by_owner and self._waits_for_itself(pool, request)):
            return self._contention(pool, request)
        most = self.config.max_waiting
        return Cause.QUEUE_FULL if most is not None and len(pool.waiting) > most else None

    def _contention(self, pool: Pool, request: Request) -> Cause:
        if not pool.is_slot:
            return Cause.LIMIT
        held_by = holder(pool)
        return Cause.BUSY if held_by is not None and held_by.demand.signature == request.signature else Cause.CONFLICT

    def _waits_for_itself(self, pool: Pool, request: Request) -> bool:
        """Whether nobody but the owner of ``request``, who holds leases here, could end its waiting, by releasing them."""
        own = pool.leases_by_owner[request.owner]
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
            # somebody is ahead who waits for this owner's lease to end
            or isinstance(first, Pause)
            or (first is not None and pool.waiting[first.ticket].signature != held.demand.signature)
        )

    def _refuse_those_who_wait_for_themselves(self, pool: Pool) -> None:
        """Somebody's broken release, or a newcomer of higher priority, may have made it so after they began to wait."""
        if not pool.is_slot:
            return  # what an owner of API leases waits for can be held by others only
        for owner in pool.leases_by_owner:  # as many as one instance has leases
            if owner in pool.waiting_by_owner:
                for request in list(pool.waiting_by_owner[owner]):
                    if self._waits_for_itself(pool, request):
                        pool.dequeue(request)
                        self._reject(request, self._contention(pool, request), pool)
