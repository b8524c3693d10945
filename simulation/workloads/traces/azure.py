"""Azure's LLM inference traces: CSV rows ``TIMESTAMP,ContextTokens,GeneratedTokens``, an open loop of arrivals.

Agents and models are not recorded: both are drawn for each row, from a seed.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from ..workload import PlannedCall, Workload
from .fields import TOKENS_LIMIT, TraceError, opened

__all__ = ["read_azure"]

_COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def read_azure(
    path: Path, weights: Mapping[str, float], *, agents: int, requests: int | None = None, seed: int = 0
) -> Workload:
    """The first ``requests`` rows of an Azure trace, dealt to ``agents`` agents and, by ``weights``, to models.

    The first arrival is at 0 seconds. Raises TraceError with the file and the line.
    """
    rng = random.Random(seed)
    names = [f"agent {number:02d}" for number in range(1, agents + 1)]
    calls: list[PlannedCall] = []
    first: datetime | None = None
    for when, prompt, output in islice(_azure_rows(path), requests):
        first = first or when
        (model,) = rng.choices(list(weights), list(weights.values()))
        delay = (when - first).total_seconds()
        calls.append(PlannedCall(len(calls), rng.choice(names), model, prompt, output, (), delay))
    shares = ", ".join(f"{model} {weight / sum(weights.values()):.0%}" for model, weight in weights.items())
    assumptions = (
        "The Azure trace names neither agents nor models: "
        f"each request is dealt at random to one of {agents} agents and to a model ({shares}).",
        "The Azure trace is an open loop: a request arrives when it did, however many are unanswered.",
        "Each prompt of the Azure trace is read from its beginning: what a prompt cache would have is not recorded.",
    )
    return Workload(path.name, tuple(calls), assumptions)


def _azure_rows(path: Path) -> Iterator[tuple[datetime, int, int]]:
    """Checked rows: arrival, prompt tokens, output tokens (0 counts as 1)."""
    earlier: datetime | None = None
    with opened(path) as stream:
        lines = (line.decode("utf-8", "replace") for line in stream)
        rows = csv.DictReader(lines)
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            raise TraceError(f"{path}:1", f"must be the header {','.join(_COLUMNS)}", repr(rows.fieldnames)[:80])
        for row in _checked(rows, path):
            place = f"{path}:{rows.line_num}"
            when = _timestamp(row["TIMESTAMP"], place)
            if earlier is not None and when < earlier:
                raise TraceError(f"{place}: TIMESTAMP", "must not be before the line above", when.isoformat())
            earlier = when
            yield when, _tokens(row, "ContextTokens", place), _tokens(row, "GeneratedTokens", place)


def _checked(rows: csv.DictReader[str], path: Path) -> Iterator[dict[str, str | None]]:
    try:
        yield from rows
    except csv.Error as error:
        raise TraceError(f"{path}:{rows.reader.line_num}", "must be a line of CSV", str(error)) from None


def _timestamp(text: str | None, place: str) -> datetime:
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        raise TraceError(f"{place}: TIMESTAMP", "must be a date and time (ISO 8601)", repr(text)[:80]) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _tokens(row: Mapping[str, str | None], column: str, place: str) -> int:
    text = row[column] or ""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= TOKENS_LIMIT):
        raise TraceError(f"{place}: {column}", f"must be an integer from 0 to {TOKENS_LIMIT}", repr(text)[:80])
    return max(1, int(text))  # 0: the call was aborted
