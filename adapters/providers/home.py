"""Where an object of trio lives, and the way there: directly in its own trio run, over the bridge from asyncio and from threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from statemachine.errors import WrongEventLoopError
from statemachine.manager.asyncio_side import AsyncioCall
from statemachine.manager.background import Background, current
from statemachine.manager.bridge import Function, Undo, call_from_asyncio, call_from_thread
from statemachine.manager.engine import Call
from statemachine.manager.sync_side import SyncCall

__all__ = ["Home", "in_trio"]

T = TypeVar("T")


def in_trio() -> bool:
    """Whether a trio task is at work here."""
    return trio.lowlevel.in_trio_task()


class Home:
    """The trio run in which it is made."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        background = current()
        self._background = background if background is not None and background.is_here else None

    @property
    def background(self) -> Background:
        """The background thread, where that is the home. Raises WrongEventLoopError: the home is a trio run of the user's."""
        if self._background is None:
            raise WrongEventLoopError("it belongs to a trio run, and is used there")
        return self._background

    @property
    def is_here(self) -> bool:
        """Whether this is called in a task of the run."""
        return in_trio() and trio.lowlevel.current_trio_token() is self._token

    async def call(self, function: Function[T], undo: Undo | None = None) -> T:
        """What the trio function returns, for a task of the home or of asyncio."""
        if self.is_here:
            return await function()
        return await call_from_asyncio(self.background, function, undo)

    def wait(self, function: Function[T], undo: Undo | None = None) -> T:
        """What the trio function returns, for a thread."""
        return call_from_thread(self.background, function, undo)

    def read(self, function: Callable[[], T]) -> T:
        """What a function without awaits returns, read in the home."""
        return function() if self.is_here else self.background.read(function)

    def entered(self, call: Call) -> Call | AsyncioCall:
        """``async with home.entered(call) as stream``, for a task of the home or of asyncio."""
        return call if self.is_here else AsyncioCall(self, call)

    def entered_by_a_thread(self, call: Call) -> SyncCall:
        """``with home.entered_by_a_thread(call) as stream``."""
        return SyncCall(self, call)
