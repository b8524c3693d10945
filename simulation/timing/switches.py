"""How long a switch between models takes: unload the resident one, load the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from statemachine.checks import shown
from statemachine.errors import ConfigurationError

__all__ = ["SwitchTimes", "check_duration"]


@dataclass(frozen=True)
class SwitchTimes:
    """How long each model takes to load and to unload, in seconds by model. Raises ConfigurationError."""

    load: Mapping[str, float]
    unload: Mapping[str, float]

    def __post_init__(self) -> None:
        for field, times in (("load", self.load), ("unload", self.unload)):
            for model, seconds in times.items():
                check_duration(f"{field}[{model!r}]", seconds)
        if self.load.keys() != self.unload.keys():
            models = ", ".join(sorted(self.load.keys() ^ self.unload.keys()))
            raise ConfigurationError("unload", "must have the models of load", f"{models} in one of them only")

    def between(self, resident: str | None, model: str) -> float:
        """Return the seconds from the last answer of ``resident`` (None: the slot is vacant) until ``model`` can serve."""
        if resident == model:
            return 0.0
        return self.load[model] + (0.0 if resident is None else self.unload[resident])


def check_duration(path: str, value: object) -> None:
    """Raise ConfigurationError unless ``value`` is a finite number of seconds of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ConfigurationError(path, "must be a finite number of seconds of at least 0", shown(value))
