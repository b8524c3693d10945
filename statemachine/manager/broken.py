"""Tell whether an error means that an instance must not be used again, and which instance that is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from weakref import WeakKeyDictionary

from ..errors import AdapterError

__all__ = ["lease_number", "says_broken", "settle"]

lease_number: Callable[[], int] = count(1).__next__
"""Returns a number that grows with every lease of this process, of whatever manager."""

_settled: WeakKeyDictionary[AdapterError, int] = WeakKeyDictionary()  # by error: the number of the lease it was about


def settle(error: BaseException, lease: int) -> None:
    """Note that ``error`` was about the lease with this number, whose instance has been dealt with."""
    if isinstance(error, AdapterError):
        _settled[error] = lease


def says_broken(error: BaseException | None, lease: int | None = None) -> bool:
    """Return whether ``error`` breaks an instance. Only an AdapterError can tell, also one in a group.

    ``lease``: the number of the lease whose block the error leaves. An error that was settled for a lease that began later came
    out of a stream inside of that block: it is about another instance. One that was settled for an earlier lease has been raised
    once more since then, and counts.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(says_broken(one, lease) for one in error.exceptions)
    if not isinstance(error, AdapterError) or not error.broken:
        return False
    return lease is None or _settled.get(error, 0) <= lease
