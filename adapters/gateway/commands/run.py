"""``run``: start one program whose clients use the gateway.

Exit status: the program's own, or 2 where it cannot be started.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from statemachine.shell.options import argument, option

from ..running import client_environment
from ..settings import DEFAULT_URL, TOKEN_VARIABLE

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which program is started, and for which gateway."""

    agent: str | None = option(None, "the program's name, for fairness between agents")
    url: str = option(DEFAULT_URL, "the gateway")
    command: tuple[str, ...] = argument("the program and its arguments, after --", count="+")


def run(options: Options) -> int:
    """Replace this process by the program. Raises OSError where it cannot be started."""
    variables = client_environment(options.url, options.agent, os.environ.get(TOKEN_VARIABLE))
    program = options.command[0]
    try:
        os.execvpe(program, options.command, {**os.environ, **variables})
    except OSError as error:
        error.filename = program  # not the last folder that was searched for it
        raise
