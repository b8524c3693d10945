"""A ready-made observer: write every state change to a logger."""

from __future__ import annotations

import logging

from ..core.events import Transition
from ..text import fit_to_show

__all__ = ["TransitionLog"]


class TransitionLog:
    """``ProviderManager(config, observers=[TransitionLog()])`` writes one line for each state change.

    ``logger`` is ``statemachine.transitions`` unless another is given, ``level`` that of each line. A line names no option's value.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logging.getLogger("statemachine.transitions") if logger is None else logger
        self._level = level

    def __call__(self, change: Transition) -> None:
        """Write ``change``, such as ``12.500 instance 3: idle -> active (acquire), local/phi-4#1f0c9a2e``."""
        if not self._logger.isEnabledFor(self._level):
            return
        subject = change.subject if isinstance(change.subject, int) else " ".join(change.subject)
        about = "" if change.demand is None else f", {change.demand}"
        if change.agent is not None:
            about += f" for {fit_to_show(change.agent)}"
        self._logger.log(
            self._level,
            "%.3f %s %s: %s -> %s (%s)%s",
            change.time,
            change.machine,
            subject,
            change.source,
            change.dest,
            change.trigger,
            about,
        )
