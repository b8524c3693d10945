"""Gated service that is fair to agents."""

from __future__ import annotations

from typing import Final

from .gated import Gated
from .policy import NamedPolicy

__all__ = ["POLICY", "Fair"]


class Fair(Gated):
    """Gated with a ``quantum``: of the admitted requests, those of the agent that has been served least go first.

    Agents are compared in rounds of ``quantum`` milliseconds, see :class:`.round_robin.RoundRobin`.
    """

    def __init__(self, extra: int = 0, quantum: int = 10_000) -> None:
        super().__init__(extra, quantum)


POLICY: Final = NamedPolicy(Fair, "EXTRA")
