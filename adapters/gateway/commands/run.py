"""``run``: start one program whose clients use the gateway.

Exit status: the program's own, 1 where the gateway was waited for in vain, or 2 where the program cannot be started.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import trio

from statemachine.shell.options import argument, option

from ..running import client_environment, wait_for_gateway
from ..settings import DEFAULT_URL, TOKEN_VARIABLE

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which program is started, and for which gateway."""

    agent: str | None = option(None, "the program's name, for fairness between agents")
    url: str = option(DEFAULT_URL, "the gateway")
    wait: float = option(0.0, "seconds to wait for the gateway, where it does not answer yet", least=0, most=3600)
    command: tuple[str, ...] = argument("the program and its arguments, after --", count="+")


def run(options: Options) -> int:
    """Replace this process by the program. Raises OSError where it cannot be started, AdapterError where no gateway was waited for."""
    if options.wait:
        trio.run(wait_for_gateway, options.url, options.wait)
    variables = client_environment(options.url, options.agent, os.environ.get(TOKEN_VARIABLE))
    program = options.command[0]
    try:
        os.execvpe(program, options.command, {**os.environ, **variables})
    except OSError as error:
        error.filename = program  # not the last folder that was searched for it
        raise
