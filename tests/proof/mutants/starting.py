"""Wrong coordinators: what is started, and what a failed start leads to."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Cancelled, Cause, StartFailed, StartSucceeded
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Ledger
from statemachine.core.placement import Placement


class _StartsTwice(Ledger):
    def start(self, pool: Pool, instance: Instance) -> None:
        super().start(pool, instance)
        self.effects.append(self.effects[-1])


class StartsTwice(Coordinator):
    """Tells the driver twice to start an instance: racing first requests load duplicates."""

    ledger_type = _StartsTwice


class _Sleeper(Placement):
    asleep = False

    def serve(self, pool: Pool) -> None:
        if not self.asleep:
            super().serve(pool)


class LostWakeUp(Coordinator):
    """A failed start does not serve the next waiting request."""

    placement_type = _Sleeper

    def _start_failed(self, event: StartFailed) -> None:
        assert isinstance(self.placement, _Sleeper)
        self.placement.asleep = True
        super()._start_failed(event)
        self.placement.asleep = False


class EveryoneIsTold(Coordinator):
    """A failed start fails every request that had joined it."""

    def _fail(self, instance: Instance, cause: Cause, constructed: bool) -> None:
        for request in list(instance.assigned.values())[1:]:
            del instance.assigned[request.ticket]
            self.ledger.reject(request, cause, self.pools[instance.demand.pool], instance)
        super()._fail(instance, cause, constructed)


class DiesOfAFailedStart(Coordinator):
    """A failed start ends the requests that had joined it as the end of the manager would."""

    def _fail(self, instance: Instance, cause: Cause, constructed: bool) -> None:
        for request in list(instance.assigned.values())[1:]:
            self.ledger.unassign(self.pools[instance.demand.pool], request)
            self.ledger.reject(request, Cause.CLOSED)
        super()._fail(instance, cause, constructed)


class _NotAdopted(Ledger):
    def assign(self, pool: Pool, instance: Instance, request: Request) -> None:
        cause = instance.cause
        super().assign(pool, instance, request)
        if instance.state == "starting":
            instance.cause = cause


class NotAdopted(Coordinator):
    """A request that joins a start whose requester has gone is not told of its failure, and joins the next one, without end."""

    ledger_type = _NotAdopted


class Raises(Coordinator):
    """Assumes that no request is cancelled while a start is under way for it."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests[event.ticket]
        assert request.state != "assigned"
        super()._cancelled(event)


class _FailureSwallowed(Ledger):
    def reject(self, request: Request, cause: Cause, pool: Pool | None = None, failed: Instance | None = None) -> None:
        if cause is Cause.START_FAILED:
            request.instance = None
        else:
            super().reject(request, cause, pool, failed)


class FailureSwallowed(Coordinator):
    """Does not tell the requester that its start failed."""

    ledger_type = _FailureSwallowed


class LateStartCounts(Coordinator):
    """Does not ask whether a start that ends was interrupted before."""

    def _start_succeeded(self, event: StartSucceeded) -> None:
        if self.instances[event.instance].state == "stopping":
            self.ledger.fire_instance(self.instances[event.instance], "activate")
        super()._start_succeeded(event)
