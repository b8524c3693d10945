"""Azure's LLM inference traces: CSV rows ``TIMESTAMP,ContextTokens,GeneratedTokens``. Agents and models are not recorded.

Source: github.com/Azure/AzurePublicDataset, 2023 and 2024; Patel et al., Splitwise, ISCA 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .fields import TraceError
from .notes import Notes
from .schema import TraceCall, TraceFormat, at_least_one_token
from .tables import Row, rows, tokens_in

__all__ = ["COLUMNS", "FORMAT", "read_azure"]

COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def read_azure(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the rows of an Azure trace; the first arrives at 0 seconds. Raises TraceError with the file and the line."""
    notes.remark("The Azure trace is an open loop: a request arrives when it did, however many are unanswered.")
    notes.remark(
        "Each prompt of the Azure trace is read from its beginning: what a prompt cache would have is not recorded."
    )
    first: datetime | None = None
    earlier: datetime | None = None
    for place, row in rows(path, COLUMNS):
        with notes.row(place):
            when = _timestamp(row, place)
            if earlier is not None and when < earlier:
                raise TraceError(f"{place}: TIMESTAMP", "must not be before the line above", when.isoformat())
            prompt, output = tokens_in(row, "ContextTokens", place), tokens_in(row, "GeneratedTokens", place)
            first, earlier = first or when, when
            yield at_least_one_token(TraceCall(prompt, output, arrival_seconds=(when - first).total_seconds()), notes)


def _timestamp(row: Row, place: str) -> datetime:
    text = row["TIMESTAMP"]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise TraceError(f"{place}: TIMESTAMP", "must be a date and time (ISO 8601)", repr(text)[:80]) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


FORMAT: Final = TraceFormat(read_azure, (b"timestamp", b"contexttokens", b"generatedtokens"))
