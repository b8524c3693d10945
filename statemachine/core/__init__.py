"""The pure core: ``Coordinator.step(event, now) -> effects`` holds every decision. Read ``lifecycle``, then ``coordinator``.

Exported here is what a driver needs: the coordinator, the events it is told, and the effects it returns. See ``docs/drivers.md``.
"""

from __future__ import annotations

from .coordinator import Coordinator, Watch
from .events import (
    AbandonStop,
    AcquireRequested,
    Cancelled,
    Cause,
    Closed,
    CloseRequested,
    Effect,
    Event,
    Expired,
    FoundBroken,
    Grant,
    InterruptStart,
    Opened,
    Reject,
    Released,
    Revoke,
    StartFailed,
    StartInstance,
    StartSucceeded,
    StopInstance,
    Stopped,
    Timer,
    TimerKind,
    Transition,
    Wake,
)

__all__ = [
    "AbandonStop",
    "AcquireRequested",
    "Cancelled",
    "Cause",
    "CloseRequested",
    "Closed",
    "Coordinator",
    "Effect",
    "Event",
    "Expired",
    "FoundBroken",
    "Grant",
    "InterruptStart",
    "Opened",
    "Reject",
    "Released",
    "Revoke",
    "StartFailed",
    "StartInstance",
    "StartSucceeded",
    "StopInstance",
    "Stopped",
    "Timer",
    "TimerKind",
    "Transition",
    "Wake",
    "Watch",
]
