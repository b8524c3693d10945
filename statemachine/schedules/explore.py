"""The entry points: search for a schedule under which a program fails, and replay one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .naming import line
from .running import Program, Run, Schedule, ScheduleError, leaves, run
from .shrink import shrunk
from .strategies import RandomWalk, Strategy, named

__all__ = ["Exploration", "Failure", "explore", "replay"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule under which the program fails. ``found`` is the run in which it was found, ``run`` its shrunk form.

    ``at_run``: the number of the run that found it, from 1. ``reproducible``: False if the same schedule did not fail again. Then
    something made the difference that is not controlled, such as a thread, the machine's clock or an address.
    """

    program: Program = field(repr=False)
    found: Run
    run: Run
    at_run: int
    reproducible: bool

    @property
    def line(self) -> str:
        """The command that reproduces it in a fresh process."""
        return line(self.program, self.run.name)

    def __str__(self) -> str:
        return "\n".join(
            [
                str(self.run),
                f"found by run {self.at_run}, with {len(self.found.tape)} deviations; shrunk to {len(self.run.tape)}",
                *(
                    []
                    if self.reproducible
                    else ["the same schedule did not fail again: something is not under control"]
                ),
                f"reproduce: {self.line}",
            ]
        )


@dataclass(frozen=True, slots=True)
class Exploration:
    """The result of an exploration.

    ``complete``: whether the strategy has tried all that it promises. Without a failure that is a proof within its bounds; otherwise the
    runs are a sample. ``schedules``: how many of the ``runs`` had different schedules. ``states``: how many states an exhaustive search
    has seen. ``controlled``: False if this version of trio could only be seeded.
    """

    runs: int
    steps: int
    seconds: float
    schedules: int
    states: int
    complete: bool
    controlled: bool
    failure: Failure | None

    def raise_if_failed(self) -> None:
        """Raise ScheduleError from what the program raised, if there is a failure."""
        if self.failure is not None:
            raise ScheduleError(str(self.failure)) from self.failure.run.error

    def __str__(self) -> str:
        rate = f"{self.runs / self.seconds:,.0f} runs/s" if self.seconds else ""
        kind = "complete" if self.complete else "a sample"
        counted = f"{self.runs} runs ({kind}), {self.schedules} different schedules, {self.steps} steps, {rate}"
        return counted if self.failure is None else f"{self.failure}\n{counted}"


def explore(
    program: Program,
    strategy: Strategy | None = None,
    *,
    most_steps: int = 10_000,
    most_seconds: float = float("inf"),
    progress: Callable[[int], object] | None = None,
) -> Exploration:
    """Run ``program`` under one schedule after the other, until a run fails: the program or its check raises, or it would never end.

    ``program`` is an async function without arguments. It must make everything that it uses, so that runs do not influence each other. It
    may call :func:`watch` to have something checked after every step. ``strategy``: by default 1,000 random schedules. ``most_steps``: a
    run with more is a livelock. ``most_seconds``: of real time; no run starts after that. ``progress`` is called with the number of each
    run. A failure is run again and shrunk.
    """
    strategy = strategy or RandomWalk()
    began = time.perf_counter()
    tapes: set[int] = set()
    runs = steps = 0
    controlled = True
    failure: Failure | None = None
    schedules = strategy.schedules()
    schedule = next(schedules, None)
    while schedule is not None and time.perf_counter() - began < most_seconds:
        done = run(program, schedule, most_steps=most_steps)
        runs, steps = runs + 1, steps + done.steps
        tapes.add(hash(done.tape))
        controlled = controlled and done.seed is None
        if progress is not None:
            progress(runs)
        if done.outcome != "passed":
            failure = _failure(program, done, runs, most_steps)
            break
        try:
            schedule = schedules.send(done)
        except StopIteration:
            break
    return Exploration(
        runs=runs,
        steps=steps,
        seconds=time.perf_counter() - began,
        schedules=len(tapes),
        states=len(getattr(strategy, "states", ())),
        complete=strategy.complete,
        controlled=controlled,
        failure=failure,
    )


def replay(program: Program, schedule: Schedule | str, *, most_steps: int = 10_000) -> Run:
    """Run ``program`` once, under a schedule or its printed text. ``most_steps`` as in :func:`explore`. Raises ValueError."""
    return run(program, named(schedule) if isinstance(schedule, str) else schedule, most_steps=most_steps)


def _failure(program: Program, found: Run, at_run: int, most_steps: int) -> Failure:
    kind = _kind(found)

    def attempt(schedule: Schedule) -> Run:
        return run(program, schedule, most_steps=most_steps)

    def fails(again: Run) -> bool:
        return _kind(again) == kind

    again = attempt(named(found.name))
    reproducible = fails(again)
    if reproducible and found.seed is None:
        again = shrunk(again, attempt, fails)
    return Failure(program, found, again if reproducible else found, at_run, reproducible)


def _kind(done: Run) -> object:
    """Return the kind of a failure: two runs fail in the same way if outcome and classes of errors are equal."""
    return done.outcome, frozenset(type(error) for error in leaves(done.error))
