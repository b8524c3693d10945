"""Explore the schedules of a trio program: choose which task runs at every step; print, shrink and replay what fails.

A concurrent program may be right under one order of its tasks and wrong under another. trio draws the order at random, so a test sees
few orders, and cannot repeat one. Here a *schedule* decides. Under the *natural order* tasks run first come, first served, one step at a
time. A *tape* lists the deviations from it: ``17+1,40+2`` means that at step 17 one task, and at step 40 two tasks, go to the back of the
queue.

    async def program() -> None:
        ...  # make everything, run tasks in nurseries, assert what must hold

    explore(program).raise_if_failed()                  # 1,000 random schedules
    explore(program, PCT(runs=500, depth=3))            # where one task must be held up for long
    explore(program, Exhaustive()).complete             # every schedule of a small program
    explore(program, FewDeviations(2))                  # every schedule with at most two deviations
    replay(program, "17+1,40+2")                        # a tape that was printed

A program fails if it raises, if the check that it gave to :func:`watch` raises after some step, if all of its tasks wait for each other
(a deadlock), or if it does not end (a livelock). A failure is shrunk to few deviations, and printed with the command that reproduces it in
a new process, on every supported version of Python and trio.

**What is controlled**: which of the program's ready tasks runs next, at every step (a step lasts from one checkpoint of a task to the
next); the order of equal deadlines, and of the tasks that one cancellation reaches; and time, which is virtual and jumps to the next
deadline when no task is ready. The garbage collector is off during a run.

**What is not controlled**: threads, processes, signals, sockets and files (a program that waits for these alone looks like a deadlock);
trio's own system tasks, which run as soon as they can; the iteration order of a set of other objects, or of strings under a random hash
seed; ``time``, ``random`` and the like, unless the program fixes them itself; state that survives a run. If such a thing made the
difference, :attr:`Failure.reproducible` is False.

trio has no public interface for any of this. Its private parts are tested before they are used. A trio in which they differ gets seeded
schedules and a ``RuntimeWarning``.
"""

from __future__ import annotations

from .cancelling import Cancelling, sweep
from .exhaustive import Exhaustive, FewDeviations
from .explore import Exploration, Failure, explore, replay
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
    "Exploration",
    "Failure",
    "FewDeviations",
    "Program",
    "RandomWalk",
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
