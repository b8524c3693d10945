"""The standard scenarios, each explored once for all tests that look at the result."""

from __future__ import annotations

from functools import cache

from statemachine.checker import Result, check
from statemachine.scenario import Move, Scenario, State
from statemachine.system import ModelSystem

__all__ = ["explored"]


@cache
def explored(scenario: Scenario) -> Result[State, Move]:
    """Everything that can be reached in ``scenario``, with liveness."""
    return check(ModelSystem(scenario), liveness=True)
