"""What is still to happen in a run of the heap driver, and its virtual time.

The agenda is a heap, ordered by (time, priority, sequence), a total order. At one moment calls are issued first, then loads, unloads and
answers end, then answers begin; within a priority what was put there first comes first, and a workload's first calls come in the order of
their ids. So it is in a replay through the manager too, because a task that wakes issues its call at once, while the end of an answer has
several hands to go through. Its equals are shuffled by trio, though: which of two calls of the same moment comes first is for each driver
to say, and so is which of two answers that one instance makes side by side and ends at the same moment.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import chain, count, repeat
from typing import Final, NoReturn, TypeAlias

from statemachine.core.timers import Timers

from ..timing.faults import FaultPlan

__all__ = ["BEGIN", "END", "FIRST", "ISSUE", "Agenda", "Entry"]

FIRST: Final = -1
ISSUE: Final = 0
END: Final = 1
BEGIN: Final = 2
NEVER: Final = 3

Entry: TypeAlias = tuple[float, int, int, Callable[[int], None], int]
"""Time, priority, sequence, and what to do with which call, ticket or instance."""


class Agenda(ABC):
    """Lets things happen in their order until no call is ``left``. ``now`` is the virtual time, in seconds.

    ``first``: the entries of the workload's first calls, in order. Only the next of them is on the heap. ``timers`` are the model's.
    An outage of ``faults`` lengthens what ends after it has begun.
    """

    def __init__(self, left: int, timers: Timers, first: Iterator[Entry], faults: FaultPlan | None) -> None:
        self.left = left
        self.now = 0.0
        self.timers = timers
        self.faults = faults
        self.sequence = count()
        self.first = chain(first, repeat((math.inf, NEVER, 0, self._be_stuck, 0)))  # so the heap is never empty
        self.heap: list[Entry] = [next(self.first)]

    def step(self) -> None:
        """Let the next thing happen. Does nothing when every call has ended. Raises RuntimeError as :meth:`run` does."""
        self.run(steps=1)

    def run(self, until: float = math.inf, *, steps: int = -1) -> None:
        """Let happen what is due up to the time ``until``, or until every call has ended; at most ``steps`` things (-1: no bound).

        At one moment a first call comes before everything else, and a deadline after it. Raises RuntimeError where calls are left
        and nothing can happen any more.
        """
        heap, timers = self.heap, self.timers
        while self.left and steps:
            due = timers.next_deadline
            if heap[0][0] <= due:
                if heap[0][0] > until:
                    break
                self.now, _, _, act, what = heappop(heap)
                act(what)
            elif due > until:
                break
            else:
                self.now = due
                self.wake()
            steps -= 1
        else:
            return
        if heap[0][0] == due == math.inf:
            self._be_stuck(0)
        self.now = max(self.now, until)

    @abstractmethod
    def wake(self) -> None:
        """Tell the model that the time of a deadline has come."""

    def push(self, seconds: float, priority: int, act: Callable[[int], None], what: int) -> None:
        """Let ``act(what)`` happen in ``seconds``, or that much later when what ends there meets outages."""
        if self.faults is not None and priority == END:
            seconds = self.faults.lasting(self.now, seconds)
        heappush(self.heap, (self.now + seconds, priority, next(self.sequence), act, what))

    def _be_stuck(self, _: int) -> NoReturn:
        raise RuntimeError(f"nothing can happen any more, and {self.left} calls are left")
