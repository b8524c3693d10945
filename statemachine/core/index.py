"""The records of the model, and a pool's book-keeping: which of its instances could serve whom.

Nothing is decided here. No lookup that a decision needs grows with those who wait, because each instance stands on one
*shelf*, chosen from its state alone by :meth:`Pool.refile`, which is called after every change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ..config.providers import Demand, PoolKey
from ..policies import Policy
from .lifecycle import InstanceState, PoolState, RequestState

__all__ = ["Instance", "Pool", "Request", "Shelf", "Standing"]


@dataclass(slots=True, eq=False)
class Request:
    """One acquire, until its lease is over. Times are the driver's clock, or seconds for ``queued`` and ``loading``."""

    ticket: int
    demand: Demand
    owner: object
    agent: str | None
    priority: int
    arrived: float
    since: float  # when the present phase (queueing, loading, holding) began
    state: RequestState = "new"
    instance: Instance | None = None
    queued: float = 0.0
    loading: float = 0.0

    @property
    def signature(self) -> str:
        """The identity of the instance it needs."""
        return self.demand.signature

    @property
    def is_assigned(self) -> bool:
        """Whether a start, or the shutdown before it, is under way for it."""
        return self.state == "assigned"


Shelf: TypeAlias = Literal["idle", "spare", "loading", "vacating"]
"""What an instance can be used for, apart from those who use it already: an *idle* one is granted to its signature, or evicted for
another; a *spare* one, active with a free slot, is granted to its signature; a *loading* one, whose start is planned or under way, is
joined by its signature while it has a free slot; a *vacating* one, stopping with its place promised to nobody, is succeeded by anybody."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The shelf of an instance, and whether nobody of another signature could be given its place now."""

    shelf: Shelf | None
    holds_place: bool


_IDLE: Final = Standing("idle", False)
_SPARE: Final = Standing("spare", True)
_PLANNED: Final = Standing("loading", False)
_STARTING: Final = Standing("loading", True)
_VACATING: Final = Standing("vacating", False)
_HELD: Final = Standing(None, True)
_GONE: Final = Standing(None, False)


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
    standing: Standing = _GONE  # where it was put

    def belongs(self) -> Standing:
        """Where it belongs, and whether it keeps its place, from its state."""
        state = self.state
        if state == "active":
            return _SPARE if len(self.leases) < self.demand.parallel else _HELD
        if state == "stopping":
            return _VACATING if self.successor is None else _HELD
        if state == "starting":
            return _STARTING if len(self.assigned) < self.demand.parallel else _HELD
        if state == "absent":
            return _PLANNED if len(self.assigned) < self.demand.parallel else _GONE
        return _IDLE if state == "idle" else _HELD if state == "draining" else _GONE


class Pool:
    """``limit`` places for live instances, and the queue for them. Whether it is local decides its errors and its policy, no more."""

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
        self.is_slot: Final = key[0] == "slot"
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
        self.usable: dict[str, list[Instance]] = {}  # idle or spare, by signature, most recently used last
        self.loading: dict[str, list[Instance]] = {}
        self.vacating: dict[int, Instance] = {}
        self.waiting: dict[int, Request] = {}
        self.waiting_by_owner: dict[object, list[Request]] = {}
        self.leases_by_owner: dict[object, int] = {}
        self.kept: Instance | None = None  # idle, during a pause of the policy's

    # ---- the queue ----

    def enqueue(self, request: Request) -> None:
        """Let ``request`` wait; one that has waited before gets its old place."""
        self.waiting[request.ticket] = request
        own = self.waiting_by_owner.get(request.owner)
        if own is None:
            self.waiting_by_owner[request.owner] = [request]
        else:
            own.append(request)
        self.policy.arrived(request)

    def dequeue(self, request: Request, *, placed: bool = False) -> None:
        """Take ``request`` out of the queue. ``placed``: because it got an instance."""
        del self.waiting[request.ticket]
        own = self.waiting_by_owner[request.owner]
        if len(own) == 1:
            del self.waiting_by_owner[request.owner]
        else:
            own.remove(request)
        if placed:
            self.policy.placed(request)
        else:
            self.policy.left(request)

    # ---- leases ----

    def lend(self, instance: Instance, request: Request) -> None:
        """Write the lease down."""
        instance.leases[request.ticket] = request
        self.leases_by_owner[request.owner] = self.leases_by_owner.get(request.owner, 0) + 1

    def take_back(self, instance: Instance, request: Request) -> None:
        """Strike the lease out."""
        del instance.leases[request.ticket]
        left = self.leases_by_owner[request.owner] - 1
        if left:
            self.leases_by_owner[request.owner] = left
        else:
            del self.leases_by_owner[request.owner]

    # ---- shelves ----

    def refile(self, instance: Instance) -> None:
        """Put ``instance`` where its state says it belongs."""
        before, after = instance.standing, instance.belongs()
        if after is before:
            return
        instance.standing = after
        self.held += after.holds_place - before.holds_place
        if after.shelf is not before.shelf:
            if before.shelf is not None:
                self._take_down(instance, before.shelf)
            if after.shelf is not None:
                self._put_up(instance, after.shelf)

    def forget(self, instance: Instance) -> None:
        """``instance`` is over: it stands nowhere any more."""
        standing = instance.standing
        if standing.shelf is not None:
            self._take_down(instance, standing.shelf)
        self.held -= standing.holds_place
        del self.instances[instance.id]

    def _put_up(self, instance: Instance, shelf: Shelf) -> None:
        if shelf == "idle":
            self.idle[instance.id] = instance
        elif shelf == "vacating":
            self.vacating[instance.id] = instance
            return
        rows, signature = self.loading if shelf == "loading" else self.usable, instance.demand.signature
        if signature in rows:
            rows[signature].append(instance)
        else:
            rows[signature] = [instance]

    def _take_down(self, instance: Instance, shelf: Shelf) -> None:
        if shelf == "idle":
            del self.idle[instance.id]
        elif shelf == "vacating":
            del self.vacating[instance.id]
            return
        rows, signature = self.loading if shelf == "loading" else self.usable, instance.demand.signature
        row = rows[signature]
        if len(row) == 1:
            del rows[signature]
        elif row[-1] is instance:  # as when it is granted
            row.pop()
        else:
            row.remove(instance)
