"""The gate has a threshold for every figure."""

from __future__ import annotations

import tomllib

from benchmarks.figures import FIGURES
from benchmarks.gate import THRESHOLDS


def test_every_figure_has_a_threshold() -> None:
    thresholds = tomllib.loads(THRESHOLDS.read_text(encoding="utf-8"))
    assert thresholds.keys() == FIGURES.keys()
    assert all(0 < most < 20 for most in thresholds.values())
