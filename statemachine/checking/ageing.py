"""What a policy learns from: how long leases, loads and pauses have taken. Time is abstract: any of them may have taken any of a few times.

The coordinator itself computes the milliseconds, from the moment at which it began: that is set before the step. A search stands at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..core.coordinator import Coordinator
from ..core.events import Cancelled, Event, Expired, Released, StartFailed, StartSucceeded, TimerKind
from ..core.index import Request
from ..core.snapshot import Snapshot
from .scenario import Move

__all__ = ["age", "in_every_time"]


def in_every_time(moves: Iterable[Move], saved: Snapshot, durations: Sequence[float], pauses: bool) -> Iterator[Move]:
    """Each of ``moves``; those that end a lease or a load in ``saved`` once for each of ``durations``.

    If there may be ``pauses``, so are all moves while an instance is idle, because that may be what they end, or should have been.
    """
    held = {request.ticket for request in saved.requests if request.state == "granted"}
    idle = pauses and any(instance.state == "idle" for instance in saved.instances)
    for move in moves:
        if idle or _loaded(move.event) is not None or _ended(move.event) in held:
            yield from (move._replace(seconds=seconds) for seconds in durations)
        else:
            yield move


def age(coordinator: Coordinator, move: Move) -> None:
    """Let the lease or the load that ``move`` ends, and all idleness, have begun as long ago as it says."""
    aged: Iterable[Request] = ()
    if (ticket := _ended(move.event)) is not None:
        aged = [coordinator.requests[ticket]] if ticket in coordinator.requests else ()
    elif (instance := _loaded(move.event)) is not None:
        aged = coordinator.instances[instance].assigned.values()
    for request in aged:
        request.since = -move.seconds
    for one in coordinator.instances.values():
        if one.state == "idle":
            one.idle_since = -move.seconds


def _ended(event: Event) -> int | None:
    """The request that ``event`` ends."""
    return event.ticket if isinstance(event, Released | Cancelled) else None


def _loaded(event: Event) -> int | None:
    """The instance whose load ``event`` ends."""
    if isinstance(event, StartSucceeded | StartFailed):
        return event.instance
    if isinstance(event, Expired) and event.timer.kind is TimerKind.START:
        return event.timer.subject
    return None
