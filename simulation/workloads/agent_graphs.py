"""Graphs of agents that people build, on a quick and a deep model. Tokens and pauses are drawn from ranges of our own choosing.

``plan_execute``  one agent plans (deep), executes each step with a tool call (quick), and synthesises (deep): plan-and-execute agents
                  (Wang et al., Plan-and-Solve, ACL 2023).
``orchestrator``  a lead agent (deep) sends out sub-agents (quick) that search side by side, twice, and writes the report: the shape of
                  Anthropic's research system (2025), which has three to five sub-agents at a time.
``debate``        debaters on both models answer, read each other, and answer again; a judge (deep) decides: multi-agent debate (Du et al.,
                  ICML 2024), with three debaters and two rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from statemachine.checks import check_count

from .graph import Graph
from .workload import Workload

__all__ = ["GRAPHS", "agent_graph"]

_SENTENCE: Final = "Token counts and pauses are drawn uniformly from ranges of our own choosing; prompts are read from their beginning."
_SOURCES: Final = {
    "plan_execute": "The graph is that of plan-and-execute agents (Wang et al., Plan-and-Solve, ACL 2023).",
    "orchestrator": "The graph is that of Anthropic's multi-agent research system (2025): a lead agent with three to five sub-agents.",
    "debate": "The graph is that of multi-agent debate (Du et al., ICML 2024): three debaters, two rounds, a judge.",
}


def agent_graph(kind: str, quick: str, deep: str, *, tasks: int = 10, seed: int = 0) -> Workload:
    """Make a workload of ``tasks`` tasks of one of :data:`GRAPHS`; each begins at most 30 s after the one before.

    Raises ConfigurationError.
    """
    check_count("tasks", tasks)
    graph = Graph(seed)
    begin = 0.0
    for task in range(1, tasks + 1):
        GRAPHS[kind](graph, f"task {task:02d}", quick, deep, begin)
        begin += graph.rng.uniform(5.0, 30.0)
    return Workload(kind.replace("_", "-"), tuple(graph.calls), (_SOURCES[kind], _SENTENCE))


def _plan_execute(graph: Graph, task: str, quick: str, deep: str, begin: float) -> None:
    last = graph.call(task, deep, (1000, 2500), (200, 500), think=(begin, begin))
    for _ in range(graph.rng.randint(3, 6)):
        last = graph.call(task, quick, (800, 3000), (60, 250), after=[last], think=(0.5, 5.0))
    graph.call(task, deep, (3000, 8000), (400, 900), after=[last])


def _orchestrator(graph: Graph, task: str, quick: str, deep: str, begin: float) -> None:
    last = graph.call(task, deep, (1500, 3000), (200, 500), think=(begin, begin))
    for round_ in (1, 2):
        found = []
        for number in range(graph.rng.randint(3, 5)):
            agent = f"{task}/{round_}.{number}"
            search = graph.call(agent, quick, (800, 2000), (50, 150), after=[last])
            found.append(graph.call(agent, quick, (3000, 8000), (150, 400), after=[search], think=(1.0, 6.0)))
        last = graph.call(task, deep, (3000, 6000), (200, 500), after=found)
    graph.call(task, deep, (5000, 9000), (600, 1200), after=[last])


def _debate(graph: Graph, task: str, quick: str, deep: str, begin: float) -> None:
    debaters = [(f"{task}/{name}", model) for name, model in (("ann", quick), ("bob", deep), ("cat", quick))]
    heard = [graph.call(agent, model, (400, 900), (200, 500), think=(begin, begin)) for agent, model in debaters]
    for _ in range(2):
        heard = [graph.call(agent, model, (1200, 2500), (200, 500), after=heard) for agent, model in debaters]
    graph.call(f"{task}/judge", deep, (2000, 4000), (100, 300), after=heard)


GRAPHS: Final[dict[str, Callable[[Graph, str, str, str, float], None]]] = {
    "plan_execute": _plan_execute,
    "orchestrator": _orchestrator,
    "debate": _debate,
}
"""Each adds one task to a graph."""
