"""Run a command: parse its options, call it, report what went wrong in one line, and return the exit status.

======  ========================================================================
status  meaning
======  ========================================================================
0       done
1       the answer is no, or it failed: a target was missed, a server is away
2       refused as it stands: bad input, a missing file, a part not installed
3       undetermined: a bound was reached before the answer was known
130     interrupted: one line; :mod:`.workers` ends worker processes at once
======  ========================================================================

A command returns 0, 1 or 3 itself. An error that the user can mend becomes one line on standard error and status 1 or 2. Any other
exception is a bug of ours and leaves with its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final, Protocol

from ..errors import (
    AdapterRequestError,
    ConfigurationError,
    ContentionError,
    InvariantError,
    JournalError,
    ProviderManagerError,
    ThreadStoreError,
    UnknownProviderError,
)
from ..text import fit_to_show
from .options import UsageError, parsed, parser_of

__all__ = ["Command", "refused", "run_command"]

FAILED: Final = 1
REFUSED: Final = 2
INTERRUPTED: Final = 130

_OURS: Final = ("adapters", "simulation", "statemachine")
_REFUSALS: Final = (
    UsageError,
    ConfigurationError,
    UnknownProviderError,
    ContentionError,
    AdapterRequestError,
    JournalError,
    ThreadStoreError,
)


class Command(Protocol):
    """A command's module: the dataclass of its options, and the function that does it."""

    Options: type[Any]

    def run(self, options: Any) -> int:
        """Do it. Returns the exit status."""
        ...


def run_command(prog: str, module: str, summary: str, words: Sequence[str], *, extra: str = "") -> int:
    """Import the command's ``module``, run it with ``words``, and return the exit status.

    ``prog`` and ``summary`` are shown by ``--help``. ``extra`` names the optional dependencies that the command may lack.
    """
    _open_what_is_closed()
    try:
        command: Command = import_module(module)
        options = parsed(parser_of(prog, summary, command.Options), command.Options, words)
        status = command.run(options)
        sys.stdout.flush()
    except BaseException as error:
        return _status(error, extra)
    return status


def refused(reason: str) -> int:
    """Say in one line why a command cannot be run. Returns the exit status."""
    _open_what_is_closed()
    print(f"error: {fit_to_show(reason)}", file=sys.stderr)
    return REFUSED


def _open_what_is_closed() -> None:
    """Have nothing read and written where the process was started without its standard files (``>&-``)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order each gets its own number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _status(error: BaseException, extra: str) -> int:
    causes = list(_leaves(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if any(isinstance(cause, BrokenPipeError) for cause in causes):
        # the reader of the output has gone; without this the interpreter would flush into the pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    for cause in causes:
        text = _text(cause, extra)
        if text is not None:
            print(f"error: {fit_to_show(text)}", file=sys.stderr)
            return FAILED if _is_failure(cause) else REFUSED
    raise error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, at any depth; an error by itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _is_failure(error: BaseException) -> bool:
    """Return whether the command was right and something else failed, such as a server."""
    refused = isinstance(error, _REFUSALS) or isinstance(error.__cause__, _REFUSALS)
    return isinstance(error, ProviderManagerError) and not refused


def _text(error: BaseException, extra: str) -> str | None:
    """Return what to tell of an error that the user can mend; None for a bug of ours."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        missing = error.name.partition(".")[0]
        if missing not in _OURS:
            return f"{missing} is not installed; install the extra: pip install 'llm-slot-manager[{extra}]'"
    if isinstance(error, (ProviderManagerError, UsageError)):
        return None if isinstance(error, InvariantError) else str(error)
    if isinstance(error, OSError):
        return str(error) if error.filename is None or error.strerror is None else f"{error.filename}: {error.strerror}"
    return None
