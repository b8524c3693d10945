"""The rules as tests for pytest: a class to subclass, whose methods pytest collects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .check import check
from .report import Report, RuleVerdict
from .rules import RULES

if TYPE_CHECKING:
    import pytest

__all__ = ["AdapterConformance", "judge"]


class AdapterConformance:
    """Subclass it, and set ``subject`` to a Subject class or to what makes an adapter of an AdapterConfig.

    ``how`` are keyword arguments of :func:`check`; ``expected_failures`` maps rules that are known to be broken to their reasons.
    """

    subject: ClassVar[Any] = None
    how: ClassVar[Mapping[str, Any]] = {}
    expected_failures: ClassVar[Mapping[str, str]] = {}
    _report: ClassVar[Report | None] = None

    @classmethod
    def report(cls) -> Report:
        """Return all verdicts; the programs run once for a class."""
        if cls._report is None:
            given = cls.__dict__.get("subject", cls.subject)
            given = given.__func__ if isinstance(given, staticmethod) else given
            cls._report = check(given, name=f"{cls.__module__}:{cls.__qualname__}.subject", **cls.how)
        return cls._report

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test for each rule."""
        if "rule_id" in metafunc.fixturenames:
            metafunc.parametrize("rule_id", [rule.id for rule in RULES])

    def test_rule(self, rule_id: str) -> None:
        """Test that the adapter keeps the rule."""
        report = self.report()
        verdict = next(verdict for verdict in report.verdicts if verdict.rule.id == rule_id)
        judge(verdict, report, self.expected_failures)


def judge(verdict: RuleVerdict, report: Report, expected: Mapping[str, str]) -> None:
    """Pass, fail or skip the running test."""
    import pytest

    known = expected.get(verdict.rule.id)
    if verdict.outcome == "SKIPPED":
        pytest.skip(verdict.reason)
    if verdict.outcome == "UNDETERMINED":
        pytest.fail(f"undetermined: {verdict.reason}", pytrace=False)
    if verdict.outcome == "FAIL" and known is not None:
        pytest.xfail(known)
    if verdict.outcome == "FAIL":
        pytest.fail(
            f"{verdict.rule.sentence}\n{verdict.reason}\n\n{verdict.test(report.target, report.how)}", pytrace=False
        )
    if known is not None:
        pytest.fail(f"it is kept, and is expected to be broken: {known}", pytrace=False)
