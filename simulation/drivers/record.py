"""What a replay writes down: one record per request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from statemachine.core.statistics import Statistics

from ..workloads.workload import PlannedCall
from .lazy_rows import LazyRows
from .residency import Interval

__all__ = ["CallRecord", "CallRecords", "Replay", "json_lines"]


class CallRecord(NamedTuple):
    """One request. All times in seconds: ``arrived`` from the start of the replay, the others from the arrival.

    Queueing, loading and generating follow each other, so ``ttft`` (to the first token) and ``total`` (to the end of the answer)
    include the former two. ``ttft`` is None where no token came. ``outcome`` is ``"ok"`` or the name of the error; the queueing and
    loading of a request that was never granted are not known, and count as 0.
    """

    call: int
    agent: str
    model: str
    prompt_tokens: int
    output_tokens: int
    arrived: float
    queued_seconds: float
    loading_seconds: float
    ttft: float | None
    total: float
    outcome: str

    @classmethod
    def of(
        cls,
        call: PlannedCall,
        *,
        arrived: float,
        total: float,
        outcome: str,
        queued: float = 0.0,
        loading: float = 0.0,
        ttft: float | None = None,
    ) -> CallRecord:
        """Return the record of ``call``."""
        tokens = call.prompt_tokens, call.output_tokens
        return cls(call.id, call.agent, call.model, *tokens, arrived, queued, loading, ttft, total, outcome)

    @property
    def granted(self) -> float:
        """When generating began, in seconds from the start of the replay."""
        return self.arrived + self.queued_seconds + self.loading_seconds

    @property
    def finished(self) -> float:
        """When the answer ended, in seconds from the start of the replay."""
        return self.arrived + self.total


class CallRecords(LazyRows[CallRecord]):
    """The records of a run."""

    def __init__(self, columns: Sequence[Sequence[Any]], outcomes: Mapping[int, str]) -> None:
        """``columns`` are the fields of :class:`CallRecord` up to ``total`` (``ttft`` NaN: none); ``outcomes`` only those not ``"ok"``."""
        self._given = columns
        self._outcomes = outcomes

    @property
    def _columns(self) -> Sequence[Sequence[Any]]:
        return self._given

    def _row(self, place: int, fields: tuple[Any, ...]) -> CallRecord:
        call, agent, model, prompt, output, arrived, queued, loading, ttft, total = fields
        first = None if ttft != ttft else ttft  # only NaN differs from itself
        outcome = self._outcomes.get(place, "ok")
        return CallRecord(call, agent, model, prompt, output, arrived, queued, loading, first, total, outcome)


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay. ``records`` are in the order of the calls, ``intervals`` end with the last answer at the latest."""

    records: Sequence[CallRecord]
    intervals: Sequence[Interval]
    statistics: Statistics


def json_lines(records: Iterable[CallRecord]) -> str:
    """Return one JSON object per line, in the order of the calls."""
    return "".join(json.dumps(record._asdict()) + "\n" for record in sorted(records, key=lambda record: record.call))
