"""Simulators: the same customers of one server through the heap driver, SimPy, ciw and salabim; and with switches through the first two."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, Final

from simulation.drivers.heap import one_slot

from ..measuring.results import load, write
from ..measuring.rounds import Side, once, packages_of
from .customers import Customers, Visit
from .heap import SWITCH_SECONDS, driver

__all__ = ["heap_visits", "measure"]

Targets = dict[str, tuple[str, str | None]]
"""A function that makes visits, and the environment it runs in."""

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
REPETITIONS: Final = 3
REPEATED: Final = 10_000  # the largest size that is measured several times
MOST_SECONDS: Final = 90.0  # a size that would take longer, by the one before, is left out


def measure(folder: Path) -> Path:
    """Measure and write ``simulators.json``."""
    before = load()
    figures: dict[str, Any] = {"one model": {}, "switches": {}, "left out": []}
    for kind, switch in (("one model", 0.0), ("switches", SWITCH_SECONDS)):
        # a server with a set-up time is beyond what ciw and salabim offer in a line
        taking_part = {name: target for name, target in SIMULATORS.items() if not (switch and target[1])}
        for size in SIZES:
            _all_of(size, taking_part, switch, figures[kind], figures["left out"])
    return write(folder, "simulators", figures, load_before=before, packages=packages_of(SIDES))


def _all_of(size: int, simulators: Targets, switch: float, rows: dict[str, list[Any]], left_out: list[str]) -> None:
    """One size, in turn, as often as it is small; each in a process of its own."""
    runs: dict[str, list[Any]] = {}
    for _ in range(REPETITIONS if size <= REPEATED else 1):
        for name, (target, environment) in simulators.items():
            last = rows.setdefault(name, [])[-1:]
            if last and last[0]["seconds"] * size / last[0]["customers"] > MOST_SECONDS:
                left_out.append(f"{name}, {size:,} customers: more than {MOST_SECONDS:.0f} s")
                continue
            arguments = (target, size, round(switch * 1000))
            runs.setdefault(name, []).append(once(Side("benchmarks.simulators.one:simulate", arguments, environment)))
    for name, made in runs.items():
        seconds = median(run["seconds"] for run in made)
        mib = median(run["mib"] for run in made)
        row = {"customers": size, "seconds": round(seconds, 4), "rate": round(size / seconds)}
        rows[name].append({**row, "bytes": round(mib * 2**20 / size), "mean_wait": round(made[0]["mean_wait"], 6)})
        print(f"{name:<12}{size:>10,} customers {row['rate']:>8,} per second, {mib:.0f} MiB", flush=True)


def heap_visits(who: Customers) -> Iterable[Visit]:
    """The visits in the heap driver."""
    records = driver(who).replay(one_slot()).records
    return ((record.arrived, record.granted, record.finished) for record in records)


SIMULATORS: Final[Targets] = {
    "heap driver": ("benchmarks.simulators.command:heap_visits", None),
    "SimPy": ("benchmarks.simulators.heap:through_simpy", None),
    "ciw": ("benchmarks.peers.ciw_queue:run", "libraries"),
    "salabim": ("benchmarks.peers.salabim_queue:run", "libraries"),
}
SIDES: Final = {name: Side(target, (), environment) for name, (target, environment) in SIMULATORS.items()}
