"""The simulator against queueing theory, within confidence intervals. The seeds are fixed, so the outcome is, too."""

from __future__ import annotations

import pytest

from simulation.analysis.queueing import finite_source_response, mm1_wait, mmc_wait, polling_workload
from simulation.analysis.validation import CASES, Case, Validated, validate


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_formula_lies_in_the_confidence_interval(case: Case) -> None:
    found = validate(case, requests=4_000, replications=6)
    assert found.holds, found
    assert found.half_width < 0.35 * case.expected, "an interval that says something"


def test_the_formulas_agree_where_they_must() -> None:
    assert mmc_wait(0.7, 1.0, 1) == pytest.approx(mm1_wait(0.7, 1.0))
    assert finite_source_response(1, 10.0, 1.0) == pytest.approx(1.0), "a single agent never waits"
    assert polling_workload([0.5], 1.0, 0.0, gated=False) == pytest.approx(0.5 * mm1_wait(0.5, 1.0))
    assert polling_workload([0.3, 0.3], 1.0, 2.0, gated=True) > polling_workload([0.3, 0.3], 1.0, 2.0, gated=False)


def test_what_lies_outside_does_not_hold() -> None:
    assert not Validated("x", 1.0, 2.0, 0.5).holds
