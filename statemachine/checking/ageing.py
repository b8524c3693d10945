"""What a policy learns from: how long leases and loads have taken. Time is abstract, so each that ends may have taken each of a few times.

The model itself computes the milliseconds, from the moment at which the request's present phase began: that is moved back before the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..events import Cancelled, Event, Expired, Released, StartFailed, StartSucceeded, TimerKind
from ..model import Model
from ..pool import Request
from ..snapshot import Snapshot
from .scenario import Move

__all__ = ["age", "in_every_time"]


def in_every_time(events: Iterable[Event], saved: Snapshot, durations: Sequence[float]) -> Iterator[Move]:
    """Each of ``events``; those that end a lease or a load in ``saved`` once for each of ``durations``."""
    held = {request.ticket for request in saved.requests if request.state == "granted"}
    for event in events:
        ends = event.ticket in held if isinstance(event, Released | Cancelled) else _loaded(event) is not None
        yield from (Move(event, None, seconds) for seconds in (durations if ends else (0.0,)))


def age(model: Model, move: Move) -> None:
    """Let the lease or the load that ``move`` ends have begun as long ago as it says."""
    event = move.event
    aged: Iterable[Request] = ()
    if isinstance(event, Released | Cancelled):
        aged = [model.requests[event.ticket]]
    elif (instance := _loaded(event)) is not None:
        aged = model.instances[instance].assigned.values()
    for request in aged:
        request.since -= move.seconds


def _loaded(event: Event) -> int | None:
    """The instance whose load ``event`` ends."""
    if isinstance(event, StartSucceeded | StartFailed):
        return event.instance
    if isinstance(event, Expired) and event.timer[0] is TimerKind.START:
        return event.timer[1]
    return None
