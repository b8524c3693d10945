"""A mutant before each layer of the proof: what catches it, after how much, and what does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from statemachine.checking.checker import Result, check
from statemachine.checking.reproduction import as_lines, as_pytest
from statemachine.checking.scenario import Move, Scenario, State
from statemachine.checking.scenarios import COMPONENTS, LARGE, STANDARD
from statemachine.checking.system import CoordinatorSystem

from .expect import DoesNotHoldError
from .identity import CHECKS, Configs
from .layers import LAYERS, Layer
from .mutants import CoordinatorMutant, IdentityMutant, Mutant
from .subject import Subject

__all__ = ["Exhibit", "Trial", "exhibit"]

MOST_STATES: Final = 5000  # of a scenario that is searched for a mutant
_BOUNDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "faults": {"most_runs": 20},
    "some schedules": {"programs": 30},
    "every schedule": {"most_runs": 100, "must_be_complete": False},
}
"""Less than the layers do for the production manager, so that the whole gallery takes minutes."""
CHECKER: Final = "checker"
IDENTITY: Final = "identity"

Unit: TypeAlias = Literal["steps", "runs", "checks"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one layer made of a mutant. ``what``: the property, or what was seen, in a line; None: the layer did not catch it.

    ``size`` counts the ``unit`` of the counterexample; ``counterexample`` is in full, with what reproduces it. ``seconds`` of real time.
    """

    layer: str
    what: str | None
    size: int
    unit: Unit
    seconds: float
    counterexample: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A mutant and its trials, in the order of the layers."""

    name: str
    row: str
    meant: str
    trials: tuple[Trial, ...]

    @property
    def caught(self) -> Trial | None:
        """The first layer's that caught it; None: it survives."""
        return next((trial for trial in self.trials if trial.what is not None), None)

    @property
    def missed_by(self) -> tuple[str, ...]:
        """The layers that did not catch it."""
        return tuple(trial.layer for trial in self.trials if trial.what is None)


def exhibit(mutant: Mutant, *, quick: bool = False) -> Exhibit:
    """Try every layer that ``mutant`` can be put before; ``quick``: until one catches it."""
    trials: list[Trial] = []
    for name, layer in _layers(mutant).items():
        began = time.perf_counter()
        found = layer()
        seconds = time.perf_counter() - began
        trials.append(Trial(name, None, 0, "steps", seconds, "") if found is None else _trial(name, found, seconds))
        if quick and found is not None:
            break
    return Exhibit(mutant.name, mutant.row, mutant.caught_by, tuple(trials))


_Found: TypeAlias = tuple[str, int, Unit, str]


def _trial(layer: str, found: _Found, seconds: float) -> Trial:
    what, size, unit, counterexample = found
    return Trial(layer, what, size, unit, seconds, counterexample)


def _layers(mutant: Mutant) -> Mapping[str, Callable[[], _Found | None]]:
    if isinstance(mutant, IdentityMutant):
        return {IDENTITY: partial(_by_identity, mutant)}
    if isinstance(mutant, CoordinatorMutant):
        return {CHECKER: partial(_by_checker, mutant), **_manager_layers(Subject.with_part(mutant.make))}
    return _manager_layers(Subject.with_part(mutant.make))


def _manager_layers(subject: Subject) -> Mapping[str, Callable[[], _Found | None]]:
    return {
        name: partial(_by_layer, partial(layer, **_BOUNDS.get(name, {})), subject) for name, layer in LAYERS.items()
    }


def _by_layer(layer: Layer, subject: Subject) -> _Found | None:
    finding = layer(subject)
    return None if finding is None else (finding.what, finding.runs, "runs", finding.counterexample)


def _by_checker(mutant: CoordinatorMutant) -> _Found | None:
    """On the scenario that is meant for it, and on all others if it survives there."""
    scenarios = {scenario.name: scenario for scenario in (*STANDARD, *LARGE)}
    others = [one for one in (*STANDARD, *COMPONENTS) if one.name != mutant.scenario]
    found = (_checked(scenario, mutant) for scenario in (scenarios[mutant.scenario], *others))
    return next((one for one in found if one is not None), None)


def _checked(scenario: Scenario, mutant: CoordinatorMutant) -> _Found | None:
    """The violation of the property that is meant, or else the shortest."""

    def go_on(result: Result[State, Move]) -> bool:
        return mutant.caught_by not in result.counterexamples

    system = CoordinatorSystem(scenario, mutant.make)
    found = check(system, liveness=True, most_states=MOST_STATES, watch=go_on).counterexamples
    if not found:
        return None
    shortest = min(found, key=lambda name: len(found[name].events))
    name = mutant.caught_by if mutant.caught_by in found else shortest
    lines = [
        f"{scenario.name}: {name}",
        *as_lines(found[name]),
        "",
        as_pytest(scenario.name, name, found[name], mutant.make),
    ]
    return name, len(found[name].events), "steps", "\n".join(lines)


def _by_identity(mutant: IdentityMutant) -> _Found | None:
    """The first statement about identity that does not hold."""
    configs = Configs.with_part(mutant.make)
    for number, holds in enumerate(CHECKS, 1):
        try:
            holds(configs)
        except DoesNotHoldError as error:
            return holds.__name__, number, "checks", f"{holds.__name__}: {error}"
    return None
