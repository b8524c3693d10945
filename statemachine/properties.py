"""What must hold, as named values: shared by the checker, the tests and whoever drives the model.

An ``always`` property is looked at after every step, with what the step was (:class:`Step`). A ``sometimes`` property shows that a
scenario is not vacuous: some step must satisfy it. Each is one sentence and one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from .events import (
    AcquireRequested,
    Cancelled,
    Cause,
    Closed,
    CloseRequested,
    Effect,
    Event,
    Expired,
    Grant,
    Reject,
    Revoke,
    StartFailed,
    StartInstance,
    StopInstance,
    Stopped,
    TimerKind,
)
from .model import Model
from .pool import Instance, Pool, Request

__all__ = ["ALWAYS", "PROPERTIES", "SOMETIMES", "Picture", "Property", "Step", "picture", "placed", "violated"]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a step property has to know of the state before: each instance's and each request's state."""

    instances: dict[int, str]
    requests: dict[int, str]


def picture(model: Model) -> Picture:
    """The picture of ``model`` now."""
    return Picture(
        {i.id: i.state for i in model.instances.values()}, {r.ticket: r.state for r in model.requests.values()}
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the picture before, the event, its effects, and the model after."""

    before: Picture
    event: Event
    effects: list[Effect]
    after: Model


@dataclass(frozen=True, slots=True)
class Property:
    """A named statement about every step (``always``) or about at least one (``sometimes``)."""

    name: str
    kind: Literal["always", "sometimes"]
    sentence: str
    holds: Callable[[Step], bool]


PROPERTIES: list[Property] = []


def _property(kind: Literal["always", "sometimes"], sentence: str) -> Callable[[Callable[[Step], bool]], Property]:
    def declare(holds: Callable[[Step], bool]) -> Property:
        declared = Property(holds.__name__, kind, sentence, holds)
        PROPERTIES.append(declared)
        return declared

    return declare


def violated(step: Step) -> list[Property]:
    """The ``always`` properties that ``step`` violates."""
    return [p for p in ALWAYS if not p.holds(step)]


_LIVE = frozenset({"starting", "active", "draining", "idle", "stopping"})

# ---- capacity ----


@_property("always", "A local slot has at most one live instance, across every start and every shutdown.")
def one_live_instance_per_slot(step: Step) -> bool:
    return all(_live(pool) <= 1 for pool in step.after.pools.values() if pool.is_slot)


@_property("always", "A provider never has more live instances than its limit, whatever their configurations.")
def live_instances_within_limit(step: Step) -> bool:
    return all(_live(pool) <= pool.limit for pool in step.after.pools.values())


@_property("always", "An instance has at most `parallel` leases, and at most `parallel` requests join its start.")
def leases_within_parallel(step: Step) -> bool:
    return all(max(len(i.leases), len(i.assigned)) <= i.demand.parallel for i in step.after.instances.values())


# ---- leases ----


@_property("always", "A request is granted at most once, and not after it has ended.")
def no_double_grant(step: Step) -> bool:
    granted = [effect.ticket for effect in step.effects if isinstance(effect, Grant)]
    return len(granted) == len(set(granted)) and all(step.before.requests.get(t) != "granted" for t in granted)


@_property(
    "always", "Every granted request has its lease on exactly the instance it was granted, and nobody else has one."
)
def leases_match_requests(step: Step) -> bool:
    held = {ticket: i for i in step.after.instances.values() for ticket in i.leases}
    granted = {r.ticket: r.instance for r in step.after.requests.values() if r.state == "granted"}
    return held == granted and sum(len(i.leases) for i in step.after.instances.values()) == len(held)


@_property("always", "Leases are on active and draining instances only, and each of these has one.")
def only_active_instances_are_leased(step: Step) -> bool:
    return all(bool(i.leases) == (i.state in ("active", "draining")) for i in step.after.instances.values())


@_property("always", "A draining instance takes no new lease.")
def draining_takes_no_lease(step: Step) -> bool:
    granted = [e.instance for e in step.effects if isinstance(e, Grant)]
    return all(step.before.instances.get(i) != "draining" and _state(step, i) == "active" for i in granted)


@_property("always", "Every lease is for the signature that was asked for.")
def leases_have_their_signature(step: Step) -> bool:
    used = ((i, r) for i in step.after.instances.values() for r in (*i.leases.values(), *i.assigned.values()))
    return all(i.demand.signature == r.signature for i, r in used)


# ---- starting and stopping ----


@_property("always", "An instance is started once, before anything else happens to it.")
def started_once(step: Step) -> bool:
    started = [e.instance for e in step.effects if isinstance(e, StartInstance)]
    return len(started) == len(set(started)) and all(
        step.before.instances.get(i, "absent") == "absent" for i in started
    )


@_property(
    "always",
    "A started instance is told to stop exactly once, and is gone only after that (or if nothing was constructed).",
)
def stopped_once(step: Step) -> bool:
    told = [e.instance for e in step.effects if isinstance(e, StopInstance)]
    if len(told) != len(set(told)) or any(step.before.instances.get(i) == "stopping" for i in told):
        return False
    now_stopping = {i.id for i in step.after.instances.values() if i.state == "stopping"}
    were_stopping = {i for i, state in step.before.instances.items() if state == "stopping"}
    gone = {i for i, state in step.before.instances.items() if state in _LIVE} - step.after.instances.keys()
    aborted = {step.event.instance} if isinstance(step.event, StartFailed) and not step.event.constructed else set()
    return now_stopping - were_stopping <= set(told) and gone <= were_stopping | set(told) | aborted


@_property("always", "No instance is shut down while it is leased.")
def no_shutdown_of_a_leased_instance(step: Step) -> bool:
    return all(not i.leases for i in step.after.instances.values() if i.state == "stopping")


# ---- waiting ----


@_property("always", "No request waits while the one that is to be served next could be served.")
def work_conservation(step: Step) -> bool:
    return not any(_could_serve(pool) for pool in step.after.pools.values() if pool.waiting)


@_property(
    "always",
    "No request is placed while one of higher priority, or under first come, first served an older one, waits.",
)
def no_overtaking(step: Step) -> bool:
    for request in placed(step):
        pool = step.after.pools[request.demand.pool]
        by_age = pool.policy.bound.passes == 0
        if any(_precedes(w, request, by_age) for w in pool.waiting.values() if _waited_before(step, w)):
            return False
    return True


@_property("always", "Where waiting is switched off, nobody waits.")
def raise_never_waits(step: Step) -> bool:
    return not any(pool.waiting for pool in step.after.pools.values() if pool.raises)


@_property(
    "always", "Whoever waits, waits for something that will happen: a release, or the end of a start or a shutdown."
)
def every_waiter_can_be_woken(step: Step) -> bool:
    for request in step.after.requests.values():
        if request.state == "assigned" and not _will_start(request):
            return False
        if request.state == "waiting" and step.after.pools[request.demand.pool].held == 0:
            return False
    return True


@_property("always", "Nobody waits for a lease of one's own to end.")
def nobody_waits_for_oneself(step: Step) -> bool:
    for pool in step.after.pools.values():
        for request in pool.waiting.values():
            own = [i for i in pool.instances.values() if any(r.owner == request.owner for r in i.leases.values())]
            if len(own) >= pool.limit and not any(_may_free_a_slot_for(request, i) for i in own):
                return False
    return True


@_property("always", "A cancelled or timed-out request leaves no trace.")
def the_departed_leave_no_trace(step: Step) -> bool:
    event = step.event
    if isinstance(event, Cancelled):
        gone = {event.ticket}
    elif isinstance(event, Expired) and event.timer[0] is TimerKind.ACQUIRE:
        gone = {event.timer[1]}
    else:
        gone = set()
    gone |= {e.ticket for e in step.effects if isinstance(e, (Reject, Revoke))}
    return all(_no_trace(step.after, ticket) for ticket in gone)


@_property("always", "A failed start is told to the request that caused it, and to nobody else.")
def failures_reach_their_cause(step: Step) -> bool:
    failures = [
        e for e in step.effects if isinstance(e, Reject) and e.cause in (Cause.START_FAILED, Cause.START_OVERDUE)
    ]
    return len(failures) <= 1 and all(step.before.requests.get(e.ticket) == "assigned" for e in failures)


# ---- closing ----


@_property("always", "While the manager closes, nobody waits and nothing new is started or granted.")
def closing_admits_nobody(step: Step) -> bool:
    if not step.after.closing or isinstance(step.event, CloseRequested):
        return True
    nobody = all(r.state == "granted" for r in step.after.requests.values())
    return nobody and not any(isinstance(e, (Grant, StartInstance)) for e in step.effects)


@_property("always", "After close nothing lives: no pool, instance, request or deadline.")
def nothing_lives_after_close(step: Step) -> bool:
    model = step.after
    told = any(isinstance(e, Closed) for e in step.effects)
    return not (model.closed or told) or not (model.pools or model.instances or model.requests or model.timers.armed)


# ---- the books ----


@_property("always", "A pool is saturated exactly when no place could be given to a new signature.")
def saturation_is_told(step: Step) -> bool:
    pools = [pool for pool in step.after.pools.values() if pool.state in ("open", "saturated")]
    return all((pool.state == "saturated") == (pool.held >= pool.limit) for pool in pools)


@_property("always", "Counts and shelves agree with the instances they are about.")
def books_are_right(step: Step) -> bool:
    return all(_books_are_right(pool) for pool in step.after.pools.values())


# ---- not vacuous ----


@_property("sometimes", "A pool is saturated.")
def saturation(step: Step) -> bool:
    return any(pool.state == "saturated" for pool in step.after.pools.values())


@_property("sometimes", "An idle instance is stopped to make room.")
def eviction_for_room(step: Step) -> bool:
    return isinstance(step.event, AcquireRequested) and any(isinstance(e, StopInstance) for e in step.effects)


@_property("sometimes", "A start fails while others wait.")
def failure_with_waiters(step: Step) -> bool:
    return isinstance(step.event, StartFailed) and "waiting" in step.before.requests.values()


@_property("sometimes", "A place goes on to the next when a shutdown ends.")
def succession(step: Step) -> bool:
    return isinstance(step.event, Stopped) and any(isinstance(e, StartInstance) for e in step.effects)


@_property("sometimes", "A request is refused because of another holder.")
def contention(step: Step) -> bool:
    causes = (Cause.LIMIT, Cause.CONFLICT, Cause.BUSY)
    return any(isinstance(e, Reject) and e.cause in causes for e in step.effects)


@_property("sometimes", "Closing ends.")
def close(step: Step) -> bool:
    return any(isinstance(e, Closed) for e in step.effects)


ALWAYS = tuple(p for p in PROPERTIES if p.kind == "always")
SOMETIMES = tuple(p for p in PROPERTIES if p.kind == "sometimes")

# ---- helpers: written from the definitions, not from the model's own shortcuts ----


def _live(pool: Pool) -> int:
    return sum(i.state in _LIVE for i in pool.instances.values())


def _state(step: Step, instance: int) -> str:
    return step.after.instances[instance].state


def _could_serve(pool: Pool) -> bool:
    choice = pool.policy.choose()
    if choice is None:
        return False
    wanted = pool.waiting[choice.ticket].signature
    return _live(pool) < pool.limit or any(_could_take(i, wanted) for i in pool.instances.values())


def _could_take(i: Instance, wanted: str) -> bool:
    if i.state == "idle" or (i.state == "stopping" and i.successor is None):
        return True
    if i.demand.signature != wanted:
        return False
    used = len(i.leases) if i.state == "active" else len(i.assigned)
    return i.state in ("active", "starting", "absent") and used < i.demand.parallel


def placed(step: Step) -> Iterator[Request]:
    """Requests that got an instance in this step, and did not merely change from loading to holding."""
    for request in step.after.requests.values():
        before = step.before.requests.get(request.ticket, "new")
        if request.state in ("assigned", "granted") and before in ("new", "waiting"):
            yield request


def _waited_before(step: Step, request: Request) -> bool:
    return step.before.requests.get(request.ticket) == "waiting"


def _precedes(a: Request, b: Request, by_age: bool) -> bool:
    return a.priority > b.priority or (by_age and a.priority == b.priority and a.ticket < b.ticket)


def _will_start(request: Request) -> bool:
    instance = request.instance
    if instance is None or request.ticket not in instance.assigned:
        return False
    leaving = instance.predecessor
    planned = instance.state == "absent" and leaving is not None and leaving.state == "stopping"
    return instance.state == "starting" or (planned and leaving is not None and leaving.successor is instance)


def _may_free_a_slot_for(request: Request, i: Instance) -> bool:
    own = sum(r.owner == request.owner for r in i.leases.values())
    return i.demand.signature == request.signature and i.state != "draining" and own < i.demand.parallel


def _no_trace(model: Model, ticket: int) -> bool:
    if ticket in model.requests or (TimerKind.ACQUIRE, ticket) in model.timers.armed:
        return False
    if any(ticket in pool.waiting for pool in model.pools.values()):
        return False
    return not any(ticket in i.leases or ticket in i.assigned for i in model.instances.values())


def _books_are_right(pool: Pool) -> bool:
    instances = pool.instances.values()
    shelved = {i for row in (pool.idle, pool.vacating, *pool.loading.values(), *pool.usable.values()) for i in row}
    return (
        pool.live == _live(pool)
        and pool.held == sum(i.keeps_its_place() for i in instances)
        and all(i.shelf is i.right_shelf() for i in instances)
        and shelved == {i.id for i in instances if i.right_shelf() is not None}
        and sum(pool.leases_by_owner.values()) == sum(len(i.leases) for i in instances)
        and sum(map(len, pool.waiting_by_owner.values())) == len(pool.waiting)
        and all(pool.leases_by_owner.values())  # who has none is not kept
        and all(pool.waiting_by_owner.values())
        and all(r.state == "waiting" for r in pool.waiting.values())
    )
