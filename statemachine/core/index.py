"""The records of the coordinator, and each pool's index of them: which instances are eligible for which request.

Nothing is decided here. An instance is listed in at most one index, and its state alone says in which. :meth:`Pool.reindex` is called
after every change of an instance, so that no decision has to search: its time does not grow with the number of waiting requests.

Example: an instance whose only lease is released becomes ``idle``. ``reindex`` lists it under ``idle`` and under ``eligible``, where the
next request of its signature finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ..config.providers import Demand, PoolKey
from ..policies import Policy
from ..value import value
from .lifecycle import InstanceState, PoolState, RequestState

__all__ = ["Index", "Instance", "Listing", "Pool", "Request"]


@dataclass(slots=True, eq=False)
class Request:
    """One acquire, until its lease is over. Points in time are on the driver's clock; ``queued`` and ``loading`` are in seconds."""

    ticket: int
    demand: Demand
    owner: object
    agent: str | None
    priority: int
    arrived: float
    since: float  # when the present phase (queueing, loading, holding) began
    held_above: tuple[int, ...] = ()  # see AcquireRequested
    state: RequestState = "new"
    queued: float = 0.0
    loading: float = 0.0
    instance: Instance | None = None

    @property
    def signature(self) -> str:
        """The identity of the instance it needs."""
        return self.demand.signature

    @property
    def is_assigned(self) -> bool:
        """Whether a start, or the shutdown before it, is under way for it."""
        return self.state == "assigned"


Index: TypeAlias = Literal["idle", "spare", "loading", "vacating"]
"""What an instance can be used for next.

*idle*: granted to a request of its signature, or evicted for another. *spare* (active, with a free lease): granted to a request of its
signature. *loading* (planned or starting, with a free lease): joined by a request of its signature. *vacating* (stopping, with no
successor): its place can be reserved for any signature."""


@value
class Listing:
    """The index in which an instance is listed. ``holds_place``: no other signature could get its place now."""

    index: Index | None
    holds_place: bool


_IDLE: Final = Listing("idle", False)
_SPARE: Final = Listing("spare", True)
_PLANNED: Final = Listing("loading", False)
_STARTING: Final = Listing("loading", True)
_VACATING: Final = Listing("vacating", False)
_HELD: Final = Listing(None, True)
_GONE: Final = Listing(None, False)

_ELIGIBLE: Final = ("idle", "spare")


@dataclass(slots=True, eq=False)
class Instance:
    """One adapter. An instance that is still ``absent`` is planned: it starts when its predecessor is down."""

    id: int
    demand: Demand
    state: InstanceState = "absent"
    leases: dict[int, Request] = field(default_factory=dict)
    assigned: dict[int, Request] = field(default_factory=dict)
    cause: int | None = None  # the ticket that caused the start, and is told of its failure
    predecessor: Instance | None = None
    successor: Instance | None = None
    idle_since: float = 0.0  # while it is idle
    listing: Listing = _GONE  # where its pool lists it

    def listing_of_state(self) -> Listing:
        """Return the listing that follows from its state."""
        state = self.state
        if state == "active":
            return _SPARE if len(self.leases) < self.demand.parallel else _HELD
        if state == "idle":
            return _IDLE
        if state == "stopping":
            return _VACATING if self.successor is None else _HELD
        if state == "starting":
            return _STARTING if len(self.assigned) < self.demand.parallel else _HELD
        if state == "absent":
            return _PLANNED if len(self.assigned) < self.demand.parallel else _GONE
        return _HELD if state == "draining" else _GONE


