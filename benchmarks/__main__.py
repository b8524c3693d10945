"""``python -m benchmarks``: measure, print, write JSON, plot. With ``--gate``, fail where an aim is missed by far."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .core import growth_of_manager, growth_of_step, import_time, machine_trigger, warm_acquire_release
from .heap import ONE, TWO, heap_driver, model_alone
from .measure import apart
from .plot import plot
from .policies import MANY, POLICIES, growth_of_policy

SLACK = 1.5  # how far beyond its aim a figure may lie on a noisy machine before --gate fails


@dataclass(frozen=True)
class Figure:
    """One figure with its aim: ``value`` should be at most ``aim``. ``gated``: ``--gate`` looks at it."""

    name: str
    value: float
    aim: float
    unit: str
    details: dict[str, Any]
    gated: bool = True


def measure(rounds: int) -> list[Figure]:
    """Take all figures, telling of each as it is done."""
    figures = []
    warm = apart(warm_acquire_release, rounds)
    figures.append(_tell(Figure("warm acquire + release", warm.ratio, 3.0, "x CapacityLimiter", warm.as_json())))
    ours, theirs = apart(growth_of_manager, max(3, rounds // 3))
    details = {"manager many / few": ours.as_json(), "limiter many / few": theirs.as_json()}
    growth = ours.ratio / theirs.ratio
    figures.append(_tell(Figure("10 to 10,000 waiters, manager", growth, 1.25, "x CapacityLimiter's growth", details)))
    step = apart(growth_of_step, rounds)
    figures.append(_tell(Figure("10 to 10,000 waiters, step alone", step.ratio, 1.25, "x with 10", step.as_json())))
    for name, (policy, agents) in POLICIES.items():
        growth_here = apart(growth_of_policy, policy, agents, rounds)
        label = f"10 to 10,000 waiters, {name}"
        gated = agents < MANY  # the queues of that many agents fit no cache
        figures.append(_tell(Figure(label, growth_here.ratio, 1.25, "x with 10", growth_here.as_json(), gated)))
    imported = import_time(rounds)
    figures.append(_tell(Figure("import statemachine", imported.ratio, 1.3, "x import trio", imported.as_json())))
    trigger = apart(machine_trigger, rounds)
    figures.append(_tell(Figure("one machine trigger", trigger.ratio, 0.1, "x plain transitions", trigger.as_json())))
    for name, models, aim in (("without a switch", ONE, 1.0), ("half with a switch", TWO, 1 / 0.6)):
        heap, alone = apart(heap_driver, rounds, models), apart(model_alone, rounds, models)
        details = {"whole run": heap.as_json(), "coordinator alone": alone.as_json()}
        figures.append(_tell(Figure(f"heap driver, {name}", heap.ratio, aim, "x SimPy's resource", details, False)))
    return figures


def _tell(figure: Figure) -> Figure:
    verdict = "met" if figure.value <= figure.aim else "missed"
    print(f"{figure.name:<34}{figure.value:>8.3f} {figure.unit:<28} aim {figure.aim:<5g} {verdict}", flush=True)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 if ``--gate`` was given and a figure lies beyond its aim by more than the slack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), help="folder to write to (default %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds per figure (default %(default)s)")
    parser.add_argument("--gate", action="store_true", help=f"fail where a figure is beyond {SLACK} times its aim")
    options = parser.parse_args(arguments)
    if options.rounds < 3:
        parser.error("--rounds must be at least 3: medians and quartiles are told")
    figures = measure(options.rounds)
    options.output.mkdir(parents=True, exist_ok=True)
    versions = {"python": platform.python_version(), "trio": version("trio"), "machine": platform.machine()}
    results = {"versions": versions, "figures": [asdict(figure) for figure in figures]}
    path = options.output / "core.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    plot(path, options.output / "core.png")
    print(f"written: {path}, {options.output / 'core.png'}")
    return int(options.gate and any(f.gated and f.value > SLACK * f.aim for f in figures))


if __name__ == "__main__":
    sys.exit(main())
