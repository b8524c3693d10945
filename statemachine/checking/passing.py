"""The account of overtaking: how often each waiting request was passed over. The checker compares it with the policy's bound.

The coordinator keeps no such account, and a policy keeps its own. This one is independent of both: after each step it looks at the
requests that were placed, and counts them against every older request that still waits.

Example: request 1 waits for ``b``, and 2 and 3, for ``a``, are placed before it. Then the account of 1 has two ``passes``. Say 2 got its
lease before 3 arrived: then 3 is a *late* pass of ``a`` as well.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ..core.coordinator import Coordinator
from ..core.index import Pool, Request
from ..policies import Bound
from ..properties.property import Step, placed

__all__ = ["Account", "Passed", "Passing", "after", "within_bounds"]


Passed: TypeAlias = tuple[int, int, tuple[tuple[str, int, int], ...]]
"""A :class:`Passing` with ranks in place of tickets."""


class Late(NamedTuple):
    """How often one signature's late requests passed a waiter over.

    ``known``: the youngest ticket at the moment when the first request of this signature that passed the waiter over got its lease
    (None: it has no lease yet). ``times``: passes by requests that are younger than that.
    """

    signature: str
    known: int | None
    times: int

    def canonical(self, tickets: Sequence[int]) -> tuple[str, int, int]:
        """Return the value with ``known`` replaced by its rank among ``tickets``, which are sorted; -1 for None."""
        known = -1 if self.known is None else bisect_right(tickets, self.known)
        return self.signature, known, self.times


class Passing(NamedTuple):
    """One waiting request. ``passes``: how many younger requests of its priority were placed before it.

    ``late``: the passes by late requests, for each signature that has any.
    """

    ticket: int
    passes: int = 0
    late: tuple[Late, ...] = ()

    def within(self, bound: Bound) -> bool:
        """Return whether this is within what the policy promises."""
        too_often = bound.passes is not None and self.passes > bound.passes
        return not too_often and (bound.late is None or all(late.times <= bound.late for late in self.late))

    def canonical(self, tickets: Sequence[int]) -> Passed:
        """Return the value with tickets replaced by their ranks among ``tickets``, which are sorted."""
        late = tuple([one.canonical(tickets) for one in self.late])
        return bisect_right(tickets, self.ticket), self.passes, late


Account = tuple[Passing, ...]
"""Every waiting request of every local slot whose policy lets requests be overtaken."""


def after(account: Account, step: Step) -> Account:
    """Return the account after ``step``.

    Only slots are counted, and only where the policy lets requests be overtaken: elsewhere the property ``no_overtaking`` says it all.
    """
    pools = [
        pool for pool in step.after.pools.values() if pool.waiting and pool.is_slot and pool.policy.bound.passes != 0
    ]
    if not pools:
        return ()
    known = {waiter.ticket: waiter for waiter in account}
    arrivals = list(placed(step))
    youngest = max(step.after.requests)
    waiters: list[Passing] = []
    for pool in pools:
        here = [request for request in arrivals if request.demand.pool == pool.key]
        for ticket in sorted(pool.waiting):
            waiter = known.get(ticket)
            if waiter is None:
                waiter = Passing(ticket)
            elif here or waiter.late:
                waiter = _passed(waiter, pool, here, youngest)
            waiters.append(waiter)
    return tuple(waiters)


def within_bounds(coordinator: Coordinator, account: Account) -> bool:
    """Return whether every policy is within its bound."""
    return all(w.within(coordinator.pools[coordinator.requests[w.ticket].demand.pool].policy.bound) for w in account)


def _passed(waiter: Passing, pool: Pool, arrivals: list[Request], youngest: int) -> Passing:
    me, bound = pool.waiting[waiter.ticket], pool.policy.bound
    passing = [r for r in arrivals if r.priority == me.priority and r.ticket > me.ticket]
    passes = waiter.passes + len(passing) if bound.passes is not None else 0
    late = {one.signature: one for one in waiter.late}
    if bound.late is not None:
        for rival in passing:
            one = late.setdefault(rival.signature, Late(rival.signature, None, 0))
            is_late = one.known is not None and rival.ticket > one.known
            late[rival.signature] = one._replace(times=one.times + is_late)
        served = {instance.demand.signature for instance in pool.instances.values() if instance.state == "active"}
        for one in list(late.values()):
            if one.known is None and one.signature in served:
                late[one.signature] = one._replace(known=youngest)
    return Passing(waiter.ticket, passes, tuple(sorted(late.values())))