class Pool:
    """``limit`` places for live instances, and the queue for them. A local slot is a pool of one place.

    ``held`` counts the places that no other signature could get now. At ``limit`` the pool is saturated: ``state`` says so between steps,
    and what a step changes is compared within it.
    """

    def __init__(
        self,
        key: PoolKey,
        limit: int,
        idle_timeout: float | None,
        raises: bool,
        policy: Policy,
        *,
        is_charged: bool,
    ) -> None:
        self.key = key
        self.is_slot: Final = key.kind == "slot"
        self.limit = limit
        self.idle_timeout = idle_timeout
        self.raises = raises
        self.policy = policy
        self.is_charged: Final = is_charged  # the policy is told how long each lease was
        self.state: PoolState = "open"
        self.instances: dict[int, Instance] = {}  # planned and live
        self.live = 0
        self.held = 0
        self.idle: dict[int, Instance] = {}  # least recently used first
        self.eligible: dict[str, list[Instance]] = {}  # idle or spare, by signature, most recently used last
        self.loading: dict[str, list[Instance]] = {}
        self.vacating: dict[int, Instance] = {}
        self.waiting: dict[int, Request] = {}
        self.waiting_by_owner: dict[object, list[Request]] = {}
        self.waiting_below: dict[int, Request] = {}  # those that have leases above them
        self.leases_by_owner: dict[object, int] = {}
        self.kept: Instance | None = None  # the idle instance that a pause of the policy keeps

    # ---- the queue ----

    def enqueue(self, request: Request) -> None:
        """Add ``request`` to the queue. A request that comes back from a failed start gets its former position."""
        self.waiting[request.ticket] = request
        own = self.waiting_by_owner.get(request.owner)
        if own is None:
            self.waiting_by_owner[request.owner] = [request]
        else:
            own.append(request)
        if request.held_above:
            self.waiting_below[request.ticket] = request
        self.policy.arrived(request)

    def dequeue(self, request: Request, *, placed: bool = False) -> None:
        """Remove ``request`` from the queue. ``placed``: because it got an instance."""
        del self.waiting[request.ticket]
        own = self.waiting_by_owner[request.owner]
        if len(own) == 1:
            del self.waiting_by_owner[request.owner]
        else:
            own.remove(request)
        if request.held_above:
            del self.waiting_below[request.ticket]
        if placed:
            self.policy.placed(request)
        else:
            self.policy.left(request)

    # ---- leases ----

    def add_lease(self, instance: Instance, request: Request) -> None:
        """Record that ``request`` leases ``instance``."""
        instance.leases[request.ticket] = request
        self.leases_by_owner[request.owner] = self.leases_by_owner.get(request.owner, 0) + 1

    def remove_lease(self, instance: Instance, request: Request) -> None:
        """Record that the lease is over."""
        del instance.leases[request.ticket]
        left = self.leases_by_owner[request.owner] - 1
        if left:
            self.leases_by_owner[request.owner] = left
        else:
            del self.leases_by_owner[request.owner]

    def leases_held_by(self, request: Request) -> int:
        """Count the leases that the owner of ``request`` keeps by waiting: its own, and those above it that are not released yet."""
        own = self.leases_by_owner.get(request.owner, 0)
        if request.held_above:
            own += sum(ticket in i.leases for i in self.instances.values() for ticket in request.held_above)
        return own

    # ---- the indexes ----

    def reindex(self, instance: Instance) -> None:
        """List ``instance`` where its state says."""
        before, after = instance.listing, instance.listing_of_state()
        if after is before:
            return
        instance.listing = after
        self.held += after.holds_place - before.holds_place
        left, entered = before.index, after.index
        if left is entered:
            return
        if left is None or entered is None or left not in _ELIGIBLE or entered not in _ELIGIBLE:
            if left is not None:
                self._remove(instance, left)
            if entered is not None:
                self._add(instance, entered)
        else:
            self._stay_eligible(instance, is_idle=entered == "idle")

    def forget(self, instance: Instance) -> None:
        """Remove ``instance``, whose life is over."""
        listing = instance.listing
        if listing.index is not None:
            self._remove(instance, listing.index)
        self.held -= listing.holds_place
        del self.instances[instance.id]

    def _stay_eligible(self, instance: Instance, *, is_idle: bool) -> None:
        """Move ``instance`` between *idle* and *spare*: it stays eligible, the most recently used last."""
        if is_idle:
            self.idle[instance.id] = instance
        else:
            del self.idle[instance.id]
        row = self.eligible[instance.demand.signature]
        if row[-1] is not instance:
            row.remove(instance)
            row.append(instance)

    def _add(self, instance: Instance, index: Index) -> None:
        signature = instance.demand.signature
        if index == "idle":
            self.idle[instance.id] = instance
            rows = self.eligible
        elif index == "vacating":
            self.vacating[instance.id] = instance
            return
        else:
            rows = self.loading if index == "loading" else self.eligible
        row = rows.get(signature)
        if row is None:
            rows[signature] = [instance]
        else:
            row.append(instance)

    def _remove(self, instance: Instance, index: Index) -> None:
        signature = instance.demand.signature
        if index == "idle":
            del self.idle[instance.id]
            rows = self.eligible
        elif index == "vacating":
            del self.vacating[instance.id]
            return
        else:
            rows = self.loading if index == "loading" else self.eligible
        row = rows[signature]
        if len(row) == 1:
            del rows[signature]
        elif row[-1] is instance:  # the usual case: it was granted
            row.pop()
        else:
            row.remove(instance)
