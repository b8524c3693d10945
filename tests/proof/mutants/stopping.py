"""Wrong models: what is stopped, idle instances, and closing."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Closed, CloseRequested, Stopped, TimerKind
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Moves
from statemachine.core.lifecycle import POOL

from .leases import Generous


class _StoppedTwice(Moves):
    """Tells the driver twice to stop an instance."""

    def _stop(self, pool: Pool, instance: Instance, trigger: str = "stop") -> None:
        super()._stop(pool, instance, trigger)
        self._effects.append(self._effects[-1])


class StoppedTwice(Coordinator, _StoppedTwice):
    """The same, as a model."""


class SuccessorForgotten(Coordinator):
    """The end of a shutdown does not start its successor."""

    def _stopped(self, event: Stopped) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.successor is not None:
            instance.successor.predecessor = None
            instance.successor = None
        super()._stopped(event)


class _KeepsIdleTimer(Moves):
    def _grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        timer = (TimerKind.IDLE, instance.id)
        deadline = self.timers.armed.get(timer)
        super()._grant(pool, instance, request)
        if deadline is not None:
            self.timers.arm(timer, deadline)


class KeepsIdleTimer(Coordinator, _KeepsIdleTimer):
    """The idle time-out goes on while the instance is used again."""


class ForgetsToStop(Coordinator):
    """Closing forgets idle instances."""

    def _close_pool(self, pool: Pool) -> None:
        for instance in list(pool.idle.values()):
            del self.instances[instance.id]
            pool.live -= 1
            pool.forget(instance)
        super()._close_pool(pool)


class WaitsWhileClosing(Coordinator):
    """Closing lets those who wait wait on."""

    def _close_pool(self, pool: Pool) -> None:
        self._fire(POOL, pool, "close")
        for instance in list(pool.idle.values()):
            self._stop(pool, instance)


class SaysItIsClosed(Coordinator):
    """Says that it is closed when closing begins."""

    def _close(self, event: CloseRequested) -> None:
        super()._close(event)
        if not self.closed:
            self.closed = True
            self._effects.append(Closed())


class NeverCloses(Coordinator):
    """Does not notice that the last pool is empty."""

    def _finish(self) -> None:
        pass


class EvictsUnderALease(Generous):
    """A switch does not wait for whoever uses the model."""

    def _place(self, pool: Pool, request: Request) -> bool:
        if super()._place(pool, request):
            return True
        for instance in list(pool.instances.values()):
            if instance.state == "active" and instance.demand.signature != request.signature:
                self._stop(pool, instance)
                self._succeed(pool, instance, request)
                return True
        return False


class _WaitsForEveryShutdown(Moves):
    def _arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        if kind is not TimerKind.STOP:
            super()._arm(kind, subject, seconds)


class WaitsForEveryShutdown(Coordinator, _WaitsForEveryShutdown):
    """Gives up on no shutdown, however long it takes."""
