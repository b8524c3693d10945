"""A lease: the right to use one adapter until it is given back, exactly once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import enable_ki_protection

from ..config.adapter import Adapter
from ..config.providers import Demand
from ..core.events import FoundBroken, Released
from ..errors import AdapterError, LeaseReleasedError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Lease", "Lessor"]


class Lessor:
    """Which leases are on, by ticket. It does not hold the leases themselves, so that one that is dropped can be noticed.

    ``report`` takes what holders say to the model; it must be safe to call from a finaliser, in the middle of anything.
    """

    def __init__(self, report: Callable[[Released | FoundBroken], None]) -> None:
        self._report = report
        self._on: set[int] = set()
        self._home: trio.lowlevel.TrioToken | None = None

    def lend(self, ticket: int, demand: Demand, adapter: Adapter, queued: float, loading: float) -> Lease:
        """A new lease, held by the current trio run."""
        self._home = self._home or trio.lowlevel.current_trio_token()
        self._on.add(ticket)
        return Lease(self, ticket, demand, adapter, queued, loading)

    def holds(self, ticket: int) -> bool:
        """Whether the lease is still on."""
        return ticket in self._on

    @enable_ki_protection
    def release(self, ticket: int, broken: bool) -> None:
        """The holder gives it back, from any thread and at any moment; no-op if it is over."""
        if ticket in self._on and self._is_at_home(self.release, ticket, broken):
            self._on.remove(ticket)
            self._report(Released(ticket, broken))

    @enable_ki_protection
    def drain(self, ticket: int) -> None:
        """The holder has found the instance broken, from any thread and at any moment; no-op if the lease is over."""
        if ticket in self._on and self._is_at_home(self.drain, ticket):
            self._report(FoundBroken(ticket))

    def _is_at_home(self, method: Callable[..., None], *arguments: object) -> bool:
        """Whether this is where the leases were lent; if not, ``method`` will be called there."""
        assert self._home is not None, "a lease was lent in a trio run"
        try:
            if trio.lowlevel.current_trio_token() is self._home:
                return True
        except RuntimeError:
            pass  # no trio run at all
        with suppress(trio.RunFinishedError):
            self._home.run_sync_soon(method, *arguments)
        return False

    def revoke(self, ticket: int) -> None:
        """It is over; the model knows."""
        self._on.discard(ticket)


class Lease:
    """Made by ``ProviderManager.get_adapter`` and ``acquire``.

    Ends by :meth:`release`, by leaving its ``async with`` block, or by being revoked when the manager closes, whichever
    is first. A lease that is dropped without any of these warns (``ResourceWarning``) and is released.

    ``queued_seconds`` is the time spent in the queue, ``loading_seconds`` the time spent on the start (or the shutdown that made
    room for it); together they are the time from the call to the grant.
    """

    __slots__ = ("__weakref__", "_adapter", "_demand", "_lessor", "_ticket", "loading_seconds", "queued_seconds")

    def __init__(
        self, lessor: Lessor, ticket: int, demand: Demand, adapter: Adapter, queued: float, loading: float
    ) -> None:
        self._lessor = lessor
        self._ticket = ticket
        self._demand = demand
        self._adapter = adapter
        self.queued_seconds = queued
        self.loading_seconds = loading

    @property
    def adapter(self) -> Adapter:
        """The leased adapter. Raises LeaseReleasedError once the lease is over."""
        if not self._lessor.holds(self._ticket):
            raise LeaseReleasedError(f"the lease of {self._demand} is over")
        return self._adapter

    @property
    def released(self) -> bool:
        """Whether the lease is over."""
        return not self._lessor.holds(self._ticket)

    @property
    def provider_name(self) -> str:
        """The provider of the leased instance."""
        return self._demand.provider

    @property
    def model_id(self) -> str:
        """The model of the leased instance."""
        return self._demand.model

    @property
    def ticket(self) -> int:
        """The number of the request, as observers see it."""
        return self._ticket

    def release(self, broken: bool = False) -> None:
        """Give the lease back; again is a no-op. ``broken``: the instance takes no new lease and stops at its last release."""
        self._lessor.release(self._ticket, broken)

    def drain(self) -> None:
        """The instance was found broken: it takes no new lease from now on, and stops at its last release. This lease goes on, for
        its holder to clean up. No-op if the lease is over."""
        self._lessor.drain(self._ticket)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release(broken=says_broken(error, settled=False))

    def __repr__(self) -> str:
        return f"<Lease of {self._demand}, {'released' if self.released else 'held'}>"

    def __del__(self) -> None:
        if self._lessor.holds(self._ticket):
            self._lessor.release(self._ticket, broken=False)
            warnings.warn(
                f"a lease of {self._demand} was dropped unreleased", ResourceWarning, stacklevel=2, source=self
            )


def says_broken(error: BaseException | None, *, settled: bool = True) -> bool:
    """Whether ``error`` means that an instance must not be used again. Only an AdapterError can tell, also one in a group.

    ``settled=False`` leaves out what a stream has settled for its own lease: it is about another instance.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(says_broken(one, settled=settled) for one in error.exceptions)
    return isinstance(error, AdapterError) and error.broken and (settled or not error.settled)
