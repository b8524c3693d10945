"""The standard scenarios, each explored once for all tests that look at the result."""

from __future__ import annotations

from functools import cache

from statemachine.checking.checker import Result, check
from statemachine.checking.scenario import Move, State
from statemachine.checking.scenarios import STANDARD
from statemachine.checking.system import CoordinatorSystem

__all__ = ["explored"]


@cache
def explored(name: str) -> Result[State, Move]:
    """Everything that can be reached in the scenario of that name, with liveness."""
    (scenario,) = (scenario for scenario in STANDARD if scenario.name == name)
    return check(CoordinatorSystem(scenario), liveness=True)
