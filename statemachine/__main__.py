"""``python -m statemachine``: draw the machines, check the model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from .checker import Result, Verdict, check
from .lifecycle import MACHINES, mermaid
from .scenario import STANDARD, ModelSystem, Move, Scenario, State

Found = Result[State, Move]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 if everything passed, 1 if something failed, 3 if something is undetermined."""
    parser = argparse.ArgumentParser(prog="python -m statemachine", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    draw = commands.add_parser("diagram", help="print the machines as Mermaid state diagrams")
    draw.set_defaults(run=_diagram)
    search = commands.add_parser("check", help="explore every reachable state of small scenarios")
    search.add_argument(
        "--scenario", action="append", choices=[s.name for s in STANDARD], help="only this one (repeatable)"
    )
    search.add_argument(
        "--most-states", type=int, default=1_000_000, help="stop there, undetermined (default %(default)s)"
    )
    search.add_argument("--json", action="store_true", help="print the results as JSON")
    search.set_defaults(run=_check)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _diagram(_: argparse.Namespace) -> int:
    print("\n\n".join(f"%% {machine.kind}\n{mermaid(machine)}" for machine in MACHINES))
    return 0


def _check(options: argparse.Namespace) -> int:
    chosen = [s for s in STANDARD if not options.scenario or s.name in options.scenario]
    found: dict[str, Found] = {}
    for scenario in chosen:
        progress = _progress(scenario) if sys.stderr.isatty() else None
        found[scenario.name] = check(ModelSystem(scenario), most_states=options.most_states, progress=progress)
    print(json.dumps({name: _as_json(r) for name, r in found.items()}, indent=2) if options.json else _table(found))
    verdicts = {verdict for result in found.values() for verdict in result.verdicts.values()}
    return 1 if Verdict.FAIL in verdicts else 3 if Verdict.UNDETERMINED in verdicts else 0


def _progress(scenario: Scenario) -> Callable[[Found], None]:
    def tell(result: Found) -> None:
        print(f"\r{scenario.name}: {result.states} states, depth {result.depth}", end="\033[K", file=sys.stderr)

    return tell


def _as_json(result: Found) -> dict[str, object]:
    return {
        "states": result.states,
        "edges": result.edges,
        "depth": result.depth,
        "seconds": round(result.seconds, 3),
        "verdicts": {name: verdict.value for name, verdict in result.verdicts.items()},
        "counterexamples": {name: list(map(str, c.events)) for name, c in result.counterexamples.items()},
    }


def _table(found: dict[str, Found]) -> str:
    lines = [f"{'scenario':<16}{'states':>9}{'edges':>10}{'depth':>7}{'seconds':>9}  properties"]
    for name, r in found.items():
        passed = sum(v is Verdict.PASS for v in r.verdicts.values())
        summary = f"{passed} of {len(r.verdicts)} PASS"
        lines.append(f"{name:<16}{r.states:>9}{r.edges:>10}{r.depth:>7}{r.seconds:>9.1f}  {summary}")
        lines += [f"    {verdict.value} {p}" for p, verdict in r.verdicts.items() if verdict is not Verdict.PASS]
        for p, counterexample in r.counterexamples.items():
            lines.append(f"    {p} is violated by:")
            lines += [f"      {n}. {move}" for n, move in enumerate(counterexample.events, 1)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
