"""Strategies: which schedules are tried, one after the other.

A strategy's :meth:`schedules` is a generator: it yields a schedule, and is sent the :class:`Run` of it. When it has ended, ``complete``
says whether it has tried everything that it promises.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Protocol, TypeAlias

from .running import Run, Schedule
from .tape import NATURAL, Tape

__all__ = ["PCT", "RandomWalk", "Schedules", "Strategy", "Walk", "named"]

Schedules: TypeAlias = Generator[Schedule, Run, None]


class Strategy(Protocol):
    """A way to choose schedules."""

    complete: bool

    def schedules(self) -> Schedules:
        """Yield the schedules, the natural order first."""


class RandomWalk:
    """Draw ``runs`` schedules from ``seed``. At every choice each ready task is equally likely."""

    complete = False

    def __init__(self, runs: int = 1000, seed: int = 0) -> None:
        self._runs = runs
        self._seed = seed

    def schedules(self) -> Schedules:
        yield NATURAL
        for number in range(1, self._runs):
            yield Walk(f"{self._seed}/{number}")


class Walk:
    """A schedule in which each ready task is equally likely, drawn from ``seed``."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self._random = random.Random(seed)

    def choose(self, step: int, ready: tuple[int, ...]) -> int:
        return int(self._random.random() * len(ready))


def named(text: str) -> Schedule:
    """Return the schedule with this printed text: a tape such as ``17+1,40+2``, or ``seed:0/1``. Raises ValueError."""
    seed = text.removeprefix("seed:")
    return Tape.parse(text) if seed == text else Walk(seed)


class PCT:
    """Probabilistic concurrency testing: tasks have random priorities, and the first of them loses its own at ``depth - 1`` random steps.

    A bug that needs ``depth`` steps of n tasks in a certain order is hit by one run of k steps with a probability of at least ``1 / (n *
    k ** (depth - 1))`` (Burckhardt et al., ASPLOS 2010). Better than a random walk where one task must be held up for long.
    """

    complete = False

    def __init__(self, runs: int = 1000, seed: int = 0, depth: int = 3) -> None:
        self._runs = runs
        self._seed = seed
        self._depth = depth

    def schedules(self) -> Schedules:
        first = yield NATURAL
        for number in range(1, self._runs):
            yield _Priorities(f"{self._seed}/{number}", self._depth, first.steps)


class _Priorities:
    def __init__(self, seed: str, depth: int, steps: int) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._changes = sorted((int(self._random.random() * steps) + 1 for _ in range(depth - 1)), reverse=True)
        self._of: dict[int, float] = {}

    def choose(self, step: int, ready: tuple[int, ...]) -> int:
        for task in ready:
            if task not in self._of:
                self._of[task] = self._random.random()
        while self._changes and self._changes[-1] <= step:
            self._changes.pop()
            self._of[max(ready, key=self._of.__getitem__)] = -1.0 - step  # below all others
        return ready.index(max(ready, key=self._of.__getitem__))
