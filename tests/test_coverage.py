"""No transition of a machine is there in vain, and none goes unchecked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from statemachine.checker import check
from statemachine.coverage import every_transition, reached, table
from statemachine.lifecycle import MACHINES
from statemachine.scenario import STANDARD, ModelSystem


def test_every_transition_fires_in_some_standard_scenario() -> None:
    fired: Counter[Hashable] = Counter()
    for scenario in STANDARD:
        fired += check(ModelSystem(scenario)).fired
        if fired.keys() >= set(every_transition()):
            break
    assert set(every_transition()) == fired.keys()
    for machine in MACHINES:
        assert reached(fired, machine.kind) == set(machine.states)


def test_the_table_names_what_never_fired() -> None:
    first, second, *rest = every_transition()
    fired: Counter[Hashable] = Counter(rest)
    fired[second] = 7
    assert f"never fired: {first}" in table(fired)
    assert f"never fired: {second}" not in table(fired)
