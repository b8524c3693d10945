"""Wrong coordinators: which requests wait, how long, and which is served next."""

from __future__ import annotations

from statemachine.core.admission import Admission
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Cancelled, Cause, Released, Timer, TimerKind
from statemachine.core.index import Pool, Request
from statemachine.core.ledger import Ledger
from statemachine.core.placement import Placement


class LeakedSlot(Coordinator):
    """A cancelled request that was waiting stays in the queue."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is not None and request.state == "waiting":
            del self.requests[event.ticket]
        else:
            super()._cancelled(event)


class TimerKept(Coordinator):
    """Keeps the deadline of a cancelled request armed."""

    def _cancelled(self, event: Cancelled) -> None:
        timer = Timer(TimerKind.ACQUIRE, event.ticket)
        deadline = self.timers.armed.get(timer)
        super()._cancelled(event)
        if deadline is not None:
            self.timers.arm(*timer, deadline)


class _NewcomerFirst(Placement):
    def serve(self, pool: Pool) -> None:
        while pool.waiting:
            request = pool.waiting[max(pool.waiting)]
            if not self.place(pool, request):
                return
            pool.dequeue(request)


class NewcomerFirst(Coordinator):
    """Serves the youngest waiting request whenever a place becomes free."""

    placement_type = _NewcomerFirst


class _WaitsInRaiseMode(Admission):
    def refusal(self, pool: Pool, request: Request) -> Cause | None:
        return None


class WaitsInRaiseMode(Coordinator):
    """Lets requests wait where waiting is switched off."""

    admission_type = _WaitsInRaiseMode


class _WaitsForItself(Admission):
    def is_self_deadlock(self, pool: Pool, request: Request) -> bool:
        return False


class WaitsForItself(Coordinator):
    """Does not notice that a task waits for its own lease."""

    admission_type = _WaitsForItself


class _WaitsForItsParent(Admission):
    def is_self_deadlock(self, pool: Pool, request: Request) -> bool:
        own = pool.leases_by_owner.get(request.owner, 0)
        return own >= pool.limit and super().is_self_deadlock(pool, request)


class WaitsForItsParent(Coordinator):
    """Does not notice that a task waits for a lease whose holder waits for that task."""

    admission_type = _WaitsForItsParent


class UndeliveredGrantKept(Coordinator):
    """A requester that goes between its grant and its delivery keeps the lease."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            super()._cancelled(event)


class UndeliveredGrantBreaks(Coordinator):
    """Takes an instance for broken because the requester that it was granted to has gone."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is None or request.state != "granted":
            super()._cancelled(event)
        else:
            self._released(Released(event.ticket, broken=True))


class _ServesAnotherPool(Placement):
    def serve(self, pool: Pool) -> None:
        waiting = {ticket: other for other in self.ledger.pools.values() for ticket in other.waiting}
        super().serve(waiting[min(waiting)] if waiting else pool)


class ServesAnotherPool(Coordinator):
    """Offers what becomes free to the oldest of all waiting requests, whichever provider it waits for."""

    placement_type = _ServesAnotherPool


class _HeadOfLine(Placement):
    def place_waiting(self, pool: Pool) -> None:
        oldest = min((ticket for other in self.ledger.pools.values() for ticket in other.waiting), default=None)
        if oldest in pool.waiting:
            super().place_waiting(pool)


class HeadOfLine(Coordinator):
    """One queue for all providers: only the oldest of all waiting requests is placed."""

    placement_type = _HeadOfLine


class _LastDeadlineStands(Ledger):
    def arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        super().arm(kind, subject, seconds)
        if seconds is not None:
            self.timers.next_deadline = self.now + seconds


class LastDeadlineStands(Coordinator):
    """Tells its driver of the deadline that was set last, though another one is earlier."""

    ledger_type = _LastDeadlineStands


class _NeverTimesOut(Ledger):
    def arm(self, kind: TimerKind, subject: int, seconds: float | None) -> None:
        if kind is not TimerKind.ACQUIRE:
            super().arm(kind, subject, seconds)


class NeverTimesOut(Coordinator):
    """Lets a request wait beyond its time-out."""

    ledger_type = _NeverTimesOut


class _OneTooMany(Admission):
    def is_overfull(self, pool: Pool) -> bool:
        return self.max_waiting is not None and len(pool.waiting) > self.max_waiting + 1


class OneTooMany(Coordinator):
    """Lets one more request wait than `max_waiting` allows."""

    admission_type = _OneTooMany


class _OneTooFew(Admission):
    def refusal(self, pool: Pool, request: Request) -> Cause | None:
        full = self.max_waiting is not None and len(pool.waiting) >= self.max_waiting
        return super().refusal(pool, request) or (Cause.QUEUE_FULL if full else None)


class OneTooFew(Coordinator):
    """Takes the queue for full when there is room for one more request."""

    admission_type = _OneTooFew
