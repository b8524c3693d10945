"""The deadlines of the coordinator: armed and disarmed in constant time, expired in a total order.

The deadline of an idle instance moves with every lease, which would be a heap operation each time. So the heap is corrected lazily. A
timer has at most one valid entry, at its present deadline or earlier. An entry that comes up too early is put back at the present
deadline; an entry whose timer was disarmed is dropped. Moving a deadline to a later time is therefore no heap operation.

Example: a timer is armed for 5 s and then for 9 s. Its entry stays at 5 s, so ``next_deadline`` is 5. At 5 s ``due`` finds that the
deadline is 9, moves the entry, and returns None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from .events import IDLE, Timer, TimerKind

__all__ = ["TimerKey", "Timers"]

TimerKey: TypeAlias = tuple[TimerKind, int]
"""A :class:`Timer`, or a plain tuple that equals it: every lease makes one, and a plain one takes a tenth of the time."""


class Timers:
    """A set of timers with their deadlines. ``next_deadline`` is never later than the earliest of them.

    It may be earlier, but not earlier than the ``now`` for which :meth:`due` returned None, so a driver is not woken in a loop.
    """

    def __init__(self) -> None:
        self.armed: dict[TimerKey, float] = {}
        self.next_deadline: float = math.inf
        self._heap: list[tuple[float, TimerKey]] = []
        self._queued: dict[TimerKey, float] = {}  # the time of each timer's only valid entry in the heap

    def replace(self, armed: Iterable[tuple[TimerKey, float]]) -> None:
        """Drop all deadlines and arm these."""
        self.armed = dict(armed)
        self._rebuild()

    def arm(self, kind: TimerKind, subject: int, deadline: float) -> None:
        """Set or move the deadline of a timer (seconds on the driver's clock)."""
        timer = kind, subject
        self.armed[timer] = deadline
        queued = self._queued.get(timer)
        if queued is None or queued > deadline:
            self._push(timer, deadline)

    def disarm(self, kind: TimerKind, subject: int) -> None:
        """Drop the deadline of a timer, if it has one."""
        timer, heap = (kind, subject), self._heap
        if self.armed.pop(timer, None) is None:
            return
        if kind is not IDLE and heap[0][1] == timer:  # an idle deadline is set again and again: its entry stays
            while heap and heap[0][1] not in self.armed:
                self._queued.pop(heappop(heap)[1], None)
            self._look()
        elif len(heap) > 64 and len(heap) > 4 * len(self.armed):
            self._rebuild()

    def due(self, now: float) -> Timer | None:
        """Remove and return the first timer whose deadline is not after ``now``; None when there is none."""
        while self._heap:
            queued, timer = self._heap[0]
            if queued > now:
                break
            heappop(self._heap)
            if self._queued.get(timer) != queued:
                continue  # superseded by an earlier entry
            del self._queued[timer]
            deadline = self.armed.get(timer)
            if deadline is None:
                continue
            if deadline <= now and deadline == queued:
                del self.armed[timer]
                return Timer(*timer)
            self._push(timer, deadline)
        self._look()
        return None

    def _push(self, timer: TimerKey, deadline: float) -> None:
        self._queued[timer] = deadline
        heappush(self._heap, (deadline, timer))
        if deadline < self.next_deadline:
            self.next_deadline = deadline

    def _look(self) -> None:
        self.next_deadline = self._heap[0][0] if self._heap else math.inf

    def _rebuild(self) -> None:
        self._queued = dict(self.armed)
        self._heap = [(deadline, timer) for timer, deadline in self.armed.items()]
        heapify(self._heap)
        self._look()
