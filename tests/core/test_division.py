"""A search that is divided among processes finds what one process finds: numbers, verdicts, counterexamples and coverage."""

from __future__ import annotations

from typing import Any

import pytest

from statemachine.checking.campaign import explore
from statemachine.checking.report import as_json

ALONE = {"seconds", "edges_per_second", "bytes_per_state"}


def _found(scenario: str, jobs: int, make: str | None, most_states: int) -> dict[str, Any]:
    (report,) = explore([scenario], jobs=jobs, make=make, most_states=most_states, most_bytes=4 << 30)
    return {name: value for name, value in as_json(report).items() if name not in ALONE}


@pytest.mark.parametrize(
    ("scenario", "make"),
    [
        ("history-api", None),
        ("live-gated", None),
        ("live-fifo", "tests.proof.mutants.policies:Starves"),
        ("api-raise", "tests.proof.mutants.stopping:StoppedTwice"),
    ],
)
def test_several_processes_find_what_one_finds(scenario: str, make: str | None) -> None:
    alone, divided = (_found(scenario, jobs, make, 10**6) for jobs in (1, 2))
    assert divided == alone
    assert bool(alone["counterexamples"]) == (make is not None)


def test_a_divided_search_may_end_early() -> None:
    alone, divided = (_found("slot-wait", jobs, None, 100) for jobs in (1, 2))
    assert (divided["states"], divided["edges"], divided["depth"]) == (alone["states"], alone["edges"], alone["depth"])
    assert divided["verdicts"] == alone["verdicts"]
    assert "UNDETERMINED" in divided["verdicts"].values()
