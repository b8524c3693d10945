"""The checker against SPIN on the same specification: all steps of ``tests/spin``, which a test holds to be the same on both sides.

Both search with every assertion and property. SPIN's time is that of its search; translating and compiling are told beside it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from statemachine.checking.checker import check
from statemachine.checking.system import CoordinatorSystem
from tests.spin.projection import explore
from tests.spin.second_opinion import LARGE, MISSING, Answer, Size, Verifier, states

from .measuring.compare import clock_of_children
from .measuring.results import load, spread, write

__all__ = ["measure"]

FAST: Final = ("gcc", "-w", "-O2", "-DNOREDUCE", "-DSAFETY", "-DNOCLAIM", "-o", "pan", "pan.c")
"""Optimised and silent, which the tests' verifier is not: that one prints every step, to compare them."""

CHOSEN: Final = tuple(
    size for size in LARGE if str(size) in ("slot, 4+2, parallel 3, wait", "pool, 1+1+1, limit 2, wait")
)


def measure(folder: Path, rounds: int) -> Path:
    """Measure and write ``checker.json``."""
    before = load()
    if MISSING:
        figures: dict[str, Any] = {"skipped": f"not installed here: {', '.join(MISSING)}"}
    else:
        figures = {"sizes": [_size(size, rounds) for size in CHOSEN]}
    return write(folder, "checker", figures, load_before=before)


def _size(size: Size, rounds: int) -> dict[str, Any]:
    with TemporaryDirectory() as directory:
        before = clock_of_children()
        verifier = Verifier.build(Path(directory), size)
        subprocess.run(FAST, cwd=directory, check=True)
        built = clock_of_children() - before
        steps = explore(size.scenario())
        ours, theirs = [], []
        for _ in range(rounds):
            before = clock_of_children()
            assert verifier.safety() is Answer.NOTHING
            theirs.append(clock_of_children() - before)
            result = check(CoordinatorSystem(size.scenario(), symmetric=False))
            assert result.complete
            assert not result.counterexamples
            ours.append(result.work_seconds)
    row = {
        "size": str(size),
        "states": len(states(steps)),
        "steps": len(steps),
        "ours": {"seconds": spread(ours), "states": result.states, "edges": result.edges},
        "spin": {"seconds": spread(theirs), "build_seconds": round(built, 2)},
        "ratio": spread([a / b for a, b in zip(ours, theirs, strict=True)]),
    }
    print(row, flush=True)
    return row
