"""Run a program once under a schedule, in virtual time. The run always ends, with an outcome."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

import trio

from .fingerprint import fingerprint
from .selftest import why_not
from .switch import chosen_by, interrupt, reseeded
from .tape import Tape

__all__ = ["Deviation", "Ended", "Outcome", "Program", "Run", "Schedule", "ScheduleError", "leaves", "run", "watch"]

Program: TypeAlias = Callable[[], Awaitable[object]]
Outcome: TypeAlias = Literal["passed", "error", "violation", "deadlock", "livelock"]

_STEPS_TO_END: Final = 10_000
_IDLE_PASSES: Final = 3  # a message from another thread may be on its way


class Schedule(Protocol):
    """Decides which task runs, for one run. If it has an attribute ``look``, the run sets it to a function that returns the state."""

    def choose(self, step: int, ready: tuple[int, ...]) -> int:
        """Return which of the ``ready`` tasks runs as the run's ``step``-th step, as an index.

        Tasks are numbered in the order in which they were made; the program's own is 0. ``ready`` has at least two, in the natural order,
        so index 0 is the task whose turn it is. An index that is too large means the last.
        """


class ScheduleError(AssertionError):
    """A program failed under a schedule."""


class Ended(BaseException):
    """Raised in every task of a run whose outcome is known already, to end it. Not an error: do not catch it."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One deviation from the natural order: ``went`` ran at ``step`` although it was the turn of ``turn``. Tasks by name and number."""

    step: int
    offset: int
    went: str
    turn: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.went} goes before {self.turn}"


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run.

    ``error``: what the program raised (outcome ``error``) or its check raised (``violation``). ``stuck``: the tasks that wait for each
    other (``deadlock``) or that never end (``livelock``). ``steps``: of all tasks of the program. ``choices``: how many of these steps had
    two or more ready tasks. ``seed``: None, unless this trio could only be seeded; then the seed.
    """

    outcome: Outcome
    error: BaseException | None
    stuck: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    steps: int
    choices: int
    seed: str | None

    @property
    def tape(self) -> Tape:
        """The tape that repeats the run."""
        return Tape((d.step, d.offset) for d in self.deviations)

    @property
    def name(self) -> str:
        """The tape, or the seed where there is no tape, as text."""
        return str(self.tape) if self.seed is None else f"seed:{self.seed}"

    def raise_if_failed(self) -> None:
        """Raise ScheduleError from what the program raised, unless the run has passed."""
        if self.outcome != "passed":
            raise ScheduleError(str(self)) from self.error

    def __str__(self) -> str:
        """Return the outcome and the deviations, a line each."""
        what = " and ".join(map(_say, leaves(self.error))) or ", ".join(self.stuck)
        return "\n".join([f"{self.outcome}: {what}" if what else self.outcome, *(f"  {d}" for d in self.deviations)])


def run(
    program: Program,
    schedule: Schedule,
    *,
    most_steps: int = 10_000,
    clock: trio.abc.Clock | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> Run:
    """Run ``program`` to its end under ``schedule``, on a virtual clock unless another ``clock`` is given.

    After half of ``most_steps`` the natural order takes over, so that a run that uses up all of them is a livelock and not just a victim
    of the schedule. The garbage collector is off during the run, because it would call finalisers at moments that are not controlled.
    """
    if clock is None:
        from trio.testing import MockClock  # not at the top: it imports pytest, where that is installed

        clock = MockClock(autojump_threshold=0)
    control = _Control(schedule, most_steps)
    error: BaseException | None = None
    with _controlled(control), _no_garbage_collection():
        try:
            trio.run(control.main, program, clock=clock, instruments=[control, *instruments])
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:
            error = raised
    if control.outcome == "passed" and error is not None:
        control.outcome, control.error = "error", error
    return control.result()


def watch(*, check: Callable[[], object] | None = None, state: Callable[[], object] | None = None) -> None:
    """Have the running program checked after every step. A program calls this at its beginning; outside of :func:`run` it does nothing.

    ``check`` is called after every step of every task. What it raises ends the run as a ``violation``. ``state`` returns a hashable
    value with everything that decides the future and is not a plain local variable of a task, see :class:`Exhaustive`.
    """
    with suppress(LookupError, RuntimeError):
        control = _running.get()
        control.check = check or control.check
        control.state = state or control.state


_running: trio.lowlevel.RunVar[_Control] = trio.lowlevel.RunVar("schedules")


def leaves(error: BaseException | None) -> list[BaseException]:
    """Return the errors of a group and of the groups in it; of another error, itself; none for None."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [] if error is None else [error]


