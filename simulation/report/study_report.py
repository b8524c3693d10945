"""Write the report of the study: verdicts and tables as text, ``study.json`` with every number, the pictures, and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from statemachine.policies.names import BASELINE

from ..analysis.verdicts import MEASURES, TAILS, Cell, batches, equals, gaps_closed, mixed, ratio, verdicts
from .compare_report import aligned
from .page import Origin, Table, write_page
from .study_plots import draw_study

__all__ = ["study_tables", "write_study"]


def study_tables(cells: Sequence[Cell], policy: str) -> str:
    """Format the criteria for ``policy``, every policy over all cells, and ``policy`` by workload, as text of a fixed width."""
    return "\n\n".join("\n".join(aligned([table.head, *table.rows])) for table in _tables(cells, policy))


def _tables(cells: Sequence[Cell], policy: str) -> list[Table]:
    return [_criteria(cells, policy), _policies(cells), _groups(cells, policy)]


def _criteria(cells: Sequence[Cell], policy: str) -> Table:
    rows = [[v.wanted, v.found, "met" if v.met else "MISSED"] for v in verdicts(cells, policy)]
    return Table("Criteria for a default policy", [f"{policy}, against {BASELINE}", "found", ""], rows)


def _policies(cells: Sequence[Cell]) -> Table:
    among = mixed(cells)
    head = [
        "policy",
        *MEASURES,
        "makespan",
        "tails <= 1",
        "worst p95, p99",
        "gap closed",
        "/ bound",
        "equals",
        "batches",
    ]
    return Table("Every policy", head, [_policy_row(cells, among, name) for name in among[0].runs])


def _policy_row(cells: Sequence[Cell], among: Sequence[Cell], name: str) -> list[str]:
    ratios = {measure: [ratio(cell, name, measure) for cell in among] for measure in (*MEASURES, "makespan")}
    tails = [value for measure in TAILS for value in ratios[measure]]
    gaps = gaps_closed(among, name)
    return [
        name,
        *(f"{median(values):.2f}" for values in ratios.values()),
        f"{sum(value <= 1 for value in tails) / len(tails):.0%}",
        f"{max(ratios['p95'] + ratios['p99']):.2f}",
        f"{median(gaps):.0%}" if gaps else "-",
        f"{median(cell.runs[name].to_limit for cell in among):.2f}",
        f"{min((cell.runs[name].fairness for cell in equals(cells)), default=1.0):.3f}",
        f"{max((cell.runs[name].to_limit for cell in batches(cells)), default=1.0):.3f}",
    ]


def _groups(cells: Sequence[Cell], policy: str) -> Table:
    """Return a table with a row for each workload and load time, compared with a run without any switch cost."""
    head = ["workload", "load time", f"{BASELINE} switching"]
    head += [f"{m} (free)" for m in MEASURES] + ["makespan (free)", "/ bound", "fairness (fifo)"]
    kinds = dict.fromkeys((cell.kind, cell.load_time) for cell in sorted(mixed(cells), key=_order))
    rows = [
        _group_row([cell for cell in cells if (cell.kind, cell.load_time) == kind], policy, *kind) for kind in kinds
    ]
    return Table(f"{policy} by workload", head, rows)


def _order(cell: Cell) -> tuple[int, str, float]:
    return int(cell.kind) if cell.kind.isdigit() else 10**9, cell.kind, cell.load_time


def _group_row(group: Sequence[Cell], policy: str, kind: str, load_time: float) -> list[str]:
    def against_free(measure: str) -> str:
        free = median(getattr(cell.free, measure) / getattr(cell.runs[BASELINE], measure) for cell in group)
        return f"{median(ratio(cell, policy, measure) for cell in group):.2f} ({free:.2f})"

    fairness = [median(cell.runs[name].fairness for cell in group) for name in (policy, BASELINE)]
    return [
        f"{kind} sessions" if kind.isdigit() else kind,
        f"{load_time:g} s",
        f"{median(cell.runs[BASELINE].switching_share for cell in group):.0%}",
        *(against_free(measure) for measure in (*MEASURES, "makespan")),
        f"{median(cell.runs[policy].to_limit for cell in group):.2f}",
        f"{fairness[0]:.2f} ({fairness[1]:.2f})",
    ]


def _finding(cells: Sequence[Cell], policy: str) -> str:
    among = mixed(cells)
    mean, tail = (median(ratio(cell, policy, measure) for cell in among) for measure in ("mean", "p99"))
    met = sum(criterion.met for criterion in verdicts(cells, policy))
    return (
        f"Over {len(among)} runs the mean latency of {policy} is {mean:.2f} times that of {BASELINE}, and the 99th percentile {tail:.2f}"
        f" times (medians); it meets {met} of {len(verdicts(cells, policy))} criteria."
    )


# ---- the folder ----


def write_study(folder: Path, cells: Sequence[Cell], policy: str, origin: Origin) -> Path:
    """Write everything into ``folder``, made where needed; files of an earlier one are replaced. Returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        **asdict(origin),
        "policy": policy,
        "verdicts": [verdict._asdict() for verdict in verdicts(cells, policy)],
        "cells": [asdict(cell) for cell in cells],
    }
    (folder / "study.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return write_page(
        folder,
        title="Policies on many workloads",
        introduction=_INTRODUCTION,
        findings=[_finding(cells, policy)],
        tables=_tables(cells, policy),
        pictures=draw_study(folder, mixed(cells)),
        method="Every run is of the manager's own model, in virtual time, from an event heap.",
        origin=origin,
        data=("study.json",),
    )


_INTRODUCTION: Final = (
    f"A cell is one workload at one load time. Ratios are to {BASELINE} in the same cell, medians over all cells; “free” is {BASELINE} if"
    " no switch took time. “Tails <= 1”: the share of the ratios of p95, p99 and max that are at most 1. “Gap closed”: of what switching"
    f" adds to the makespan, in the median cell of those where {BASELINE} switches over half of its time. “/ bound”: makespan over what no"
    " schedule can beat. “Equals”: the least of Jain's indices of mean slowdown between agents that are equal. “Batches”: the largest"
    " ratio to the least makespan where all requests come at once."
)
