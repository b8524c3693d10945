"""The zoo: every broken adapter is rejected by the one rule that it breaks, and the correct ones are accepted.

Here the plain programs run, and few drawn ones; ``python -m tests.conformance`` (``make conformance``) draws more, from 20 seeds.
"""

from __future__ import annotations

import pytest

from adapters.conformance import RULES, Subject, check

from .zoo import CORRECT, ZOO


@pytest.mark.parametrize("name", ZOO)
def test_a_broken_adapter_is_rejected_by_the_rule_that_it_breaks(name: str) -> None:
    animal = ZOO[name]
    report = check(animal.subject, name=name, examples=0)
    assert report.failed == [animal.rule], animal.mistake
    verdict = next(verdict for verdict in report.verdicts if verdict.outcome == "FAIL")
    assert verdict.program is not None
    assert len(verdict.program) <= 6


@pytest.mark.parametrize("subject", CORRECT)
def test_a_correct_adapter_is_accepted(subject: type[Subject]) -> None:
    report = check(subject, examples=10, seed=1)
    assert {
        verdict.rule.id: verdict.reason for verdict in report.verdicts if verdict.outcome in ("FAIL", "UNDETERMINED")
    } == {}


def test_every_rule_rejects_something() -> None:
    assert {animal.rule for animal in ZOO.values()} == {rule.id for rule in RULES}
