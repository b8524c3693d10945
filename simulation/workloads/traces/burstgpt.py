"""BurstGPT: CSV rows ``Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type``, of ChatGPT's and GPT-4's users.

A row with no response tokens is a request that failed. Agents are not recorded. Source: github.com/HPMLL/BurstGPT; Wang et al., 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .fields import TraceError, name_in
from .notes import Notes
from .schema import TraceCall, TraceFormat, at_least_one_token
from .tables import rows, seconds_in, tokens_in

__all__ = ["COLUMNS", "FORMAT", "read_burstgpt"]

COLUMNS: Final = ("Timestamp", "Model", "Request tokens", "Response tokens")


def read_burstgpt(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the rows of a BurstGPT trace; the first arrives at 0 seconds. Raises TraceError with the file and the line."""
    notes.remark("The BurstGPT trace is an open loop, and what a prompt cache would have is not recorded.")
    first: float | None = None
    for place, row in rows(path, COLUMNS):
        with notes.row(place):
            when = seconds_in(row, "Timestamp", place)
            first = when if first is None else first
            if when < first:
                raise TraceError(f"{place}: Timestamp", "must not be before the first line's", f"{when:g}")
            prompt, output = tokens_in(row, "Request tokens", place), tokens_in(row, "Response tokens", place)
            model = name_in(row["Model"], f"{place}: Model")
            yield at_least_one_token(TraceCall(prompt, output, arrival_seconds=when - first, model=model), notes)


FORMAT: Final = TraceFormat(read_burstgpt, (b"timestamp", b"request tokens", b"response tokens"))
