"""The named properties, shared by the checker, the tests, the simulator and, by a switch, the running manager."""

from __future__ import annotations

from typing import Final

from . import always as always  # these declare theirs
from . import sometimes as sometimes
from . import waiting as waiting
from .eventually import close_ends, every_waiter_is_served
from .property import PROPERTIES, Property, Step

__all__ = ["ALWAYS", "EVENTUALLY", "SOMETIMES", "close_ends", "every_waiter_is_served", "violated"]

ALWAYS: Final = tuple(p for p in PROPERTIES if p.kind == "always")
SOMETIMES: Final = tuple(p for p in PROPERTIES if p.kind == "sometimes")
EVENTUALLY: Final = tuple(p for p in PROPERTIES if p.kind == "eventually")


def violated(step: Step) -> list[Property]:
    """The ``always`` properties that ``step`` violates."""
    return [p for p in ALWAYS if not p.holds(step)]
