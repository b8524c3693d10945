"""The ``always`` properties of capacity, leases, starts, shutdowns, closing and the indexes. Those of waiting are in :mod:`.waiting`.

Each follows the definition of what must be true, and uses none of the counts and indexes by which the coordinator decides.
"""

from __future__ import annotations

import math
from typing import Final

from ..core.coordinator import Coordinator
from ..core.events import (
    Cancelled,
    Closed,
    Expired,
    Grant,
    Reject,
    Released,
    Revoke,
    StartFailed,
    StartInstance,
    StopInstance,
    TimerKind,
)
from ..core.index import Pool
from .property import Step, always_of_states, always_of_steps, live, picture

__all__ = ["ALWAYS"]

# ---- capacity ----


@always_of_states("A local slot has at most one live instance, across every start and every shutdown.")
def one_live_instance_per_slot(coordinator: Coordinator) -> bool:
    return all(live(pool) <= 1 for pool in coordinator.pools.values() if pool.is_slot)


@always_of_states("A provider never has more live instances than its limit, whatever their configurations.")
def live_instances_within_limit(coordinator: Coordinator) -> bool:
    return all(live(pool) <= pool.limit for pool in coordinator.pools.values())


@always_of_states("An instance has at most `parallel` leases, and at most `parallel` requests join its start.")
def leases_within_parallel(coordinator: Coordinator) -> bool:
    return all(max(len(i.leases), len(i.assigned)) <= i.demand.parallel for i in coordinator.instances.values())


# ---- leases ----


@always_of_steps("A request is granted at most once, and not after it has ended.", Grant)
def no_double_grant(step: Step) -> bool:
    granted = [effect.ticket for effect in step.effects if isinstance(effect, Grant)]
    if not granted:
        return True
    twice = len(granted) > len(set(granted)) or any(step.before.requests.get(t) == "granted" for t in granted)
    return not twice and all(t in step.after.requests for t in granted)


@always_of_steps("The release of a lease that is over changes nothing.", Released)
def release_is_idempotent(step: Step) -> bool:
    event = step.event
    if not isinstance(event, Released) or step.before.requests.get(event.ticket) == "granted":
        return True
    return not step.effects and picture(step.after) == step.before


@always_of_steps(
    "A request that is cancelled after its grant gives its lease back, and its instance goes on: it serves others, is idle, or makes "
    "room for a waiting request.",
    Cancelled,
)
def undelivered_grants_cost_nothing(step: Step) -> bool:
    event = step.event
    if not isinstance(event, Cancelled) or step.before.requests.get(event.ticket) != "granted":
        return True
    number = step.before.instance_of[event.ticket]
    if event.ticket in step.after.requests or (step.after.state == "open" and number not in step.after.instances):
        return False
    if step.after.state != "open" or step.before.instances[number] == "draining":
        return True
    instance = step.after.instances[number]
    return instance.state in ("active", "idle") or (instance.state == "stopping" and instance.successor is not None)


@always_of_states(
    "Every granted request has its lease on exactly the instance it was granted, and no other request has one."
)
def leases_match_requests(coordinator: Coordinator) -> bool:
    held = {ticket: i for i in coordinator.instances.values() for ticket in i.leases}
    granted = {r.ticket: r.instance for r in coordinator.requests.values() if r.state == "granted"}
    return held == granted and sum(len(i.leases) for i in coordinator.instances.values()) == len(held)


@always_of_states("Leases are on active and draining instances only, and each of these has one.")
def only_active_instances_are_leased(coordinator: Coordinator) -> bool:
    return all(bool(i.leases) == (i.state in ("active", "draining")) for i in coordinator.instances.values())


@always_of_steps("A granted instance is active and was not draining.", Grant)
def draining_instances_are_never_granted(step: Step) -> bool:
    granted = [e.instance for e in step.effects if isinstance(e, Grant)]
    return all(
        step.before.instances.get(i) != "draining" and step.after.instances[i].state == "active" for i in granted
    )


@always_of_states("Every lease is for the signature that was asked for.")
def leases_match_signatures(coordinator: Coordinator) -> bool:
    used = ((i, r) for i in coordinator.instances.values() for r in (*i.leases.values(), *i.assigned.values()))
    return all(i.demand.signature == r.signature for i, r in used)


