"""An event that one task waits for again and again."""

from __future__ import annotations

import trio
from trio.lowlevel import enable_ki_protection

__all__ = ["AutoResetEvent"]


class AutoResetEvent:
    """An event for one waiting task, reset by the end of its wait: a stream needs two for each token, so none may be made for each.

    Setting it twice before a wait ends one wait.
    """

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: trio.lowlevel.Task | None = None

    @enable_ki_protection
    def set(self) -> None:
        """End the wait of the task that waits, or of the next one that will."""
        waiter = self._waiter
        if waiter is None:
            self._is_set = True
        else:
            self._waiter = None
            trio.lowlevel.reschedule(waiter)

    @enable_ki_protection
    async def wait(self) -> None:
        """Wait until it is set. A checkpoint."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            self._is_set = False  # not if the wait was cancelled
        else:
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def _give_up(self, _: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED
