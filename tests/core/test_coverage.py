"""No transition of a machine, no pair of them and no outcome of a decision is there in vain, and none goes unchecked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from statemachine.checking.coverage import IMPOSSIBLE, every_pair, every_transition, reached, table
from statemachine.checking.decisions import every_branch
from statemachine.checking.scenarios import STANDARD
from statemachine.core.lifecycle import MACHINES

from .explored import explored

POSSIBLE: list[Hashable] = [*every_transition(), *every_pair(), *every_branch()]
LEGAL = set(POSSIBLE) - IMPOSSIBLE.keys()


def test_the_standard_scenarios_show_all_that_is_possible_and_nothing_else() -> None:
    fired: Counter[Hashable] = Counter()
    for scenario in STANDARD:
        fired += explored(scenario.name).fired
    assert LEGAL - fired.keys() == set()
    assert fired.keys() - LEGAL == set()
    for machine in MACHINES:
        assert reached(fired, machine.kind) == set(machine.states)


def test_the_table_names_what_was_never_seen_and_why() -> None:
    transitions = every_transition()
    fired: Counter[Hashable] = Counter(LEGAL - {transitions[0]})
    fired[transitions[1]] = 7
    text = table(fired)
    assert f"never: {transitions[0]}\n" in text
    assert f"never: {transitions[1]}" not in text
    for one, why in IMPOSSIBLE.items():
        assert f"never: {one} (impossible: {why})" in text
