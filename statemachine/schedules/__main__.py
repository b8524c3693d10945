"""``python -m statemachine.schedules package.module:program 17+1,40+2``: run a program once, under the schedule of a tape."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from .explore import replay
from .naming import resolve
from .strategies import named


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 if the program survived the schedule, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m statemachine.schedules", description=__doc__)
    parser.add_argument("program", help="an async function, as module:name or module:name(arguments)")
    parser.add_argument("schedule", type=named, help="a tape such as 17+1,40+2 or natural, or seed:...")
    parser.add_argument("--most-steps", type=int, default=10_000, help="more are a livelock (default %(default)s)")
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())
    done = replay(resolve(options.program), options.schedule, most_steps=options.most_steps)
    if done.error is not None:
        traceback.print_exception(done.error)
    print(done)
    return 0 if done.outcome == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
