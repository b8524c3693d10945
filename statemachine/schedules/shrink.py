"""Shrink a failing tape: find one that fails in the same way with fewer deviations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .exhaustive import FewDeviations
from .running import Run, Schedule
from .tape import Tape

__all__ = ["shrunk"]


def shrunk(
    failing: Run, attempt: Callable[[Schedule], Run], fails: Callable[[Run], bool], most_runs: int = 2000
) -> Run:
    """Return the smallest run that fails like ``failing`` and can be found in about ``most_runs`` runs.

    ``attempt`` runs a schedule; ``fails`` says whether a run fails in the same way. First deviations are left out, in ever smaller groups,
    until none can be. Then every schedule with fewer deviations is tried, the fewest first. Then each deviation is moved to the nearest
    task and the earliest step at which the run still fails.
    """
    return _Shrinker(failing, attempt, fails, most_runs).run()


class _Shrinker:
    def __init__(
        self, failing: Run, attempt: Callable[[Schedule], Run], fails: Callable[[Run], bool], most_runs: int
    ) -> None:
        self._best = failing
        self._attempt = attempt
        self._fails = fails
        self._left = most_runs

    def run(self) -> Run:
        self._leave_out()
        self._search_for_fewer()
        while any(self._better(tape) for tape in self._moved(self._best.tape)):
            pass
        return self._best

    def _better(self, tape: Tape) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        run = self._attempt(tape)
        if not self._fails(run) or _size(run.tape) >= _size(self._best.tape):
            return False
        self._best = run
        return True

    def _leave_out(self) -> None:
        group = len(self._best.tape)
        while group:
            start = 0
            while start < len(self._best.tape):
                deviations = list(self._best.tape)
                if not self._better(Tape(deviations[:start] + deviations[start + group :])):
                    start += group
            group //= 2

    def _search_for_fewer(self) -> None:
        """Try every schedule with fewer deviations. There may be too many, so this takes at most half of the runs that are left."""
        schedules = FewDeviations(len(self._best.tape) - 1, self._left // 2).schedules()
        schedule = next(schedules, None)
        while schedule is not None:
            self._left -= 1
            run = self._attempt(schedule)
            if self._fails(run):
                self._best = run
                return
            try:
                schedule = schedules.send(run)
            except StopIteration:
                return

    @staticmethod
    def _moved(tape: Tape) -> Iterator[Tape]:
        for step, offset in tape:
            others = [one for one in tape if one[0] != step]
            for moved in (
                *((step, nearer) for nearer in range(1, offset)),
                *((sooner, 1) for sooner in range(1, step)),
            ):
                yield Tape([*others, moved])


def _size(tape: Tape) -> tuple[int, int, int]:
    """Return the measure that shrinks: how many deviations there are, by how many places, and how late."""
    return len(tape), sum(offset for _, offset in tape), sum(step for step, _ in tape)
