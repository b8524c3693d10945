"""Build a workload as a graph of calls: each after those it needs, and after its agent's last one."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from .workload import PlannedCall

__all__ = ["Graph", "Range"]

Range = tuple[int, int]
"""From and to, both included: numbers of tokens are drawn uniformly."""


class Graph:
    """The calls so far, and the last one of each agent."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.calls: list[PlannedCall] = []
        self.last: dict[str, int] = {}

    def call(
        self,
        agent: str,
        model: str,
        prompt: Range,
        output: Range,
        *,
        after: Iterable[int] = (),
        think: tuple[float, float] = (0.2, 2.0),
    ) -> int:
        """Add one call, ``think`` seconds (drawn uniformly) after all that it waits for. Returns its id."""
        number = len(self.calls)
        waits_for = tuple(sorted({*after, *([self.last[agent]] if agent in self.last else [])}))
        tokens = self.rng.randint(*prompt), self.rng.randint(*output)
        self.calls.append(PlannedCall(number, agent, model, *tokens, waits_for, self.rng.uniform(*think)))
        self.last[agent] = number
        return number
