"""The tests of ``pytest --conformance``: one for each rule, over one check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from statemachine.errors import ConfigurationError

from .check import check
from .command import declarations, expected_failures
from .report import Report
from .rules import RULES
from .subject import target
from .suite import judge

__all__ = ["rule_tests"]


class _Check:
    """The check that the tests share, made by the first of them."""

    def __init__(self, name: str, how: Mapping[str, Any], expected: Mapping[str, str]) -> None:
        self.name = name
        self.expected = expected
        self._given = target(name)
        self._how = how

    @cached_property
    def report(self) -> Report:
        return check(self._given, name=self.name, **self._how)


class _RuleItem(pytest.Item):
    """One rule."""

    def __init__(self, *, check: _Check, **how: Any) -> None:
        super().__init__(**how)
        self._check = check

    def runtest(self) -> None:
        verdict = next(verdict for verdict in self._check.report.verdicts if verdict.rule.id == self.name)
        judge(verdict, self._check.report, self._check.expected)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self._check.name}: {self.name}"


def rule_tests(session: pytest.Session, config: pytest.Config) -> Iterator[pytest.Item]:
    """Yield the tests. Raises pytest.UsageError."""
    sys.path.insert(0, str(config.invocation_params.dir))  # as for "python -m": the adapter may lie there
    try:
        how = declarations(
            config.getoption("--conformance-declare"),
            config.getoption("--conformance-option"),
            config.getoption("--conformance-model"),
        )
        file = config.getoption("--conformance-expected-failures")
        expected = {} if file is None else expected_failures(Path(file))
        shared = _Check(
            config.getoption("--conformance"), {**how, "seed": config.getoption("--conformance-seed")}, expected
        )
    except (ConfigurationError, OSError) as error:
        raise pytest.UsageError(str(error)) from error
    for rule in RULES:
        yield _RuleItem.from_parent(session, name=rule.id, nodeid=f"conformance::{rule.id}", check=shared)
