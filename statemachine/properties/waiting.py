"""The ``always`` properties of waiting requests: who waits, for what, and behind whom. See :mod:`.always`."""

from __future__ import annotations

from typing import Final

from ..core.coordinator import Coordinator
from ..core.events import AcquireRequested, Cause, Expired, Reject, TimerKind
from ..core.index import Instance, Pool, Request
from ..policies import Pause
from .property import Step, always_of_states, always_of_steps, live, placed

__all__ = ["ALWAYS"]


@always_of_states(
    "No request waits while the next one in the policy's order could be placed; and only a policy that may pause does."
)
def work_conservation(coordinator: Coordinator) -> bool:
    return not any(_could_serve(pool) for pool in coordinator.pools.values() if pool.waiting)


@always_of_states(
    "A pause has a deadline, an idle instance that it keeps, a waiting request, and a policy that asks for it."
)
def pauses_are_justified(coordinator: Coordinator) -> bool:
    for pool in coordinator.pools.values():
        if _pauses(coordinator, pool) != (pool.kept is not None):
            return False
        if pool.kept is not None and not (pool.waiting and isinstance(pool.policy.choose(), Pause)):
            return False
    return True


@always_of_steps("When a pause expires while requests wait, one of them is placed.", Expired)
def pauses_end_in_a_placement(step: Step) -> bool:
    event = step.event
    if not isinstance(event, Expired) or event.timer.kind is not TimerKind.PAUSE:
        return True
    return any(placed(step)) or "waiting" not in step.before.requests.values()


@always_of_steps("No request is refused for lack of a place while an instance of its pool is idle.", Reject)
def no_refusal_beside_an_idle_instance(step: Step) -> bool:
    contended = (e for e in step.effects if isinstance(e, Reject) and e.cause in _CONTENTION)
    pools = [step.after.pools[effect.demand.pool] for effect in contended]
    return not any(i.state == "idle" for pool in pools for i in pool.instances.values())


@always_of_steps(
    "No request is placed while one of higher priority waits, or, under first come, first served, an older one."
)
def no_overtaking(step: Step) -> bool:
    for request in placed(step):
        pool = step.after.pools[request.demand.pool]
        by_age = pool.policy.bound.passes == 0
        waited = (w for w in pool.waiting.values() if step.before.requests.get(w.ticket) == "waiting")
        if any(_precedes(w, request, by_age) for w in waited):
            return False
    return True


@always_of_states("Where waiting is switched off, no request waits.")
def raise_mode_never_waits(coordinator: Coordinator) -> bool:
    return not any(pool.waiting for pool in coordinator.pools.values() if pool.raises)


@always_of_steps(
    "A newcomer that would make a pool's waiting requests more than `max_waiting` is refused because the queue is full, and no other "
    "request is; only requests that come back from a failed start can make the queue longer."
)
def waiting_is_bounded(step: Step) -> bool:
    most, before = step.after.config.max_waiting, step.before.requests
    full = [e for e in step.effects if isinstance(e, Reject) and e.cause is Cause.QUEUE_FULL]
    if most is None:
        return not full
    for pool in step.after.pools.values():
        if len(pool.waiting) > most and any(ticket not in before for ticket in pool.waiting):
            return False  # only requests of before the step may be there: they waited already, or come back
    for one in full:
        newcomer = isinstance(step.event, AcquireRequested) and step.event.ticket == one.ticket
        if not newcomer or len(step.after.pools[one.demand.pool].waiting) < most:
            return False
    return True


@always_of_states(
    "Every request waits for something that will happen: a release, or the end of a start, a shutdown or a pause."
)
def every_waiter_can_be_woken(coordinator: Coordinator) -> bool:
    for request in coordinator.requests.values():
        if request.state == "assigned" and not _will_start(request):
            return False
        if request.state == "waiting":
            pool = coordinator.pools[request.demand.pool]
            if pool.held == 0 and not _pauses(coordinator, pool):
                return False
    return True


@always_of_states(
    "No request waits for a place that only its own owner's leases keep from it, or leases whose holders wait for the owner."
)
def no_self_deadlock(coordinator: Coordinator) -> bool:
    for pool in coordinator.pools.values():
        holders = {r.owner for i in pool.instances.values() for r in i.leases.values()} if pool.waiting else ()
        for request in pool.waiting.values():
            if (request.owner in holders or request.held_above) and not _others_may_help(pool, request):
                return False
    return True


@always_of_steps("A failed start is reported to the request that caused it, and to no other.", Reject)
def start_failures_reach_their_requester(step: Step) -> bool:
    causes = (Cause.START_FAILED, Cause.START_OVERDUE)
    failures = [e for e in step.effects if isinstance(e, Reject) and e.cause in causes]
    return not failures or (
        len(failures) == 1 and all(step.before.requests.get(e.ticket) == "assigned" for e in failures)
    )


def _could_serve(pool: Pool) -> bool:
    choice = pool.policy.choose()
    if choice is None:
        return False
    if isinstance(choice, Pause):
        return pool.policy.work_conserving and not any(i.state in _AT_WORK for i in pool.instances.values())
    wanted = pool.waiting[choice.ticket].signature
    return live(pool) < pool.limit or any(_could_take(i, wanted) for i in pool.instances.values())


_CONTENTION: Final = frozenset({Cause.LIMIT, Cause.CONFLICT, Cause.BUSY, Cause.QUEUE_FULL})

_AT_WORK: Final = frozenset({"starting", "active", "draining"})


def _pauses(coordinator: Coordinator, pool: Pool) -> bool:
    """Return whether the pool pauses: an idle instance has a deadline of a pause."""
    return any(
        i.state == "idle" and (TimerKind.PAUSE, i.id) in coordinator.timers.armed for i in pool.instances.values()
    )


def _could_take(i: Instance, wanted: str) -> bool:
    if i.state == "idle" or (i.state == "stopping" and i.successor is None):
        return True
    if i.demand.signature != wanted:
        return False
    used = len(i.leases) if i.state == "active" else len(i.assigned)
    return i.state in ("active", "starting", "absent") and used < i.demand.parallel


def _precedes(a: Request, b: Request, by_age: bool) -> bool:
    return a.priority > b.priority or (by_age and a.priority == b.priority and a.ticket < b.ticket)


def _will_start(request: Request) -> bool:
    instance = request.instance
    if instance is None or request.ticket not in instance.assigned:
        return False
    leaving = instance.predecessor
    planned = instance.state == "absent" and leaving is not None and leaving.state == "stopping"
    return instance.state == "starting" or (planned and leaving is not None and leaving.successor is instance)


def _others_may_help(pool: Pool, request: Request) -> bool:
    """Return whether there is a place that it does not keep by waiting, or a lease of such an instance that may become free."""
    own = [i for i in pool.instances.values() if _kept_by(request, i)]
    return len(own) < pool.limit or any(_may_free_a_slot_for(request, i) for i in own)


def _may_free_a_slot_for(request: Request, i: Instance) -> bool:
    own = _kept_by(request, i)
    return i.demand.signature == request.signature and i.state != "draining" and own < i.demand.parallel


def _kept_by(request: Request, i: Instance) -> int:
    return sum(r.owner == request.owner or r.ticket in request.held_above for r in i.leases.values())


ALWAYS: Final = (
    work_conservation,
    pauses_are_justified,
    pauses_end_in_a_placement,
    no_refusal_beside_an_idle_instance,
    no_overtaking,
    raise_mode_never_waits,
    waiting_is_bounded,
    every_waiter_can_be_woken,
    no_self_deadlock,
    start_failures_reach_their_requester,
)
"""All of this file, in the order in which they are evaluated."""
