"""The interface of policies: which of the requests that wait for one pool is served next.

A policy is a small object without I/O, clock or randomness. The coordinator tells it of every arrival and departure, and asks it for a
choice. It is incremental, so that a decision costs no more with ten thousand waiters than with ten. ``choose`` has no side effects, so it
may be called any number of times. What a policy remembers is part of the coordinator's state: integers, names, and tuples of these.

A policy need not know of priorities: :class:`~.prioritised.Prioritised` keeps one policy for each priority.

Example: :class:`~.fifo.Fifo`, first come, first served, is a line of tickets; ``choose`` returns the first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol, TypeAlias

from ..value import value

__all__ = ["BasePolicy", "Bound", "Choice", "NamedPolicy", "Pause", "Policy", "PolicyFactory", "Rank", "Waiter"]


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
        """Whether it was placed, and its instance is still to be loaded."""
        ...


@value
class Choice:
    """The request to be served next, and why this one."""

    ticket: int
    reason: str


@value
class Pause:
    """Serve no request yet: keep an idle instance of ``signature`` until it has been idle for ``milliseconds``.

    The reason to ask for it is that an agent is likely to need the instance by then. Where there is no such instance, the pause is over
    at once.
    """

    signature: str
    milliseconds: int
    reason: str


Rank: TypeAlias = Callable[[int], int]


class Bound(NamedTuple):
    """What a policy promises to each waiter W, among requests of W's priority; None: no promise. The checker proves it.

    ``passes``: at most this many younger requests are placed before W. ``late``: say the first younger request of a model that passes W
    over has got its lease. Of the requests for that model that arrive afterwards, at most this many are placed before W. So from then on
    the requests that can overtake W are known but for this number, and W cannot starve.
    """

    passes: int | None
    late: int | None


class Policy(Protocol):
    """The order of one queue. Tickets grow with arrival. A request that comes back keeps its ticket, and so its position."""

    @property
    def bound(self) -> Bound:
        """How often a request may be overtaken."""
        ...

    @property
    def work_conserving(self) -> bool:
        """Whether it never asks for a Pause."""
        ...

    def arrived(self, waiter: Waiter) -> None:
        """Add ``waiter`` to the queue. It may have been here before: the start that it had joined failed."""
        ...

    def placed(self, waiter: Waiter) -> None:
        """Remove ``waiter``, which was chosen, because it got an instance."""
        ...

    def left(self, waiter: Waiter) -> None:
        """Remove ``waiter``, which got no instance: it was cancelled, timed out or was rejected."""
        ...

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        """Note that the load of an instance of ``signature`` ended, with success or not.

        ``milliseconds``: since the first request was placed there, so a shutdown before the load counts as well. None: no request waits
        for it any more.
        """
        ...

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        """Note that the lease of ``waiter`` ended after ``milliseconds``."""
        ...

    def paused(self, milliseconds: int) -> None:
        """Note that a pause ended: it expired, a request is placed, none waits any more, or there was no instance to keep.

        ``milliseconds``: how long the instance had been idle (0: there was none). The policy may ask for the next pause when a request has
        been served.
        """
        ...

    def choose(self) -> Choice | Pause | None:
        """Return the request that is served next; no other may be served now. No side effects.

        None is allowed only while an instance is in use, whose release leads to the next call. A policy that pauses answers with the
        Pause again, as requests arrive and leave, until it has a choice or the pause ended. The pause ends when its first answer said:
        the milliseconds of later answers are ignored.
        """
        ...

    def snapshot(self, rank: Rank) -> Hashable:
        """Return what it remembers beyond its waiters, with ``rank`` of each ticket in its place. ``rank`` keeps the order."""
        ...

    def restore(self, memory: Hashable) -> None:
        """Take ``memory``, made by :meth:`snapshot` with the tickets as they are. Called on a new policy after all waiters have arrived."""
        ...


PolicyFactory: TypeAlias = Callable[[], Policy]


class NamedPolicy(NamedTuple):
    """A policy that has a name in :mod:`.table`. ``parameter``: what its first argument, a count, is called there; None: it has none."""

    make: Callable[..., Policy]
    parameter: str | None = None


class BasePolicy:
    """A base for policies that learn nothing, never pause, and remember nothing but their waiters."""

    @property
    def work_conserving(self) -> bool:
        return True

    @property
    def charges(self) -> bool:
        """Whether it makes anything of :meth:`served`, which need not be called if not."""
        return getattr(self.served, "__func__", None) is not BasePolicy.served

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
