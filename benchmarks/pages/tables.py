"""The tables of ``docs/benchmarks.md`` and its plots, made from ``benchmarks/results`` alone: a figure on the page was measured.

Each table stands between ``<!-- NAME -->`` and ``<!-- end -->``; what is written by hand stands around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from statistics import mean, median
from typing import Any, Final

from ..field.summary import Row, rows
from ..measuring.environments import ROOT
from ..measuring.results import RESULTS, read
from . import plots

__all__ = ["PAGE", "filled", "write_tables"]

PAGE: Final = ROOT / "docs" / "benchmarks.md"
MARKED: Final = re.compile(r"(<!-- ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)


def write_tables() -> None:
    """Fill the page and draw the plots."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    results = {path.stem: read(RESULTS, path.stem) for path in RESULTS.glob("*.json")}
    plots.field(results["field"], ROOT / "docs" / "benchmarks-field.png")
    plots.costs(results, ROOT / "docs" / "benchmarks-costs.png")


def filled(page: str) -> str:
    """The page with every table as the results have it."""
    return MARKED.sub(lambda found: found[1] + _section(found[2]) + "\n" + found[3], page)


def _section(name: str) -> str:
    result = read(RESULTS, name.partition("-")[0])
    if result is None:
        return "Not measured."
    return "\n".join([*TABLES[name](result["figures"]), "", _origin(result)])


def _origin(result: Any) -> str:
    machine, versions = result["machine"], result["versions"]
    before, after = machine["load_average"]
    loaded = "a quiet machine" if max(before, after) < machine["cores"] + 0.5 else "a loaded machine"
    packages = [f"{name} {versions[name]}" for name in TOLD[result["name"]] if name in versions]
    told = [
        f"`{result['command']}`",
        result["date"],
        f"{machine['cores']} cores",
        f"Python {versions['python']}",
        *packages,
    ]
    return f"*{', '.join(told)}; {loaded} (load average {before} before, {after} after).*"


TOLD: Final[dict[str, tuple[str, ...]]] = {
    "core": ("trio", "transitions", "simpy"),
    "overhead": ("trio", "anyio", "httpcore", "SQLAlchemy"),
    "steps": ("trio",),
    "streamed": ("httpx", "openai"),
    "growth": ("trio",),
    "machines": ("transitions", "Automat", "python-statemachine"),
    "simulators": ("simpy", "Ciw", "salabim"),
    "checker": (),
    "field": (),
    "real": (),
}
"""The packages whose versions stand under a scenario's tables; the JSON has all."""


