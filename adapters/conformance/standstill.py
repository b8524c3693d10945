"""Programs that do not come to an end: an adapter that waits in a busy loop, catches its cancellation, or shields itself from it.

trio's run ends only with its tasks. So each program runs in a thread of its own, and one that goes on after it was cancelled is
left behind: its thread sleeps from then on, for as long as this process lives.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

import trio

__all__ = ["Standstill", "run_unless_stuck"]

SPIN_STEPS: Final = 30_000
"""Steps without an event, without a moment in which nothing runs, and at one moment of a virtual clock: from here on a busy loop."""
UNWINDING_STEPS: Final = 3_000
"""The same of an operation that was cancelled for it."""
IDLE_TURNS: Final = 10_000
"""Turns of a virtual clock's event loop in which nothing runs; after these nothing ever will."""
GRACE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5


class Standstill(trio.abc.Instrument):
    """Watches one run for operations that cannot end. ``virtual``: its clock jumps to the next deadline."""

    def __init__(self, *, virtual: bool) -> None:
        self.spun = False  # an operation was a busy loop, and was cancelled
        self.stuck = False  # an operation cannot be ended
        self.over = threading.Event()
        self._virtual = virtual
        self._guard: trio.CancelScope | None = None
        self._cancelled = False
        self._steps = 0
        self._turns = 0
        self._time = 0.0  # of the virtual clock
        self._give_up_at = math.inf

    def begin(self, guard: trio.CancelScope, seconds: float) -> None:
        """Note that an operation begins, which ``guard`` cancels after ``seconds`` of the run's clock."""
        self._guard, self._cancelled = guard, False
        self._steps = 0
        self._give_up_at = time.monotonic() + GRACE_SECONDS + (0 if self._virtual else seconds)

    def end(self) -> None:
        """Note that the operation is over."""
        self._guard, self._give_up_at = None, math.inf

    def event_seen(self) -> None:
        """Note that the adapter gets on."""
        self._steps = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._turns = 0
        self._steps += 1
        if self._virtual and self._steps % 64 == 0 and (now := trio.current_time()) != self._time:
            self._time, self._steps = now, 0
        if self._guard is not None and self._steps > (UNWINDING_STEPS if self._cancelled else SPIN_STEPS):
            self._steps = 0
            self.spun = True
            if self._cancelled:
                self.stuck = True
            self._cancelled = True
            self._guard.cancel()
        self._stay_here_if_stuck()

    def before_io_wait(self, timeout: float) -> None:
        self._turns += 1
        if timeout > 0 and not self._virtual:
            self._steps = 0
        if self._virtual and self._turns > IDLE_TURNS:
            self.stuck = True
        self._stay_here_if_stuck()

    def _stay_here_if_stuck(self) -> None:
        if self.stuck:
            self.over.set()
            threading.Event().wait()

    def look(self) -> None:
        """See from another thread whether the operation should have ended long since."""
        if time.monotonic() > self._give_up_at:
            self.stuck = True


def run_unless_stuck(work: Callable[[], None], standstill: Standstill) -> None:
    """Do ``work`` in a thread of its own until it is over or stuck. Raises what it raises."""
    raised: list[BaseException] = []

    def in_thread() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            standstill.over.set()

    threading.Thread(target=in_thread, name="conformance", daemon=True).start()
    while not (standstill.over.wait(_POLL_SECONDS) or standstill.stuck):
        standstill.look()
    if raised:
        raise raised[0]
