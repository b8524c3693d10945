"""``python -m simulation COMMAND``: each command is a module with ``add_arguments(parser)`` and ``run(args)``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from .commands import compare, replay, study
from .mock import serve

__all__ = ["main"]

COMMANDS: Final = {
    "compare": compare,
    "replay": replay,
    "serve": serve,
    "study": study,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description="Simulated servers and workloads.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    status: int = args.run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
