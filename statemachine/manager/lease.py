"""A lease: the right to use one adapter until it is released, exactly once."""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import trio
from trio.lowlevel import enable_ki_protection

from ..config.adapter import Adapter
from ..config.providers import Demand
from ..core.events import FoundBroken, Released
from ..errors import LeaseReleasedError
from .at_work import is_task_at_work
from .broken import lease_number, says_broken
from .hints import AsyncOnly

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Lease", "Lessor", "Use"]


class Use(Protocol):
    """An activity under a lease that must end before the lease is released, such as the reading of a stream."""

    async def run(self) -> None:
        """Run the task. It calls ``Lessor.end_use`` at its end, and raises nothing."""

    def end(self) -> None:
        """Ask it to end soon."""

    def goes_on(self) -> bool:
        """Return whether it will end by itself, because a task is reading."""


Spawn: TypeAlias = Callable[[Use], None]
"""Runs the task of a use."""


_NO_BLOCK: Final = sys.maxsize


class Lessor:
    """Knows which leases are held, by ticket. It has no reference to a lease itself, so that a dropped lease can be noticed.

    ``release`` and ``drain`` may be called from any thread and at any moment, also in a signal handler or a finaliser. They make a note,
    which nothing can interrupt. If the caller is a trio task of this run, the note is passed on to ``report`` at once; otherwise
    ``TrioToken.run_sync_soon`` passes it on a moment later.
    """

    def __init__(self, report: Callable[[Released | FoundBroken], None], spawn: Spawn = lambda use: None) -> None:
        self._report = report
        self._spawn = spawn
        # for reading only, outside of this file: which tickets are on, and what has been noted and not passed on
        self.held: dict[int, int] = {}  # ticket: index of the first nursery of the holder inside the lease's block
        self.notes: deque[Released | FoundBroken] = deque()
        self._uses: dict[int, Use] = {}
        self._home: trio.lowlevel.TrioToken | None = None

    def lend(self, ticket: int, demand: Demand, adapter: Adapter, queued: float, loading: float) -> Lease:
        """Make a lease, which belongs to the current trio run."""
        if self._home is None:
            self._home = trio.lowlevel.current_trio_token()
        self.held[ticket] = _NO_BLOCK
        return Lease(self, ticket, demand, adapter, queued, loading)

    def enter_block(self, ticket: int) -> None:
        """Record that the lease is held for a block: the nurseries that its task opens from now on are inside it."""
        if ticket in self.held:
            self.held[ticket] = len(trio.lowlevel.current_task().child_nurseries)

    def encloses(self, ticket: int, nursery: int) -> bool:
        """Return whether the holder's nursery with this index is inside the lease's block, so that it must be left first."""
        use = self._uses.get(ticket)
        return nursery >= self.held.get(ticket, _NO_BLOCK) and not (use is not None and use.goes_on())

    @enable_ki_protection
    def release(self, ticket: int, broken: bool, caller: FrameType | None = None) -> None:
        """Release the lease; no-op if it is over. ``caller``: the frame that calls; None: a trio task of ours."""
        block = self.held.pop(ticket, None)
        if block is None:
            return
        try:
            self._note(Released(ticket, broken), caller)
        except RecursionError:
            # to be released where the stack is less deep; a note of it that was made changes nothing then
            self.held[ticket] = block
            raise

    @enable_ki_protection
    def drain(self, ticket: int, caller: FrameType | None = None) -> None:
        """Report the leased instance broken; no-op if the lease is over."""
        if ticket in self.held:
            self._note(FoundBroken(ticket), caller)

    def revoke(self, ticket: int) -> None:
        """End the lease without an event: the coordinator knows."""
        self.held.pop(ticket, None)
        if ticket in self._uses:
            self._uses[ticket].end()

    # ---- uses of a lease ----

    def streams(self) -> frozenset[int]:
        """Return the tickets of the leases whose uses have not ended."""
        return frozenset(self._uses)

    @enable_ki_protection
    def begin_use(self, ticket: int, use: Use) -> None:
        """Run ``use``, the only one of this lease; a release ends it first."""
        self._uses[ticket] = use
        self._spawn(use)

    @enable_ki_protection
    def end_use(self, ticket: int, broken: bool) -> None:
        """Note that the use has ended: now the lease is released, even if its holder did so before."""
        del self._uses[ticket]
        self.held.pop(ticket, None)
        self._pass_on()
        self._report(Released(ticket, broken))

    # ---- passing on the notes ----

    def catch_up(self, caller: FrameType | None = None) -> None:
        """Pass on the notes at once, if ``caller`` is a trio task of this run. None: one of ours."""
        if self.notes and self._home is not None and (caller is None or is_task_at_work(self._home, caller)):
            self._pass_on()

    def _note(self, event: Released | FoundBroken, caller: FrameType | None) -> None:
        self.notes.append(event)
        if caller is None or is_task_at_work(self._home, caller):
            self._pass_on()
        else:
            assert self._home is not None, "a lease was lent in a trio run"
            with suppress(trio.RunFinishedError):
                self._home.run_sync_soon(self._pass_on)

    def _pass_on(self) -> None:
        notes = self.notes
        while notes:
            event = notes.popleft()
            if event.ticket in self._uses and isinstance(event, Released):
                self._end_early(event)
            else:
                self._report(event)

    def _end_early(self, event: Released) -> None:
        """Give the lease back while its use goes on: it ends with its use."""
        if event.broken:
            self._report(FoundBroken(event.ticket))
        self._uses[event.ticket].end()


