"""Small wrong models, one broken decision each: the checker must catch every one by the property that is meant for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from statemachine.config import PoolKey
from statemachine.events import Cancelled, Cause, Released, StartFailed, Stopped, TimerKind
from statemachine.lifecycle import INSTANCE, REQUEST
from statemachine.model import Model
from statemachine.moves import Moves
from statemachine.policy import BasePolicy, Bound, Choice, Line, Rank, Waiter
from statemachine.pool import Instance, Pool, Request

from .mutants_more import (
    DrainingIsLent,
    GrantsTwice,
    KeepsIdleTimer,
    LiesAboutItsBound,
    Miscounts,
    NeverCloses,
    Overcrowded,
    ReleasesAnotherLease,
    SaysItIsClosed,
    StartsTwice,
    WaitsWhileClosing,
    WrongModel,
)


class Mutant(NamedTuple):
    """A wrong model, the scenario that shows it, and the property that it violates. ``row`` is the known defect it stands for."""

    name: str
    row: str
    make: Callable[..., Model]
    scenario: str
    caught_by: str


class LimitIgnored(Model):
    """Starts one instance more than there is room for."""

    def _place(self, pool: Pool, request: Request) -> bool:
        if super()._place(pool, request):
            return True
        if pool.live == pool.limit:
            instance = self._new_instance(pool, request.demand)
            self._assign(pool, instance, request)
            self._start(pool, instance)
            return True
        return False


class NewBeforeOld(Model):
    """A switch starts the new instance before the old one is down."""

    def _succeed(self, pool: Pool, leaving: Instance, request: Request) -> None:
        instance = self._new_instance(pool, request.demand)
        self._assign(pool, instance, request)
        self._start(pool, instance)


class LostWakeUp(Model):
    """A failed start does not serve the next waiter."""

    _asleep = False

    def _start_failed(self, event: StartFailed) -> None:
        self._asleep = True
        super()._start_failed(event)
        self._asleep = False

    def _serve(self, pool: Pool) -> None:
        if not self._asleep:
            super()._serve(pool)


class LeakedSlot(Model):
    """A cancelled request that was waiting stays in the queue."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests.get(event.ticket)
        if request is not None and request.state == "waiting":
            del self.requests[event.ticket]
        else:
            super()._cancelled(event)


class NewcomerFirst(Model):
    """Serves the youngest waiter whenever a place becomes free."""

    def _serve(self, pool: Pool) -> None:
        while pool.waiting:
            request = pool.waiting[max(pool.waiting)]
            if not self._place(pool, request):
                return
            pool.dequeue(request)


class EveryoneIsTold(Model):
    """A failed start fails everybody who had joined it."""

    def _fail(self, instance: Instance, cause: Cause, constructed: bool) -> None:
        for request in list(instance.assigned.values())[1:]:
            del instance.assigned[request.ticket]
            self._reject(request, cause, self.pools[instance.demand.pool], instance)
        super()._fail(instance, cause, constructed)


class DrainForgotten(Model):
    """A broken release while others hold leases is treated like any other."""

    def _end_lease(self, request: Request, broken: bool) -> None:
        instance = request.instance
        assert instance is not None
        super()._end_lease(request, broken=False)
        if broken and instance.state == "active":
            INSTANCE.fire(instance, "drain")
            self.instances[instance.id].state = "active"
            self._stop(self.pools[instance.demand.pool], instance)


class StoppedTwice(Moves):
    """Tells the driver twice to stop an instance."""

    def _stop(self, pool: Pool, instance: Instance, trigger: str = "stop") -> None:
        super()._stop(pool, instance, trigger)
        self._effects.append(self._effects[-1])


class StoppedTwiceModel(Model, StoppedTwice):
    """The same, as a model."""


class WaitsInRaiseMode(Model):
    """Lets requests wait where waiting is switched off."""

    def _why_not_wait(self, pool: Pool, request: Request) -> Cause | None:
        return None


class WaitsForItself(Model):
    """Does not notice that a task waits for its own lease."""

    def _waits_for_itself(self, pool: Pool, request: Request) -> bool:
        return False


class TimerKept(Model):
    """Keeps a granted request's deadline armed."""

    def _give_up(self, request: Request, trigger: str) -> None:
        armed = dict(self.timers.armed)
        super()._give_up(request, trigger)
        timer = (TimerKind.ACQUIRE, request.ticket)
        if timer in armed and trigger == "cancel":
            self.timers.arm(timer, armed[timer])


class ForgetsToStop(Model):
    """Closing forgets idle instances."""

    def _close_pool(self, pool: Pool) -> None:
        for instance in list(pool.idle.values()):
            del self.instances[instance.id]
            pool.live -= 1
            pool.forget(instance)
        super()._close_pool(pool)


class GrantsWhileStopping(Model):
    """A stopping instance is granted to its own signature."""

    def _place(self, pool: Pool, request: Request) -> bool:
        for instance in pool.instances.values():
            if instance.state == "stopping" and instance.demand.signature == request.signature:
                self._fire(REQUEST, request, "grant")
                request.instance = instance
                pool.lend(instance, request)
                return True
        return super()._place(pool, request)


class DoubleGrant(Model):
    """A release of somebody else's ticket ends this lease too (identity by configuration, not by lease)."""

    def _released(self, event: Released) -> None:
        request = self.requests.get(event.ticket)
        super()._released(event)
        if request is not None and request.instance is not None:
            request.instance.leases.clear()


