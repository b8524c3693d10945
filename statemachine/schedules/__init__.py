"""Explore the schedules of a trio program: which task runs when is chosen, printed, shrunk and replayed.

    async def program() -> None:
        ...  # make everything, run tasks in nurseries, assert what must hold

    explore(program).raise_if_failed()                  # 1,000 random schedules
    explore(program, PCT(runs=500, depth=3))            # where one task must be held up for long
    explore(program, Exhaustive()).complete             # every schedule of a small program
    explore(program, FewDeviations(2))                  # every schedule with at most two deviations
    replay(program, "17+1,40+2")                        # a tape that was printed

A program fails if it raises, if the check that it gave to :func:`watch` does after any step, if all of its tasks wait for each
other (a deadlock), or if it does not end (a livelock). A failure is shrunk to few deviations from the natural order, first
come, first served, and printed with the command that reproduces it in a fresh process, on every supported version of Python and trio.

**What is controlled**: which of the program's tasks that are ready runs next, at every step (a step goes from one checkpoint at which a
task gives way to the next); the order of equal deadlines and of the tasks that one cancellation reaches; time, which is virtual and
jumps to the next deadline when no task is ready. The garbage collector is off during a run.

**What is not**: threads, processes, signals, sockets and files, whose completions come when they come (who waits for nothing else looks
like a deadlock); trio's own system tasks, which run as soon as they can; the order in which a set of other objects, or
strings under a random hash seed, is gone through; ``time``, ``random`` and the like, unless the program fixes them itself; state that
survives a run. :attr:`Failure.reproducible` tells when such a thing has made the difference.

trio has no public interface for any of this. Its private parts are tried out before they are relied upon; a trio that is
different gets seeded schedules and a ``RuntimeWarning``.
"""

from __future__ import annotations

from .cancelling import Cancelling, sweep
from .exhaustive import Exhaustive, FewDeviations
from .explore import Failure, Report, explore, replay
from .running import Deviation, Program, Run, Schedule, ScheduleError, run, watch
from .seeding import seeded
from .selftest import why_not
from .strategies import PCT, RandomWalk, Strategy, Walk
from .switch import is_ready
from .tape import NATURAL, Tape

__all__ = [
    "NATURAL",
    "PCT",
    "Cancelling",
    "Deviation",
    "Exhaustive",
    "Failure",
    "FewDeviations",
    "Program",
    "RandomWalk",
    "Report",
    "Run",
    "Schedule",
    "ScheduleError",
    "Strategy",
    "Tape",
    "Walk",
    "explore",
    "is_ready",
    "replay",
    "run",
    "seeded",
    "sweep",
    "watch",
    "why_not",
]
