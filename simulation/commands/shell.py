"""The one place that runs a command: it parses, reports errors in one line, and decides the exit status.

======  =====================================================================
status  meaning
======  =====================================================================
0       done
1       done, and the answer is no: a request failed, a target was missed
2       bad input, or something that the command needs is missing: one line
130     interrupted: one line; :mod:`.workers` ends worker processes at once
======  =====================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final, Protocol

from statemachine.errors import ProviderManagerError

from ..workloads.text import fit_to_show
from .options import CommandOptions, parsed, parser_of

__all__ = ["Command", "run_command"]

BAD_INPUT: Final = 2
INTERRUPTED: Final = 130


class Command(Protocol):
    """A command's module: the type of its options, and what it does with them."""

    Options: type[CommandOptions]

    def run(self, options: Any) -> int:
        """Do it. Returns the exit status."""
        ...


def run_command(name: str, module: str, summary: str, words: Sequence[str]) -> int:
    """Import the command's ``module``, run it with ``words``, and return the exit status."""
    try:
        command: Command = import_module(module)
        parser = parser_of(f"python -m simulation {name}", summary, command.Options)
        return command.run(parsed(parser, command.Options, words))
    except BaseException as error:
        return _status(error)


def _status(error: BaseException) -> int:
    """Return the exit status of ``error``, told in one line. Raises it again where it is a bug of ours."""
    causes = list(_leaves(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    for cause in causes:
        text = _text(cause)
        if text is not None:
            print(f"error: {fit_to_show(text)}", file=sys.stderr)
            return BAD_INPUT
    raise error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _text(error: BaseException) -> str | None:
    """What is told of an error that the user can mend; None for a bug of ours."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        top = error.name.partition(".")[0]
        if top not in ("adapters", "simulation", "statemachine"):
            return f"{top} is not installed; install the extra: pip install 'llm-slot-manager[simulation]'"
    return str(error) if isinstance(error, (ProviderManagerError, OSError)) else None
