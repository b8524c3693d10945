"""The report of a search as plain values: to print, to write as JSON, and to send from a worker process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from ..core.coordinator import Coordinator
from .checker import Result, Verdict
from .coverage import table as coverage_table
from .reproduction import as_lines, as_pytest
from .scenario import Move, State

__all__ = ["ScenarioReport", "Violation", "as_json", "as_table", "as_tests", "report_of"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A counterexample: its ``events``, how many of them repeat without end (``cycle``), the text to read, and a test that repeats it."""

    events: tuple[str, ...]
    cycle: int | None
    lines: tuple[str, ...]
    test: str


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """The report of one scenario. ``seconds`` of real time; ``edges_per_second`` of processor time."""

    scenario: str
    states: int
    edges: int
    depth: int
    seconds: float
    edges_per_second: int
    bytes_per_state: int
    verdicts: dict[str, Verdict]
    violations: dict[str, Violation]
    fired: Counter[Hashable]


def report_of(scenario: str, result: Result[State, Move], make: Callable[..., Coordinator]) -> ScenarioReport:
    """Make the report of ``result``."""
    violations = {
        name: Violation(
            tuple(map(str, found.events)), found.cycle, tuple(as_lines(found)), as_pytest(scenario, name, found, make)
        )
        for name, found in result.counterexamples.items()
    }
    counts = result.states, result.edges, result.depth, result.seconds, result.edges_per_second, result.bytes_per_state
    return ScenarioReport(scenario, *counts, result.verdicts, violations, result.fired)


def as_json(report: ScenarioReport) -> dict[str, object]:
    """Return ``report`` as values that JSON knows."""
    return {
        "states": report.states,
        "edges": report.edges,
        "depth": report.depth,
        "seconds": round(report.seconds, 3),
        "edges_per_second": report.edges_per_second,
        "bytes_per_state": report.bytes_per_state,
        "verdicts": {name: verdict.value for name, verdict in report.verdicts.items()},
        "fired": {str(one): times for one, times in sorted(report.fired.items(), key=str)},
        "counterexamples": {
            name: {"events": list(one.events), "cycle": one.cycle, "pytest": one.test}
            for name, one in report.violations.items()
        },
    }


def as_table(reports: Sequence[ScenarioReport], *, verbose: bool = False) -> str:
    """Return a table: a line for each scenario with what did not pass, and the coverage of all of them together.

    ``verbose``: with what was never seen.
    """
    lines = [
        f"{'scenario':<19}{'states':>9}{'edges':>10}{'depth':>7}{'seconds':>9}{'edges/s':>9}{'B/state':>9}  properties"
    ]
    fired: Counter[Hashable] = Counter()
    for r in reports:
        fired += r.fired
        passed = sum(verdict is Verdict.PASS for verdict in r.verdicts.values())
        counts = f"{r.states:>9}{r.edges:>10}{r.depth:>7}{r.seconds:>9.1f}{r.edges_per_second:>9}{r.bytes_per_state:>9}"
        lines.append(f"{r.scenario:<19}{counts}  {passed} of {len(r.verdicts)} PASS")
        lines += [f"    {verdict.value} {name}" for name, verdict in r.verdicts.items() if verdict is not Verdict.PASS]
        for name, violation in r.violations.items():
            lines += [f"    {name} is violated by:", *(f"      {line}" for line in violation.lines)]
    return "\n".join([*lines, "", coverage_table(fired, verbose=verbose)])


def as_tests(reports: Sequence[ScenarioReport]) -> str:
    """Return a pytest function for every counterexample."""
    return "".join(
        f"\n\n# {report.scenario}: {name}\n{violation.test}"
        for report in reports
        for name, violation in report.violations.items()
    )