def _say(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _controlled(control: _Control) -> AbstractContextManager[None]:
    reason = why_not()
    if reason is None:
        return chosen_by(control.choose)
    control.controlled = False
    warnings.warn(f"schedules are only seeded, not controlled: {reason}", RuntimeWarning, stacklevel=4)
    return reseeded(control.seed)


class _Control(trio.abc.Instrument):
    """Controls one run: keeps the natural order, asks the schedule, and detects deadlocks and livelocks."""

    def __init__(self, schedule: Schedule, most_steps: int) -> None:
        self.schedule = schedule
        self.check: Callable[[], object] | None = None
        self.state: Callable[[], object] | None = None
        self.outcome: Outcome = "passed"
        self.error: BaseException | None = None
        self.controlled = True
        self.seed = str(getattr(schedule, "seed", 0))
        self._most_steps = most_steps
        self._stuck: tuple[str, ...] = ()
        self._deviations: list[Deviation] = []
        self._steps = 0
        self._choices = 0
        self._idle = 0
        self._tasks: dict[trio.lowlevel.Task, int] = {}  # the program's tasks, by number; trio's own are never chosen
        self._made = 0
        self._queue: dict[trio.lowlevel.Task, None] = {}  # the ready tasks, in the natural order
        self._ran: trio.lowlevel.Task | None = None
        if hasattr(schedule, "look"):
            schedule.look = self._look

    async def main(self, program: Program) -> None:
        """Run the program as the main task."""
        self._add(trio.lowlevel.current_task())
        _running.set(self)
        await program()

    def result(self) -> Run:
        deviations = tuple(self._deviations)
        seed = None if self.controlled else self.seed
        return Run(self.outcome, self.error, self._stuck, deviations, self._steps, self._choices, seed)

    # ---- who is next ----

    def choose(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task:
        """Return the ready task that runs next: trio's own first, the program's as the schedule says.

        Raises RuntimeError, which ends the run and leaves tasks behind, if tasks that were interrupted do not end.
        """
        if self._steps > self._most_steps + _STEPS_TO_END:
            raise RuntimeError("the tasks of a run that is over do not end")
        for task in batch:
            if task not in self._tasks:
                return task
        arrived = [task for task in batch if task not in self._queue]
        if self._ran in arrived:  # it gave way to the tasks that it woke
            arrived.remove(self._ran)
            arrived.append(self._ran)
        self._queue.update(dict.fromkeys(arrived))
        ready = list(self._queue)
        offset = self._offset(ready)
        self._ran = ready[offset]
        # the tasks that were passed over go to the back
        self._queue = dict.fromkeys(ready[offset + 1 :] + ready[:offset])
        return self._ran

    def _offset(self, ready: list[trio.lowlevel.Task]) -> int:
        step = self._steps + 1
        if len(ready) == 1 or self.outcome != "passed":
            return 0
        self._choices += 1
        if step > self._most_steps // 2:
            return 0
        numbers = tuple(self._tasks[task] for task in ready)
        offset = min(self.schedule.choose(step, numbers), len(ready) - 1)
        if offset:
            self._deviations.append(Deviation(step, offset, self._name(ready[offset]), self._name(ready[0])))
        return offset

    def _look(self) -> int | None:
        return None if self.state is None else fingerprint(self._tasks, self._queue, self.state())

    def _name(self, task: trio.lowlevel.Task) -> str:
        return f"{task.name.rpartition('.')[2]} #{self._tasks[task]}"

    # ---- as an instrument ----

    def _add(self, task: trio.lowlevel.Task) -> None:
        self._tasks[task] = self._made
        self._made += 1

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        if task.parent_nursery is not None and task.parent_nursery.parent_task in self._tasks:
            self._add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._tasks.pop(task, None)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._idle = 0
        if task not in self._tasks:
            return
        self._steps += 1
        if self._steps > self._most_steps:
            self._end("livelock", list(self._tasks))
        if self.outcome != "passed":
            interrupt(task, Ended())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.check is not None and self.outcome == "passed":
            try:
                self.check()
            except Exception as error:
                self.error = error
                self._end("violation", [])

    def before_io_wait(self, timeout: float) -> None:
        if self._queue:
            return
        now = trio.lowlevel.current_statistics()
        if now.tasks_runnable == 0 and now.seconds_to_next_deadline == float("inf") and self._tasks:
            self._idle += 1
            if self._idle > _IDLE_PASSES:
                self._idle = 0
                self._end("deadlock", list(self._tasks))

    def _end(self, outcome: Outcome, stuck: list[trio.lowlevel.Task]) -> None:
        """Set the outcome, and interrupt every task. Called again before each step until no task is left."""
        if self.outcome == "passed":
            self.outcome = outcome
            self._stuck = tuple(self._name(task) for task in stuck)
        for task in list(self._tasks):
            with suppress(Exception):  # how a task fails when it is interrupted does not matter any more
                interrupt(task, Ended())
