"""Cancel a task at every step of a run, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from outcome import Error

from .switch import message

__all__ = ["Cancelling", "sweep"]


class Cancelling(trio.abc.Instrument):
    """Counts what happens while the task under test is in :meth:`scope`, and cancels it at chosen counts.

    As an instrument of the run it counts the steps of all tasks, trio's own included. Other code may call :meth:`count` instead. At the
    count ``first`` the inner of two scopes is cancelled, at ``second`` the outer one, while the task unwinds from the first cancellation.
    Count 0 is before the task begins.
    """

    def __init__(self, first: int, second: int | None = None) -> None:
        self._first = first
        self._second = second
        self._task: trio.lowlevel.Task | None = None
        self._delivered = False
        self.counted = 0
        self.cancelled_at: float | None = None

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Cancel what the task under test does in this block. Other exceptions than the cancellation leave the block.

        Raises AssertionError if the cancellation was delivered and swallowed.
        """
        self._task = trio.lowlevel.current_task()
        completed = False
        try:
            with trio.CancelScope() as self._outer, trio.CancelScope() as self._inner:
                self._cancel()
                yield
                completed = True
        finally:
            self._task = None
        if self._delivered and completed:
            raise AssertionError("the cancellation was swallowed")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count()

    def count(self) -> None:
        """Count one more."""
        if self._task is not None:
            self.counted += 1
            self._cancel()

    def _cancel(self) -> None:
        if self.counted == self._first:
            self._inner.cancel()
            self.cancelled_at = trio.current_time()
            # whether the task will wake up with Cancelled: it may be running or shielded, or about to continue with a result
            answer = None if self._task is None else message(self._task)
            self._delivered = isinstance(answer, Error) and isinstance(answer.error, trio.Cancelled)
        elif self.counted == self._second:
            self._outer.cancel()


def sweep(attempt: Callable[[Cancelling], None], *, twice: bool = False) -> int:
    """Call ``attempt`` with a cancellation at count 0, 1, 2, ... until it completes without one. Return the number of counts.

    ``attempt`` starts a run each time, with the object that it is given among the run's instruments. ``twice``: after each of these,
    repeat it with a second cancellation at every count of the unwinding from the first.
    """
    first = 0
    while True:
        once = Cancelling(first)
        attempt(once)
        if once.cancelled_at is None:
            return first
        if twice:
            for second in range(first + 1, once.counted):
                attempt(Cancelling(first, second))
        first += 1
