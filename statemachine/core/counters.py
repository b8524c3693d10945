"""The counts of a coordinator. No decision reads them, so they are no part of a snapshot."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Final

__all__ = ["Counters", "ModelUsage", "Tally"]


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model was used for: leases granted, and the seconds they were held, added up over finished leases."""

    calls: int
    busy_seconds: float


@dataclass(frozen=True, slots=True)
class Counters:
    """Events since the manager was made.

    ``switches``: starts on a local slot whose signature differs from that of the start before. ``evictions``: idle instances stopped by
    their time-out or to make room. ``stops``: instances that are down or whose shutdown was abandoned; ``shutdown_failures`` of
    them failed or were overdue. ``start_failures`` includes overdue starts.
    """

    grants: int = 0
    rejections: int = 0
    cancellations: int = 0
    timeouts: int = 0
    revocations: int = 0
    starts: int = 0
    start_failures: int = 0
    switches: int = 0
    evictions: int = 0
    stops: int = 0
    shutdown_failures: int = 0


_COUNTED: Final = tuple(field.name for field in fields(Counters) if field.name != "grants")


class Tally:
    """The running counts behind Counters and ModelUsage."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)  # but grants, which are the sum of the calls
        self.calls: defaultdict[str, int] = defaultdict(int)  # by model
        self.busy: defaultdict[str, float] = defaultdict(float)  # seconds, by model
        self._started_last: dict[object, str] = {}  # signature by slot

    def started(self, slot: object | None, signature: str) -> None:
        """Count a start, on a local ``slot`` where it is one."""
        self.counts["starts"] += 1
        if slot is not None:
            self.counts["switches"] += self._started_last.get(slot, signature) != signature
            self._started_last[slot] = signature

    def counters(self) -> Counters:
        """Return the counts as they are now."""
        return Counters(grants=sum(self.calls.values()), **self.counts)

    def usage(self) -> dict[str, ModelUsage]:
        """Return each model's use, as it is now."""
        return {model: ModelUsage(calls, self.busy.get(model, 0.0)) for model, calls in self.calls.items()}
