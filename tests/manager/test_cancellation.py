"""Cancelling an acquire, a stream or a close at every step of its life leaves no waiter and no lease, and loses no instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from statemachine import ProviderManager, ProviderManagerConfig
from statemachine.schedules import NATURAL, Cancelling, Schedule, Walk, run, sweep
from tests.proof import Subject
from tests.proof.cancellation import ACQUIRES, CLOSES, FAILING_STREAMS, STREAMS, Case, play, sweep_case


@pytest.mark.parametrize("schedule", [lambda: NATURAL, lambda: Walk("another")], ids=["natural", "another"])
@pytest.mark.parametrize("case", [*ACQUIRES, *STREAMS, *CLOSES], ids=lambda c: c.name)
def test_a_cancellation_at_any_step_leaves_no_trace(case: Case, schedule: Callable[[], Schedule]) -> None:
    assert sweep_case(case, schedule=schedule, twice=True) > 3


@pytest.mark.parametrize("case", FAILING_STREAMS, ids=lambda c: c.name)
def test_a_stream_that_fails_anywhere_and_is_cancelled_anywhere_leaves_no_trace(case: Case) -> None:
    assert sweep_case(case, twice=False) > 3


@pytest.mark.parametrize("case", [*ACQUIRES, *STREAMS], ids=lambda c: c.name)
def test_a_request_cancelled_in_the_middle_of_a_step_leaves_no_trace(case: Case) -> None:
    """By an observer, at every transition: a grant may be under way to a task that has just gone."""

    def attempt(cancelling: Cancelling) -> None:
        class Observed(ProviderManager):
            def __init__(self, config: ProviderManagerConfig, **options: Any) -> None:
                super().__init__(config, observers=[lambda _: cancelling.count()], **options)

        run(lambda: play(case, cancelling, Subject(Observed)), NATURAL).raise_if_failed()

    assert sweep(attempt) > 2
