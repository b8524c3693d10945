"""The named properties of the coordinator, shared by the checker, the tests, the simulator and (``check_invariants``) the running manager.

Read :mod:`.property` first. ``ALWAYS`` must hold at every step, ``SOMETIMES`` must be seen somewhere, ``EVENTUALLY`` must come true.
"""

from __future__ import annotations

from typing import Final

from . import always, sometimes, waiting
from .eventually import EVENTUALLY, close_ends, every_waiter_is_served
from .property import Property, Step

__all__ = ["ALWAYS", "EVENTUALLY", "SOMETIMES", "close_ends", "every_waiter_is_served", "violated"]

ALWAYS: Final = (*always.ALWAYS, *waiting.ALWAYS)
SOMETIMES: Final = sometimes.SOMETIMES


def violated(step: Step) -> list[Property]:
    """Return the ``always`` properties that ``step`` violates."""
    return [p for p in ALWAYS if not p.holds(step)]
