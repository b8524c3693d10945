"""The interface of policies: the order of the requests that wait for one pool.

A policy is a small object without I/O, clock or randomness that the coordinator consults. It is incremental: told of every arrival and
departure, asked for a choice, so that a decision costs no more with ten thousand waiters than with ten. ``choose`` has no side effects,
so it may be called any number of times. What a policy remembers is part of the coordinator's state: integers and names only.

Priorities are not a policy's business: :class:`~.prioritised.Prioritised` keeps one policy per priority, whichever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol, TypeAlias

from ..value import value

__all__ = ["BasePolicy", "Bound", "Choice", "Pause", "Policy", "PolicyFactory", "Rank", "Waiter"]


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


@value
class Choice:
    """The request to be served next, and why this one."""

    ticket: int
    reason: str


@value
class Pause:
    """Serve no request yet. If an instance of ``signature`` is idle, keep it until it has been idle for ``milliseconds``, because an agent
    that needs it is likely to come back by then."""

    signature: str
    milliseconds: int
    reason: str


Rank: TypeAlias = Callable[[int], int]


class Bound(NamedTuple):
    """What a policy promises to each waiter, among those of its priority; None: nothing. The checker proves it.

    ``passes``: the most younger requests that are placed before it. ``late``: of each model, the most requests that are placed before
    it although they arrived after the first younger one of that model had got its lease. So the requests that can still overtake it are
    known from then on, newcomers add no more than this number, and it cannot starve.
    """

    passes: int | None
    late: int | None


class Policy(Protocol):
    """The order of one queue. Tickets grow with arrival; a request that comes back keeps its ticket, and so its place."""

    @property
    def bound(self) -> Bound:
        """How often a request may be overtaken."""
        ...

    @property
    def work_conserving(self) -> bool:
        """Whether it never answers with a Pause."""
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

        ``milliseconds``: from the moment that the first request was placed there, so with the shutdown before it; None: its requesters
        have gone.
        """
        ...

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        """The lease of ``waiter`` has ended after ``milliseconds``."""
        ...

    def paused(self, milliseconds: int) -> None:
        """A pause has ended: its time was over, a request is to be served, or none waits any more; or there was no instance to keep.

        ``milliseconds``: for how long the instance had been idle (0: there was none). The next pause may be asked for when a request has
        been served.
        """
        ...

    def choose(self) -> Choice | Pause | None:
        """The only request that may be served now. No side effects. None only while an instance is there whose release ends that.

        A pause that goes on is answered again, as requests arrive and leave, until there is a choice to be made, or it has ended. It ends
        when it was to end at first: the milliseconds of later answers are not heeded.
        """
        ...

    def snapshot(self, rank: Rank) -> Hashable:
        """What it remembers beyond its waiters, with every ticket in it renamed by ``rank``, which keeps their order."""
        ...

    def restore(self, memory: Hashable) -> None:
        """Remember ``memory``, made by :meth:`snapshot` without renaming. Called on a new policy after all waiters have arrived."""
        ...


PolicyFactory: TypeAlias = Callable[[], Policy]


class BasePolicy:
    """What a policy need not write itself: this one learns nothing, never pauses, and remembers nothing but its waiters."""

    @property
    def work_conserving(self) -> bool:
        return True

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        pass

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        pass

    def paused(self, milliseconds: int) -> None:
        pass

    def snapshot(self, rank: Rank) -> Hashable:
        return ()

    def restore(self, memory: Hashable) -> None:
        pass