class SaturationForgotten(Model):
    """The pool's own state is not kept up to date."""

    def _update(self, pool: Pool) -> None:
        if self.closing:
            super()._update(pool)


class SuccessorForgotten(Model):
    """The end of a shutdown does not start its successor."""

    def _stopped(self, event: Stopped) -> None:
        instance = self.instances.get(event.instance)
        if instance is not None and instance.successor is not None:
            instance.successor.predecessor = None
            instance.successor = None
        super()._stopped(event)


class NotAdopted(Model):
    """Whoever joins a start whose requester has gone is not told of its failure, and joins the next one, for ever."""

    def _assign(self, pool: Pool, instance: Instance, request: Request) -> None:
        cause = instance.cause
        super()._assign(pool, instance, request)
        if instance.state == "starting":
            instance.cause = cause


class Raises(Model):
    """Takes it for granted that nobody is cancelled while a start is under way for them."""

    def _cancelled(self, event: Cancelled) -> None:
        request = self.requests[event.ticket]
        assert request.state != "assigned"
        super()._cancelled(event)


class ResidentFirst(BasePolicy):
    """A policy without a bound: the model served last goes first for as long as anybody wants it."""

    bound = Bound(passes=None, late=None)

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._model = ""

    def arrived(self, waiter: Waiter) -> None:
        self._lines.setdefault(waiter.signature, Line()).add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._model = waiter.signature
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        self._lines[waiter.signature].remove(waiter)

    def choose(self) -> Choice | None:
        if line := self._lines.get(self._model):
            return Choice(line.first, "same model")
        oldest = [line.first for line in self._lines.values() if line]
        return Choice(min(oldest), "oldest") if oldest else None

    def snapshot(self, rank: Rank) -> Hashable:
        return self._model

    def restore(self, memory: Hashable) -> None:
        self._model = str(memory)


class Starves(Model):
    """Serves the resident model for as long as anybody wants it, whatever policy was configured."""

    def _new_pool(self, key: PoolKey) -> Pool:
        pool = super()._new_pool(key)
        pool.policy = ResidentFirst()
        return pool


MUTANTS = [
    Mutant("limit ignored", "D1", LimitIgnored, "api-wait", "live_instances_within_limit"),
    Mutant("new before old", "D8/S3", NewBeforeOld, "slot-wait", "one_live_instance_per_slot"),
    Mutant("lost wake-up", "D6", LostWakeUp, "api-wait", "work_conservation"),
    Mutant("leaked slot", "D12", LeakedSlot, "api-wait", "the_departed_leave_no_trace"),
    Mutant("newcomer first", "D5", NewcomerFirst, "api-wait", "no_overtaking"),
    Mutant("everyone is told", "S4", EveryoneIsTold, "slot-raise", "failures_reach_their_cause"),
    Mutant("drain forgotten", "D9", DrainForgotten, "slot-raise", "no_shutdown_of_a_leased_instance"),
    Mutant("stopped twice", "D2", StoppedTwiceModel, "api-raise", "stopped_once"),
    Mutant("waits in raise mode", "contract", WaitsInRaiseMode, "slot-raise", "raise_never_waits"),
    Mutant("waits for itself", "contract", WaitsForItself, "slot-parallel", "nobody_waits_for_oneself"),
    Mutant("timer kept", "D11", TimerKept, "api-wait", "the_departed_leave_no_trace"),
    Mutant("forgets to stop", "D2", ForgetsToStop, "api-wait", "stopped_once"),
    Mutant("grants while stopping", "D9", GrantsWhileStopping, "slot-raise", "only_active_instances_are_leased"),
    Mutant("release by configuration", "D7", DoubleGrant, "slot-raise", "leases_match_requests"),
    Mutant("saturation forgotten", "contract", SaturationForgotten, "api-wait", "saturation_is_told"),
    Mutant("successor forgotten", "D10", SuccessorForgotten, "slot-wait", "every_waiter_can_be_woken"),
    Mutant("raises", "classic", Raises, "slot-raise", "model_never_fails"),
    Mutant("not adopted", "found here", NotAdopted, "live-api-2", "every_waiter_is_served[b]"),
    Mutant("overcrowded", "D1", Overcrowded, "slot-raise", "leases_within_parallel"),
    Mutant("draining is lent", "D9", DrainingIsLent, "slot-raise", "draining_takes_no_lease"),
    Mutant("wrong model", "S8", WrongModel, "slot-wait", "leases_have_their_signature"),
    Mutant("grants twice", "classic", GrantsTwice, "api-raise", "no_double_grant"),
    Mutant("starts twice", "S2", StartsTwice, "api-raise", "started_once"),
    Mutant("releases another lease", "D7", ReleasesAnotherLease, "api-raise", "release_is_idempotent"),
    Mutant("waits while closing", "D13", WaitsWhileClosing, "api-wait", "closing_admits_nobody"),
    Mutant("says it is closed", "D2", SaysItIsClosed, "api-raise", "nothing_lives_after_close"),
    Mutant("never closes", "D16", NeverCloses, "api-raise", "close_ends"),
    Mutant("keeps idle timer", "D11", KeepsIdleTimer, "api-raise", "deadlines_match_states"),
    Mutant("miscounts", "D12", Miscounts, "api-wait", "books_are_right"),
    Mutant("lies about its bound", "contract", LiesAboutItsBound, "slot-gated", "passing_within_bound"),
    Mutant("starves", "starvation", Starves, "live-fifo", "every_waiter_is_served[b]"),
]
