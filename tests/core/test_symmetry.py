"""A reduced search sees what a full one sees: the canonical forms of all states are the states of the reduced search."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import replace
from typing import NamedTuple

import pytest

from statemachine.checking.canonical import Symmetry, WishKind
from statemachine.checking.checker import check
from statemachine.checking.scenario import Move, Scenario, State, Wish
from statemachine.checking.scenarios import COMPONENTS, LARGE, STANDARD
from statemachine.checking.system import CoordinatorSystem
from statemachine.config.providers import ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
from statemachine.policies import Affinity, Gated, PolicyFactory
from tests.proof.mutants.leases import DrainForgotten
from tests.proof.mutants.pools import NewBeforeOld
from tests.proof.mutants.waiting import WaitsForItself

SCENARIOS = {scenario.name: scenario for scenario in (*STANDARD, *LARGE)}


class Found(NamedTuple):
    """What a search has found: canonical forms, and names of properties."""

    forms: set[Hashable]
    violated: set[str]
    shown: set[str]


def _exactly(state: State) -> Hashable:
    return (
        state.coordinator,
        state.left,
        state.account,
        state.wishes,
    )  # not the last ticket: asking in vain while it closes has no end


def _search(system: CoordinatorSystem, *, reduced: bool) -> Found:
    """Every state, or one of each form, in which every property is looked at; written without the checker."""
    start, form = system.initial()
    found = Found({form}, set(), set())
    seen: set[Hashable] = {form if reduced else _exactly(start)}
    todo = [start]
    while todo:
        state = todo.pop()
        for move in system.events(state):
            outcome = system.step(state, move)
            arrival = outcome.arrive()
            found.shown.update(outcome.shown, arrival.shown)
            found.violated.update(outcome.violations, arrival.violations)
            if outcome.violations or arrival.violations:
                continue
            found.forms.add(outcome.key)
            identity = outcome.key if reduced else _exactly(arrival.state)
            if identity not in seen:
                seen.add(identity)
                todo.append(arrival.state)
    return found


def _slot(
    name: str, *wishes: Wish, parallel: int = 1, faults: bool = True, policy: PolicyFactory | None = None
) -> Scenario:
    provider = replace(SCENARIOS["slot-wait"].config.available_providers[0], parallel=parallel)
    config = ProviderManagerConfig([provider], on_conflict="wait")
    config = config if policy is None else replace(config, policy=policy)
    return Scenario(name, config, wishes, faults=faults, closing=False)


SMALL = [
    replace(SCENARIOS["api-raise"], wishes=(Wish("api", "a", 1), Wish("api", "b", 1), Wish("api", "c", 1))),
    replace(SCENARIOS["slot-raise"], wishes=(Wish("local", "a", 2), Wish("local", "b", 2))),
    _slot("priorities", Wish("local", "a", 1), Wish("local", "b", 1), Wish("local", "c", 1, priority=1)),
    _slot("owners", Wish("local", "a", 2, owner="s"), Wish("local", "a", 2, owner="t"), parallel=2, faults=False),
    _slot(
        "below",
        *(Wish("local", "a", 1, owner=task) for task in "pq"),
        *(Wish("local", "b", 1, below=task) for task in "pq"),
        parallel=2,
    ),
    _slot("gated", Wish("local", "a", 2), Wish("local", "b", 2), Wish("local", "c", 1), faults=False, policy=Gated),
    _slot("affinity", *(Wish("local", m, 2) for m in "ab"), faults=False, policy=lambda: Affinity(1)),
]


@pytest.mark.parametrize("scenario", SMALL, ids=lambda s: s.name)
def test_reduced_and_full_search_agree(scenario: Scenario) -> None:
    system = CoordinatorSystem(scenario)
    assert len(system._symmetry.renamings) > 1
    full, reduced = _search(system, reduced=False), _search(system, reduced=True)
    assert reduced == full
    assert len(full.forms) == check(system).states
    assert full.violated == set()


@pytest.mark.parametrize("mutant", [NewBeforeOld, DrainForgotten, WaitsForItself])
def test_they_agree_about_mutants(mutant: type[Coordinator]) -> None:
    system = CoordinatorSystem(
        _slot("x", Wish("local", "a", 2, owner="t"), Wish("local", "b", 1, owner="t"), parallel=2), mutant
    )
    full, reduced = _search(system, reduced=False), _search(system, reduced=True)
    assert full.violated == reduced.violated != set()
    assert full.forms == reduced.forms


def _kind(
    signature: str, owner: str | None = None, rest: Hashable = (), pool: str = "p", below: str | None = None
) -> WishKind:
    return WishKind(pool, signature, owner, rest, below)


@pytest.mark.parametrize(
    ("wishes", "renamings"),
    [
        ([_kind("a"), _kind("b"), _kind("c")], 6),
        ([_kind("a"), _kind("b"), _kind("c", rest=1)], 2),
        ([_kind("a"), _kind("b", pool="q")], 1),
        ([_kind("a", "s"), _kind("a", "t")], 2),
        ([_kind("a", "s"), _kind("b", "t")], 2),  # both are renamed, or neither
        ([_kind("a", "s"), _kind("b", "s"), _kind("b", "t"), _kind("a", "t")], 4),
        ([_kind("a", "s"), _kind("a", "s"), _kind("b", "t")], 1),
        ([_kind("a", "s"), _kind("a", "t"), _kind("b", below="s"), _kind("b", below="t")], 2),
        ([_kind("a", "s"), _kind("a", "t"), _kind("b", below="s")], 1),
    ],
)
def test_what_is_interchangeable(wishes: list[WishKind], renamings: int) -> None:
    assert len(Symmetry(wishes).renamings) == renamings


@pytest.mark.parametrize("name", ["large-slot-wait-2", "large-api"])
def test_renamed_runs_lead_to_equal_forms(name: str) -> None:
    """Random runs, and the same with the three configurations exchanged."""
    rng = random.Random(7)
    wishes_alike = tuple(wish._replace(times=2) for wish in SCENARIOS[name].wishes)
    system = CoordinatorSystem(replace(SCENARIOS[name], wishes=wishes_alike))
    for _ in range(30):
        wishes = rng.sample(range(3), 3)
        state, form = system.initial()
        twin, twin_form = state, form
        for _ in range(25):
            assert twin_form == form
            move = rng.choice(list(system.events(state)))
            renamed = move if move.wish is None else _asked_for(system, twin, wishes[move.wish])
            outcome = system.step(state, move)
            state, form = outcome.arrive().state, outcome.key
            outcome = system.step(twin, renamed)
            twin, twin_form = outcome.arrive().state, outcome.key


def _asked_for(system: CoordinatorSystem, state: State, wish: int) -> Move:
    (move,) = (move for move in system.events(state) if move.wish == wish)
    return move


def test_two_pools_side_by_side_are_nothing_to_each_other() -> None:
    """As many states as the product of the two has, and as many edges; one edge of each state is a late release, which has no pool."""
    api, slot = (check(CoordinatorSystem(scenario)) for scenario in COMPONENTS)
    both = check(CoordinatorSystem(SCENARIOS["side-by-side"]))
    assert both.states == api.states * slot.states
    assert both.edges == api.edges * slot.states + slot.edges * api.states - both.states


def test_what_comes_about_in_the_end_is_followed_in_one_pool() -> None:
    with pytest.raises(ValueError, match="one pool"):
        CoordinatorSystem(replace(SCENARIOS["side-by-side"], closing=True))
