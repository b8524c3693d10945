"""Traces that are CSV files: rows by column name, with byte order marks, either line end, and any case and blanks in the header."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from .fields import TOKENS_LIMIT, TraceError
from .files import lines

__all__ = ["Row", "rows", "seconds_in", "tokens_in"]

Row = Mapping[str, str]


def rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    """Yield each row's place and its values by column name. Raises TraceError where one of ``columns`` is missing."""
    places: list[str] = [str(path)]
    reader = csv.reader(_remembered(path, places), strict=True)
    names: list[str] | None = None
    try:
        for row in reader:
            if names is None:
                names = _names(row, columns, places[0])
            else:
                yield places[0], dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise TraceError(places[0], "must be a line of CSV", str(error)) from None
    if names is None:
        raise TraceError(f"{path}:1", f"must be the header {','.join(columns)}", "nothing")


def _remembered(path: Path, places: list[str]) -> Iterator[str]:
    for places[0], line in lines(path):
        yield line


def _names(header: list[str], columns: tuple[str, ...], place: str) -> list[str]:
    known = {column.lower(): column for column in columns}
    names = [known.get(name.strip().lower(), name.strip()) for name in header]
    if not set(columns) <= set(names):
        raise TraceError(place, f"must be the header {','.join(columns)}", repr(header)[:80])
    return names


def tokens_in(row: Row, column: str, place: str) -> int:
    """Return a number of tokens. Raises TraceError."""
    text = row.get(column, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= TOKENS_LIMIT):
        raise TraceError(f"{place}: {column}", f"must be an integer from 0 to {TOKENS_LIMIT}", repr(text)[:80])
    return int(text)


def seconds_in(row: Row, column: str, place: str) -> float:
    """Return a number of seconds of at least 0. Raises TraceError."""
    text = row.get(column, "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e12:
        raise TraceError(f"{place}: {column}", "must be a finite number of seconds of at least 0", repr(text)[:80])
    return seconds
