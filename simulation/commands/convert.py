"""The command ``convert``: a trace of any known format as a trace in our own."""

from __future__ import annotations

import gzip
import lzma
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from math import inf
from pathlib import Path
from typing import IO, cast

from statemachine.checks import check_word
from statemachine.errors import ConfigurationError
from statemachine.shell.options import option

from ..workloads.traces.formats import FORMATS, read_trace
from ..workloads.traces.notes import Notes
from ..workloads.traces.sessions import within
from ..workloads.traces.slots import write_slots

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is converted, and to where."""

    trace: Path | None = option(None, "the trace; plain, .gz, .xz, .tar or a folder; must be given", parse=Path)
    format: str | None = option(None, f"the trace's format: {', '.join(FORMATS)} (default: found out)")
    start: float = option(0.0, "begin at this time of the trace, seconds", least=0)
    length: float | None = option(None, "this much time of the trace, seconds (default: all)", parse=float, least=0)
    skip_bad_rows: bool = option(False, "count rows that can't be read, and leave them out")
    out: Path = option(Path("trace.jsonl"), "the file that is written; packed where it ends in .gz or .xz", parse=Path)

    def __post_init__(self) -> None:
        if self.trace is None:
            raise ConfigurationError("trace", "must be given", "none")
        if self.format is not None:
            check_word("format", self.format, tuple(FORMATS))


def run(options: Options) -> int:
    """Convert, and say what was changed. Raises ConfigurationError, OSError."""
    assert options.trace is not None, "checked at the door"
    notes = Notes(skip_bad=options.skip_bad_rows)
    length = inf if options.length is None else options.length
    calls = within(read_trace(options.trace, notes, options.format), options.start, length)
    with _written(options.out) as stream:
        number = write_slots(stream, calls)
    print(f"{number} calls: {options.out}")
    for sentence in notes.sentences():
        print(sentence, file=sys.stderr)
    return 0


@contextmanager
def _written(path: Path) -> Iterator[IO[str]]:
    """Write ``path`` through a file beside it, so that a failure leaves no half of a trace. A pipe or a device is written as it is."""
    if path.is_dir():
        raise ConfigurationError("out", "must be the name of a file", "that of a folder")
    if path.exists() and not path.is_file():
        with _packed(path, path.suffix) as raw, TextIOWrapper(raw, "utf-8") as stream:
            yield stream
        return
    path = path.resolve()  # what a link names is written, and the link stays
    beside = path.with_name(f"{path.name}.part")
    try:
        with _packed(beside, path.suffix) as raw, TextIOWrapper(raw, "utf-8") as stream:
            yield stream
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _packed(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    if suffix == ".gz":
        with gzip.GzipFile(
            path, "wb", mtime=0
        ) as stream:  # without the time of day: the same calls give the same bytes
            yield cast("IO[bytes]", stream)
    elif suffix == ".xz":
        with lzma.open(path, "wb") as packed:
            yield cast("IO[bytes]", packed)
    else:
        with path.open("wb") as plain:
            yield plain
