"""``llm-slots conformance package.module:name``: a table of rules and verdicts, and the shortest program that breaks each.

Exit status: 0 no broken ``must`` and nothing undetermined; 1 a broken ``must``, or an expected failure that is none; 2 wrong usage; 3
something is undetermined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from statemachine.errors import ConfigurationError
from statemachine.shell.options import argument, option

from .report import Report
from .rules import RULES, RULES_BY_ID
from .subject import target

__all__ = ["Options", "declarations", "expected_failures", "list_rules", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which adapter is checked against which rules, how long, and where the verdicts go."""

    target: str | None = argument("package.module:name of a Subject class, or of a factory of adapters", count="?")
    list: bool = option(False, "show the rules")
    rule: tuple[str, ...] = option((), "only this rule; may be repeated", metavar="ID")
    seed: int = option(0, "of the programs that are drawn")
    examples: int = option(60, "how many programs are drawn", least=0)
    seconds: float = option(45.0, "begin no new program after that", least=0)
    declare: tuple[str, ...] = option((), "a capability, such as parallel=4 or local", metavar="NAME[=VALUE]")
    model: tuple[str, ...] = option((), "a model that the server has", metavar="ID")
    expected_failures: Path | None = option(
        None, "rules known to be broken: 'id  # reason' a line", parse=Path, metavar="FILE"
    )
    json: Path | None = option(None, "write the verdicts as json, too", parse=Path, metavar="FILE")
    junit: Path | None = option(None, "write the verdicts as junit, too", parse=Path, metavar="FILE")
    markdown: Path | None = option(None, "write the verdicts as markdown, too", parse=Path, metavar="FILE")
    option: tuple[str, ...] = option((), "an option of the adapter, as JSON or text", metavar="NAME=VALUE")

    def __post_init__(self) -> None:
        if self.target is None and not self.list:
            raise ConfigurationError("target", "must be given, as package.module:name", "none")


def run(options: Options) -> int:
    """Check the adapter, and print the table of verdicts. Returns the exit status. Raises ConfigurationError, OSError."""
    if options.target is None or options.list:
        print(list_rules())
        return 0
    report = _check(options.target, options)
    print(report.table())
    return report.exit_code


def _check(name: str, options: Options) -> Report:
    from .check import check  # needs hypothesis

    expected = {} if options.expected_failures is None else expected_failures(options.expected_failures)
    report = check(
        target(name),
        name=name,
        rules=options.rule,
        seed=options.seed,
        examples=options.examples,
        seconds=options.seconds,
        **declarations(options.declare, options.option, options.model),
    )
    report = replace(report, expected=expected)
    for path, text in (
        (options.json, report.to_json),
        (options.junit, report.to_junit),
        (options.markdown, report.to_markdown),
    ):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
    return report


def declarations(declare: Sequence[str], option: Sequence[str], model: Sequence[str]) -> dict[str, Any]:
    """Return the keyword arguments of ``check`` for these."""
    capabilities = {name: _value(value) if equals else True for name, equals, value in map(_parts, declare)}
    for name, value in capabilities.items():
        if name == "secret_options" and isinstance(value, str):
            capabilities[name] = tuple(value.split(","))
    options = {name: _value(value) for name, _, value in map(_parts, option)}
    return {"capabilities": capabilities, "options": options, "models": model}


def _parts(text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    return name.strip(), equals, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def expected_failures(path: Path) -> dict[str, str]:
    """Read the rules in the file, one a line, each with its reason after ``#``. Raises ConfigurationError and OSError."""
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        rule, _, reason = (part.strip() for part in line.partition("#"))
        if not rule:
            continue
        if rule not in RULES_BY_ID:
            raise ConfigurationError(f"{path}, line {number}", "must be the id of a rule", repr(rule))
        found[rule] = reason or "expected"
    return found


def list_rules() -> str:
    """List every rule with its severity, reason and source."""
    return "\n\n".join(
        f"{rule.id} ({rule.severity})\n  {rule.sentence}\n  Why: {rule.reason}\n  Source: {rule.source}"
        for rule in RULES
    )
