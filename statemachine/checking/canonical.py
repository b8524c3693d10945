"""The canonical form of a state: what decides its future, without the names. States with equal forms are explored once.

Two states can differ in names only: other ticket numbers, or model ``a`` in the part of model ``b``. The search need not explore both.
So a form has ranks in the place of tickets and instance ids, and no times, because any armed deadline may expire next. The names that
are left are those of configurations and of wishes (a wish stands for the task that makes it). A renaming of configurations and tasks
that maps the scenario's wishes onto themselves is a symmetry. The form is the least of all symmetric renamings of the state.

A form is always the state itself under other names, so equal forms mean equal futures, whatever a policy remembers. Because the form is
the least of all, states that differ by a renaming have equal forms.

Example: two requests for ``a``, one of which is granted, and two for ``b``. With the parts of ``a`` and ``b`` exchanged it is another
state with the same form.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import permutations, product
from typing import Any, Final, NamedTuple

from ..config.providers import PoolKey
from ..core.coordinator import Coordinator
from ..core.events import ACQUIRE, GRACE, PAUSE
from ..core.index import Instance, Request
from .passing import Passed

__all__ = [
    "Names",
    "Symmetry",
    "WishKind",
    "instances_of",
    "memories",
    "named",
    "requests_of",
    "structure",
    "tickets_of",
]


class Names(NamedTuple):
    """All of a state that mentions a configuration (by its signature) or a wish (by its index)."""

    instances: tuple[str, ...]
    requests: tuple[int, ...]  # whose wish each is
    memories: tuple[Hashable, ...]  # each pool's policy's
    left: tuple[int, ...]  # of each wish
    account: tuple[Passed, ...]


class WishKind(NamedTuple):
    """A wish: what it is for, who makes it and whose leases are above it, which may be renamed, and ``rest``, which may not."""

    pool: Hashable
    signature: str
    owner: str | None
    rest: Hashable
    below: str | None = None


class _Renaming(NamedTuple):
    signatures: dict[str, str]
    wishes: tuple[int, ...]  # of each wish: which one takes its place

    def of(self, names: Names) -> Names:
        """Return ``names``, renamed."""
        left = [0] * len(names.left)
        for wish, number in zip(self.wishes, names.left, strict=True):
            left[wish] = number
        return Names(
            tuple([self.signatures[signature] for signature in names.instances]),
            tuple([self.wishes[wish] for wish in names.requests]),
            self._of_memory(names.memories),
            tuple(left),
            tuple([(rank, passes, self._of_late(late)) for rank, passes, late in names.account]),
        )

    def _of_memory(self, memory: Any) -> Any:
        """Return ``memory``, renamed. It is made of integers, names, and tuples of these."""
        if isinstance(memory, tuple):
            return tuple([self._of_memory(part) for part in memory])
        return self.signatures.get(memory, memory) if isinstance(memory, str) else memory

    def _of_late(self, late: Sequence[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...]:
        return tuple(sorted([(self.signatures[signature], known, times) for signature, known, times in late]))


class Symmetry:
    """All renamings of configurations (each within its pool) and of tasks that map ``wishes`` onto themselves."""

    def __init__(self, wishes: Sequence[WishKind]) -> None:
        self.renamings: Final = [r for r in _all_renamings(wishes) if r is not None]
        nothing_to_rename = len(self.renamings) == 1
        self.least: Final = _itself if nothing_to_rename else lru_cache(1 << 16)(self._least)

    def _least(self, names: Names) -> Names:
        # The same places hold the same kind of thing in all of them, so they can be compared.
        return min(renaming.of(names) for renaming in self.renamings)


def _itself(names: Names) -> Names:
    return names


def _all_renamings(wishes: Sequence[WishKind]) -> Iterator[_Renaming | None]:
    pools = {wish.pool: sorted({w.signature for w in wishes if w.pool == wish.pool}) for wish in wishes}
    owners = sorted({task for wish in wishes for task in (wish.owner, wish.below) if task is not None})
    for rows in product(*(permutations(row) for row in pools.values())):
        signatures = {
            old: new
            for row, renamed in zip(pools.values(), rows, strict=True)
            for old, new in zip(row, renamed, strict=True)
        }
        for renamed_owners in permutations(owners):
            tasks = dict(zip(owners, renamed_owners, strict=True))
            yield _renaming(wishes, signatures, tasks)


def _renaming(wishes: Sequence[WishKind], signatures: dict[str, str], tasks: dict[str, str]) -> _Renaming | None:
    """Return the renaming; None where it does not map the wishes onto themselves."""
    places: list[int] = []
    for wish in wishes:
        owner = None if wish.owner is None else tasks[wish.owner]
        below = None if wish.below is None else tasks[wish.below]
        renamed = wish._replace(signature=signatures[wish.signature], owner=owner, below=below)
        place = next((n for n, other in enumerate(wishes) if other == renamed and n not in places), None)
        if place is None:
            return None
        places.append(place)
    return _Renaming(signatures, tuple(places))


def requests_of(coordinator: Coordinator) -> list[Request]:
    """Return the requests by pool, because pools do not influence each other, and then by age."""
    requests = list(coordinator.requests.values())  # in the order of their making
    return requests if len(coordinator.pools) < 2 else sorted(requests, key=lambda request: request.demand.pool)


def instances_of(coordinator: Coordinator) -> list[Instance]:
    """Return the instances by pool and then by age, as :func:`requests_of`."""
    instances = list(coordinator.instances.values())
    return instances if len(coordinator.pools) < 2 else sorted(instances, key=lambda instance: instance.demand.pool)


def tickets_of(coordinator: Coordinator) -> dict[PoolKey, list[int]]:
    """Return the tickets of each pool, the oldest first. The pools are sorted."""
    return {
        key: [r.ticket for r in coordinator.requests.values() if r.demand.pool == key]
        for key in sorted(coordinator.pools)
    }


def structure(coordinator: Coordinator, requests: Sequence[Request], instances: Sequence[Instance]) -> Hashable:
    """Return all of ``coordinator`` but its names. ``requests`` and ``instances`` are its own, in the order of :class:`Names`."""
    armed = coordinator.timers.armed
    tickets = {request.ticket: rank for rank, request in enumerate(requests)}
    ids = {instance.id: rank for rank, instance in enumerate(instances)}
    parts: list[Hashable] = [coordinator.state, (GRACE, 0) in armed]
    for request in requests:
        rank = None if request.instance is None else ids[request.instance.id]
        parts += request.state, rank, (ACQUIRE, request.ticket) in armed
        if request.held_above:
            parts.append(tuple(sorted(tickets[ticket] for ticket in request.held_above if ticket in tickets)))
    for one in instances:
        leases = [tickets[ticket] for ticket in one.leases]
        cause = tickets.get(one.cause) if one.cause is not None and one.state == "starting" else None
        successor = None if one.successor is None else ids[one.successor.id]
        parts += one.state, tuple(sorted(leases)), tuple([tickets[t] for t in one.assigned]), cause, successor
        parts.append((PAUSE, one.id) in armed)
    for key in sorted(coordinator.pools):
        pool = coordinator.pools[key]
        loading = sorted([tuple([ids[instance.id] for instance in row]) for row in pool.loading.values()])
        idle, vacating = [ids[number] for number in pool.idle], [ids[number] for number in pool.vacating]
        parts += key, pool.state, tuple(idle), tuple(loading), tuple(vacating)
    return tuple(parts)


def memories(coordinator: Coordinator, tickets: Mapping[PoolKey, Sequence[int]]) -> tuple[Hashable, ...]:
    """Return what each pool's policy remembers. Tickets are replaced by their ranks among the pool's ``tickets``."""
    return tuple([coordinator.pools[key].policy.snapshot(partial(bisect_right, own)) for key, own in tickets.items()])


def named(coordinator: Coordinator) -> Hashable:
    """Return all of ``coordinator`` that decides its future, apart from owners and times. Tickets and ids are replaced by ranks."""
    requests, instances = requests_of(coordinator), instances_of(coordinator)
    signatures = tuple([instance.demand.signature for instance in instances])
    wanted = tuple([(r.demand.signature, r.agent, r.priority) for r in requests])
    return (
        structure(coordinator, requests, instances),
        signatures,
        wanted,
        memories(coordinator, tickets_of(coordinator)),
    )
