"""The field benchmark sees what happens: a manager that keeps the rules has none broken, and without one they are."""

from __future__ import annotations

import pytest

from benchmarks.field.contenders import CONTENDERS, Contender
from benchmarks.field.run import Run, run

SPEED = 100.0


def named(name: str) -> Contender:
    return next(contender for contender in CONTENDERS if contender.name == name)


def broken(made: Run) -> tuple[int, ...]:
    return made.lost, made.killed, made.refused, made.two_at_once, made.copies, made.busy_evicted


@pytest.mark.parametrize("name", ["ours, gated", "one lock for all"])
def test_every_call_is_answered_and_no_rule_is_broken(name: str) -> None:
    made = run(named(name), 0, 2, SPEED)
    assert broken(made) == (0, 0, 0, 0, 0, 0)
    assert made.calls == 20
    assert 0 < made.p50 <= made.p95 <= made.makespan
    assert made.switches > 1


def test_without_coordination_answers_are_killed() -> None:
    made = run(named("no coordination"), 0, 2, SPEED, deadline=300.0)
    assert made.killed > 0
    assert made.busy_evicted > 0
