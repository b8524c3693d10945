"""Who gets an instance, and which: the one place where that is decided.

A request is placed by the first of these that applies: an idle or spare instance of its signature is granted; a start of its
signature that has a free slot is joined; a free place gets a new instance; the least recently used idle instance makes room; a
stopping instance whose place is promised to nobody gets it as successor. Otherwise it waits or is refused. Only the
policy's choice (for API providers: the oldest) is ever placed, so a newcomer overtakes nobody.
"""

from __future__ import annotations

from ..policies import Choice, Pause
from .index import Instance, Pool, Request
from .lifecycle import REQUEST
from .refusing import Refusing

__all__ = ["Placing"]


class Placing(Refusing):
    """The model's placements."""

    def _queue_up(self, pool: Pool, request: Request) -> None:
        """It joins the queue, may be its head at once (by priority), and is refused if it would have to wait and must not."""
        pool.enqueue(request)
        self._place_in_order(pool)
        if request.state != "new":
            return
        cause = self._why_not_wait(pool, request)
        if cause is not None:
            pool.dequeue(request)
            self._reject(request, cause, pool)
            return
        self._fire(REQUEST, request, "wait")
        self._refuse_those_who_wait_for_themselves(pool)

    def _serve(self, pool: Pool) -> None:
        """Something has become free, or somebody has left: place who is next, and refuse who now waits in vain."""
        if pool.waiting:
            self._place_in_order(pool)
            self._refuse_those_who_wait_for_themselves(pool)
        elif pool.kept is not None:
            self._end_pause(pool)

    def _place_in_order(self, pool: Pool) -> None:
        """Place waiting requests, in the policy's order, for as long as that goes."""
        while pool.waiting and (pool.usable or pool.loading or pool.vacating or pool.live < pool.limit):
            choice = pool.policy.choose()
            if isinstance(choice, Pause):
                choice = None if self._keep(pool, choice) else self._choose_at_once(pool)
            if choice is None:
                return
            if pool.kept is not None:
                self._end_pause(pool)
            request = pool.waiting[choice.ticket]
            if not self._place(pool, request):
                return
            pool.dequeue(request, placed=True)

    def _keep(self, pool: Pool, pause: Pause) -> bool:
        """Whether nobody is to be placed for now: something else is under way, or an idle instance is kept for those who may come back."""
        if pool.held:
            return True
        most = self.config.max_waiting
        if pool.raises or (most is not None and len(pool.waiting) > most):
            return False  # somebody would be refused while an instance is idle
        if pool.kept is not None:
            return True
        for instance in pool.idle.values():  # a slot has one at most
            end = instance.idle_since + pause.milliseconds / 1000
            if instance.demand.signature == pause.signature and end > self._now:
                self._pause(pool, instance, end)
                return True
        return False

    def _choose_at_once(self, pool: Pool) -> Choice | None:
        """The choice of a policy that has asked for a pause, when it is over. A policy that asks again gets nobody placed."""
        self._end_pause(pool)
        choice = pool.policy.choose()
        return None if isinstance(choice, Pause) else choice

    def _place(self, pool: Pool, request: Request) -> bool:
        """Give ``request`` an instance, now or when it is ready. False, and nothing is changed, where there is none."""
        signature = request.demand.signature
        if (row := pool.usable.get(signature)) is not None:
            self._grant(pool, row[-1], request)
        elif (row := pool.loading.get(signature)) is not None:
            self._assign(pool, row[0], request)
        elif pool.live < pool.limit:
            instance = self._new_instance(pool, request.demand)
            self._assign(pool, instance, request)
            self._start(pool, instance)
        elif pool.idle:
            victim = pool.idle[next(iter(pool.idle))]
            self.tally.counts["evictions"] += 1
            self._stop(pool, victim)
            self._succeed(pool, victim, request)
        elif pool.vacating:
            self._succeed(pool, pool.vacating[next(iter(pool.vacating))], request)
        else:
            return False
        return True

    def _succeed(self, pool: Pool, leaving: Instance, request: Request) -> None:
        """``request`` gets the place of ``leaving`` when that is down."""
        planned = self._new_instance(pool, request.demand)
        planned.predecessor, leaving.successor = leaving, planned
        self._assign(pool, planned, request)
        pool.refile(leaving)
