"""Events, which go into the coordinator, and effects, which come out of it: frozen values without behaviour.

A request is known by its ticket, which the driver allocates in the order of arrival; an instance by its id, which the coordinator
allocates. Neither is ever used again, so a late event about something that is over changes nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

from ..config.providers import Demand, PoolKey
from ..value import value
from .lifecycle import Kind

__all__ = [
    "AbandonStop",
    "AcquireRequested",
    "Cancelled",
    "Cause",
    "CloseRequested",
    "Closed",
    "Effect",
    "Event",
    "Expired",
    "FoundBroken",
    "Grant",
    "InterruptStart",
    "Opened",
    "Reject",
    "Released",
    "Revoke",
    "StartFailed",
    "StartInstance",
    "StartSucceeded",
    "StopInstance",
    "Stopped",
    "Timer",
    "TimerKind",
    "Transition",
    "Wake",
]


class TimerKind(int, Enum):
    """What a deadline is for. At equal deadlines the smaller kind expires first, then the smaller ticket or id."""

    ACQUIRE = 0
    START = 1
    STOP = 2
    IDLE = 3
    GRACE = 4
    PAUSE = 5


# names of their own, because Python 3.11 takes 0.2 us to look one up in an Enum
ACQUIRE, START, STOP, IDLE, GRACE, PAUSE = TimerKind


class Timer(NamedTuple):
    """A deadline: what it is for, and the ticket or instance id that it belongs to (0 for GRACE)."""

    kind: TimerKind
    subject: int


class Cause(Enum):
    """Why a request is refused."""

    LIMIT = "limit"
    QUEUE_FULL = "queue full"
    CONFLICT = "conflict"
    BUSY = "busy"
    TIMED_OUT = "timed out"
    START_FAILED = "start failed"
    START_OVERDUE = "start overdue"
    CLOSED = "closed"


# ---- events: what happened ----


@value
class Opened:
    """The manager was entered. Before this, and from CloseRequested on, every request is rejected."""


@value
class AcquireRequested:
    """A task asks for a lease. ``owner`` is the task that will hold it; ``timeout`` is in seconds from now (None: unbounded).

    ``held_above``: the tickets of leases of the same pool whose holders wait for ``owner`` to end, such as the parent that runs it as a
    child. While ``owner`` waits, they are released only by hand.
    """

    ticket: int
    demand: Demand
    owner: object
    agent: str | None = None
    priority: int = 0
    timeout: float | None = None
    held_above: tuple[int, ...] = ()


@value
class Cancelled:
    """The requester was cancelled. If its request was granted in the meantime, the lease is released."""

    ticket: int


@value
class Released:
    """A lease is given back. ``broken``: its instance must not be used again."""

    ticket: int
    broken: bool = False


@value
class FoundBroken:
    """A holder found its instance broken, and has not released its lease yet: no new lease of the instance from now on."""

    ticket: int


@value
class StartSucceeded:
    """The instance is ready for calls."""

    instance: int


@value
class StartFailed:
    """The construction or the start failed. ``constructed``: an adapter exists, so it is shut down."""

    instance: int
    constructed: bool = True


@value
class Stopped:
    """The shutdown ended; ``failed``: by an error."""

    instance: int
    failed: bool = False


@value
class CloseRequested:
    """The manager closes. Without ``grace``, leases are revoked and starts interrupted at once."""

    grace: bool = True


@value
class Expired:
    """An armed deadline has passed. ``step`` makes this event itself from the time; the checker sends it at any moment."""

    timer: Timer


@value
class Wake:
    """Time has passed, and nothing else happened."""


Event: TypeAlias = (
    Opened
    | AcquireRequested
    | Cancelled
    | Released
    | FoundBroken
    | StartSucceeded
    | StartFailed
    | Stopped
    | CloseRequested
    | Expired
    | Wake
)

# ---- effects: what the driver has to do ----


@value
class Grant:
    """The request has its lease. ``queued`` and ``loading``: seconds in the queue, and for the start or shutdown that it needed."""

    ticket: int
    instance: int
    queued: float
    loading: float


@value
class Reject:
    """The request is refused. ``waited``: the seconds since it was made.

    ``holder`` is what holds the place that the request needs, and ``agents`` are the names of the agents that use it. ``limit`` is the
    number that was reached: ``max_waiting`` where the queue is full, else the places of the pool. ``own`` counts the leases that the
    requester itself holds there. ``instance``: whose start failed.
    """

    ticket: int
    demand: Demand
    cause: Cause
    waited: float
    holder: Demand | None = None
    limit: int | None = None
    instance: int | None = None
    own: int = 0
    agents: tuple[str, ...] = ()


@value
class Revoke:
    """The lease is over, though its holder has not released it."""

    ticket: int


@value
class StartInstance:
    """Construct and start an adapter; report StartSucceeded or StartFailed."""

    instance: int
    demand: Demand


@value
class InterruptStart:
    """Cancel the start. StopInstance follows. What the start reports afterwards is ignored."""

    instance: int


@value
class StopInstance:
    """Shut the adapter down as soon as its start has ended; report Stopped."""

    instance: int


@value
class AbandonStop:
    """Cancel the shutdown, which is overdue. The instance counts as gone, and a late Stopped is ignored."""

    instance: int


@value
class Closed:
    """The manager has closed: no instance, request or deadline is left."""


@value
class Transition:
    """One state change, for observers. ``subject`` is an instance's id, a request's ticket or a pool's key.

    ``time``: seconds on the driver's clock. ``demand``: what the instance or request is for (None for a pool). ``agent``: the name of
    the agent that made the request (None for an instance or a pool).
    """

    time: float
    machine: Kind
    subject: int | PoolKey
    trigger: str
    source: str
    dest: str
    demand: Demand | None = None
    agent: str | None = None


Effect: TypeAlias = (
    Grant | Reject | Revoke | StartInstance | InterruptStart | StopInstance | AbandonStop | Closed | Transition
)
