"""Wrong coordinators: what is stopped, idle instances, and closing."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Closed, CloseRequested, Stopped, Timer, TimerKind
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Ledger
from statemachine.core.lifecycle import MANAGER

from .leases import Generous


class _StoppedTwice(Ledger):
    def stop(self, pool: Pool, instance: Instance) -> None:
        super().stop(pool, instance)
        self.effects.append(self.effects[-1])


class StoppedTwice(Coordinator):
    """Tells the driver twice to stop an instance."""

    ledger_type = _StoppedTwice


class SuccessorForgotten(Coordinator):
    """The end of a shutdown does not start its successor."""

    def _stopped(self, event: Stopped) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.successor is not None:
            instance.successor.predecessor = None
            instance.successor = None
        super()._stopped(event)


class _KeepsIdleTimer(Ledger):
    def grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        deadline = self.timers.armed.get(Timer(TimerKind.IDLE, instance.id))
        super().grant(pool, instance, request)
        if deadline is not None:
            self.timers.arm(TimerKind.IDLE, instance.id, deadline)


class KeepsIdleTimer(Coordinator):
    """The idle time-out goes on while the instance is used again."""

    ledger_type = _KeepsIdleTimer


class ForgetsToStop(Coordinator):
    """Closing forgets idle instances."""

    def _close_pool(self, pool: Pool) -> None:
        for instance in list(pool.idle.values()):
            del self.instances[instance.id]
            pool.live -= 1
            pool.forget(instance)
        super()._close_pool(pool)


class WaitsWhileClosing(Coordinator):
    """Closing lets waiting requests wait on."""

    def _close_pool(self, pool: Pool) -> None:
        self.ledger.fire_pool(pool, "close")
        for instance in list(pool.idle.values()):
            self.ledger.stop(pool, instance)


class SaysItIsClosed(Coordinator):
    """Says that it is closed when closing begins."""

    def _close(self, event: CloseRequested) -> None:
        super()._close(event)
        if self.state != "closed":
            MANAGER.fire(self.ledger, "finish")
            self.ledger.effects.append(Closed())


class _NeverCloses(Ledger):
    def finish(self) -> None:
        pass


class NeverCloses(Coordinator):
    """Does not notice that the last pool is empty."""

    ledger_type = _NeverCloses


class _EvictsUnderALease(Generous):
    def place(self, pool: Pool, request: Request) -> bool:
        if super().place(pool, request):
            return True
        for instance in list(pool.instances.values()):
            if instance.state == "active" and instance.demand.signature != request.signature:
                self.reserve(pool, instance, request)
                return True
        return False


class EvictsUnderALease(Coordinator):
    """A switch does not wait for the leases of the model that is loaded."""

    placement_type = _EvictsUnderALease


class _WaitsForEveryShutdown(Ledger):
    def arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        if kind is not TimerKind.STOP:
            super().arm(kind, subject, seconds)


class WaitsForEveryShutdown(Coordinator):
    """Gives up on no shutdown, however long it takes."""

    ledger_type = _WaitsForEveryShutdown
