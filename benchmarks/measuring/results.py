"""Results as JSON: what was measured, by which command, on which machine, with which versions, and how loaded the machine was."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from .environments import ROOT

__all__ = ["RESULTS", "read", "spread", "write"]

RESULTS: Final = ROOT / "benchmarks" / "results"
"""The results that the pages tell of. A run writes elsewhere unless it is told to write here."""
NAMED: Final = ("anyio", "httpcore", "httpx", "openai", "simpy", "transitions", "trio")


def spread(values: Sequence[float], digits: int = 4) -> dict[str, Any]:
    """The median of ``values``, the least and the most, and how many there are; to ``digits`` significant digits."""
    low, middle, high = (float(f"{value:.{digits}g}") for value in (min(values), median(values), max(values)))
    return {"median": middle, "min": low, "max": high, "rounds": len(values)}


def write(folder: Path, name: str, figures: Any, *, load_before: float, packages: Sequence[str] = ()) -> Path:
    """Write ``folder/name.json``. ``packages`` are those of peers' environments; ``load_before``: see :func:`load`."""
    result = {
        "name": name,
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_average": [round(load_before, 1), round(load(), 1)],
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in NAMED},
            **_versions(packages),
        },
        "figures": figures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Of lines such as ``name==1.2``."""
    parts = (package.partition("==") for package in sorted(packages))
    return {name: number for name, _, number in parts}


def read(folder: Path, name: str) -> Any:
    """The result ``name``, or None where it was not measured."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def load() -> float:
    """How many processes want to run, in the mean over a minute: above the number of cores, everything here is slowed by others."""
    return os.getloadavg()[0]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
