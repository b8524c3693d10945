"""Wrong models: who is lent what, and how a lease ends."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Released
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Moves
from statemachine.core.lifecycle import INSTANCE, REQUEST
from statemachine.policies import Choice


class Generous(Coordinator):
    """Tries to place the next request where nothing is free, too."""

    def _place_in_order(self, pool: Pool) -> None:
        while isinstance(choice := pool.policy.choose(), Choice) and self._place(pool, pool.waiting[choice.ticket]):
            pool.dequeue(pool.waiting[choice.ticket], placed=True)


class Overcrowded(Generous):
    """Lends an active instance once more, however many lease it."""

    def _place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "active" and instance.demand.signature == request.signature:
                self._grant(pool, instance, request)
                return True
        return super()._place(pool, request)


class DrainingIsLent(Generous):
    """Lends an instance that was reported broken."""

    def _place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "draining" and instance.demand.signature == request.signature:
                self._grant(pool, instance, request)
                return True
        return super()._place(pool, request)


class WrongCoordinator(Coordinator):
    """Lends whatever is idle."""

    def _place(self, pool: Pool, request: Request) -> bool:
        if pool.idle:
            self._grant(pool, next(iter(pool.idle.values())), request)
            return True
        return super()._place(pool, request)


class _GrantsTwice(Moves):
    def _grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        super()._grant(pool, instance, request)
        self._effects.append(self._effects[-1])


class GrantsTwice(Coordinator, _GrantsTwice):
    """Tells a requester twice that it was granted."""


class GrantsWhileStopping(Coordinator):
    """A stopping instance is granted to its own signature."""

    def _place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "stopping" and instance.demand.signature == request.signature:
                self._fire(REQUEST, request, "grant")
                request.instance = instance
                pool.lend(instance, request)
                return True
        return super()._place(pool, request)


class DoubleGrant(Coordinator):
    """A release of somebody else's ticket ends this lease too (identity by configuration, not by lease)."""

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        super()._released(event)
        if request is not None and request.instance is not None:
            request.instance.leases.clear()


class ReleasesAnotherLease(Coordinator):
    """The release of a lease that is over ends the oldest one that is not."""

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            event = Released(next((r.ticket for r in self.requests.values() if r.state == "granted"), 0))
        super()._released(event)


class DrainForgotten(Coordinator):
    """A broken release while others hold leases is treated like any other."""

    def _end_lease(self, request: Request, broken: bool) -> None:
        instance = request.instance
        assert instance is not None
        super()._end_lease(request, broken=False)
        if broken and instance.state == "active":
            INSTANCE.fire(instance, "drain")
            self.instances[instance.id].state = "active"
            self._stop(self.pools[instance.demand.pool], instance)


class MissingGuard(Coordinator):
    """Does not ask whether the lease that is released is still on."""

    def _released(self, event: Released) -> None:
        request = self.requests[event.ticket]
        self._fire(REQUEST, request, "release")
        self._end_lease(request, event.broken)
