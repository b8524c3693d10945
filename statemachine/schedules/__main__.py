"""``python -m statemachine.schedules package.module:program 17+1,40+2``: run a program once, under the schedule of a tape."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..shell.command import run_command

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program once, and return the exit status, see :mod:`statemachine.shell.command`."""
    words = sys.argv[1:] if arguments is None else arguments
    summary = "Run a program once, under the schedule of a tape."
    return run_command("python -m statemachine.schedules", "statemachine.schedules.command", summary, words)


if __name__ == "__main__":
    sys.exit(main())