def _table(head: Sequence[str], body: Iterable[Sequence[object]], *, texts: int = 1) -> list[str]:
    """Markdown; the first columns are ``texts``, the others are numbers."""
    lines = [head, [*["---"] * texts, *["---:"] * (len(head) - texts)], *body]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def _n(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ranged(spread: dict[str, Any]) -> str:
    return f"{_n(spread['median'])} ({_n(spread['min'])} to {_n(spread['max'])})"


def _core(figures: Any) -> list[str]:
    body = []
    for row in figures:
        verdict = "met" if row["ratio"] <= row["aim"] else "missed"
        body.append(
            (row["name"], row["unit"].removeprefix("x "), f"{row['ratio']:.2f}", f"at most {row['aim']:.2f}", verdict)
        )
    return _table(["", "in times", "ratio", "aim", ""], body, texts=2)


def _sides(kind: str, unit: str, base: str) -> Callable[[Any], list[str]]:
    def table(figures: Any) -> list[str]:
        body = [(name, _n(side["time"]["median"]), _ranged(side["ratio"])) for name, side in figures[kind].items()]
        return [*_table(["", unit, f"times {base}"], body), *_skipped(figures)]

    return table


def _steps(kind: str, **sides: str) -> Callable[[Any], list[str]]:
    def shown(calls: float, codes: float) -> str:
        return f"{_n(calls)} / {codes:,.0f}"

    def table(figures: Any) -> list[str]:
        counts = [figures[kind][side.replace("_", " ")] for side in sides]
        parts = dict.fromkeys(part for side in counts for part in side)
        body = [[part, *(shown(*side[part]) if part in side else "-" for side in counts)] for part in parts]
        whole = [shown(*map(sum, zip(*side.values(), strict=True))) for side in counts]
        return _table(["calls / bytecodes", *sides.values()], [*body, ["all", *whole]])

    return table


def _streamed(figures: Any) -> list[str]:
    paced, wall = (figures[f"paced, 100 tokens per second, {what}"] for what in ("processor", "wall"))
    least = paced["httpx"]["time"]["median"]
    body = []
    for name, side in paced.items():
        processor = side["time"]["median"]
        added = f"{(processor - least) / (figures['tokens'] / 10):.1f} %"  # of the time that the tokens take
        unpaced = _n(figures["unpaced, processor"][name]["time"]["median"])
        body.append((name, _n(processor), added if name != "httpx" else "-", unpaced, _ranged(wall[name]["ratio"])))
    head = ["", "ms of processor time", "more than httpx, of the 2 s", "unpaced, ms", "on the clock, times httpx"]
    return _table(head, body)


def _skipped(figures: Any) -> list[str]:
    reasons = [f"{name} ({reason})" for name, reason in figures.get("skipped", {}).items()] + figures.get("failed", [])
    return [f"\nNot measured: {reason}." for reason in reasons]


def _waiters(figures: Any) -> list[str]:
    base = figures["waiters"][0]
    body = [
        (
            f"{row['waiters']:,}",
            *(
                f"{_n(row[name]['median'])} ({row[name]['median'] / base[name]['median']:.2f})"
                for name in ("manager", "limiter")
            ),
        )
        for row in figures["waiters"]
    ]
    return _table(["waiters", "our hand-off, us (times that with 10)", "trio.CapacityLimiter's"], body)


def _instances(figures: Any) -> list[str]:
    body = [(f"{row['instances']:,}", _n(row["manager"]["median"])) for row in figures["instances"]]
    return _table(["idle instances", "acquire and release, us"], body)


def _bytes(figures: Any) -> list[str]:
    return _table(["one more", "bytes"], [(what, f"{count:,}") for what, count in figures["bytes"].items()])


def _simulators(kind: str) -> Callable[[Any], list[str]]:
    def table(figures: Any) -> list[str]:
        sizes = [1_000, 10_000, 100_000, 1_000_000]
        body = []
        for name, points in figures[kind].items():
            by_size = {point["customers"]: point for point in points}
            cells = [f"{by_size[size]['rate']:,}" if size in by_size else "-" for size in sizes]
            body.append([name, *cells, f"{points[-1]['bytes']:,}"])
        return _table(["customers", *(f"{size:,}" for size in sizes), "bytes per customer"], body)

    return table


def _checker(figures: Any) -> list[str]:
    body = [
        (
            row["size"],
            f"{row['states']:,}",
            f"{row['steps']:,}",
            _n(row["ours"]["seconds"]["median"]),
            _n(row["spin"]["seconds"]["median"]),
            _n(row["spin"]["build_seconds"]),
        )
        for row in figures.get("sizes", ())
    ]
    head = ["specification", "states", "steps", "our search, s", "SPIN's search, s", "its translation and gcc -O2, s"]
    return _table(head, body)


def _field(figures: Any) -> list[str]:
    head = ["", "all answered after", "mean", "p95", "switches", "killed", "refused", "never answered"]
    broken = ["two at once", "copies", "busy evicted", "fairness"]
    return [*_table([*head, *broken], map(_field_row, rows(figures))), *_skipped(figures)]


def _field_row(row: Row) -> list[str]:
    def middle(name: str, unit: str = " s") -> str:
        return f"{row.measures[name][0]:.0f}{unit}"

    low, high = row.measures["makespan"][1:]
    makespan = f"{middle('makespan', '')} ({low:.0f} to {high:.0f}) s" if row.answers_all else "not all"
    names = ("killed", "refused", "lost", "two_at_once", "copies", "busy_evicted")
    counts = [f"{row.counted[name]:g}" for name in names]
    counts[2] += f" of {row.calls}" if not row.answers_all else ""
    return [
        row.name,
        makespan,
        middle("mean"),
        middle("p95"),
        middle("switches", ""),
        *counts,
        f"{row.measures['fairness'][0]:.2f}",
    ]


def _real(figures: Any) -> list[str]:
    runs: dict[str, list[dict[str, Any]]] = {}
    for run in figures["runs"]:
        runs.setdefault(run["contender"], []).append(run)
    body = []
    for name, told in runs.items():
        made = {what: [row[what] for row in told] for what in told[0]}
        spans = f"{median(made['makespan']):.1f} ({min(made['makespan']):.1f} to {max(made['makespan']):.1f}) s"
        times = [f"{median(made[what]):.1f} s" for what in ("mean", "p95")]
        counts = [f"{median(made['switches']):g}", *(f"{mean(made[what]):.3g}" for what in ("refused", "lost"))]
        body.append([name, spans, *times, *counts])
    return _table(["", "all answered after", "mean", "p95", "switches", "refused", "never answered"], body)


def _asked(figures: Any) -> list[str]:
    return _table(["", "what it is asked to do"], [(row.name, row.asked) for row in rows(figures)], texts=2)


TABLES: Final[dict[str, Callable[[Any], list[str]]]] = {
    "core": _core,
    "overhead-warm": _sides("warm", "us", "`trio.CapacityLimiter`"),
    "overhead-contended": _sides("contended", "us", "`trio.CapacityLimiter`"),
    "steps-warm": _steps("warm", limiter="trio's limiter", api="API pool", local="local slot", fresh="new object"),
    "steps-heap": _steps("heap", heap_driver="the heap driver", SimPy="SimPy"),
    "streamed": _streamed,
    "growth-waiters": _waiters,
    "growth-instances": _instances,
    "growth-bytes": _bytes,
    "machines": _sides("trigger", "us", "`transitions`"),
    "simulators-one": _simulators("one model"),
    "simulators-switches": _simulators("switches"),
    "checker": _checker,
    "field": _field,
    "field-asked": _asked,
    "real": _real,
}
