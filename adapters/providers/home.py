"""Call an object of trio from anywhere: directly in its own trio run, over the bridge from asyncio and from threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from statemachine.errors import WrongEventLoopError
from statemachine.manager.asyncio_side import AsyncioCall
from statemachine.manager.background import Background, current
from statemachine.manager.bridge import Function, Undo, call_from_asyncio, call_from_thread
from statemachine.manager.engine import EngineCall
from statemachine.manager.sync_side import SyncCall

__all__ = ["Home", "in_trio"]

T = TypeVar("T")


def in_trio() -> bool:
    """Return whether this code runs in a trio task."""
    return trio.lowlevel.in_trio_task()


class Home:
    """The trio run in which an object was made, and the ways to call functions there."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        background = current()
        self._background = background if background is not None and background.is_here else None

    @property
    def background(self) -> Background:
        """The background thread. Raises WrongEventLoopError if the home is a trio run of the user's instead."""
        if self._background is None:
            raise WrongEventLoopError("it belongs to a trio run, and is used there")
        return self._background

    @property
    def is_here(self) -> bool:
        """Whether this is called in a task of the run."""
        return in_trio() and trio.lowlevel.current_trio_token() is self._token

    async def call(self, function: Function[T], undo: Undo | None = None) -> T:
        """Await a trio function in the home, from a task of the home or of asyncio, and return its result."""
        if self.is_here:
            return await function()
        return await call_from_asyncio(self.background, function, undo)

    def wait(self, function: Function[T], undo: Undo | None = None) -> T:
        """Run a trio function in the home, from a thread, and return its result."""
        return call_from_thread(self.background, function, undo)

    def read(self, function: Callable[[], T]) -> T:
        """Run a function without awaits in the home, and return its result."""
        return function() if self.is_here else self.background.read(function)

    def entered(self, call: EngineCall) -> EngineCall | AsyncioCall:
        """Return a context manager for ``async with home.entered(call) as stream``, in a task of the home or of asyncio."""
        return call if self.is_here else AsyncioCall(self, call)

    def entered_by_a_thread(self, call: EngineCall) -> SyncCall:
        """Return a context manager for ``with home.entered_by_a_thread(call) as stream``."""
        return SyncCall(self, call)
