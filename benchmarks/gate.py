"""The gate: every ratio against its committed threshold, in two minutes. What is above it is taken once more before it counts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from .figures import FIGURES, taken

__all__ = ["check"]

THRESHOLDS: Final = Path(__file__).parent / "thresholds.toml"
ROUNDS: Final = 5
AGAIN: Final = 9  # rounds of what was suspicious


def check() -> bool:
    """Print each ratio beside its threshold; whether all are below."""
    most = tomllib.loads(THRESHOLDS.read_text(encoding="utf-8"))
    if most.keys() != FIGURES.keys():
        raise ValueError(f"{THRESHOLDS.name} must name each figure once: {sorted(most.keys() ^ FIGURES.keys())}")
    passed = [_passes(name, most[name]) for name in FIGURES]  # all of them are told
    return all(passed)


def _passes(name: str, most: float) -> bool:
    figure = FIGURES[name]
    ratio, _ = taken(figure, ROUNDS)
    if suspicious := ratio > most:
        ratio, _ = taken(figure, AGAIN)
    verdict = "ABOVE" if ratio > most else "ok, at the second try" if suspicious else "ok"
    print(f"{name:<54}{ratio:>8.3f} {figure.unit:<28} at most {most:<6g} {verdict}", flush=True)
    return ratio <= most
