"""The generated workloads by name, for command lines: graphs of agents, open loops, a closed loop. All are drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from .agent_graphs import GRAPHS, agent_graph
from .closed_loop import closed_loop
from .open_loop import open_loop
from .trading_graph import trading_graph
from .workload import Workload

__all__ = ["GENERATED", "WITH_AGENTS", "Drawn", "generated"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a generated workload is drawn from. Times in seconds, ``rate`` in requests a second.

    ``tasks`` is how many tickers, tasks of a graph, or calls of each agent of a closed loop; ``requests`` how many arrivals.
    """

    quick: str
    deep: str
    mix: Mapping[str, float]
    tasks: int = 10
    requests: int = 300
    agents: int = 12
    rate: float = 0.05
    think_seconds: float = 10.0
    seed: int = 0


def _trading(drawn: Drawn) -> Workload:
    return trading_graph(drawn.quick, drawn.deep, tickers=drawn.tasks, seed=drawn.seed)


def _graph(kind: str, drawn: Drawn) -> Workload:
    return agent_graph(kind, drawn.quick, drawn.deep, tasks=drawn.tasks, seed=drawn.seed)


def _arrivals(kind: str, drawn: Drawn) -> Workload:
    return open_loop(kind, drawn.mix, rate=drawn.rate, requests=drawn.requests, agents=drawn.agents, seed=drawn.seed)


def _closed(drawn: Drawn) -> Workload:
    return closed_loop(
        drawn.mix, agents=drawn.agents, calls=drawn.tasks, think_seconds=drawn.think_seconds, seed=drawn.seed
    )


GENERATED: Final[dict[str, Callable[[Drawn], Workload]]] = {
    "trading": _trading,
    **{kind: partial(_graph, kind) for kind in GRAPHS},
    **{kind: partial(_arrivals, kind) for kind in ("poisson", "bursts", "modulated")},
    "closed": _closed,
}
"""Each makes a workload."""

WITH_AGENTS: Final = ("poisson", "bursts", "modulated", "closed")
"""Those that have as many agents as they are told to; a graph has its own."""


def generated(name: str, drawn: Drawn) -> Workload:
    """Return the workload ``name``. Raises ConfigurationError."""
    return GENERATED[name](drawn)
