"""Play every contender on every seed, one after the other, and write the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..measuring.environments import UnavailableError, environment
from ..measuring.results import load, write
from .contenders import CONTENDERS
from .run import Run, run

__all__ = ["measure", "names"]

TICKERS: Final = 4
SPEED: Final = 20.0  # how many times faster than the models are


def measure(folder: Path, seeds: int, *, tickers: int = TICKERS, speed: float = SPEED, only: str = "") -> Path:
    """Seeds in the outer loop, so that a machine whose load changes changes it for all. ``only``: part of a contender's name."""
    before = load()
    runs: list[Run] = []
    skipped: dict[str, str] = {}
    for seed in range(seeds):
        for contender in CONTENDERS:
            if only not in contender.name or contender.name in skipped:
                continue
            try:
                made = run(contender, seed, tickers, speed)
            except (UnavailableError, RuntimeError) as error:
                skipped[contender.name] = str(error)
                print(f"{contender.name}: skipped, {error}", flush=True)
                continue
            runs.append(made)
            print(_line(made), flush=True)
    packages = [
        package for each in CONTENDERS if each.name not in skipped for package in environment(each.environment).packages
    ]
    figures = {
        "workload": f"trading graph, {tickers} tickers: 6 agents, 2 models",
        "speed": speed,
        "asked": {each.name: each.asked for each in CONTENDERS},
        "kinds": {each.name: each.kind for each in CONTENDERS},
        "skipped": skipped,
        "runs": [_row(made, first=made.seed == 0) for made in runs],
    }
    return write(folder, "field", figures, load_before=before, packages=packages)


def _line(made: Run) -> str:
    return (
        f"{made.contender:<48} seed {made.seed}: {made.makespan:7.0f} s, p95 {made.p95:5.0f} s, {made.switches:3} switches,"
        f" {made.killed:3} killed, {made.refused:3} refused, {made.lost:2} lost of {made.calls}"
    )


def _row(made: Run, *, first: bool) -> dict[str, Any]:
    """As JSON; what the server saw is kept of the first seed, for the plot."""
    row = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(made).items()}
    if not first:
        del row["events"]
    return row


def names(runs: Sequence[dict[str, Any]]) -> list[str]:
    """The contenders in the order in which they ran."""
    return list(dict.fromkeys(run["contender"] for run in runs))
