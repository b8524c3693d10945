"""``python -m simulation COMMAND``: simulated servers, workloads, and answers about policies.

A command's module is imported when the command is run, so help and the commands that draw nothing need no plotting library.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["main"]

COMMANDS: Final = {
    "advise": "Find the cheapest configuration that meets a target, and what it would take for that to be wrong.",
    "calibrate": "Measure a real server, and write a latency profile of it with its fit error.",
    "compare": "Compare policies on one workload: a table, plots, and the ratio to the best that any schedule could do.",
    "convert": "Convert a trace of any known format to our own, documented in docs/traces.md.",
    "fidelity": "Calibrate a real server, predict a workload, run it for real, and report the error beside the noise floor.",
    "replay": "Replay a workload through the real manager: against the mock in virtual time, or against any real server.",
    "serve": "Run the mock LM Studio server on a real socket.",
    "study": "Repeat the experiment behind the default policy: many workloads at several loads under every policy.",
    "sweep": "Run a grid of policies, load times, sessions, slots, servers and memory on all cores.",
    "validate": "Compare the simulator with closed formulas of queueing theory, within confidence intervals.",
}
"""Each is a module of :mod:`simulation.commands`, with its summary."""

USAGE: Final = "usage: python -m simulation COMMAND [OPTIONS]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    name, *rest = words
    try:
        from statemachine.shell.command import refused, run_command
    except KeyboardInterrupt:  # while the library is loaded
        print("interrupted", file=sys.stderr)
        return 130

    if name not in COMMANDS:
        return refused(f"{name!r} is no command; known: {', '.join(COMMANDS)}")
    module = f"simulation.commands.{name}"
    return run_command(f"python -m simulation {name}", module, COMMANDS[name], rest, extra="simulation")


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = (f"  {name.ljust(width)}  {summary}" for name, summary in COMMANDS.items())
    return "\n".join([USAGE, "", *rows, "", "python -m simulation COMMAND --help shows the options of a command."])


if __name__ == "__main__":
    sys.exit(main())
