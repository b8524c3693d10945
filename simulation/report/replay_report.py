"""Write the report of a replay: every request, the summary, the pictures, and the page that shows them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ..analysis.findings import seconds_text
from ..analysis.metrics import Distribution, Summary
from ..drivers.record import Replay, json_lines
from ..workloads.workload import Workload
from .page import Origin, Table, write_page
from .replay_plots import draw_all

__all__ = ["write_report"]


def write_report(folder: Path, workload: Workload, replay: Replay, summary: Summary, origin: Origin) -> Path:
    """Write everything into ``folder``, made where needed; files of an earlier report are replaced. Returns the page's path.

    ``requests.jsonl`` has one record per line (:class:`CallRecord`, seconds), ``summary.json`` the :class:`Summary` and the origin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requests.jsonl").write_text(json_lines(replay.records), encoding="utf-8")
    (folder / "summary.json").write_text(_summary_json(workload, summary, origin), encoding="utf-8")
    return write_page(
        folder,
        title=f"Replay of {workload.name}",
        findings=[_finding(summary)],
        introduction=_INTRODUCTION,
        tables=[_table(summary)],
        pictures=draw_all(folder, replay.records, replay.intervals, summary.makespan),
        method="Every call went through the real manager, engine and adapter.",
        origin=origin,
        data=("requests.jsonl", "summary.json"),
    )


def _finding(summary: Summary) -> str:
    answered = summary.requests - summary.failed
    p95 = "" if summary.total.p95 is None else f" Of 100 answers 95 took at most {seconds_text(summary.total.p95)}."
    return (
        f"{answered} of {summary.requests} requests were answered in {seconds_text(summary.makespan)}, with {summary.switches} switches"
        f" of the model, which took {summary.switching_share:.0%} of the time.{p95}"
    )


def _table(summary: Summary) -> Table:
    measures: list[tuple[str, Distribution]] = [
        ("queueing (s)", summary.queueing),
        ("loading (s)", summary.loading),
        ("TTFT (s)", summary.ttft),
        ("total (s)", summary.total),
    ]
    rows = [
        [name, *("-" if value is None else f"{value:.2f}" for value in (each.p50, each.p95, each.p99))]
        for name, each in measures
    ]
    return Table("Latency of the requests that succeeded", ["", "p50", "p95", "p99"], rows)


def _summary_json(workload: Workload, summary: Summary, origin: Origin) -> str:
    content = {
        "workload": workload.name,
        "agents": len(workload.agents),
        "models": workload.models,
        **asdict(origin),
        "summary": asdict(summary),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_INTRODUCTION: Final = (
    "Times are seconds, counted from each request's arrival. Percentiles are nearest-rank, over the requests that succeeded."
    " TTFT and total include queueing and loading. Time spent switching is the share of the makespan in which the slot was loading or"
    " unloading a model, the first load included."
)
