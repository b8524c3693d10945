"""A file of JSON lines that is written while a program runs, and whose end the program outlives."""

from __future__ import annotations

import errno
import io
import json
import logging
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing import Self

__all__ = ["JsonLines"]

log = logging.getLogger(__name__)


class JsonLines:
    """A new file, written until the end of its ``with`` block. Raises OSError where it cannot be made, or is there already.

    A line is given to the operating system at once, so a process that is killed loses at most the line that it is writing. If the disk
    is full or the file cannot be written, a warning says that ``what`` ends, and that ``goes_on`` goes on. ``rotate_bytes``: a file that
    has grown so far is renamed to ``PATH.1``, the next one to ``PATH.2``, and so on (None: never).
    """

    def __init__(self, path: Path, *, what: str, goes_on: str, rotate_bytes: int | None = None) -> None:
        self._path: Final = path
        self._ending: Final = f"the {what} ends after %d lines: %s; the {goes_on} goes on"
        self._rotate_bytes: Final = rotate_bytes
        self._file: io.FileIO | None = io.FileIO(path, "x")
        self._written = 0
        self._parts = 0
        self._lines = 0

    @property
    def is_open(self) -> bool:
        """Whether lines are still written."""
        return self._file is not None

    def close(self) -> None:
        """Close the file. Nothing is written afterwards."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write_line(self, value: dict[str, Any]) -> None:
        """Write ``value`` as one line; no-op once the file has ended."""
        if self._file is None:
            return
        text = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        try:
            if self._written and self._rotate_bytes is not None and self._written + len(text) > self._rotate_bytes:
                self._rotate()
            if self._file.write(text) != len(text):
                raise OSError(errno.ENOSPC, "the line was written in part")
        except OSError as error:
            log.warning(self._ending, self._lines, error.strerror)
            self.close()
        else:
            self._written += len(text)
            self._lines += 1

    def _rotate(self) -> None:
        assert self._file is not None, "asked while it is open"
        self._file.close()
        self._parts += 1
        self._path.rename(self._path.with_name(f"{self._path.name}.{self._parts}"))
        self._file = io.FileIO(self._path, "x")
        self._written = 0
