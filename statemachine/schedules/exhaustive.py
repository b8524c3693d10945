"""Strategies that try every schedule, or every schedule with few deviations."""

from __future__ import annotations

from collections.abc import Callable

from .running import Run
from .strategies import Schedules
from .tape import NATURAL, Tape

__all__ = ["Exhaustive", "FewDeviations"]


class Exhaustive:
    """Try every schedule of a small program, depth first.

    If the program has called ``watch(state=...)``, a state from which the search went on before is not explored again; ``states`` has
    their fingerprints. This is sound if the state is complete: what a task does next must follow from its position in the code, its plain
    local variables (numbers, strings, containers of these, trio's scopes and events), the time, and what ``state`` returns. Without a
    ``state`` nothing is left out.

    ``complete`` is True in the end if every choice was tried: ``most_runs`` were enough, and no run had too many steps.
    """

    def __init__(self, most_runs: int = 100_000) -> None:
        self.complete = False
        self.states: set[int] = set()
        self._most_runs = most_runs

    def schedules(self) -> Schedules:
        self.complete = False
        self.states.clear()
        stack = [NATURAL]
        runs = 0
        truncated = False
        while stack:
            if runs == self._most_runs:
                return
            schedule = _Branching(stack.pop(), self.states)
            done: Run = yield schedule
            runs += 1
            truncated = truncated or done.seed is not None or done.outcome == "livelock" or schedule.passed_by(done)
            stack += schedule.branches
        self.complete = not truncated


class _Branching:
    """A schedule that follows a tape and then the natural order. It notes every alternative after the tape in ``branches``."""

    def __init__(self, tape: Tape, seen: set[int] | None) -> None:
        self._tape = tape
        self._last = max((step for step, _ in tape), default=0)
        self._seen = seen
        self._been_here = False
        self.look: Callable[[], int | None] = lambda: None  # set by the run
        self._choices = 0
        self.branches: list[Tape] = []

    def choose(self, step: int, ready: tuple[int, ...]) -> int:
        self._choices += 1
        if step > self._last and not self._been_here:
            if self._seen is not None and (state := self.look()) is not None:
                self._been_here = state in self._seen
                self._seen.add(state)
            if not self._been_here:
                self.branches += [Tape([*self._tape, (step, offset)]) for offset in range(1, len(ready))]
        return self._tape.choose(step, ready)

    def passed_by(self, done: Run) -> bool:
        """Return whether ``done`` had choices that this schedule was not asked for."""
        return done.choices > self._choices


class FewDeviations:
    """Try every schedule with at most ``most`` deviations, those with fewer first. So what it finds has as few as possible."""

    def __init__(self, most: int = 2, most_runs: int = 100_000) -> None:
        self.complete = False
        self._most = most
        self._most_runs = most_runs

    def schedules(self) -> Schedules:
        self.complete = False
        generation = [NATURAL]
        runs = 0
        truncated = False
        for _ in range(self._most + 1):
            branches: list[Tape] = []
            for tape in generation:
                if runs == self._most_runs:
                    return
                schedule = _Branching(tape, None)
                done: Run = yield schedule
                runs += 1
                truncated = truncated or done.seed is not None or done.outcome == "livelock" or schedule.passed_by(done)
                branches += schedule.branches
            generation = branches
        self.complete = not truncated
