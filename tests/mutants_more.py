"""More small wrong models: about what is granted and started, about closing, and about what is kept twice."""

from __future__ import annotations

from statemachine.config import PoolKey
from statemachine.events import AcquireRequested, Cause, Closed, CloseRequested, Released, TimerKind
from statemachine.lifecycle import POOL
from statemachine.model import Model
from statemachine.moves import Moves
from statemachine.policies import Gated
from statemachine.policy import Choice
from statemachine.pool import Instance, Pool, Request


class Generous(Model):
    """Tries to place the next request where nothing is free, too."""

    def _place_in_order(self, pool: Pool) -> None:
        while (choice := pool.policy.choose()) and self._place(pool, pool.waiting[choice.ticket]):
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


class WrongModel(Model):
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


class GrantsTwice(Model, _GrantsTwice):
    """Tells a requester twice that it was granted."""


class _StartsTwice(Moves):
    def _start(self, pool: Pool, instance: Instance) -> None:
        super()._start(pool, instance)
        self._effects.append(self._effects[-1])


class StartsTwice(Model, _StartsTwice):
    """Tells the driver twice to start an instance: racing first requests load duplicates."""


class ReleasesAnotherLease(Model):
    """The release of a lease that is over ends the oldest one that is not."""

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            event = Released(next((r.ticket for r in self.requests.values() if r.state == "granted"), 0))
        super()._released(event)


class WaitsWhileClosing(Model):
    """Closing lets those who wait wait on."""

    def _close_pool(self, pool: Pool) -> None:
        self._fire(POOL, pool, "close")
        for instance in list(pool.idle.values()):
            self._stop(pool, instance)


class SaysItIsClosed(Model):
    """Says that it is closed when closing begins."""

    def _close(self, event: CloseRequested) -> None:
        super()._close(event)
        if not self.closed:
            self.closed = True
            self._effects.append(Closed())


class NeverCloses(Model):
    """Does not notice that the last pool is empty."""

    def _finish(self) -> None:
        pass


class _KeepsIdleTimer(Moves):
    def _grant(self, pool: Pool, instance: Instance, request: Request) -> None:
        timer = (TimerKind.IDLE, instance.id)
        deadline = self.timers.armed.get(timer)
        super()._grant(pool, instance, request)
        if deadline is not None:
            self.timers.arm(timer, deadline)


class KeepsIdleTimer(Model, _KeepsIdleTimer):
    """The idle time-out goes on while the instance is used again."""


class Miscounts(Model):
    """Forgets to count an instance that is down as gone."""

    def _evict(self, instance: Instance, failed: bool) -> None:
        pool = self.pools[instance.demand.pool]
        super()._evict(instance, failed)
        pool.live += instance.successor is None


class _SaysGated(Gated):
    """Serves one model for as long as anybody wants it."""

    def choose(self) -> Choice | None:
        line = self._lines.get(self._model)
        return super().choose() if line is None else Choice(line.first, "same model")


class LiesAboutItsBound(Model):
    """Promises what Gated promises, whatever policy was configured, and does not keep it."""

    def _new_pool(self, key: PoolKey) -> Pool:
        pool = super()._new_pool(key)
        pool.policy = _SaysGated()
        return pool


class RefusesEverybody(Model):
    """Violates nothing, and does nothing."""

    def _acquire(self, event: AcquireRequested) -> None:
        request = Request(event.ticket, event.demand, event.owner, event.agent, event.priority, self._now, self._now)
        self.requests[event.ticket] = request
        self._reject(request, Cause.CLOSED)
