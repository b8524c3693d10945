"""The ``eventually`` properties: what comes true in every fair run."""

from __future__ import annotations

from typing import Final

from ..core.coordinator import Coordinator
from .property import eventually

__all__ = ["EVENTUALLY", "close_ends", "every_waiter_is_served"]

_FAIRNESS: Final = (
    "weak: every holder releases in the end, every start and every shutdown ends (well or badly), and so does a pause"
)


@eventually("Every waiting request is in the end granted, rejected or cancelled.", _FAIRNESS)
def every_waiter_is_served(coordinator: Coordinator) -> bool:
    return all(request.state not in ("waiting", "assigned") for request in coordinator.requests.values())


@eventually("Once the manager closes, it is closed in the end, without help from any time-out.", _FAIRNESS)
def close_ends(coordinator: Coordinator) -> bool:
    return coordinator.state != "closing"


EVENTUALLY: Final = (
    every_waiter_is_served,
    close_ends,
)
"""All of this file, in the order in which they are evaluated."""
