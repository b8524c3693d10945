"""Wrong models: what is started, and what a failed start leads to."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Cancelled, Cause, StartFailed, StartSucceeded
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Moves
from statemachine.core.lifecycle import INSTANCE


class _StartsTwice(Moves):
    def _start(self, pool: Pool, instance: Instance) -> None:
        super()._start(pool, instance)
        self._effects.append(self._effects[-1])


class StartsTwice(Coordinator, _StartsTwice):
    """Tells the driver twice to start an instance: racing first requests load duplicates."""


class LostWakeUp(Coordinator):
    """A failed start does not serve the next waiter."""

    _asleep = False

    def _start_failed(self, event: StartFailed) -> None:
        self._asleep = True
        super()._start_failed(event)
        self._asleep = False

    def _serve(self, pool: Pool) -> None:
        if not self._asleep:
            super()._serve(pool)


class EveryoneIsTold(Coordinator):
    """A failed start fails everybody who had joined it."""

    def _fail(self, instance: Instance, cause: Cause, constructed: bool) -> None:
        for request in list(instance.assigned.values())[1:]:
            del instance.assigned[request.ticket]
            self._reject(request, cause, self.pools[instance.demand.pool], instance)
        super()._fail(instance, cause, constructed)


class NotAdopted(Coordinator):
    """Whoever joins a start whose requester has gone is not told of its failure, and joins the next one, for ever."""

    def _assign(self, pool: Pool, instance: Instance, request: Request) -> None:
        cause = instance.cause
        super()._assign(pool, instance, request)
        if instance.state == "starting":
            instance.cause = cause


class Raises(Coordinator):
    """Takes it for granted that nobody is cancelled while a start is under way for them."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests[event.ticket]
        assert request.state != "assigned"
        super()._cancelled(event)


class FailureSwallowed(Coordinator):
    """Whoever asked for what could not be started is not told."""

    def _reject(self, request: Request, cause: Cause, pool: Pool | None = None, failed: Instance | None = None) -> None:
        if cause is Cause.START_FAILED:
            request.instance = None
        else:
            super()._reject(request, cause, pool, failed)


class LateStartCounts(Coordinator):
    """Does not ask whether a start that ends has been given up on."""

    def _start_succeeded(self, event: StartSucceeded) -> None:
        if self.instances[event.instance].state == "stopping":
            self._fire(INSTANCE, self.instances[event.instance], "activate")
        super()._start_succeeded(event)
