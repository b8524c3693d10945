"""A trio run that is driven from outside, step by step: rules of a Hypothesis state machine may await, and leave tasks behind.

The run is trio's guest mode, in this very thread. Its clock stands still and lets trio never wait, so no thread is ever needed: the
host (the pump) turns the loop until no task runs any more, and moves the time itself. Public interfaces of trio only.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

import outcome
import trio

__all__ = ["Call", "Pump"]

T = TypeVar("T")
MOST_TURNS = 10_000


class ThrownOutError(Exception):
    """Raised in tasks that would never end."""


class _StandingClock(trio.abc.Clock):
    """Virtual seconds, moved by the pump alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0


class _Notices(trio.abc.Instrument):
    """Whether a task has run since the last look."""

    def __init__(self) -> None:
        self.ran = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.ran = True


class Call(Generic[T]):
    """An async call under way. ``outcome`` is None until it has ended, and stays None when it was cancelled."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.outcome: outcome.Outcome[T] | None = None
        self.over = False

    async def run(self, async_fn: Callable[..., Awaitable[T]], *args: Any) -> None:
        with self.scope:
            try:
                self.outcome = outcome.Value(await async_fn(*args))
            except Exception as error:
                self.outcome = outcome.Error(error)
        self.over = True


class Pump:
    """A trio run that advances only when told to. End it with :meth:`end`."""

    def __init__(self) -> None:
        self._clock = _StandingClock()
        self._notices = _Notices()
        self._due: deque[Callable[[], object]] = deque()
        self._end: outcome.Outcome[Any] | None = None
        self._nursery: trio.Nursery
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._due.append,
            done_callback=self._done,
            host_uses_signal_set_wakeup_fd=False,
            clock=self._clock,
            instruments=[self._notices],
        )
        self.settle()

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    def _done(self, end: outcome.Outcome[Any]) -> None:
        self._end = end

    @property
    def now(self) -> float:
        """The virtual time, in seconds."""
        return self._clock.now

    def start(self, async_fn: Callable[..., Awaitable[T]], *args: Any) -> Call[T]:
        """Start a task, and let everything run until all tasks wait."""
        call: Call[T] = Call()
        self._nursery.start_soon(call.run, async_fn, *args)
        self.settle()
        return call

    def settle(self) -> None:
        """Let everything run that can. Raises what a task has raised; fails when it does not seem to end."""
        quiet = 0
        for _ in range(MOST_TURNS):
            if self._end is not None or quiet == 2:
                break
            self._notices.ran = False
            for _ in range(len(self._due)):
                self._due.popleft()()
            quiet = 0 if self._notices.ran else quiet + 1
        else:
            raise AssertionError(f"something still runs after {MOST_TURNS} turns of the loop")
        if self._end is not None:
            self._end.unwrap()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: everything happens at its time."""
        until = self.now + seconds
        while self.next_deadline <= until:
            self._clock.now = max(self.now, self.next_deadline)
            self.settle()
        self._clock.now = until
        self.settle()

    @property
    def next_deadline(self) -> float:
        """When the next cancel scope or sleep is over (virtual seconds; infinity: never)."""
        if self._end is not None:
            return math.inf
        return self.now + trio.lowlevel.current_statistics().seconds_to_next_deadline

    def end(self) -> None:
        """Cancel all tasks and wait for them, however much (virtual) time they take. Fails when some never end, and throws them out."""
        try:
            self._nursery.cancel_scope.cancel()
            self.settle()
            while self._end is None and self.next_deadline < math.inf:
                self.advance(self.next_deadline - self.now)
            assert self._end is not None, "a task never ends, shielded"
        finally:
            self._throw_out()

    def _throw_out(self) -> None:
        """Only one trio run fits into a thread, so an unfinished one must not be left behind."""
        for _ in range(MOST_TURNS):
            if self._end is not None:
                return
            for task in _leaves(self._nursery.parent_task):
                trio.lowlevel.reschedule(task, outcome.Error(ThrownOutError()))
            with suppress(BaseExceptionGroup, Exception):
                self.settle()


def _leaves(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """The tasks from ``task`` down that wait for no other task."""
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    if not children:
        yield task
    for child in children:
        yield from _leaves(child)
