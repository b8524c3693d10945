"""``python -m statemachine``: draw the machines, check the model."""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from .checker import Result, Verdict, check
from .coverage import table as coverage_table
from .lifecycle import MACHINES, mermaid
from .model import Model
from .reproduction import as_lines, as_pytest
from .scenario import Move, Scenario, State
from .scenarios import LARGE, STANDARD
from .system import ModelSystem

Found = Result[State, Move]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 if everything passed, 1 if something failed, 3 if something is undetermined."""
    parser = argparse.ArgumentParser(prog="python -m statemachine", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    draw = commands.add_parser("diagram", help="print the machines as Mermaid state diagrams")
    draw.set_defaults(run=_diagram)
    search = commands.add_parser("check", help="explore every reachable state of small scenarios")
    search.add_argument(
        "--scenario", action="append", choices=[s.name for s in (*STANDARD, *LARGE)], help="only this one (repeatable)"
    )
    search.add_argument(
        "--most-states", type=int, default=1_000_000, help="stop there, undetermined (default %(default)s)"
    )
    search.add_argument("--json", action="store_true", help="print the results as JSON")
    search.add_argument("--large", action="store_true", help="the large scenarios instead: minutes")
    search.add_argument("--reproduce", action="store_true", help="print counterexamples as pytest functions as well")
    search.add_argument("--model", metavar="MODULE:CLASS", help="check this subclass of the model, such as a mutant")
    search.set_defaults(run=_check)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _diagram(_: argparse.Namespace) -> int:
    print("\n\n".join(f"%% {machine.kind}\n{mermaid(machine)}" for machine in MACHINES))
    return 0


def _check(options: argparse.Namespace) -> int:
    chosen: Sequence[Scenario] = LARGE if options.large else STANDARD
    if options.scenario:
        chosen = tuple(s for s in (*STANDARD, *LARGE) if s.name in options.scenario)
    make: Callable[..., Model] = pkgutil.resolve_name(options.model) if options.model else Model
    found: dict[str, Found] = {}
    for scenario in chosen:
        progress = _progress(scenario) if sys.stderr.isatty() else None
        system = ModelSystem(scenario, make)
        found[scenario.name] = check(system, liveness=True, most_states=options.most_states, progress=progress)
    if options.json:
        print(json.dumps({name: _as_json(name, r, make) for name, r in found.items()}, indent=2))
    else:
        print(_table(found))
        print(*_tests(found, make) if options.reproduce else (), sep="\n", end="")
    verdicts = {verdict for result in found.values() for verdict in result.verdicts.values()}
    return 1 if Verdict.FAIL in verdicts else 3 if Verdict.UNDETERMINED in verdicts else 0


def _progress(scenario: Scenario) -> Callable[[Found], None]:
    def tell(result: Found) -> None:
        print(f"\r{scenario.name}: {result.states} states, depth {result.depth}", end="\033[K", file=sys.stderr)

    return tell


def _as_json(scenario: str, result: Found, make: Callable[..., Model]) -> dict[str, object]:
    return {
        "states": result.states,
        "edges": result.edges,
        "depth": result.depth,
        "seconds": round(result.seconds, 3),
        "edges_per_second": result.edges_per_second,
        "bytes_per_state": result.bytes_per_state,
        "verdicts": {name: verdict.value for name, verdict in result.verdicts.items()},
        "fired": {str(one): times for one, times in sorted(result.fired.items(), key=str)},
        "counterexamples": {
            name: {"events": list(map(str, c.events)), "cycle": c.cycle, "pytest": as_pytest(scenario, name, c, make)}
            for name, c in result.counterexamples.items()
        },
    }


def _table(found: dict[str, Found]) -> str:
    head = (
        f"{'scenario':<18}{'states':>9}{'edges':>10}{'depth':>7}{'seconds':>9}{'edges/s':>9}{'B/state':>9}  properties"
    )
    lines = [head]
    fired: Counter[Hashable] = Counter()
    for name, r in found.items():
        fired += r.fired
        passed = sum(v is Verdict.PASS for v in r.verdicts.values())
        counts = f"{r.states:>9}{r.edges:>10}{r.depth:>7}{r.seconds:>9.1f}{r.edges_per_second:>9}{r.bytes_per_state:>9}"
        lines.append(f"{name:<18}{counts}  {passed} of {len(r.verdicts)} PASS")
        lines += [f"    {verdict.value} {p}" for p, verdict in r.verdicts.items() if verdict is not Verdict.PASS]
        for p, counterexample in r.counterexamples.items():
            lines.append(f"    {p} is violated by:")
            lines += [f"      {line}" for line in as_lines(counterexample)]
    return "\n".join([*lines, "", coverage_table(fired)])


def _tests(found: dict[str, Found], make: Callable[..., Model]) -> list[str]:
    return [
        f"\n# {name}: {p}\n{as_pytest(name, p, counterexample, make)}"
        for name, r in found.items()
        for p, counterexample in r.counterexamples.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
