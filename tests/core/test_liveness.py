"""Fair infinite waits are found where they are, and nowhere else."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from functools import partial

import pytest

from statemachine.checking.checker import Counterexample, Result, Verdict, check
from statemachine.checking.liveness import NEW, StateGraph, components, fair_lasso
from statemachine.checking.scenario import Move, Scenario, State, Wish
from statemachine.checking.scenarios import STANDARD
from statemachine.checking.system import CoordinatorSystem
from statemachine.core.coordinator import Coordinator
from tests.proof.mutants.policies import Starves

SERVED = "every_waiter_is_served[b]"
SCENARIOS = {scenario.name: scenario for scenario in STANDARD}
Edges = list[tuple[int, tuple[int, ...]]]


def _graph(duties: list[int], edges: list[Edges]) -> StateGraph:
    """A request waits in every state; each edge: where it leads, and which duties it keeps."""
    graph = StateGraph()
    for count in duties:
        graph.add_state(frozenset(["x"]), count)
    for row in edges:
        for target, kept in row:
            graph.add_edge(target, kept)
        graph.end_state()
    return graph


def test_a_cycle_that_leaves_a_duty_undone_is_not_fair() -> None:
    assert fair_lasso(_graph([1, 1], [[(1, (0,))], [(0, (0,))]]), "x") is None


def test_a_cycle_that_does_every_duty_is_fair() -> None:
    assert fair_lasso(_graph([1, 1], [[(1, (0,))], [(0, (NEW,))]]), "x") == (0, (0, 0))


def test_duties_are_followed_when_their_places_change() -> None:
    swap, end_first = (1, 0), (NEW, 1)
    # each is first every other time
    assert fair_lasso(_graph([2, 2], [[(1, swap)], [(0, end_first)]]), "x") is not None
    assert fair_lasso(_graph([2, 2], [[(1, (0, 1))], [(0, end_first)]]), "x") is None  # the second never is


def test_where_nothing_is_due_it_may_end() -> None:
    assert fair_lasso(_graph([1, 0], [[(1, ())], []]), "x") == (1, ())
    assert fair_lasso(_graph([1], [[]]), "x") is None


def test_only_states_of_waiting_count() -> None:
    graph = StateGraph()
    graph.add_state(frozenset(["x"]), 1)
    graph.add_state(frozenset(["y"]), 0)
    graph.add_edge(1, ())
    graph.end_state()
    graph.add_edge(0, (NEW,))
    graph.end_state()
    assert fair_lasso(graph, "x") is None


def test_states_that_were_not_expanded_count_for_nothing() -> None:
    graph = _graph([1, 0], [[(1, ())]])
    assert fair_lasso(graph, "x") is None


def _random_graph(rng: random.Random) -> tuple[list[int], list[Edges]]:
    duties = [rng.choice((0, 1, 1, 2, 2, 2)) for _ in range(rng.randint(1, 5))]

    def edge(source: int) -> tuple[int, tuple[int, ...]]:
        target = rng.randrange(len(duties))
        lasting = rng.sample([*range(duties[source])], min(duties[source], duties[target]))
        places = lasting if rng.random() < 0.8 else lasting[1:]
        places += [NEW] * (duties[target] - len(places))
        return target, tuple(places)

    return duties, [[edge(source) for _ in range(rng.randint(0, 3))] for source in range(len(duties))]


def _fair_walk_exists(duties: list[int], edges: list[Edges]) -> bool:
    """By brute force, all duties at once: a closed walk after which none of those at its start is left."""
    for start in range(len(duties)):
        first = (start, frozenset(range(duties[start])))
        seen, queue = {first}, deque([first])
        while queue:
            state, owed = queue.popleft()
            if state == start and not owed:
                return True
            for target, kept in edges[state]:
                after = target, frozenset(place for place, was in enumerate(kept) if was in owed)
                if after not in seen:
                    seen.add(after)
                    queue.append(after)
    return False


def test_it_agrees_with_brute_force_on_random_graphs() -> None:
    rng = random.Random(3)
    graphs = [_random_graph(rng) for _ in range(1500)]
    found = [fair_lasso(_graph(*graph), "x") is not None for graph in graphs]
    assert found == [_fair_walk_exists(*graph) for graph in graphs]
    assert 300 < sum(found) < 1200


def test_components_are_the_classes_of_mutual_reachability() -> None:
    rng = random.Random(5)
    for _ in range(300):
        size = rng.randint(1, 8)
        after = [[rng.randrange(size) for _ in range(rng.randint(0, 2))] for _ in range(size)]
        reach = [_reachable(after, node) for node in range(size)]
        expected = {frozenset(b for b in reach[a] if a in reach[b]) for a in range(size)}
        found = list(components(list(range(size)), lambda node, after=after: iter(after[node])))  # type: ignore[misc]  # mypy cannot type a lambda's default
        assert {frozenset(component) for component in found} == expected
        assert sum(map(len, found)) == size


def _reachable(after: list[list[int]], node: int) -> set[int]:
    seen, todo = {node}, [node]
    while todo:
        for other in after[todo.pop()]:
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen


# ---- the coordinator ----


def _duties(state: State) -> set[tuple[str, int]]:
    leases = {("lease", r.ticket) for r in state.coordinator.requests if r.state == "granted"}
    return leases | {(i.state, i.id) for i in state.coordinator.instances if i.state in ("starting", "stopping")}


def _starves_really(system: CoordinatorSystem, found: Counterexample[State, Move]) -> None:
    """Walk the lasso again: b waits all the way, nothing due at its start is left at its end, and it ends where it began."""
    state, key = system.initial()
    for event in found.prefix:
        outcome = system.step(state, event)
        state, key = outcome.arrive().state, outcome.key
    start, due = key, _duties(state)
    for event in found.events[len(found.prefix) :]:
        outcome = system.step(state, event)
        arrival = outcome.arrive()
        state, key = arrival.state, outcome.key
        due &= _duties(state)
        assert SERVED in arrival.pending
        assert not [*outcome.violations, *arrival.violations]
    assert key == start
    assert not due


@pytest.mark.parametrize("faults", [True, False], ids=["faults", "no faults"])
def test_a_policy_without_a_bound_starves_somebody(faults: bool) -> None:
    system = CoordinatorSystem(replace(SCENARIOS["live-fifo"], faults=faults), Starves)
    result = check(system, liveness=True)
    assert result.verdicts[SERVED] is Verdict.FAIL
    assert result.counterexamples[SERVED].cycle
    _starves_really(system, result.counterexamples[SERVED])


def test_a_higher_priority_starves_a_lower_one() -> None:
    """Strict priority does that, by its definition; it is no fault of the policy."""
    urgent = Wish("local", "a", 2, priority=1, renew=True)
    scenario = replace(SCENARIOS["live-fifo"], wishes=(urgent, Wish("local", "b", 1, watched=True)), shows=())
    system = CoordinatorSystem(scenario)
    result = check(system, liveness=True)
    assert {name for name, verdict in result.verdicts.items() if verdict is Verdict.FAIL} == {SERVED}
    _starves_really(system, result.counterexamples[SERVED])


def _with(make: type[Coordinator] = Coordinator, **options: object) -> Result[State, Move]:
    run = partial(check, CoordinatorSystem(SCENARIOS["live-fifo"], make))
    return run(**options)  # type: ignore[arg-type]  # passed on as they are


def test_without_the_flag_there_is_no_verdict() -> None:
    assert SERVED not in _with().verdicts
    assert _with(liveness=True).verdicts[SERVED] is Verdict.PASS


def test_a_bound_that_was_hit_is_no_proof() -> None:
    assert _with(liveness=True, most_states=100).verdicts[SERVED] is Verdict.UNDETERMINED


def test_a_starvation_found_within_a_bound_is_one() -> None:
    assert _with(Starves, liveness=True, most_states=300).verdicts[SERVED] is Verdict.FAIL


@pytest.mark.parametrize("wish", [Wish("local", "a", 2, watched=True), Wish("local", "a", 1, renew=True, watched=True)])
def test_a_watched_wish_is_a_single_request(wish: Wish) -> None:
    scenario: Scenario = replace(SCENARIOS["live-fifo"], wishes=(wish,))
    with pytest.raises(ValueError, match="single request"):
        CoordinatorSystem(scenario)
