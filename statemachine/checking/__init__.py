"""The checker: bounded exhaustive search over the production coordinator, from a scenario, with every property at every step.

``checker`` and ``liveness`` know nothing of this library: they search any system. ``system`` makes one of the production coordinator
and a scenario. ``division`` spreads one search over processes::

    with divided(partial(CoordinatorSystem, scenario), jobs=8) as frontier:
        result = check(CoordinatorSystem(scenario), liveness=True, frontier=frontier)
"""

from __future__ import annotations

from .checker import Result, Verdict, check
from .division import divided
from .scenario import Scenario, Wish
from .system import CoordinatorSystem

__all__ = ["CoordinatorSystem", "Result", "Scenario", "Verdict", "Wish", "check", "divided"]
