"""What goes into the model and what comes out of it: frozen values, without behaviour.

Requests are known by a ticket, which the driver allocates in the order of arrival; instances by an id, which the model allocates.
Neither is ever used again, so a late event for something that is over finds nothing and does nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

from ..config.providers import Demand, PoolKey
from ..value import value

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

Timer: TypeAlias = tuple[TimerKind, int]
"""A deadline's kind and the ticket or instance id that it belongs to (0 for GRACE)."""


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
class AcquireRequested:
    """Somebody wants a lease. ``owner`` is who will hold it; ``timeout`` is in seconds from now (None: unbounded)."""

    ticket: int
    demand: Demand
    owner: object
    agent: str | None = None
    priority: int = 0
    timeout: float | None = None


@value
class Cancelled:
    """The requester is gone. If it was granted meanwhile, that lease is released."""

    ticket: int


@value
class Released:
    """A lease is given back. ``broken``: its instance must not be used again."""

    ticket: int
    broken: bool = False


@value
class FoundBroken:
    """A holder has found its instance broken, and has still to clean up: no new lease from now on."""

    ticket: int


@value
class StartSucceeded:
    instance: int


@value
class StartFailed:
    """``constructed``: there is an adapter, so it is shut down."""

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
    """One armed deadline has passed. ``step`` makes these itself from the time; the checker chooses them freely."""

    timer: Timer


@value
class Wake:
    """Nothing but the passing of time."""


Event: TypeAlias = (
    AcquireRequested
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
    """The request has its lease. Times in seconds: waiting in the queue, and waiting for the start or shutdown it needed."""

    ticket: int
    instance: int
    queued: float
    loading: float


@value
class Reject:
    """The request is refused. ``holder`` is what stands in its way, ``waited`` the seconds from the call."""

    ticket: int
    demand: Demand
    cause: Cause
    waited: float
    holder: Demand | None = None
    limit: int | None = None
    instance: int | None = None


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
    """Cancel the start. StopInstance follows; what the start still reports is ignored."""

    instance: int


@value
class StopInstance:
    """Shut the adapter down, once its start has ended; report Stopped."""

    instance: int


@value
class AbandonStop:
    """Cancel the shutdown: it is overdue and the instance has been given up on."""

    instance: int


@value
class Closed:
    """Nothing lives any more."""


@value
class Transition:
    """One state change, for observers. ``subject`` is an instance's id, a request's ticket or a pool's key.

    ``demand`` says what it is about (None for a pool), ``time`` is the driver's clock in seconds.
    """

    time: float
    machine: Literal["instance", "request", "pool"]
    subject: int | PoolKey
    trigger: str
    source: str
    dest: str
    demand: Demand | None = None


Effect: TypeAlias = (
    Grant | Reject | Revoke | StartInstance | InterruptStart | StopInstance | AbandonStop | Closed | Transition
)
