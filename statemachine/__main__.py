"""``python -m statemachine``: draw the machines, check the coordinator, list the errors."""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from collections.abc import Callable, Sequence

from .checking.campaign import explore
from .checking.checker import Verdict
from .checking.report import as_json, as_table, as_tests
from .checking.scenario import Scenario
from .checking.scenarios import LARGE, STANDARD
from .core.coordinator import Coordinator
from .core.lifecycle import MACHINES, mermaid
from .errors_page import page
from .parser import Parser

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    0: everything passed. 1: something failed. 2: bad input, told in one line. 3: something is undetermined. 130: interrupted.
    """
    parser = Parser(prog="python -m statemachine", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    draw = commands.add_parser("diagram", help="print the machines as Mermaid state diagrams")
    draw.set_defaults(run=_diagram)
    tell = commands.add_parser("errors", help="print every error with its cause and cure, as Markdown")
    tell.set_defaults(run=_errors)
    search = commands.add_parser("check", help="explore every reachable state of small scenarios")
    _add_check_options(search)
    search.set_defaults(run=_check)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _add_check_options(search: argparse.ArgumentParser) -> None:
    names = [s.name for s in (*STANDARD, *LARGE)]
    add = search.add_argument
    add("--scenario", action="append", choices=names, help="only this one (repeatable)", metavar="NAME")
    add("--most-states", type=_count, default=1_000_000, help="stop there, undetermined (default %(default)s)")
    add(
        "--most-memory",
        type=_count,
        default=4096,
        metavar="MB",
        help="stop there, undetermined (megabytes of each process; default %(default)s)",
    )
    add("--jobs", type=_count, default=1, help="how many scenarios at a time (default %(default)s)")
    add("--json", action="store_true", help="print the results as JSON")
    add("--large", action="store_true", help="the large scenarios instead: minutes")
    add("--reproduce", action="store_true", help="print counterexamples as pytest functions as well")
    add("--verbose", action="store_true", help="print what was never reached, too")
    add(
        "--model",
        type=_coordinator,
        metavar="MODULE:CLASS",
        help="check this subclass of Coordinator, such as a mutant",
    )


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be an integer of at least 1")
    return number


def _coordinator(name: str) -> str:
    """The name of a subclass of Coordinator, which is found again by it in another process."""
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{name!r} cannot be imported ({type(error).__name__})") from None
    if not isinstance(found, type) or not issubclass(found, Coordinator):
        raise argparse.ArgumentTypeError(f"{name!r} is no subclass of {Coordinator.__module__}.Coordinator")
    return name


def _diagram(_: argparse.Namespace) -> int:
    print("\n\n".join(f"%% {machine.kind}\n{mermaid(machine)}" for machine in MACHINES))
    return 0


def _errors(_: argparse.Namespace) -> int:
    print(page(), end="")
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
        print(as_table(reports, verbose=options.verbose))
        print(as_tests(reports) if options.reproduce else "", end="")
    verdicts = {verdict for report in reports for verdict in report.verdicts.values()}
    return 1 if Verdict.FAIL in verdicts else 3 if Verdict.UNDETERMINED in verdicts else 0


if __name__ == "__main__":
    sys.path.insert(0, "")  # so that --model finds what is here
    sys.exit(main())
