"""Step the coordinator in a trio run: one event at a time, its effects in order, and the next deadline in time.

Events never interrupt a step. An event that an effect causes at once, such as a release by an observer, waits in the inbox until the
effects before it are carried out. An error that comes up in the meantime, such as an observer's KeyboardInterrupt, is kept, and raised
when no effect is left: otherwise a lease might be granted and never delivered.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio
from trio.lowlevel import enable_ki_protection

from ..core.coordinator import Coordinator
from ..core.events import Event, Wake

__all__ = ["Stepper"]


class Stepper:
    """Tells ``coordinator`` of events. ``carry_out`` has a function for each type of effect."""

    def __init__(self, coordinator: Coordinator, carry_out: Mapping[type, Callable[[Any], None]]) -> None:
        self.coordinator: Final = coordinator
        self._carry_out = carry_out
        self._timers = coordinator.timers
        self._clock: Callable[[], float] = trio.current_time  # that of the run, once there is one
        self._inbox: deque[Event] = deque()  # events that arose while effects were carried out
        self._engaged = False  # the coordinator is being stepped
        self._alarm = trio.CancelScope()  # the sleep until the next deadline
        self._alarm_at = math.inf  # the deadline of the alarm: reading it from the scope is slower
        self._watch = trio.CancelScope(shield=True)  # the task that waits for deadlines
        self._interruption: BaseException | None = None  # to be raised after the step

    def enter_run(self) -> None:
        """Take the clock of the current run."""
        self._clock = trio.lowlevel.current_clock().current_time  # as trio.current_time(), with less on the way

    def dispatch(self, event: Event) -> None:
        """Do :meth:`settle`, and then raise the error that was kept, if there is one."""
        self.settle(event)
        if self._interruption is not None and not self._engaged:
            self.raise_interruption()

    @enable_ki_protection
    def settle(self, event: Event) -> None:
        """Step the coordinator and carry out its effects. Within a step, the event waits in the inbox."""
        if self._engaged:
            self._inbox.append(event)
            return
        self._engaged = True
        try:
            while True:
                for effect in self.coordinator.step(event, self._clock()):
                    self._carry_out[effect.__class__](effect)
                if not self._inbox:
                    break
                event = self._inbox.popleft()
        finally:
            self._engaged = False
        deadline = self._timers.next_deadline
        if deadline < self._alarm_at:
            self._alarm_at = self._alarm.deadline = deadline

    def expire(self) -> None:
        """Step the coordinator if a deadline has come."""
        if self._timers.next_deadline <= self._clock():
            self.dispatch(Wake())

    def interrupt(self, error: BaseException) -> None:
        """Have ``error`` raised as soon as every effect of the step has been carried out."""
        self._interruption = error

    def raise_interruption(self) -> None:
        """Raise the error that was kept, if there is one."""
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            raise interruption

    def raise_interruption_in(self, nursery: trio.Nursery) -> None:
        """Raise the error that was kept, if there is one, in a task of its own."""
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            nursery.start_soon(_fail, interruption)

    @enable_ki_protection
    async def watch_deadlines(self, report: Callable[[Wake], None]) -> None:
        """Have ``report`` called at every deadline, until :meth:`end_watch`."""
        with self._watch:
            while True:
                self._alarm_at = self.coordinator.next_deadline
                with trio.CancelScope(deadline=self._alarm_at) as self._alarm:
                    await trio.sleep_forever()
                report(Wake())

    def end_watch(self) -> None:
        """End :meth:`watch_deadlines`."""
        self._watch.cancel()


async def _fail(error: BaseException) -> None:
    raise error
