"""Write the report of a comparison: tables as text, ``compare.json`` with the same numbers, the pictures, and a page that shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum
from pathlib import Path
from typing import Any, Final

from statemachine.policies.names import BASELINE

from ..analysis.comparison import RATIOS, Limit, PolicyComparison, PolicyRun, Spread, ratios
from ..analysis.findings import coordination_saved, policy_saved
from ..drivers.uncoordinated import Uncoordinated
from ..workloads.workload import Workload
from .compare_plots import draw_comparison, load_title
from .page import Origin, Table, write_page

__all__ = ["COLUMNS", "Compared", "aligned", "findings", "tables", "write_comparison"]

COLUMNS: Final = {
    "makespan": ("makespan", ".1f"),
    "to_limit": ("/ limit", ".3f"),
    "mean": ("mean", ".1f"),
    "p50": ("p50", ".1f"),
    "p95": ("p95", ".1f"),
    "p99": ("p99", ".1f"),
    "max": ("max", ".1f"),
    "switches": ("switches", "d"),
    "switching_share": ("switching", ".1%"),
    "fairness": ("fairness", ".3f"),
}
"""Heading and format of each number of a run in the table, by its name in ``compare.json``."""


@dataclass(frozen=True)
class Compared:
    """``by_seed``: for each seed a comparison at each load time. ``workload``, what is drawn, and the run without
    coordination (None: not asked for) are the first seed's."""

    workload: Workload
    by_seed: Sequence[Sequence[PolicyComparison]]
    origin: Origin
    uncoordinated: Uncoordinated | None = None


# ---- text ----


def tables(compared: Compared) -> str:
    """Format all numbers as text of a fixed width: a table for each load time, and one over all seeds if there are several."""
    return "\n\n".join("\n".join([table.title, *aligned([table.head, *table.rows])]) for table in _tables(compared))


def findings(compared: Compared) -> list[str]:
    """Say in sentences what was found: at each load time, and against the run without coordination."""
    sentences = [
        (f"{load_title(each.load_time)}: " if len(compared.by_seed[0]) > 1 else "") + policy_saved(each)
        for each in compared.by_seed[0]
    ]
    if compared.uncoordinated is not None:
        sentences.append(coordination_saved(compared.by_seed[0][0], compared.uncoordinated))
    return sentences


def _tables(compared: Compared) -> list[Table]:
    found = [_table(comparison) for comparison in compared.by_seed[0]]
    if len(compared.by_seed) > 1:
        found += [_ratio_table(group) for group in _by_load_time(compared)]
    return found


def _table(comparison: PolicyComparison) -> Table:
    rows = [
        [run.policy, *(format(getattr(run.numbers, name), style) for name, (_, style) in COLUMNS.items())]
        for run in (*comparison.runs, comparison.free)
    ]
    title = f"{load_title(comparison.load_time)}, {_limit_text(comparison.limit)}"
    return Table(title, ["policy", *(heading for heading, _ in COLUMNS.values())], rows)


def _limit_text(limit: Limit) -> str:
    return (
        f"{'least makespan' if limit.exact else 'no schedule with these switches ends before'} {limit.makespan:.1f} s"
    )


def _ratio_table(comparisons: Sequence[PolicyComparison]) -> Table:
    measures = (*RATIOS, "gap left")
    rows = [[name, *(_spread_text(spreads[m]) for m in measures)] for name, spreads in ratios(comparisons).items()]
    title = f"{load_title(comparisons[0].load_time)}, ratios to {BASELINE} over {len(comparisons)} seeds: median / p90 / worst"
    return Table(title, ["policy", *measures], rows)


def _spread_text(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.2f} / {spread.p90:.2f} / {spread.worst:.2f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([first.ljust(widths[0]), *(word.rjust(width) for word, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]


def _by_load_time(compared: Compared) -> list[list[PolicyComparison]]:
    return [list(group) for group in zip(*compared.by_seed, strict=True)]


# ---- the folder ----


def write_comparison(folder: Path, compared: Compared) -> Path:
    """Write everything into ``folder``, made where needed; files of an earlier one are replaced. Returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(_content(compared), indent=2, ensure_ascii=False) + "\n"
    (folder / "compare.json").write_text(content, encoding="utf-8")
    return write_page(
        folder,
        title=f"Policies on {compared.workload.name}",
        introduction=_INTRODUCTION,
        findings=findings(compared),
        tables=_tables(compared),
        pictures=draw_comparison(folder, compared.by_seed[0]),
        method=_METHOD,
        origin=compared.origin,
        data=("compare.json",),
    )


def _content(compared: Compared) -> dict[str, Any]:
    return {
        "workload": compared.workload.name,
        "agents": len(compared.workload.agents),
        "models": compared.workload.models,
        **asdict(compared.origin),
        "seeds": len(compared.by_seed),
        "findings": findings(compared),
        "uncoordinated": _uncoordinated_content(compared.uncoordinated),
        "load_times": [
            {**_comparison_content(group[0]), "ratios": _ratios_content(group)} for group in _by_load_time(compared)
        ],
    }


def _uncoordinated_content(alone: Uncoordinated | None) -> Mapping[str, Any] | None:
    if alone is None:
        return None
    latencies = [record.total for record in alone.records]
    return {
        "makespan": max(record.finished for record in alone.records),
        "mean": fsum(latencies) / len(latencies),
        "loads": alone.loads,
        "cut": alone.cut,
        "failed": sum(record.outcome != "ok" for record in alone.records),
    }


def _comparison_content(comparison: PolicyComparison) -> dict[str, Any]:
    return {
        "load_time": comparison.load_time,
        "limit": asdict(comparison.limit),
        "free": _run_content(comparison.free),
        "runs": [_run_content(run) for run in comparison.runs],
    }


def _run_content(run: PolicyRun) -> dict[str, Any]:
    return {"policy": run.policy, **asdict(run.numbers), "waits": run.waits}


def _ratios_content(comparisons: Sequence[PolicyComparison]) -> Mapping[str, Any]:
    return {
        name: {measure: None if spread is None else asdict(spread) for measure, spread in spreads.items()}
        for name, spreads in ratios(comparisons).items()
    }


_METHOD: Final = (
    "Every run is of the manager's own model, in virtual time, from an event heap."
    " Tests show that the real manager gives the same event log."
)

_INTRODUCTION: Final = (
    "Times are virtual seconds. Latencies are from a request's arrival to the end of its answer; percentiles are nearest-rank."
    " “/ limit” is the makespan over what no schedule can beat, not even one that knows the future. “Switching” is the share of the"
    " makespan in which the slot was loading or unloading a model. “Fairness” is Jain's index of the agents' mean slowdowns,"
    " 1 where all are equal. “No switch cost” is first come, first served if no switch took time. Over several seeds, “gap left” is"
    " the part of fifo's makespan beyond that at no switch cost which a policy leaves."
)
