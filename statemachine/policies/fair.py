"""Gated service that is fair to agents."""

from __future__ import annotations

from .gated import Gated

__all__ = ["Fair"]


class Fair(Gated):
    """Gated, with a ``quantum``: of those admitted the agent goes first that has been served least, in rounds of ``quantum``
    milliseconds."""

    def __init__(self, extra: int = 0, quantum: int = 10_000) -> None:
        super().__init__(extra, quantum)
