"""``python -m statemachine``: draw the machines, check the coordinator."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from .checking.campaign import explore
from .checking.checker import Verdict
from .checking.report import as_json, as_table, as_tests
from .checking.scenario import Scenario
from .checking.scenarios import LARGE, STANDARD
from .core.lifecycle import MACHINES, mermaid


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
    search.add_argument(
        "--most-memory",
        type=int,
        default=4096,
        metavar="MB",
        help="stop there, likewise (each process; default %(default)s)",
    )
    search.add_argument("--jobs", type=int, default=1, help="how many scenarios at a time (default %(default)s)")
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
    reports = explore(
        [scenario.name for scenario in chosen],
        jobs=options.jobs,
        make=options.model,
        most_states=options.most_states,
        most_bytes=options.most_memory << 20,
    )
    if options.json:
        print(json.dumps({report.scenario: as_json(report) for report in reports}, indent=2))
    else:
        print(as_table(reports))
        print(as_tests(reports) if options.reproduce else "", end="")
    verdicts = {verdict for report in reports for verdict in report.verdicts.values()}
    return 1 if Verdict.FAIL in verdicts else 3 if Verdict.UNDETERMINED in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
