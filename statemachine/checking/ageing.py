"""Durations for policies that learn from them: each lease, load or pause may have taken any of a few durations when it ends.

In a search no clock runs: ``now`` is always 0. The coordinator computes a duration from the moment at which something began. So that
moment is moved into the past before the step, once for each of the scenario's ``durations``.
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
    """Yield ``moves``, and those that end a lease or a load in ``saved`` once for each of ``durations``.

    With ``pauses`` this goes for every move while an instance is idle, because it may end a pause.
    """
    held = {request.ticket for request in saved.requests if request.state == "granted"}
    idle = pauses and any(instance.state == "idle" for instance in saved.instances)
    for move in moves:
        if idle or _loaded(move.event) is not None or _ended(move.event) in held:
            yield from (move._replace(seconds=seconds) for seconds in durations)
        else:
            yield move


def age(coordinator: Coordinator, move: Move) -> None:
    """Set the beginning of the lease or load that ``move`` ends, and of all idle times, to ``move.seconds`` ago."""
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
    """Return the request that ``event`` ends."""
    return event.ticket if isinstance(event, Released | Cancelled) else None


def _loaded(event: Event) -> int | None:
    """Return the instance whose load ``event`` ends."""
    if isinstance(event, StartSucceeded | StartFailed):
        return event.instance
    if isinstance(event, Expired) and event.timer.kind is TimerKind.START:
        return event.timer.subject
    return None
