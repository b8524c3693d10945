"""Runs in virtual time that cannot hang, and cancellation at every step of a run.

A trio run under an autojump clock spins for ever when every task waits for another. :func:`run` ends such a run
and fails with the tasks that were stuck. :func:`sweep` repeats a run and cancels the task under test after the first, the
second, the third ... step that any task takes, until a run completes uncancelled: the checkpoints are counted, not guessed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import trio
import trio._core._run as trio_run  # for the seed of its schedule: there is no public way
import trio.testing
from outcome import Error

__all__ = ["Cancelling", "run", "sweep"]

STEP_BUDGET = 100_000


class _Unstick(BaseException):
    """Ends a task that would wait for ever."""


def _unstick() -> NoReturn:
    raise _Unstick


class _Watchdog(trio.abc.Instrument):
    """Sees a run in which nothing can happen any more, or far too much happens, and ends it."""

    def __init__(self) -> None:
        self.main: trio.lowlevel.Task | None = None
        self.stuck: set[str] = set()
        self._steps = 0
        self._idle = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._idle = 0
        self._steps += 1
        if self._steps > STEP_BUDGET and task._next_send is not None and task in _tree(self.main):
            self.stuck.add(task.name)
            task._next_send = Error(_Unstick())

    def before_io_wait(self, timeout: float) -> None:
        now = trio.lowlevel.current_statistics()
        idle_for_ever = now.tasks_runnable == 0 and now.seconds_to_next_deadline == float("inf")
        self._idle = self._idle + 1 if idle_for_ever else 0
        if self._idle > 3:  # a few: a message from outside may be on its way
            self._end_all()

    def _end_all(self) -> None:
        for task in list(_tree(self.main)):
            if task._abort_func is not None:
                self.stuck.add(task.name)
                task._attempt_abort(_unstick)


def _tree(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from _tree(child)


def run(main: Callable[[], Awaitable[None]], seed: int = 0, *instruments: trio.abc.Instrument) -> None:
    """``trio.run(main)`` in virtual time, with the schedule that belongs to ``seed``. A deadlock or a livelock is an AssertionError."""
    watchdog = _Watchdog()

    async def watched() -> None:
        watchdog.main = trio.lowlevel.current_task()
        try:
            await main()
        finally:
            watchdog.main = None

    vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio_run._r.seed(seed)
    clock = trio.testing.MockClock(autojump_threshold=0)
    try:
        trio.run(watched, clock=clock, instruments=[watchdog, *instruments])
    finally:
        assert not watchdog.stuck, f"stuck for ever: {sorted(watchdog.stuck)}"


class Cancelling(trio.abc.Instrument):
    """Counts what happens while the task under test is in :meth:`scope`, and cancels it at chosen counts.

    As an instrument it counts the steps of all tasks; anybody may call :meth:`count` instead. ``first`` cancels the inner of two
    scopes, ``second`` the outer one, while the task unwinds from the first. Count 0 is before it begins.
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
        """What the task under test does in here is cancelled. Other exceptions than its cancellation pass."""
        self._task = trio.lowlevel.current_task()
        completed = False
        try:
            with trio.CancelScope() as self._outer, trio.CancelScope() as self._inner:
                self._cancel()
                yield
                completed = True
        finally:
            self._task = None
        assert not (self._delivered and completed), "the cancellation was swallowed"

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
            assert self._task is not None
            self._delivered = isinstance(self._task._next_send, Error)
        elif self.counted == self._second:
            self._outer.cancel()


def sweep(attempt: Callable[[Cancelling], None], *, twice: bool = False) -> int:
    """Call ``attempt`` with a cancellation at count 0, 1, 2, ... until it completes without one; how many counts that took.

    ``twice``: after each, again with a second cancellation at every count of the unwinding from the first.
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
