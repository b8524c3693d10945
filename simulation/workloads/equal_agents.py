"""Agents that are equal: each call of each of them is drawn from the same distributions. For fairness, and, at once, for batches."""

from __future__ import annotations

import random
from collections.abc import Mapping

from statemachine.checks import check_count

from .workload import PlannedCall, Workload

__all__ = ["equal_agents"]


def equal_agents(weights: Mapping[str, float], *, agents: int, calls: int, seed: int = 0) -> Workload:
    """Make a workload of ``agents`` conversations of ``calls`` calls each; ``weights`` says how often which model is called.

    Raises ConfigurationError.


    Tokens read and made are log-normal, with medians of 1,000 and 250; pauses are uniform, up to 20 s.
    """
    check_count("agents", agents)
    check_count("calls", calls)
    rng = random.Random(seed)
    drawn: list[PlannedCall] = []
    for agent in range(agents):
        for turn in range(calls):
            (model,) = rng.choices(list(weights), list(weights.values()))
            tokens = 1 + round(1000 * rng.lognormvariate(0, 1)), 1 + round(250 * rng.lognormvariate(0, 1))
            after = (len(drawn) - 1,) if turn else ()
            drawn.append(PlannedCall(len(drawn), f"agent {agent}", model, *tokens, after, rng.uniform(0.0, 20.0)))
    return Workload("equal agents", tuple(drawn), ("What equal agents do is drawn; no trace is behind it.",))
