"""Six agents of a trading desk on two models of one backend, from trio, from asyncio or from a plain script.

    python -m examples.trading_graph                                   # against the mock LM Studio, with a Gantt chart
    python -m examples.trading_graph --base-url http://localhost:1234 --quick-model small --deep-model large

The market, news and social analysts (quick model) report side by side, the research manager (deep) judges the three reports, the trader
(quick) plans, and the risk manager (deep) has the last word. Every call goes through a lease, so the two models never get in each
other's way.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import trio

from adapters.providers import AgentModels, Answer, Model, ModelProvider, SyncModel
from statemachine import Transition

ANALYSTS = ("market analyst", "news analyst", "social analyst")
LATER = ("research manager", "trader", "risk manager")
MODES = ("trio", "asyncio", "plain")


@dataclass
class Call:
    """One call that was made, in seconds since the graph was made."""

    agent: str
    model: str
    began: float
    ended: float
    answer: Answer


class TradingGraph:
    """The graph. ``initialize_models()`` comes first; ``propagate(ticker)`` returns what each agent said.

    ``config`` names the backend and the two models; both run where ``provider`` is entered.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.provider = ModelProvider(observers=[self._observe])
        self.calls: list[Call] = []
        self.changes: list[Transition] = []  # of the manager, with times of this graph
        self._models: AgentModels | None = None
        self._began = time.monotonic()

    async def initialize_models(self) -> None:
        """Make both models. Nothing is loaded yet."""
        self._models = await self.provider.create_from_config(self.config)

    def get_quick_thinking_model(self) -> Model:
        """The model of the analysts and the trader. Raises RuntimeError before ``initialize_models()``."""
        return self._initialized().quick

    def get_deep_thinking_model(self) -> Model:
        """The model of the managers. Raises RuntimeError before ``initialize_models()``."""
        return self._initialized().deep

    def _initialized(self) -> AgentModels:
        if self._models is None:
            raise RuntimeError("await initialize_models() first")
        return self._models

    async def propagate(self, ticker: str) -> dict[str, str]:
        """What each of the six agents says about ``ticker``, in trio or in asyncio."""
        said: dict[str, str] = {}

        async def ask(agent: str) -> None:
            model, prompt = self._task(agent, ticker, said)
            began = self._now()
            self._note(agent, model, began, await model.named(agent).invoke(prompt, max_tokens=24), said)

        async with anyio.create_task_group() as analysts:
            for analyst in ANALYSTS:
                analysts.start_soon(ask, analyst)
        for agent in LATER:
            await ask(agent)
        return {agent: said[agent] for agent in (*ANALYSTS, *LATER)}

    def propagate_plainly(self, ticker: str) -> dict[str, str]:
        """The same in plain code, with a thread for each analyst."""
        said: dict[str, str] = {}

        def ask(agent: str) -> None:
            model, prompt = self._task(agent, ticker, said)
            began = self._now()
            plain = SyncModel(model.named(agent), self.provider.home)
            self._note(agent, model, began, plain.invoke(prompt, max_tokens=24), said)

        with ThreadPoolExecutor(len(ANALYSTS)) as pool:
            list(pool.map(ask, ANALYSTS))
        for agent in LATER:
            ask(agent)
        return {agent: said[agent] for agent in (*ANALYSTS, *LATER)}

    def _task(self, agent: str, ticker: str, said: Mapping[str, str]) -> tuple[Model, str]:
        reports = "\n".join(said[analyst] for analyst in ANALYSTS if analyst in said)
        tasks = {
            "research manager": f"Judge these reports on {ticker}:\n{reports}",
            "trader": f"Plan a trade of {ticker}: {said.get('research manager')}",
            "risk manager": f"Accept or reject this plan for {ticker}: {said.get('trader')}",
        }
        deep = agent in ("research manager", "risk manager")
        model = self.get_deep_thinking_model() if deep else self.get_quick_thinking_model()
        return model, tasks.get(agent, f"You are the {agent}. Report on {ticker}.")

    def _note(self, agent: str, model: Model, began: float, answer: Answer, said: dict[str, str]) -> None:
        self.calls.append(Call(agent, model.model_id, began, self._now(), answer))
        said[agent] = answer.text

    def _observe(self, change: Transition) -> None:
        self.changes.append(replace(change, time=self._now()))

    def _now(self) -> float:
        return time.monotonic() - self._began


