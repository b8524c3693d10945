"""The built-in workload: the trading graph, six agents on two models that one local server has to share.

For each ticker the market, news and social analysts (quick model) fetch data and report, the research manager (deep model)
debates the three reports in two steps, the trader (quick) plans, and the risk manager (deep) has the last word. An agent takes the
tickers one after the other and does not wait for the rest of the graph, so several tickers are in work at once: that is what makes
the two models compete.
"""

from __future__ import annotations

import random

from statemachine.checks import check_count

from .workload import PlannedCall, Workload

__all__ = ["ANALYSTS", "trading_graph"]

ANALYSTS = ("market analyst", "news analyst", "social analyst")
_RESEARCH, _TRADER, _RISK = "research manager", "trader", "risk manager"


def trading_graph(quick: str, deep: str, *, tickers: int = 10, seed: int = 0) -> Workload:
    """The graph for ``tickers`` tickers, with token counts and think times drawn from ``seed``. Raises ConfigurationError."""
    check_count("tickers", tickers)
    graph = _Graph(quick, deep, random.Random(seed))
    for _ in range(tickers):
        graph.add_ticker()
    return Workload("trading graph", tuple(graph.calls), _ASSUMPTIONS)


_ASSUMPTIONS = (
    "Token counts and think times of the trading graph are drawn uniformly from ranges of our own choosing; no trace is behind them.",
    "Each prompt of the trading graph is read from its beginning: no prompt cache.",
    "An agent starts on the next ticker as soon as it has done its part of the last one.",
)


class _Graph:
    """The calls so far, and the last one of each agent."""

    def __init__(self, quick: str, deep: str, rng: random.Random) -> None:
        self.quick = quick
        self.deep = deep
        self.rng = rng
        self.calls: list[PlannedCall] = []
        self.last: dict[str, int] = {}

    def add_ticker(self) -> None:
        reports = [self._report(analyst) for analyst in ANALYSTS]
        debate = self._call(_RESEARCH, self.deep, (3000, 5000), (400, 800), after=reports)
        verdict = self._call(_RESEARCH, self.deep, (4000, 6000), (300, 600), after=[debate])
        plan = self._call(_TRADER, self.quick, (1500, 3000), (150, 400), after=[verdict])
        self._call(_RISK, self.deep, (2500, 4500), (200, 500), after=[plan])

    def _report(self, analyst: str) -> int:
        """Ask for data with a short tool call; think while the tool runs; write the report."""
        request = self._call(analyst, self.quick, (800, 1600), (40, 120), after=[])
        return self._call(analyst, self.quick, (2000, 4500), (250, 600), after=[request], think=(1.0, 6.0))

    def _call(
        self,
        agent: str,
        model: str,
        prompt: tuple[int, int],
        output: tuple[int, int],
        *,
        after: list[int],
        think: tuple[float, float] = (0.2, 2.0),
    ) -> int:
        """One call after those it needs and after the same agent's last one."""
        number = len(self.calls)
        waits_for = tuple(sorted({*after, *([self.last[agent]] if agent in self.last else [])}))
        rng = self.rng
        tokens = rng.randint(*prompt), rng.randint(*output)
        self.calls.append(PlannedCall(number, agent, model, *tokens, waits_for, rng.uniform(*think)))
        self.last[agent] = number
        return number
