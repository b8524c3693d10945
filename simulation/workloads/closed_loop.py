"""A closed loop: agents that ask, wait for the answer, think, and ask again. The machine-repair model of queueing theory.

With exponential think times and services it is the finite-source queue M/M/1//N, which has a closed formula (Kleinrock, Queueing
Systems 1, 1975, section 3.8); a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from statemachine.checks import check_count

from .draws import CHAT, TokenDistribution, check_mix, check_positive, model_of
from .workload import PlannedCall, Workload

__all__ = ["closed_loop"]


def closed_loop(
    mix: Mapping[str, float],
    *,
    agents: int,
    calls: int,
    think_seconds: float,
    seed: int = 0,
    tokens: TokenDistribution = CHAT,
) -> Workload:
    """Make a workload of ``agents`` that make ``calls`` calls each, with exponential pauses of ``think_seconds`` on average.

    Raises ConfigurationError.
    """
    check_mix(mix)
    check_positive("think_seconds", think_seconds)
    for name, count in (("agents", agents), ("calls", calls)):
        check_count(name, count)
    rng = Random(seed)
    planned: list[PlannedCall] = []
    for agent in range(1, agents + 1):
        for turn in range(calls):
            after = (len(planned) - 1,) if turn else ()
            pause = rng.expovariate(1 / think_seconds)
            name = f"agent {agent:02d}"
            planned.append(PlannedCall(len(planned), name, model_of(mix, rng), *tokens.draw(rng), after, pause))
    sentence = (
        f"Agents think {think_seconds:g} s on average, exponentially; tokens are drawn, and no trace is behind them."
    )
    source = "The closed loop is the machine-repair model (Kleinrock, Queueing Systems 1, 1975)."
    return Workload("closed loop", tuple(planned), (source, sentence))
