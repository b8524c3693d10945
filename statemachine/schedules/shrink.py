"""From a tape that fails to one with as few deviations as can be found."""

from __future__ import annotations

from collections.abc import Callable

from .running import Run
from .tape import Tape

__all__ = ["shrunk"]


def shrunk(failing: Run, attempt: Callable[[Tape], Run | None], most_runs: int = 2000) -> Run:
    """``attempt`` runs a tape and returns the run if it fails in the same way.

    Deviations are left out, in ever smaller groups, until none can be; then each goes to the nearest task and the earliest step that
    will do. No tape is tried twice, and no more than ``most_runs`` are.
    """
    tried: set[Tape] = set()

    def better(tape: Tape) -> bool:
        nonlocal failing
        if tape in tried or len(tried) >= most_runs:
            return False
        tried.add(tape)
        run = attempt(tape)
        if run is None or _size(run.tape) >= _size(failing.tape):
            return False
        failing = run
        return True

    while _leave_out(lambda: failing, better) or _move(lambda: failing, better):
        pass
    return failing


def _size(tape: Tape) -> tuple[int, int, int]:
    """How many deviations, by how many places, and how late."""
    return len(tape), sum(offset for _, offset in tape), sum(step for step, _ in tape)


def _leave_out(failing: Callable[[], Run], better: Callable[[Tape], bool]) -> bool:
    left_out = False
    group = len(failing().tape)
    while group:
        start = 0
        while start < len(failing().tape):
            deviations = list(failing().tape)
            if better(Tape(deviations[:start] + deviations[start + group :])):
                left_out = True
            else:
                start += group
        group //= 2
    return left_out


def _move(failing: Callable[[], Run], better: Callable[[Tape], bool]) -> bool:
    for step, offset in failing().tape:
        others = [one for one in failing().tape if one[0] != step]
        nearer = ((step, fewer) for fewer in range(1, offset))
        earlier = ((sooner, 1) for sooner in range(1, step))
        if any(better(Tape([*others, moved])) for moved in (*nearer, *earlier)):
            return True
    return False
