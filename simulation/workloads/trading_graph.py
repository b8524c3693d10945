"""The built-in workload: the trading graph, six agents on two models that one local server has to share.

For each ticker the market, news and social analysts (quick model) fetch data and report, the research manager (deep model)
debates the three reports in two steps, the trader (quick) plans, and the risk manager (deep) has the last word. An agent takes the
tickers one after the other and does not wait for the rest of the graph, so several tickers are in work at once: that is what makes
the two models compete. The shape is that of TradingAgents (Xiao et al., 2024).
"""

from __future__ import annotations

from statemachine.checks import check_count

from .graph import Graph
from .workload import Workload

__all__ = ["ANALYSTS", "trading_graph"]

ANALYSTS = ("market analyst", "news analyst", "social analyst")
_RESEARCH, _TRADER, _RISK = "research manager", "trader", "risk manager"

_ASSUMPTIONS = (
    "The graph is that of TradingAgents (Xiao et al., 2024).",
    "Token counts and think times of the trading graph are drawn uniformly from ranges of our own choosing; no trace is behind them.",
    "Each prompt of the trading graph is read from its beginning: no prompt cache.",
    "An agent starts on the next ticker as soon as it has done its part of the last one.",
)


def trading_graph(quick: str, deep: str, *, tickers: int = 10, seed: int = 0) -> Workload:
    """Make the graph for ``tickers`` tickers, with token counts and think times drawn from ``seed``. Raises ConfigurationError."""
    check_count("tickers", tickers)
    graph = Graph(seed)
    for _ in range(tickers):
        _add_ticker(graph, quick, deep)
    return Workload("trading graph", tuple(graph.calls), _ASSUMPTIONS)


def _add_ticker(graph: Graph, quick: str, deep: str) -> None:
    reports = [_report(graph, analyst, quick) for analyst in ANALYSTS]
    debate = graph.call(_RESEARCH, deep, (3000, 5000), (400, 800), after=reports)
    verdict = graph.call(_RESEARCH, deep, (4000, 6000), (300, 600), after=[debate])
    plan = graph.call(_TRADER, quick, (1500, 3000), (150, 400), after=[verdict])
    graph.call(_RISK, deep, (2500, 4500), (200, 500), after=[plan])


def _report(graph: Graph, analyst: str, quick: str) -> int:
    """Ask for data with a short tool call; think while the tool runs; write the report."""
    request = graph.call(analyst, quick, (800, 1600), (40, 120))
    return graph.call(analyst, quick, (2000, 4500), (250, 600), after=[request], think=(1.0, 6.0))
