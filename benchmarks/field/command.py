"""Play every contender on every seed, and write the figures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..measuring.environments import UnavailableError, environment
from ..measuring.results import load, write
from .contenders import CONTENDERS, Contender
from .run import Run, run

__all__ = ["measure"]

TICKERS: Final = 4
SPEED: Final = 15.0  # how many times faster than the models are: the faster, the more a busy machine distorts
AT_ONCE: Final = 5  # runs side by side, each of which sleeps most of the time


def measure(folder: Path, seeds: int, *, tickers: int = TICKERS, speed: float = SPEED, only: str = "") -> Path:
    """Play everything and write ``field.json``. ``only``: part of a contender's name."""
    before = load()
    chosen = [contender for contender in CONTENDERS if only in contender.name]
    skipped = {each.name: reason for each in chosen if (reason := _reason(each)) is not None}
    plays = [(each, seed) for seed in range(seeds) for each in chosen if each.name not in skipped]
    failed: list[str] = []

    def play_one(play: tuple[Contender, int]) -> Run | None:
        try:
            return _told(run(play[0], play[1], tickers, speed))
        except RuntimeError as error:
            failed.append(f"{play[0].name}, seed {play[1]}: {error}")
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [made for made in pool.map(play_one, plays) if made is not None]
    figures = {
        "workload": f"trading graph, {tickers} tickers: 6 agents, 2 models",
        "speed": speed,
        "asked": {each.name: each.asked for each in chosen},
        "kinds": {each.name: each.kind for each in chosen},
        "skipped": skipped,
        "failed": failed,
        "runs": [_row(made, first=made.seed == 0) for made in runs],
    }
    packages = {package: None for each, _ in plays for package in environment(each.environment).packages}
    return write(folder, "field", figures, load_before=before, packages=list(packages))


def _reason(contender: Contender) -> str | None:
    """Why it cannot take part; None: it can."""
    try:
        environment(contender.environment)
    except UnavailableError as error:
        return str(error)
    return None


def _told(made: Run) -> Run:
    print(_line(made), flush=True)
    return made


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
