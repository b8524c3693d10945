"""The ``sometimes`` properties: what a scenario must show somewhere. A scenario that does not show it proves nothing about it."""

from __future__ import annotations

from typing import Final

from ..core.coordinator import Coordinator
from ..core.events import (
    AcquireRequested,
    Cancelled,
    Cause,
    Closed,
    Reject,
    StartFailed,
    StartInstance,
    StopInstance,
    Stopped,
    TimerKind,
)
from .property import Step, sometimes_a_state, sometimes_a_step

__all__ = ["SOMETIMES"]


@sometimes_a_state("A pool is saturated.")
def saturation(coordinator: Coordinator) -> bool:
    return any(pool.state == "saturated" for pool in coordinator.pools.values())


@sometimes_a_step("An idle instance is stopped to make room.")
def eviction_for_room(step: Step) -> bool:
    return isinstance(step.event, AcquireRequested) and any(isinstance(e, StopInstance) for e in step.effects)


@sometimes_a_step("A start fails while other requests wait.")
def failure_with_waiters(step: Step) -> bool:
    return isinstance(step.event, StartFailed) and "waiting" in step.before.requests.values()


@sometimes_a_step("A start fails that another request has joined.")
def failure_with_joiners(step: Step) -> bool:
    if not isinstance(step.event, StartFailed):
        return False
    failed, before = step.event.instance, step.before
    return sum(before.requests[t] == "assigned" for t, one in before.instance_of.items() if one == failed) > 1


@sometimes_a_step("When a shutdown ends, its place goes to the next instance.")
def succession(step: Step) -> bool:
    return isinstance(step.event, Stopped) and any(isinstance(e, StartInstance) for e in step.effects)


@sometimes_a_step("A switch: when one model is down, another is started in its place.")
def switch(step: Step) -> bool:
    if not isinstance(step.event, Stopped):
        return False
    gone = step.before.signatures.get(step.event.instance)
    return any(isinstance(e, StartInstance) and e.demand.signature != gone for e in step.effects)


@sometimes_a_step("A requester is cancelled after its grant, before the grant reaches it.")
def cancel_between_grant_and_delivery(step: Step) -> bool:
    return isinstance(step.event, Cancelled) and step.before.requests.get(step.event.ticket) == "granted"


@sometimes_a_step("A request is refused because other requests hold what it needs.")
def contention(step: Step) -> bool:
    causes = (Cause.LIMIT, Cause.CONFLICT, Cause.BUSY)
    return any(isinstance(e, Reject) and e.cause in causes for e in step.effects)


@sometimes_a_step(
    "A request is refused at once because leases above it, whose holders wait for its task, keep its place."
)
def refused_below_a_holder(step: Step) -> bool:
    event = step.event
    if not isinstance(event, AcquireRequested) or not event.held_above:
        return False
    return any(isinstance(e, Reject) and e.ticket == event.ticket and e.own for e in step.effects)


@sometimes_a_step("A request that waits is refused because it would wait for itself from now on.")
def refused_in_the_queue(step: Step) -> bool:
    causes, before = (Cause.CONFLICT, Cause.BUSY), step.before.requests
    return any(isinstance(e, Reject) and e.cause in causes and before.get(e.ticket) == "waiting" for e in step.effects)


@sometimes_a_state("The policy pauses: an idle instance is kept, although a request waits for another.")
def pause(coordinator: Coordinator) -> bool:
    return any(kind is TimerKind.PAUSE for kind, _ in coordinator.timers.armed)


@sometimes_a_step("A request is refused because the queue is full.")
def queue_full(step: Step) -> bool:
    return any(isinstance(e, Reject) and e.cause is Cause.QUEUE_FULL for e in step.effects)


@sometimes_a_step("Requests that come back from a failed start make the queue longer than newcomers may.")
def overfull_by_return(step: Step) -> bool:
    most = step.after.config.max_waiting
    return most is not None and any(len(pool.waiting) > most for pool in step.after.pools.values())


@sometimes_a_step("Closing ends.")
def close(step: Step) -> bool:
    return any(isinstance(e, Closed) for e in step.effects)


SOMETIMES: Final = (
    saturation,
    eviction_for_room,
    failure_with_waiters,
    failure_with_joiners,
    succession,
    switch,
    cancel_between_grant_and_delivery,
    contention,
    refused_below_a_holder,
    refused_in_the_queue,
    pause,
    queue_full,
    overfull_by_return,
    close,
)
"""All of this file, in the order in which they are evaluated."""