def run(mode: str, config: Mapping[str, Any], tickers: Sequence[str]) -> tuple[TradingGraph, list[dict[str, str]]]:
    """The graph for each ticker, one after the other, in one of the modes."""
    graph = TradingGraph(config)

    async def main() -> list[dict[str, str]]:
        async with graph.provider:
            await graph.initialize_models()
            return [await graph.propagate(ticker) for ticker in tickers]

    if mode == "trio":
        return graph, trio.run(main)
    if mode == "asyncio":
        return graph, asyncio.run(main())
    with graph.provider as provider:
        provider.home.wait(graph.initialize_models)
        return graph, [graph.propagate_plainly(ticker) for ticker in tickers]


def draw(graph: TradingGraph, path: Path) -> None:
    """The Gantt chart of what the graph's calls waited for, and of what the server held."""
    from simulation.drivers.record import CallRecord
    from simulation.drivers.residency import ResidencyRecorder
    from simulation.report.figures import saved
    from simulation.report.gantt import gantt

    records = [
        CallRecord(
            number,
            call.agent,
            call.model,
            int(call.answer.usage.get("prompt_tokens", 0)),
            int(call.answer.usage.get("completion_tokens", 0)),
            call.began,
            call.answer.queued_seconds,
            call.answer.loading_seconds,
            None,
            call.ended - call.began,
            "ok",
        )
        for number, call in enumerate(graph.calls)
    ]
    residency, end = ResidencyRecorder(), max(call.ended for call in graph.calls)
    for change in graph.changes:
        residency(change)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = gantt("The trading graph", records, residency.intervals(end), end)
    figure.axes[-1].set_xlabel("time (s)")
    saved(path.parent, {path.name: ("", figure)})


def _mock(stack: ExitStack) -> tuple[str, str, str]:
    """A mock LM Studio with two models, on loopback: its URL, and their names."""
    from simulation.mock.lmstudio import MockLMStudio
    from simulation.mock.threaded import serve_in_a_thread
    from simulation.timing.latency import LatencyProfile, ModelSpec

    quick = ModelSpec(
        "quick-4b",
        load_seconds=0.3,
        unload_seconds=0.1,
        prefill_tokens_per_second=2000,
        decode_tokens_per_second=200,
    )
    models = [quick, replace(quick, key="deep-20b", load_seconds=0.6)]
    server = MockLMStudio(models, LatencyProfile(jitter=0))
    return stack.enter_context(serve_in_a_thread(server)), "quick-4b", "deep-20b"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.trading_graph", description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="lmstudio", help="a kind of provider (default: %(default)s)")
    parser.add_argument("--base-url", help="the backend (default: a mock LM Studio, made for this run)")
    parser.add_argument("--quick-model", help="the model of the analysts and the trader")
    parser.add_argument("--deep-model", help="the model of the two managers")
    parser.add_argument("--ticker", action="append", help="what to trade; may be repeated (default: ACME)")
    parser.add_argument("--mode", choices=MODES, default="trio", help="(default: %(default)s)")
    parser.add_argument("--gantt", type=Path, default=Path("report/trading-graph.png"), help="(default: %(default)s)")
    args = parser.parse_args(arguments)
    with ExitStack() as stack:
        url, quick, deep = args.base_url, args.quick_model, args.deep_model
        if url is None:
            url, quick, deep = _mock(stack)
        elif quick is None or deep is None:
            parser.error("--base-url needs --quick-model and --deep-model")
        config = {"llm_provider": args.provider, "backend_url": url, "quick_think_llm": quick, "deep_think_llm": deep}
        graph, said = run(args.mode, config, args.ticker or ["ACME"])
    for ticker, answers in zip(args.ticker or ["ACME"], said, strict=True):
        for agent, text in answers.items():
            print(f"{ticker}: {agent}: {text[:60]}")
    try:
        draw(graph, args.gantt)
    except ImportError as error:
        print(f"no chart: {error.name} is in the extra 'simulation', which is not installed")
    else:
        print(f"{args.gantt} shows who waited for what")
    return 0


if __name__ == "__main__":
    sys.exit(main())