class Lease(AsyncOnly):
    """Made by ``ProviderManager.get_adapter`` and ``acquire``.

    Ends by :meth:`release`, by leaving its ``async with`` block, or by being revoked when the manager closes, whichever
    is first. A lease that is dropped without any of these warns (``ResourceWarning``) and is released. While the engine reads a stream
    under the lease, a release ends the stream, and the instance is free when the stream has ended.

    ``queued_seconds`` is the time spent in the queue, ``loading_seconds`` the time spent on the start (or the shutdown that made
    room for it); together they are the time from the call to the grant.
    """

    _how = "async with lease; or lease.release() when it is no longer needed"
    __slots__ = (
        "__weakref__",
        "_adapter",
        "_demand",
        "_lessor",
        "_number",
        "_ticket",
        "loading_seconds",
        "queued_seconds",
    )

    def __init__(
        self, lessor: Lessor, ticket: int, demand: Demand, adapter: Adapter, queued: float, loading: float
    ) -> None:
        self._lessor = lessor
        self._number = lease_number()
        self._ticket = ticket
        self._demand = demand
        self._adapter = adapter
        self.queued_seconds = queued
        self.loading_seconds = loading

    @property
    def adapter(self) -> Adapter:
        """The leased adapter. Raises LeaseReleasedError once the lease is over."""
        if self._ticket not in self._lessor.held:
            raise LeaseReleasedError(f"the lease of {self._demand} is over")
        return self._adapter

    @property
    def released(self) -> bool:
        """Whether the lease is over."""
        return self._ticket not in self._lessor.held

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

    @enable_ki_protection
    def release(self, broken: bool = False) -> None:
        """Give the lease back; again is a no-op. ``broken``: the instance takes no new lease and stops at its last release.

        May be called from any thread, from a signal handler and from a finaliser; there the release takes effect a moment later.
        """
        self._lessor.release(self._ticket, broken, sys._getframe(1))

    @enable_ki_protection
    def drain(self) -> None:
        """Report the instance broken: it takes no new lease from now on, and stops at its last release.

        This lease goes on, for its holder to clean up. No-op if the lease is over. May be called wherever :meth:`release` may.
        """
        self._lessor.drain(self._ticket, sys._getframe(1))

    async def __aenter__(self) -> Self:
        self._lessor.enter_block(self._ticket)
        return self

    @enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lessor.release(self._ticket, says_broken(error, self._number))

    def __repr__(self) -> str:
        return f"<Lease of {self._demand}, {'released' if self.released else 'held'}>"

    def __del__(self) -> None:
        if self._ticket in self._lessor.held:
            self._lessor.release(self._ticket, False, sys._getframe(1))
            warnings.warn(
                f"a lease of {self._demand} was dropped unreleased", ResourceWarning, stacklevel=2, source=self
            )
