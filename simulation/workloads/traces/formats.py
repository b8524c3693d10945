"""The trace formats by name, and how a file's format is found out from its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from . import table
from .fields import TraceError
from .files import head
from .notes import Notes
from .schema import TraceCall, TraceFormat

__all__ = ["FORMATS", "format_of", "read_trace"]

FORMATS: Final[dict[str, TraceFormat]] = {
    name: file.FORMAT
    for name, file in vars(table).items()
    if isinstance(file, ModuleType) and name.isidentifier()  # pytest adds modules of its own, under names that are none
}


def format_of(path: Path) -> str:
    """Return the name of the format of ``path``. Raises TraceError where none fits."""
    name, beginning = head(path)
    lowered = beginning.lower()
    for known, one in FORMATS.items():
        if all(sign in lowered for sign in one.signs):
            return known
    raise TraceError(name, f"must be a trace of a known format ({', '.join(FORMATS)})", repr(beginning[:40]))


def read_trace(path: Path, notes: Notes, name: str | None = None) -> Iterator[TraceCall]:
    """Yield the calls of a trace; ``name`` is its format (None: found out). Raises TraceError."""
    return FORMATS[name or format_of(path)].read(path, notes)