# ---- starting and stopping ----


@always_of_steps("An instance is started once, before anything else happens to it.", StartInstance)
def started_once(step: Step) -> bool:
    started = [e.instance for e in step.effects if isinstance(e, StartInstance)]
    if not started:
        return True
    twice = len(started) > len(set(started))
    return not twice and all(step.before.instances.get(i, "absent") == "absent" for i in started)


@always_of_steps(
    "A started instance is stopped exactly once, and is removed only after that (or if nothing was constructed)."
)
def stopped_once(step: Step) -> bool:
    before, after = step.before.instances, step.after.instances
    told = [e.instance for e in step.effects if isinstance(e, StopInstance)]
    if len(told) > len(set(told)) or any(before.get(number) == "stopping" for number in told):
        return False
    for number, instance in after.items():
        if instance.state == "stopping" and before.get(number) != "stopping" and number not in told:
            return False
    aborted = step.event.instance if isinstance(step.event, StartFailed) and not step.event.constructed else None
    for number, state in before.items():
        if number not in after and state not in ("stopping", "absent") and number != aborted and number not in told:
            return False
    return True


@always_of_states("No instance is shut down while it is leased.")
def no_shutdown_of_a_leased_instance(coordinator: Coordinator) -> bool:
    return all(not i.leases for i in coordinator.instances.values() if i.state == "stopping")


@always_of_steps(
    "A start that fails ends the request that caused it and nothing else: every other request goes on, and every lease.",
    StartFailed,
    Expired,
)
def failed_starts_end_nothing_else(step: Step) -> bool:
    event = step.event
    if isinstance(event, StartFailed):
        failed = event.instance
    elif isinstance(event, Expired) and event.timer.kind is TimerKind.START:
        failed = event.timer.subject
    else:
        return True
    before, after = step.before, step.after.requests
    ended = [ticket for ticket in before.requests if ticket not in after]
    if len(ended) > 1 or any(before.instance_of.get(t) != failed or before.requests[t] != "assigned" for t in ended):
        return False
    return all(after[t].state == "granted" for t, state in before.requests.items() if state == "granted")


# ---- leaving and closing ----


@always_of_steps(
    "A request that was cancelled, timed out, rejected or revoked is in no record, queue, index or timer.",
    Cancelled,
    Expired,
    Reject,
    Revoke,
)
def ended_requests_leave_no_state(step: Step) -> bool:
    event = step.event
    gone = [e.ticket for e in step.effects if isinstance(e, (Reject, Revoke))]
    if isinstance(event, Cancelled):
        gone.append(event.ticket)
    elif isinstance(event, Expired) and event.timer.kind is TimerKind.ACQUIRE:
        gone.append(event.timer.subject)
    return all(_no_trace(step.after, ticket) for ticket in gone)


@always_of_steps("While the manager closes, no request waits and nothing is started or granted.")
def closing_grants_and_starts_nothing(step: Step) -> bool:
    if step.after.state not in ("closing", "closed"):
        return True
    if any(r.state != "granted" for r in step.after.requests.values()):
        return False
    return not any(isinstance(e, (Grant, StartInstance)) for e in step.effects)


@always_of_steps("A closed manager has no pool, instance, request or deadline, and says once that it is closed.")
def closed_manager_is_empty(step: Step) -> bool:
    coordinator = step.after
    told = sum(isinstance(e, Closed) for e in step.effects)
    if told > 1 or (told and coordinator.state != "closed"):
        return False
    return coordinator.state != "closed" or not (
        coordinator.pools or coordinator.instances or coordinator.requests or coordinator.timers.armed
    )


# ---- the indexes ----

_SUBJECT_STATES: Final = {
    TimerKind.ACQUIRE: ("waiting", "assigned"),
    TimerKind.START: ("starting",),
    TimerKind.STOP: ("stopping",),
    TimerKind.IDLE: ("idle",),
    TimerKind.PAUSE: ("idle",),
}


