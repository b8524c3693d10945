"""``llm-slots conformance package.module:name``: a table of rules and verdicts, and the shortest program that breaks each.

Exit codes: 0 no broken ``must`` and nothing undetermined; 1 a broken ``must``, or an expected failure that is none; 2 wrong usage; 3
something is undetermined.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from statemachine.errors import ConfigurationError
from statemachine.parser import Parser

from .report import Report
from .rules import RULES, RULES_BY_ID
from .subject import target

__all__ = ["add_declarations", "declarations", "expected_failures", "list_rules", "main"]

EXIT_USAGE: Final = 2
_EXTRA: Final = "the conformance suite needs hypothesis: pip install 'llm-slot-manager[conformance]'"


def main(arguments: Sequence[str]) -> int:
    """Check the adapter; the exit code."""
    parser = _parser()
    try:
        given = parser.parse_args(arguments)
    except SystemExit as exiting:
        return int(exiting.code or 0)
    if given.list:
        print(list_rules())
        return 0
    if given.target is None:
        parser.print_usage(sys.stderr)
        print("a target is missing: package.module:name", file=sys.stderr)
        return EXIT_USAGE
    try:
        report = _check(given)
    except (ConfigurationError, ImportError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    print(report.table())
    return report.exit_code


def _check(given: argparse.Namespace) -> Report:
    try:
        from .check import check
    except ModuleNotFoundError as error:
        raise ImportError(_EXTRA if error.name == "hypothesis" else str(error)) from error
    expected = {} if given.expected_failures is None else expected_failures(given.expected_failures)
    report = check(
        target(given.target),
        name=given.target,
        rules=given.rule,
        seed=given.seed,
        examples=given.examples,
        seconds=given.seconds,
        **declarations(given.declare, given.option, given.model),
    )
    report = replace(report, expected=expected)
    for path, text in (
        (given.json, report.to_json),
        (given.junit, report.to_junit),
        (given.markdown, report.to_markdown),
    ):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
    return report


def _parser() -> Parser:
    parser = Parser("llm-slots conformance", description="Check an adapter against the rules.")
    parser.add_argument("target", nargs="?", help="package.module:name of a Subject class, or of a factory of adapters")
    parser.add_argument("--list", action="store_true", help="show the rules")
    parser.add_argument("--rule", action="append", default=[], metavar="ID", help="only this rule (repeatable)")
    parser.add_argument("--seed", type=int, default=0, help="of the programs that are drawn")
    parser.add_argument("--examples", type=int, default=60, help="how many programs are drawn (60)")
    parser.add_argument("--seconds", type=float, default=45, help="begin no new program after that (45)")
    add_declarations(parser)
    parser.add_argument(
        "--expected-failures", type=Path, metavar="FILE", help="rules known to be broken: 'id  # reason' a line"
    )
    for kind in ("json", "junit", "markdown"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write the verdicts as {kind}, too")
    return parser


def add_declarations(parser: argparse.ArgumentParser) -> None:
    """What a plain factory cannot say itself."""
    parser.add_argument(
        "--declare",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a capability, such as parallel=4 or local",
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the adapter, as JSON or text"
    )
    parser.add_argument("--model", action="append", default=[], metavar="ID", help="a model that the server has")


def declarations(declare: Sequence[str], option: Sequence[str], model: Sequence[str]) -> dict[str, Any]:
    """The keyword arguments of ``check`` for these."""
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
    """The rules in the file, one a line, each with its reason after ``#``. Raises ConfigurationError and OSError."""
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
    """Every rule with its severity, reason and source."""
    return "\n\n".join(
        f"{rule.id} ({rule.severity})\n  {rule.sentence}\n  Why: {rule.reason}\n  Source: {rule.source}"
        for rule in RULES
    )
