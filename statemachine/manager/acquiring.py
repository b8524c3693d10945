"""A lease for the length of a block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from trio.lowlevel import enable_ki_protection

from .hints import AsyncOnly
from .lease import Lease

__all__ = ["Acquiring", "Block"]

LeaseT = TypeVar("LeaseT")


class Block(Generic[LeaseT]):
    """The lease of one block, which is entered once, and left after that."""

    __slots__ = ("_begun", "_lease")

    def __init__(self) -> None:
        self._begun = False
        self._lease: LeaseT | None = None

    def begin(self) -> None:
        """Note that the block is being entered. Raises RuntimeError for the second time."""
        if self._begun:
            raise RuntimeError("enter what acquire() returns once; call acquire() again for another lease")
        self._begun = True

    def enter(self, lease: LeaseT) -> LeaseT:
        """Take the lease that was acquired for the block, and return it."""
        self._lease = lease
        return lease

    def leave(self) -> LeaseT:
        """Return the lease, to be released. Raises RuntimeError if there is none."""
        if self._lease is None:
            raise RuntimeError("the block was not entered: write (async) with manager.acquire(...) as lease")
        return self._lease


class Acquiring(AsyncOnly):
    """A lease for the length of an ``async with`` block."""

    _how = "async with manager.acquire(...) as lease; or: lease = await manager.get_adapter(...)"
    __slots__ = ("_acquire", "_arguments", "_block")

    def __init__(self, acquire: Callable[..., Awaitable[Lease]], *arguments: Any) -> None:
        self._acquire = acquire
        self._arguments = arguments
        self._block = Block[Lease]()

    async def __aenter__(self) -> Lease:
        self._block.begin()
        lease = self._block.enter(await self._acquire(*self._arguments))
        return await lease.__aenter__()

    @enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._block.leave().__aexit__(kind, error, trace)

    def __await__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")
