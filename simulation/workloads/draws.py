"""What generated workloads draw: tokens, models and pauses, each from a seeded generator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from statemachine.checks import is_number, shown
from statemachine.errors import ConfigurationError

__all__ = ["CHAT", "TokenDistribution", "check_mix", "check_positive", "model_of"]


@dataclass(frozen=True, slots=True)
class TokenDistribution:
    """Log-normal numbers of tokens with these medians; ``spread`` is the standard deviation of the logarithm."""

    prompt: float = 1000.0
    output: float = 250.0
    spread: float = 1.0

    def draw(self, rng: Random) -> tuple[int, int]:
        """Return the tokens of a prompt and of an answer, each at least 1."""
        prompt = 1 + round(self.prompt * rng.lognormvariate(0, self.spread))
        return prompt, 1 + round(self.output * rng.lognormvariate(0, self.spread))


CHAT: Final = TokenDistribution()
"""Medians of 1,000 and 250: of the size of the Azure conversation trace (1,020 and 129) and the coding traces' answers."""


def model_of(mix: Mapping[str, float], rng: Random) -> str:
    """Draw a model; ``mix`` has each model's weight."""
    (model,) = rng.choices(list(mix), list(mix.values()))
    return model


def check_mix(mix: Mapping[str, float]) -> None:
    """Raise ConfigurationError unless ``mix`` has a model, and weights above 0."""
    if not mix:
        raise ConfigurationError("mix", "must have at least one model", "none")
    for model, weight in mix.items():
        check_positive(f"mix[{model!r}]", weight)


def check_positive(name: str, value: object) -> None:
    """Raise ConfigurationError unless ``value`` is a finite number above 0."""
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(name, "must be a finite number above 0", shown(value))
