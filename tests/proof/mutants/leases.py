"""Wrong coordinators: which request is leased what, and how a lease ends."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Released
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Ledger
from statemachine.core.lifecycle import INSTANCE
from statemachine.core.placement import Placement
from statemachine.policies import Choice


class Generous(Placement):
    """Tries to place the next request even where nothing is free."""

    def takes_newcomers(self, pool: Pool) -> bool:
        return True

    def place_waiting(self, pool: Pool) -> None:
        while isinstance(choice := pool.policy.choose(), Choice) and self.place(pool, pool.waiting[choice.ticket]):
            pool.dequeue(pool.waiting[choice.ticket], placed=True)


class _Overcrowded(Generous):
    def place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "active" and instance.demand.signature == request.signature:
                self.ledger.grant(pool, instance, request)
                return True
        return super().place(pool, request)


class Overcrowded(Coordinator):
    """Leases an active instance once more, however many leases it has."""

    placement_type = _Overcrowded


class _DrainingIsLent(Generous):
    def place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "draining" and instance.demand.signature == request.signature:
                self.ledger.grant(pool, instance, request)
                return True
        return super().place(pool, request)


class DrainingIsLent(Coordinator):
    """Leases an instance that was reported broken."""

    placement_type = _DrainingIsLent


class _AnyIdle(Placement):
    def place(self, pool: Pool, request: Request) -> bool:
        if pool.idle:
            self.ledger.grant(pool, next(iter(pool.idle.values())), request)
            return True
        return super().place(pool, request)


class AnyIdle(Coordinator):
    """Leases any idle instance, whatever its signature."""

    placement_type = _AnyIdle


class _GrantsTwice(Ledger):
    def grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        super().grant(pool, instance, request)
        self.effects.append(self.effects[-1])


class GrantsTwice(Coordinator):
    """Tells a requester twice that it was granted."""

    ledger_type = _GrantsTwice


class _GrantsWhileStopping(Placement):
    def place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "stopping" and instance.demand.signature == request.signature:
                self.ledger.fire_request(request, "grant")
                request.instance = instance
                pool.add_lease(instance, request)
                return True
        return super().place(pool, request)


class GrantsWhileStopping(Coordinator):
    """Grants a stopping instance to its own signature."""

    placement_type = _GrantsWhileStopping


class DoubleGrant(Coordinator):
    """A release ends every lease of its instance (identity by configuration, not by lease)."""

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
    """A broken release stops the instance although other requests lease it."""

    def _end_lease(self, request: Request, broken: bool) -> None:
        instance = request.instance
        assert instance is not None
        super()._end_lease(request, broken=False)
        if broken and instance.state == "active":
            INSTANCE.fire(instance, "drain")
            self.instances[instance.id].state = "active"
            self.ledger.stop(self.pools[instance.demand.pool], instance)


class MissingGuard(Coordinator):
    """Does not ask whether the lease that is released is still held."""

    def _released(self, event: Released) -> None:
        request = self.requests[event.ticket]
        self.ledger.fire_request(request, "release")
        self._end_lease(request, event.broken)
