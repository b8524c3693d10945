"""Who is served next: the order of the requests that wait for one pool.

A policy is a small object without I/O, clock or randomness that the model consults. It is incremental: told of every arrival and departure,
asked for a choice, so that a decision costs no more with ten thousand waiters than with ten. ``choose`` has no side effects, so it may be
asked as often as one likes. What a policy remembers is part of the model's state: integers and names only.

Priorities are not a policy's business: :class:`Prioritised` keeps one policy per priority, whichever it is.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple, Protocol, TypeAlias

__all__ = ["BasePolicy", "Bound", "Choice", "Fifo", "Line", "Policy", "PolicyFactory", "Prioritised", "Rank", "Waiter"]


class Waiter(Protocol):
    """What a policy may know of a request."""

    @property
    def ticket(self) -> int: ...
    @property
    def signature(self) -> str: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def is_assigned(self) -> bool:
        """Whether it was placed where an instance is still to be loaded."""
        ...


class Choice(NamedTuple):
    """The request to be served next, and why this one."""

    ticket: int
    reason: str


Rank: TypeAlias = Callable[[int], int]


class Bound(NamedTuple):
    """What a policy promises to each waiter, among those of its priority; None: nothing. The checker proves it.

    ``passes``: at most so many younger requests are placed before it. ``late``: of each model, at most so many requests
    are placed before it that arrived after the first younger one of that model had got its lease; so whoever may still pass it
    over is known from then on, newcomers can add no more than this, and it cannot starve.
    """

    passes: int | None
    late: int | None


class Policy(Protocol):
    """The order of one queue. Tickets grow with arrival; a request that comes back keeps its ticket, and so its place."""

    @property
    def bound(self) -> Bound:
        """How far it may pass somebody over."""
        ...

    def arrived(self, waiter: Waiter) -> None:
        """``waiter`` joins the queue (or comes back to it: the start it had joined failed)."""
        ...

    def placed(self, waiter: Waiter) -> None:
        """``waiter``, which was chosen, leaves the queue for an instance."""
        ...

    def left(self, waiter: Waiter) -> None:
        """``waiter`` leaves the queue otherwise: cancelled, timed out or rejected."""
        ...

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        """The load of an instance of ``signature`` has ended, well or badly.

        ``milliseconds``: from the moment that somebody was placed there, so with the shutdown before it; None: they have all gone.
        """
        ...

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        """The lease of ``waiter`` has ended, after so long."""
        ...

    def choose(self) -> Choice | None:
        """The only request that may be served now. No side effects. None only while an instance is there whose release ends that."""
        ...

    def snapshot(self, rank: Rank) -> Hashable:
        """What it remembers beyond its waiters, with every ticket in it renamed by ``rank``, which keeps their order."""
        ...

    def restore(self, memory: Hashable) -> None:
        """Remember ``memory``, made by :meth:`snapshot` without renaming. Called on a new policy after all waiters have arrived."""
        ...


PolicyFactory: TypeAlias = Callable[[], Policy]


class Line:
    """Tickets in order. Whoever arrives last has the highest; one that comes back goes to its old place."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[int, Waiter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, waiter: Waiter) -> None:
        """``waiter`` takes its place."""
        ticket = waiter.ticket
        comes_back = bool(self._tickets) and self.last > ticket
        self._tickets[ticket] = waiter
        if comes_back and ticket < self.first:
            self._tickets.move_to_end(ticket, last=False)
        elif comes_back:
            for later in sorted(t for t in self._tickets if t >= ticket):
                self._tickets.move_to_end(later)

    def remove(self, waiter: Waiter) -> None:
        """``waiter`` leaves."""
        del self._tickets[waiter.ticket]

    @property
    def first(self) -> int:
        """The oldest ticket."""
        return next(iter(self._tickets))

    @property
    def last(self) -> int:
        """The youngest ticket."""
        return next(reversed(self._tickets))

    @property
    def oldest(self) -> Waiter:
        """Who has the oldest ticket."""
        return self._tickets[self.first]


class BasePolicy:
    """What a policy need not write itself: this one learns nothing, and remembers nothing but its waiters."""

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        pass

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        pass

    def snapshot(self, rank: Rank) -> Hashable:
        return ()

    def restore(self, memory: Hashable) -> None:
        pass


class Fifo(BasePolicy):
    """First come, first served. Nobody is ever passed over; a slot switches whenever the next request is for another model."""

    bound: Final = Bound(passes=0, late=0)

    def __init__(self) -> None:
        self._line = Line()

    def arrived(self, waiter: Waiter) -> None:
        self._line.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._line.remove(waiter)

    def left(self, waiter: Waiter) -> None:
        self._line.remove(waiter)

    def choose(self) -> Choice | None:
        return Choice(self._line.first, "oldest") if self._line else None


class Prioritised:
    """One policy per priority; the highest priority that has a choice to make makes it. Itself a policy.

    A priority whose last waiter has gone is forgotten, but for the one that was served last: its policy may remember the
    resident model.
    """

    def __init__(self, policy: PolicyFactory) -> None:
        self._policy = policy
        self._policies: dict[int, Policy] = {}
        self._waiting: dict[int, int] = {}  # how many, by priority
        self._priorities: list[int] = []  # those with waiters, ascending
        self._served: int | None = None  # the priority served last
        self.bound: Final = policy().bound

    def arrived(self, waiter: Waiter) -> None:
        priority = waiter.priority
        waiting = self._waiting.get(priority, 0)
        if not waiting:
            insort(self._priorities, priority)
        self._waiting[priority] = waiting + 1
        self._of(priority).arrived(waiter)

    def placed(self, waiter: Waiter) -> None:
        priority = waiter.priority
        self._policies[priority].placed(waiter)
        before, self._served = self._served, priority
        self._one_less(priority)
        if before is not None and before != priority:
            self._forget_if_over(before)

    def left(self, waiter: Waiter) -> None:
        self._policies[waiter.priority].left(waiter)
        self._one_less(waiter.priority)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        for policy in self._policies.values():
            policy.loaded(signature, milliseconds)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        if waiter.priority in self._policies:
            self._policies[waiter.priority].served(waiter, milliseconds)

    def choose(self) -> Choice | None:
        for priority in reversed(self._priorities):
            choice = self._policies[priority].choose()
            if choice is not None:
                return choice
        return None

    def snapshot(self, rank: Rank) -> Hashable:
        memories = ((priority, self._policies[priority].snapshot(rank)) for priority in sorted(self._policies))
        return self._served, tuple((priority, memory) for priority, memory in memories if memory != ())

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._served, memories = memory
        for priority, one in memories:
            self._of(priority).restore(one)

    def _of(self, priority: int) -> Policy:
        policy = self._policies.get(priority)
        if policy is None:
            policy = self._policies[priority] = self._policy()
        return policy

    def _one_less(self, priority: int) -> None:
        self._waiting[priority] -= 1
        if self._waiting[priority] == 0:
            del self._waiting[priority]
            self._priorities.remove(priority)
            self._forget_if_over(priority)

    def _forget_if_over(self, priority: int) -> None:
        if priority != self._served and priority not in self._waiting:
            self._policies.pop(priority, None)
