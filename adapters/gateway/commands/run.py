"""``run``: start one program whose clients use the gateway.

Exit codes: the program's own, or 2 where it cannot be started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from statemachine.parser import Parser

from ..running import client_environment
from ..settings import DEFAULT_URL, TOKEN_VARIABLE

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Replace this process by a program whose clients use the gateway."""
    parser = Parser(
        prog="llm-slots run",
        description="Run one program through the gateway.",
        usage="%(prog)s [options] -- COMMAND ...",
    )
    parser.add_argument("--agent", help="the program's name, for fairness between agents")
    parser.add_argument("--url", default=DEFAULT_URL, help="the gateway (default: %(default)s)")
    parser.add_argument("command", nargs="+", help="the program and its arguments")
    options = parser.parse_args(arguments)
    variables = client_environment(options.url, options.agent, os.environ.get(TOKEN_VARIABLE))
    try:
        os.execvpe(options.command[0], options.command, {**os.environ, **variables})
    except OSError as error:
        print(f"error: {options.command[0]}: {error.strerror}", file=sys.stderr)
        return 2