@always_of_steps(
    "A deadline is armed only for a subject that it can end, and every bounded start, shutdown and idle time has one."
)
def deadlines_match_states(step: Step) -> bool:
    coordinator, armed = step.after, step.after.timers.armed
    for kind, number in armed:
        if kind is TimerKind.GRACE:
            continue
        subject = coordinator.requests.get(number) if kind is TimerKind.ACQUIRE else coordinator.instances.get(number)
        if subject is None or subject.state not in _SUBJECT_STATES[kind]:
            return False
    for instance in coordinator.instances.values():
        state = instance.state
        if state == "starting":
            missing = coordinator.config.start_timeout is not None and (TimerKind.START, instance.id) not in armed
        elif state == "stopping":
            missing = coordinator.config.shutdown_timeout is not None and (TimerKind.STOP, instance.id) not in armed
        elif state == "idle":
            bounded = coordinator.pools[instance.demand.pool].idle_timeout is not None
            missing = bounded and (TimerKind.IDLE, instance.id) not in armed
        else:
            missing = False
        if missing:
            return False
    return True


@always_of_steps("The next deadline is never later than any deadline that is armed.")
def next_deadline_is_not_late(step: Step) -> bool:
    return step.after.next_deadline <= min(step.after.timers.armed.values(), default=math.inf)


@always_of_states("A pool is saturated exactly if no place can be given to another signature now.")
def saturated_iff_full(coordinator: Coordinator) -> bool:
    pools = [pool for pool in coordinator.pools.values() if pool.state in ("open", "saturated")]
    return all((pool.state == "saturated") == (pool.held >= pool.limit) for pool in pools)


@always_of_steps("The indexes agree with the records: queues with requests, counts and listings with instances.")
def indexes_are_consistent(step: Step) -> bool:
    coordinator = step.after
    queued = 0
    for pool in coordinator.pools.values():
        if not (_counts_are_right(pool) and _queue_is_right(pool, coordinator)):
            return False
        queued += len(pool.waiting)
    return queued == sum([request.state == "waiting" for request in coordinator.requests.values()])


def _counts_are_right(pool: Pool) -> bool:
    held = leases = listed = 0
    for instance in pool.instances.values():
        listing = instance.listing_of_state()
        if instance.listing is not listing:
            return False
        if listing.index is not None:
            listed += 2 if listing.index == "idle" else 1  # an idle instance is also listed as eligible
        held += listing.holds_place
        leases += len(instance.leases)
    rows = [pool.idle, pool.vacating, *pool.eligible.values(), *pool.loading.values()]
    counted = pool.live, pool.held, sum(pool.leases_by_owner.values()), sum(map(len, rows))
    return counted == (live(pool), held, leases, listed)


def _queue_is_right(pool: Pool, coordinator: Coordinator) -> bool:
    if not (all(pool.leases_by_owner.values()) and all(pool.waiting_by_owner.values())):
        return False  # an owner without a lease or a waiting request must not be listed
    if sum(map(len, pool.waiting_by_owner.values())) != len(pool.waiting):
        return False
    return all(r.state == "waiting" and coordinator.requests.get(ticket) is r for ticket, r in pool.waiting.items())


def _no_trace(coordinator: Coordinator, ticket: int) -> bool:
    if ticket in coordinator.requests or (TimerKind.ACQUIRE, ticket) in coordinator.timers.armed:
        return False
    if any(ticket in pool.waiting for pool in coordinator.pools.values()):
        return False
    return not any(ticket in i.leases or ticket in i.assigned for i in coordinator.instances.values())


ALWAYS: Final = (
    one_live_instance_per_slot,
    live_instances_within_limit,
    leases_within_parallel,
    no_double_grant,
    release_is_idempotent,
    undelivered_grants_cost_nothing,
    leases_match_requests,
    only_active_instances_are_leased,
    draining_instances_are_never_granted,
    leases_match_signatures,
    started_once,
    stopped_once,
    no_shutdown_of_a_leased_instance,
    failed_starts_end_nothing_else,
    ended_requests_leave_no_state,
    closing_grants_and_starts_nothing,
    closed_manager_is_empty,
    deadlines_match_states,
    next_deadline_is_not_late,
    saturated_iff_full,
    indexes_are_consistent,
)
"""All of this file, in the order in which they are evaluated."""
