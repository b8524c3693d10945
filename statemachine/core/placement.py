"""Placement: choose the waiting request that is next, and the instance that it gets.

A *pool* has ``limit`` places; a live instance occupies one. Its place is *held* while no other signature can get it now: the instance is
starting, leased, or stopping for a successor. Instances with equal signatures can serve the same requests. A request is *placed* when an
instance is granted to it, or assigned because it will be ready later. The first of these rules that applies decides:

1. an idle instance of its signature, or an active one with a free lease, is granted;
2. a start of its signature that has a free lease is joined: the request is assigned to it;
3. a place that no instance occupies gets a new instance, which starts at once;
4. the least recently used idle instance is evicted, and its place is reserved for a new instance;
5. an instance that is stopping, with no reservation of its place, has its place reserved.

A pool keeps its instances in lists for these rules (:mod:`.index`): ``eligible`` for rule 1, ``loading`` for rule 2, ``idle`` for rule 4,
``vacating`` for rule 5. ``live`` counts the places that are occupied, ``held`` those that are held.

Otherwise the request waits in the queue or is refused (:mod:`.admission`). Only the request that the policy chooses is ever placed (for
API providers: the oldest one), so a newcomer overtakes no waiting request.

Example: a local slot (one place) holds model ``a``, idle, and a request for ``b`` arrives. Rules 1 to 3 do not apply. By rule 4 ``a`` is
evicted: it stops, and a planned instance of ``b`` is its *successor*. The request is assigned to that plan, which starts when ``a`` is
down.

A policy may answer with a *pause* instead of a choice: keep an idle instance for a moment, because requests for it are likely to come.
"""

from __future__ import annotations

from ..policies import Choice, Pause
from .admission import Admission
from .index import Instance, Pool, Request
from .ledger import Ledger

__all__ = ["Placement"]


class Placement:
    """Decides about queues and places. The ledger carries the decisions out, and the rules of ``admission`` say who must not wait."""

    def __init__(self, ledger: Ledger, admission: Admission) -> None:
        self.ledger = ledger
        self.admission = admission

    def place_alone(self, pool: Pool, request: Request) -> bool:
        """Place ``request``, which is new and beside which none waits, without a place in the queue. Else return False, and no change.

        The policy of a slot sees it nevertheless: it remembers the turns, and may let a single request wait.
        """
        if not pool.is_slot:
            return self.place(pool, request)
        if pool.held:
            return False
        policy = pool.policy
        policy.arrived(request)
        if isinstance(policy.choose(), Choice) and self.place(pool, request):
            policy.placed(request)
            return True
        policy.left(request)
        return False

    def place_or_queue(self, pool: Pool, request: Request) -> None:
        """Add ``request``, which is new, to the queue, and place what can be placed. Reject it if it must not wait."""
        pool.enqueue(request)
        if self.takes_newcomers(pool):
            self.place_waiting(pool)
            if request.state != "new":
                return
        cause = self.admission.refusal(pool, request)
        if cause is not None:
            pool.dequeue(request)
            self.ledger.reject(request, cause, pool)
            return
        self.ledger.fire_request(request, "wait")
        if pool.is_slot:
            self._reject_self_deadlocks(pool)

    def takes_newcomers(self, pool: Pool) -> bool:
        """Return whether a request that comes now could be placed: in a free place, or in an instance with a free lease."""
        return pool.state != "saturated" or bool(pool.eligible or pool.loading)

    def serve(self, pool: Pool) -> None:
        """Place waiting requests, after a place or a lease became free or the queue changed. Reject those that now wait for themselves."""
        if pool.waiting:
            self.place_waiting(pool)
            if pool.is_slot:
                self._reject_self_deadlocks(pool)
        elif pool.kept is not None:
            self.ledger.end_pause(pool)

    def place_waiting(self, pool: Pool) -> None:
        """Place waiting requests, in the policy's order, until one cannot be placed."""
        while pool.waiting and (pool.eligible or pool.loading or pool.held < pool.limit):
            choice = pool.policy.choose()
            if isinstance(choice, Pause):
                choice = None if self.pauses(pool, choice) else self._choose_at_once(pool)
            if choice is None:
                return
            if pool.kept is not None:
                self.ledger.end_pause(pool)
            request = pool.waiting[choice.ticket]
            if not self.place(pool, request):
                return
            pool.dequeue(request, placed=True)

    def pauses(self, pool: Pool, pause: Pause) -> bool:
        """Decide whether ``pause`` is granted: then no request is placed for now.

        A pause is granted while the pool is in use anyway, and while there is an idle instance to keep. It is not granted where a request
        would be refused beside an idle instance.
        """
        if pool.held:
            return True
        if pool.raises or self.admission.is_overfull(pool):
            return False  # a request would be refused while an instance is idle
        if pool.kept is not None:
            return True
        for instance in pool.idle.values():  # a slot has at most one
            end = instance.idle_since + pause.milliseconds / 1000
            if instance.demand.signature == pause.signature and end > self.ledger.now:
                self.ledger.keep(pool, instance, end)
                return True
        return False

    def _choose_at_once(self, pool: Pool) -> Choice | None:
        """End the pause, and return the choice that the policy makes instead; None if it asks for another pause."""
        self.ledger.end_pause(pool)
        choice = pool.policy.choose()
        return None if isinstance(choice, Pause) else choice

    def place(self, pool: Pool, request: Request) -> bool:
        """Give ``request`` an instance, now or when it is ready. False, and no change, where there is none."""
        ledger, signature = self.ledger, request.demand.signature
        if (row := pool.eligible.get(signature)) is not None:  # rule 1
            ledger.grant(pool, row[-1], request)
        elif (row := pool.loading.get(signature)) is not None:  # rule 2
            ledger.assign(pool, row[0], request)
        elif pool.held >= pool.limit:
            return False
        elif pool.live < pool.limit:  # rule 3
            instance = ledger.new_instance(pool, request.demand)
            ledger.assign(pool, instance, request)
            ledger.start(pool, instance)
        elif pool.idle:  # rule 4
            victim = pool.idle[next(iter(pool.idle))]
            ledger.tally.counts["evictions"] += 1
            self.reserve(pool, victim, request)
        else:  # rule 5: a place that is neither held nor free nor idle is vacated
            self.reserve(pool, pool.vacating[next(iter(pool.vacating))], request)
        return True

    def reserve(self, pool: Pool, leaving: Instance, request: Request) -> None:
        """Reserve the place of ``leaving``, which is stopping or to be stopped now, for ``request``."""
        planned = self.ledger.new_instance(pool, request.demand)
        planned.predecessor, leaving.successor = leaving, planned
        if leaving.state == "stopping":
            pool.reindex(leaving)
        else:
            self.ledger.stop(pool, leaving)
        self.ledger.assign(pool, planned, request)

    def _reject_self_deadlocks(self, pool: Pool) -> None:
        """Reject the waiting requests of a slot that only their own leases block. Most calls find no owner that both holds and waits."""
        if not pool.waiting_below and pool.leases_by_owner.keys().isdisjoint(pool.waiting_by_owner.keys()):
            return
        for request in self.admission.self_deadlocks(pool):
            pool.dequeue(request)
            self.ledger.reject(request, self.admission.contention(pool, request), pool)
