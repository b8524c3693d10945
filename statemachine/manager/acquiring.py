"""A lease for the length of a block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NoReturn

from .hints import AsyncOnly
from .lease import Lease

__all__ = ["Acquiring"]


class Acquiring(AsyncOnly):
    """A lease for the length of an ``async with`` block."""

    _how = "async with manager.acquire(...) as lease; or: lease = await manager.get_adapter(...)"
    __slots__ = ("_acquire", "_arguments", "_entered", "_lease")

    def __init__(self, acquire: Callable[..., Awaitable[Lease]], *arguments: Any) -> None:
        self._acquire = acquire
        self._arguments = arguments
        self._entered = False

    async def __aenter__(self) -> Lease:
        if self._entered:
            raise RuntimeError("enter what acquire() returns once; call acquire() again for another lease")
        self._entered = True
        lease = await self._acquire(*self._arguments)
        self._lease = await lease.__aenter__()
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lease.__aexit__(kind, error, trace)

    def __await__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")
