"""Cancellation at every step of a run: the checkpoints are counted, not guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from outcome import Error

from .switch import message

__all__ = ["Cancelling", "sweep"]


class Cancelling(trio.abc.Instrument):
    """Counts what happens while the task under test is in :meth:`scope`, and cancels it at chosen counts.

    As an instrument of the run it counts the steps of all tasks, trio's own as well; anybody may call :meth:`count` instead.
    ``first`` cancels the inner of two scopes, ``second`` the outer one, while the task unwinds from the first. Count 0 is before
    it begins.
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
        """What the task under test does in here is cancelled. Other exceptions than its cancellation pass.

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
        """One thing more has happened."""
        if self._task is not None:
            self.counted += 1
            self._cancel()

    def _cancel(self) -> None:
        if self.counted == self._first:
            self._inner.cancel()
            self.cancelled_at = trio.current_time()
            # Whether the task will wake up with Cancelled: it may be running, shielded, or awake with its answer.
            answer = None if self._task is None else message(self._task)
            self._delivered = isinstance(answer, Error) and isinstance(answer.error, trio.Cancelled)
        elif self.counted == self._second:
            self._outer.cancel()


def sweep(attempt: Callable[[Cancelling], None], *, twice: bool = False) -> int:
    """Call ``attempt`` with a cancellation at count 0, 1, 2, ... until it completes without one; how many counts that took.

    ``attempt`` makes a run of its own each time, with what it is given among the run's instruments. ``twice``: after each, again with a
    second cancellation at every count of the unwinding from the first.
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
