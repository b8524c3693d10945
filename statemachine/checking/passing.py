"""How often each waiter has been passed over: written down by the checker, to hold every policy to its bound.

The coordinator keeps no such account, and the policies keep their own: this one is independent of both. It looks at what was
placed, step by step.
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
    """What one signature did to a waiter: ``known`` is the youngest ticket when the first of those that passed it over got its lease
    (None: that is to come), ``times`` its passes by younger ones."""

    signature: str
    known: int | None
    times: int

    def canonical(self, tickets: Sequence[int]) -> tuple[str, int, int]:
        """The ticket renamed to its rank among ``tickets``, which are sorted; -1: to come."""
        known = -1 if self.known is None else bisect_right(tickets, self.known)
        return self.signature, known, self.times


class Passing(NamedTuple):
    """One waiter: the younger requests of its priority that were placed before it, and the late ones of each signature."""

    ticket: int
    passes: int = 0
    late: tuple[Late, ...] = ()

    def within(self, bound: Bound) -> bool:
        """Whether the policy has kept its word."""
        too_often = bound.passes is not None and self.passes > bound.passes
        return not too_often and (bound.late is None or all(late.times <= bound.late for late in self.late))

    def canonical(self, tickets: Sequence[int]) -> Passed:
        """Tickets renamed to their ranks among ``tickets``, which are sorted."""
        late = tuple([one.canonical(tickets) for one in self.late])
        return bisect_right(tickets, self.ticket), self.passes, late


Account = tuple[Passing, ...]
"""Every waiting request of every local slot whose policy lets requests be overtaken."""


def after(account: Account, step: Step) -> Account:
    """The account after ``step``. Only what a slot's policy bounds is counted, and where no request may be overtaken at all, the property
    ``no_overtaking`` says everything."""
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
    """Whether every policy has kept its bound."""
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
