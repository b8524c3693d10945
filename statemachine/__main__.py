"""``python -m statemachine COMMAND``: check the coordinator, draw the machines, list the errors.

A command's module is imported when the command is run, so help needs none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["COMMANDS", "main"]


class Entry(NamedTuple):
    """A command's module, see :mod:`statemachine.shell`, and what the command does."""

    module: str
    summary: str


COMMANDS: Final = {
    "check": Entry("statemachine.checking.command", "explore every reachable state of small scenarios"),
    "diagram": Entry("statemachine.core.diagram", "print the machines as Mermaid state diagrams"),
    "errors": Entry("statemachine.errors_page", "print every error with its cause and cure, as Markdown"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status, see :mod:`statemachine.shell.command`."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    name, *rest = words
    from .shell.command import refused, run_command

    if name not in COMMANDS:
        return refused(f"{name!r} is no command; known: {', '.join(COMMANDS)}")
    entry = COMMANDS[name]
    return run_command(f"python -m statemachine {name}", entry.module, entry.summary, rest, extra="")


def _help() -> str:
    rows = (f"  {name:<8}  {entry.summary}" for name, entry in COMMANDS.items())
    usage = "usage: python -m statemachine COMMAND [OPTIONS]"
    return "\n".join([usage, "", *rows, "", "python -m statemachine COMMAND --help shows the options of a command."])


if __name__ == "__main__":
    sys.path.insert(0, "")  # so that --coordinator finds what is here
    sys.exit(main())
