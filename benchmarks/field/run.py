"""One contender on one workload: a process for the server, one for who plays; then what both of them saw, in figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Final

from simulation.analysis.comparison import jain
from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import PlannedCall, Workload

from ..measuring.environments import ROOT, environment
from .contenders import Contender
from .outcome import Outcome, answered, shared_columns
from .server import DEEP, PARALLEL, QUICK

__all__ = ["Run", "play_by", "run", "workload"]

DEADLINE_SECONDS: Final = 4 * 3600.0  # virtual: what has no answer by then has none


@dataclass(frozen=True, kw_only=True)
class Run(Outcome):
    """One run on the mock, in virtual seconds. Here ``refused`` leaves out what was killed.

    ``killed``: answers that an eviction cut. ``two_at_once``: loads asked for while another model was there. ``copies``: loads of a model
    that was there. ``busy_evicted``: unloads of a model that was answering. ``fairness``: Jain's index of the agents' slowdowns.
    ``events``: what the server saw, ``(seconds, what, model, answers under way)``.
    """

    killed: int
    two_at_once: int
    copies: int
    busy_evicted: int
    fairness: float
    events: Sequence[tuple[float, str, str, int]]


def workload(seed: int, tickers: int) -> Workload:
    """The trading graph: six agents, two models."""
    return trading_graph(QUICK.key, DEEP.key, tickers=tickers, seed=seed)


def run(contender: Contender, seed: int, tickers: int, speed: float, *, deadline: float = DEADLINE_SECONDS) -> Run:
    """Play it, for ``deadline`` virtual seconds at most. Raises UnavailableError where the contender does not install."""
    calls = workload(seed, tickers).calls
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.field.server", str(speed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            setting = {"url": url, "server": "lmstudio", "speed": speed, "parallel": PARALLEL, "deadline": deadline}
            played = play_by(contender, calls, {**setting, "parameters": {}, "words": True})
            server.stdin.close()
            seen = json.loads(server.stdout.readline())
        finally:
            server.kill()
    return _figures(contender, seed, calls, played, seen, speed)


def play_by(contender: Contender, calls: Sequence[PlannedCall], setting: dict[str, Any]) -> Any:
    """Let the contender play the calls; returns what :func:`.play.play` prints. ``setting``: the members of ``Plan`` that are not its own.

    Raises RuntimeError where its process fails, UnavailableError where it does not install.
    """
    names = ("id", "agent", "model", "prompt_tokens", "output_tokens", "after", "delay")
    rows = [{name: value for name, value in asdict(call).items() if name in names} for call in calls]
    plan = json.dumps({**setting, "settings": contender.settings, "calls": rows})
    command = [str(environment(contender.environment).python), "-m", contender.module]
    played = subprocess.run(command, cwd=ROOT, input=plan, capture_output=True, text=True)
    if played.returncode or not played.stdout:
        raise RuntimeError(f"{contender.name} ended with {played.returncode}: {played.stderr[-2000:]}")
    return json.loads(played.stdout.splitlines()[-1])


def _figures(
    contender: Contender, seed: int, calls: Sequence[PlannedCall], played: Any, seen: Any, speed: float
) -> Run:
    origin = played["origin"]
    events = [(round((at - origin) * speed, 2), what, model, jobs) for at, what, model, jobs in seen["events"]]
    columns = shared_columns(played["calls"], [model for _, what, model, _ in events if what == "loaded"])
    return Run(
        contender=contender.name,
        seed=seed,
        **{**columns, "refused": max(0, columns["refused"] - seen["cut"])},
        killed=seen["cut"],
        two_at_once=_count(events, "two at once"),
        copies=_count(events, "a copy of what is there"),
        busy_evicted=sum(what == "unload" and jobs > 0 for _, what, _, jobs in events),
        fairness=_fairness(calls, answered(played["calls"])),
        events=events,
    )


def _count(events: Sequence[tuple[float, str, str, int]], wanted: str) -> int:
    return sum(what == wanted for _, what, _, _ in events)


def _fairness(calls: Sequence[PlannedCall], answered: Sequence[dict[str, Any]]) -> float:
    """Jain's index of the agents' mean slowdowns: how many times longer than alone with a loaded model."""
    slowdowns: dict[str, list[float]] = {}
    for row in answered:
        call = calls[row["id"]]
        slowdowns.setdefault(call.agent, []).append((row["finished"] - row["arrived"]) / _alone(call))
    return jain([mean(values) for values in slowdowns.values()]) if slowdowns else 0.0


def _alone(call: PlannedCall) -> float:
    model = QUICK if call.model == QUICK.key else DEEP
    return call.prompt_tokens / model.prefill_tokens_per_second + call.output_tokens / model.decode_tokens_per_second
