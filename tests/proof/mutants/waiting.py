"""Wrong models: who waits, how long, and who is served next."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Cancelled, Cause, TimerKind
from statemachine.core.index import Pool, Request
from statemachine.core.ledger import Moves


class LeakedSlot(Coordinator):
    """A cancelled request that was waiting stays in the queue."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is not None and request.state == "waiting":
            del self.requests[event.ticket]
        else:
            super()._cancelled(event)


class TimerKept(Coordinator):
    """Keeps a granted request's deadline armed."""

    def _give_up(self, request: Request, trigger: str) -> None:
        armed = dict(self.timers.armed)
        super()._give_up(request, trigger)
        timer = (TimerKind.ACQUIRE, request.ticket)
        if timer in armed and trigger == "cancel":
            self.timers.arm(timer, armed[timer])


class NewcomerFirst(Coordinator):
    """Serves the youngest waiter whenever a place becomes free."""

    def _serve(self, pool: Pool) -> None:
        while pool.waiting:
            request = pool.waiting[max(pool.waiting)]
            if not self._place(pool, request):
                return
            pool.dequeue(request)


class WaitsInRaiseMode(Coordinator):
    """Lets requests wait where waiting is switched off."""

    def _why_not_wait(self, pool: Pool, request: Request) -> Cause | None:
        return None


class WaitsForItself(Coordinator):
    """Does not notice that a task waits for its own lease."""

    def _waits_for_itself(self, pool: Pool, request: Request) -> bool:
        return False


class ServesAnotherPool(Coordinator):
    """What becomes free is offered to the oldest of all waiters, whichever provider it waits for."""

    def _serve(self, pool: Pool) -> None:
        waiting = {ticket: other for other in self.pools.values() for ticket in other.waiting}
        super()._serve(waiting[min(waiting)] if waiting else pool)


class HeadOfLine(Coordinator):
    """One queue for all providers: who is not the oldest of all waiters is not placed."""

    def _place_in_order(self, pool: Pool) -> None:
        oldest = min((ticket for other in self.pools.values() for ticket in other.waiting), default=None)
        if oldest in pool.waiting:
            super()._place_in_order(pool)


class _NeverTimesOut(Moves):
    def _arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        if kind is not TimerKind.ACQUIRE:
            super()._arm(kind, subject, seconds)


class NeverTimesOut(Coordinator, _NeverTimesOut):
    """Lets whoever waits wait, whatever time-out was given."""


class OneTooMany(Coordinator):
    """Lets one more wait than `max_waiting` allows."""

    def _why_not_wait(self, pool: Pool, request: Request) -> Cause | None:
        most = self.config.max_waiting
        cause = super()._why_not_wait(pool, request)
        return None if cause is Cause.QUEUE_FULL and len(pool.waiting) - 1 == most else cause


class OneTooFew(Coordinator):
    """Takes the queue for full when there is one place left."""

    def _why_not_wait(self, pool: Pool, request: Request) -> Cause | None:
        most = self.config.max_waiting
        full = most is not None and len(pool.waiting) >= most
        return super()._why_not_wait(pool, request) or (Cause.QUEUE_FULL if full else None)
