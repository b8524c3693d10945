"""The named properties of the coordinator, shared by the checker, the tests, the simulator and (``check_invariants``) the running manager.

Read :mod:`.property` first. ``ALWAYS`` must hold at every step, ``SOMETIMES`` must be seen somewhere, ``EVENTUALLY`` must come true.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from . import sometimes, table
from .eventually import EVENTUALLY, close_ends, every_waiter_is_served
from .property import Property, Step

__all__ = ["ALWAYS", "EVENTUALLY", "SOMETIMES", "close_ends", "every_waiter_is_served", "violated"]

ALWAYS: Final[tuple[Property, ...]] = tuple(
    each
    for name, file in vars(table).items()
    if isinstance(file, ModuleType) and name.isidentifier()  # pytest adds modules of its own, under names that are none
    for each in file.ALWAYS
)
SOMETIMES: Final = sometimes.SOMETIMES


def violated(step: Step) -> list[Property]:
    """Return the ``always`` properties that ``step`` violates."""
    return [p for p in ALWAYS if not p.holds(step)]
