"""The command ``python -m statemachine.schedules``: run a program once, under one schedule.

Exit status: 0 the program survived, 1 it did not. This file is the only one of the package that imports more than trio: the shell of all
commands.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from ..shell.options import argument, option
from .explore import replay
from .naming import resolve
from .running import Program, Schedule
from .strategies import named

__all__ = ["Options", "run"]


def _program(name: str) -> Program:
    """Return the program of this name. Raises ValueError with the rule."""
    try:
        return resolve(name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ValueError(f"must be an async function, MODULE:NAME or MODULE:NAME(ARGUMENTS); {error}") from None


def _schedule(text: str) -> Schedule:
    """Return the schedule with this printed text. Raises ValueError with the rule."""
    try:
        return named(text)
    except ValueError:
        raise ValueError("must be a tape such as 17+1,40+2, or natural, or seed:...") from None


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which program is run, and under which schedule."""

    program: Program = argument("an async function, as module:name or module:name(arguments)", parse=_program)
    schedule: Schedule = argument("a tape such as 17+1,40+2, or natural, or seed:...", parse=_schedule)
    most_steps: int = option(10_000, "more are a livelock", least=1)


def run(options: Options) -> int:
    """Run the program once, and print its outcome. Returns the exit status."""
    done = replay(options.program, options.schedule, most_steps=options.most_steps)
    if done.error is not None:
        traceback.print_exception(done.error)
    print(done)
    return 0 if done.outcome == "passed" else 1
