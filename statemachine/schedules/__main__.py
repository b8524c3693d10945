"""``python -m statemachine.schedules package.module:program 17+1,40+2``: run a program once, under the schedule of a tape.

Exit status: 0 the program survived, 1 it did not, 2 bad input, 130 interrupted. This package stands on trio alone, so it does not share
the shell of the other commands.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from .explore import replay
from .naming import resolve
from .strategies import named


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program once, and return the exit status."""
    parser = _Parser(prog="python -m statemachine.schedules", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program", help="an async function, as module:name or module:name(arguments)")
    parser.add_argument("schedule", type=named, help="a tape such as 17+1,40+2 or natural, or seed:...")
    parser.add_argument("--most-steps", type=int, default=10_000, help="more are a livelock (default %(default)s)")
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    try:
        program = resolve(options.program)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        parser.error(f"{options.program!r} is no program: {error}")
    try:
        done = replay(program, options.schedule, most_steps=options.most_steps)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if done.error is not None:
        traceback.print_exception(done.error)
    print(done)
    return 0 if done.outcome == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
