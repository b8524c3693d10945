"""What was loaded on local servers, in a file: so a later run finds what an earlier one left there because it was killed.

A line is written before a load is sent, when the model is there, and when it has been unloaded. One process at a time has the file; another
one that wants it goes on without, as one does that cannot write it: then nothing is noted, and a warning says why.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final, TextIO

from statemachine.foreign import ForeignJSONError, read_json

__all__ = ["Owned", "OwnedFile"]

log = logging.getLogger("adapters.residency")

READ_LIMIT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Owned:
    """A load of ``model`` on ``server``. ``id``: what it brought, with its ``config``; None while that is not known."""

    server: str
    model: str
    id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


class OwnedFile:
    """The file at ``path``, which is made with its folder. ``left`` is what an earlier run has left, by number."""

    _open: Final[dict[str, OwnedFile]] = {}

    def __init__(self, path: Path) -> None:
        self.left: dict[int, Owned] = {}
        self._loads: set[int] = set()  # of this run
        self._path = path
        self._file: TextIO | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+", encoding="utf-8")
            _lock(self._file)
            self.left = _read(self._file)
            self._rewrite()
        except OSError as error:
            self._give_up(error)
        self._numbers = count(max(self.left, default=0) + 1)

    @classmethod
    def at(cls, path: str) -> OwnedFile:
        """Return the file at ``path``, which this process may have open already."""
        if path not in cls._open:
            cls._open[path] = cls(Path(path))
        return cls._open[path]

    def loading(self, owned: Owned) -> int:
        """Note that a load is about to be sent. Returns its number."""
        number = next(self._numbers)
        self._loads.add(number)
        self._write(number, owned)
        return number

    def loaded(self, number: int, owned: Owned, id: str, config: Mapping[str, Any]) -> None:
        """Note what the load has brought."""
        self._write(number, replace(owned, id=id, config=config))

    def gone(self, number: int) -> None:
        """Note that it was unloaded, or never came. A file that holds nothing else is emptied, so that it does not grow."""
        self.left.pop(number, None)
        self._loads.discard(number)
        if self.left or self._loads:
            self._write(number, None)
        else:
            self._rewrite()

    def close(self) -> None:
        """Close the file. What is in it is there for the next run."""
        self._open.pop(str(self._path), None)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rewrite(self) -> None:
        """Hold what is left, and nothing else."""
        if self._file is not None:
            self._file.truncate(0)
        for number, owned in self.left.items():
            self._write(number, owned)

    def _write(self, number: int, owned: Owned | None) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps([number, None if owned is None else asdict(owned)]) + "\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        reason = "another process has it" if isinstance(error, BlockingIOError) else error.strerror
        log.warning("%s: what is loaded from now on is not noted: %s", self._path, reason)
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what was left in its buffer
                file.close()


def _lock(file: TextIO) -> None:
    """Take the file for this process, until it ends. Raises BlockingIOError where another one has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(file: TextIO) -> dict[int, Owned]:
    """Read what is neither unloaded nor replaced. A line that cannot be read is the last one of a process that was killed."""
    file.seek(0)
    found: dict[int, Owned] = {}
    for line in file.read(READ_LIMIT_BYTES).splitlines():
        try:
            number, told = read_json(line)
            found.pop(number, None)
            if told is not None:
                found[number] = Owned(**told)
        except (ForeignJSONError, TypeError, ValueError):
            continue
    return found
