"""An asynchronous context manager, such as a manager, that lives in the background thread for callers elsewhere."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import trio

from ..errors import ManagerClosedError
from .background import Background, join, leave
from .bridge import Function, Undo, call_from_asyncio, call_from_thread

__all__ = ["Crossing", "Host"]

T = TypeVar("T")
R = TypeVar("R")


class Crossing(Protocol):
    """The way to something that lives in a trio run: for the current asyncio task, and for the current thread."""

    async def call(self, function: Function[T], undo: Undo | None = None) -> T: ...

    def wait(self, function: Function[T], undo: Undo | None = None) -> T: ...


class Host(Generic[R]):
    """Hosts ``resource`` in a trio task of its own, so it may be entered by one task or thread and left by another.

    As ``async with`` from asyncio, as ``with`` from a thread. It is entered once. What happens in between is called through
    :meth:`call` and :meth:`wait`.
    """

    def __init__(self, resource: AbstractAsyncContextManager[R]) -> None:
        self._resource = resource
        self._background: Background | None = None
        self._entered = False
        self._left = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope()
        self._error: BaseException | None = None

    @property
    def background(self) -> Background:
        """Where it lives. Raises ManagerClosedError before and after its life."""
        if self._background is None:
            raise ManagerClosedError("it is not entered, or has been left")
        return self._background

    async def call(self, function: Function[T], undo: Undo | None = None) -> T:
        """Call the trio function for the current asyncio task, and return its result. See :func:`call_from_asyncio`."""
        return await call_from_asyncio(self.background, function, undo)

    def wait(self, function: Function[T], undo: Undo | None = None) -> T:
        """Call the trio function for the current thread, and return its result. See :func:`call_from_thread`."""
        return call_from_thread(self.background, function, undo)

    async def __aenter__(self) -> R:
        background = self._join()
        try:
            return await call_from_asyncio(background, self._open, self._take_back)
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.call(lambda: self._close(grace=error is None))
        finally:
            self._leave()

    def __enter__(self) -> R:
        background = self._join()
        try:
            return call_from_thread(background, self._open, self._take_back)
        except BaseException:
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait(lambda: self._close(grace=error is None))
        finally:
            self._leave()

    def _join(self) -> Background:
        if self._entered:
            raise ManagerClosedError("it is entered only once")
        self._entered = True
        self._background = join()
        return self._background

    def _leave(self) -> None:
        background, self._background = self._background, None
        if background is not None:
            leave(background)

    # ---- in the trio run ----

    async def _open(self) -> R:
        value: R = await self.background.nursery.start(self._live)
        return value

    async def _close(self, *, grace: bool) -> None:
        """Leave the resource, and wait until that is done. ``grace`` is for one whose body has ended without an error."""
        if not grace:
            self._scope.cancel()
        self._left.set()
        try:
            await self._ended.wait()
        except trio.Cancelled:
            self._scope.cancel()
            with trio.CancelScope(shield=True):
                await self._ended.wait()
            raise
        if self._error is not None:
            raise self._error

    async def _take_back(self, _: object) -> None:
        await self._close(grace=False)

    async def _live(self, task_status: trio.TaskStatus[R]) -> None:
        try:
            with self._scope:
                await self._use(task_status)
        finally:
            self._ended.set()

    async def _use(self, task_status: trio.TaskStatus[R]) -> None:
        started = False
        try:
            async with self._resource as value:
                task_status.started(value)
                started = True
                await self._left.wait()
        except BaseException as error:
            if not started or isinstance(error, trio.Cancelled):
                raise
            self._error = error  # raised where it is left
