"""The command ``check``: explore every reachable state of scenarios, and report on every property.

Exit status: 0 every property passes, 1 one is violated, 3 one is undetermined because a bound was reached.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..core.coordinator import Coordinator
from ..shell.options import option
from .campaign import explore
from .checker import Verdict
from .report import as_json, as_table, as_tests
from .scenario import Scenario
from .scenarios import LARGE, STANDARD

__all__ = ["Options", "run"]

SCENARIOS: Final = {scenario.name: scenario for scenario in (*STANDARD, *LARGE)}


def _coordinator(name: str) -> str:
    """Return the name of a subclass of Coordinator, by which a worker process finds it again. Raises ValueError with the rule."""
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"must be MODULE:CLASS; it cannot be imported ({type(error).__name__})") from None
    if not isinstance(found, type) or not issubclass(found, Coordinator):
        raise ValueError(f"must be a subclass of {Coordinator.__module__}.Coordinator")
    return name


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which scenarios are explored, how far, and what is printed."""

    scenario: tuple[str, ...] = option((), "only this one; may be repeated", choices=[*SCENARIOS], metavar="NAME")
    most_states: int = option(1_000_000, "stop there, undetermined", least=1, most=10**9)
    most_memory: int = option(4096, "stop there, undetermined (megabytes of each process)", least=1, metavar="MB")
    jobs: int = option(1, "how many processes: one for each scenario, or all for a single one", least=1, most=1024)
    json: bool = option(False, "print the results as JSON")
    large: bool = option(False, "the large scenarios instead: minutes")
    reproduce: bool = option(False, "print counterexamples as pytest functions as well")
    verbose: bool = option(False, "print what was never reached, too")
    coordinator: str | None = option(
        None, "check this subclass of Coordinator, such as a mutant", parse=_coordinator, metavar="MODULE:CLASS"
    )


def run(options: Options) -> int:
    """Explore, and print a table or JSON. Returns the exit status."""
    chosen: Sequence[Scenario] = LARGE if options.large else STANDARD
    if options.scenario:
        chosen = [SCENARIOS[name] for name in SCENARIOS if name in options.scenario]
    reports = explore(
        [scenario.name for scenario in chosen],
        jobs=options.jobs,
        make=options.coordinator,
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
