"""The checker finds what is wrong, shortest first, and says what it has not seen. State counts are pinned."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast, get_args

import pytest

from statemachine.__main__ import main
from statemachine.checking.campaign import explore
from statemachine.checking.checker import Arrival, Counterexample, Outcome, Verdict, check
from statemachine.checking.experienced import Experienced
from statemachine.checking.reproduction import Reproduction, as_pytest
from statemachine.checking.scenario import Move, Scenario, Wish
from statemachine.checking.scenarios import LARGE, NONE_OR_SOME, STANDARD
from statemachine.checking.system import OVERTAKING_WITHIN_BOUND, CoordinatorSystem
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import AcquireRequested, Cause, Effect, Event, Released, StartSucceeded
from statemachine.core.index import Request
from statemachine.policies import Affinity, Bound, Choice, CostAware, Fair, Gated, Pause, PolicyFactory, Rank, Waiter
from statemachine.properties import ALWAYS, EVENTUALLY, SOMETIMES
from statemachine.properties.property import Step
from tests.proof.mutants import COORDINATORS, CoordinatorMutant

from .explored import explored

SCENARIOS = {scenario.name: scenario for scenario in (*STANDARD, *LARGE)}

# A change of rules shows here: look at it, explain it, then change the number.
PINNED = {
    "api-wait": (1510, 17092, 10),
    "api-raise": (85, 590, 7),
    "slot-raise": (306, 2462, 8),
    "slot-wait": (622, 5527, 9),
    "slot-parallel": (517, 4394, 9),
    "slot-below": (1213, 11268, 10),
    "api-below": (589, 5847, 11),
    "slot-gated": (9743, 16547, 19),
    "slot-gated-faults": (307, 2115, 10),
    "slot-affinity": (608, 4378, 11),
    "slot-cost-aware": (4048, 41512, 13),
    "pause-full": (2666, 24810, 13),
    "live-api": (617, 4853, 8),
    "live-api-2": (144, 1189, 9),
    "history-api": (162, 1172, 6),
    "history-slot": (1047, 9571, 10),
    "history-drain": (83, 624, 7),
    "full-api": (729, 7833, 10),
    "full-slot": (531, 4703, 8),
    "live-fifo": (267, 2103, 7),
    "live-gated": (1217, 9750, 13),
    "live-gated-extra": (2206, 17733, 16),
    "live-affinity": (506, 4011, 10),
    "slot-fair": (1615, 14269, 14),
    "live-cost-aware": (2509, 17408, 16),
    "live-fair": (993, 8849, 20),
}


PINNED_LARGE = {
    "large-live-api": (23215, 283450, 12),
    "large-api": (110382, 2591650, 14),
    "large-slot-wait": (7013, 157826, 11),
    "large-slot-wait-2": (8116, 184033, 11),
    "large-slot-raise": (16, 139, 4),
    "large-slot-raise-2": (25, 261, 5),
    "large-live-slot": (4909, 49466, 9),
    "large-live-slot-2": (5556, 57014, 9),
    "large-live-cost-aware": (21628, 209214, 26),
    "large-live-fair": (32604, 349367, 35),
    "large-pause-priority": (7673, 87009, 14),
    "component-api": (20, 96, 5),
    "component-slot": (20, 94, 5),
    "side-by-side": (400, 3400, 10),
}


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(os.environ.get("CHECKER") != "large", reason="minutes: CHECKER=large")
def test_every_property_holds_in_the_large_scenarios() -> None:
    reports = explore([s.name for s in LARGE], jobs=os.cpu_count() or 1, most_states=500_000, most_bytes=4 << 30)
    assert {r.scenario: (r.states, r.edges, r.depth) for r in reports} == PINNED_LARGE
    assert {verdict for r in reports for verdict in r.verdicts.values()} == {Verdict.PASS}


@pytest.mark.parametrize("scenario", STANDARD, ids=lambda s: s.name)
def test_every_property_holds_in_every_reachable_state(scenario: Scenario) -> None:
    result = explored(scenario.name)
    assert result.complete
    assert {name: v for name, v in result.verdicts.items() if v is not Verdict.PASS} == {}
    assert (result.states, result.edges, result.depth) == PINNED[scenario.name]


@pytest.mark.parametrize("mutant", COORDINATORS, ids=lambda m: m.name)
def test_every_wrong_coordinator_is_caught_by_the_property_meant_for_it(mutant: CoordinatorMutant) -> None:
    result = check(CoordinatorSystem(SCENARIOS[mutant.scenario], mutant.make), liveness=True, most_states=5000)
    assert mutant.caught_by in result.counterexamples, f"{mutant.name} survives {mutant.caught_by}"
    assert not result.passed
    counterexample = result.counterexamples[mutant.caught_by]
    with pytest.raises(AssertionError):
        _run(as_pytest(mutant.scenario, mutant.caught_by, counterexample, mutant.make))
    _run(as_pytest(mutant.scenario, mutant.caught_by, counterexample))  # the coordinator itself does not have the fault


class _RefusesEverybody(Coordinator):
    """Violates nothing, and does nothing."""

    def _acquire(self, event: AcquireRequested) -> None:
        request = Request(event.ticket, event.demand, event.owner, event.agent, event.priority, 0.0, 0.0)
        self.requests[event.ticket] = request
        self.ledger.reject(request, Cause.CLOSED)


def test_a_property_that_is_about_some_kinds_holds_whatever_the_others_do() -> None:
    """It looks at nothing else of such a step: neither at the states, nor into its event and effects."""
    about = [p for p in ALWAYS if p.about]
    assert about
    for one in about:
        effects = [kind.__new__(kind) for kind in get_args(Effect) if kind not in one.about]
        for kind in get_args(Event):
            step = Step(cast(Any, None), kind.__new__(kind), effects, cast(Any, None))
            assert kind in one.about or one.holds(step), (one.name, kind)


def test_every_property_has_a_mutant_that_violates_it() -> None:
    """What is ``sometimes`` is missed by a coordinator that does nothing."""
    bitten = {mutant.caught_by.partition("[")[0] for mutant in COORDINATORS}
    system = CoordinatorSystem(SCENARIOS["api-wait"])
    assert {*system.always(), *(p.name for p in EVENTUALLY)} == bitten
    idle = check(
        CoordinatorSystem(replace(SCENARIOS["api-wait"], shows=tuple(p.name for p in SOMETIMES)), _RefusesEverybody)
    )
    assert {name for name, verdict in idle.verdicts.items() if verdict is not Verdict.PASS} == {
        p.name for p in SOMETIMES
    } - {"close"}


def _run(source: str) -> None:
    """Execute the only test of a reproduction."""
    module: dict[str, Any] = {}
    exec(source, module)
    (test,) = (value for name, value in module.items() if name.startswith("test_"))
    test()


class _Exhaustive(Gated):
    """Says that it is gated, and serves one model for as long as anybody wants it."""

    def choose(self) -> Choice | Pause | None:
        line = self._lines.get(self._turn)
        return super().choose() if line is None else Choice(line.first, "same model")

    def snapshot(self, rank: Rank) -> Hashable:
        return self._turn, self._open, rank(self._last_admitted), self._newcomers_left


class _Forgetful(Affinity):
    """Says that it counts, and does not."""

    def placed(self, waiter: Waiter) -> None:
        super().placed(waiter)
        self._ahead.clear()


def test_a_policy_that_lies_about_its_bound_is_refused() -> None:
    honest = SCENARIOS["slot-affinity"]
    lying = replace(honest, config=replace(honest.config, policy=partial(_Forgetful, 1)))
    assert OVERTAKING_WITHIN_BOUND in check(CoordinatorSystem(lying)).counterexamples


class _Counter:
    """A system of its own: a number that may grow by 1 or 2, and must not be 4."""

    def always(self) -> Sequence[str]:
        return ["never four"]

    def sometimes(self) -> Sequence[str]:
        return ["three", "nine"]

    def eventually(self) -> Sequence[str]:
        return []

    def initial(self) -> tuple[int, Hashable]:
        return 0, 0

    def events(self, state: int) -> Iterator[int]:
        yield from (1, 2) if state < 6 else ()

    def step(self, state: int, event: int) -> Outcome[int]:
        after = state + event
        return Outcome(after, lambda: Arrival(after, ["never four"] * (after == 4)), shown=["three"] * (after == 3))


def test_counterexamples_are_the_shortest() -> None:
    result = check(_Counter())
    assert result.verdicts == {"never four": Verdict.FAIL, "three": Verdict.PASS, "nine": Verdict.FAIL}
    assert result.counterexamples["never four"].events == (2, 2)
    assert result.counterexamples["never four"].states == (0, 2)


def test_a_bound_that_was_hit_is_no_pass() -> None:
    result = check(_Counter(), most_states=2)
    assert not result.complete
    assert result.verdicts["never four"] is Verdict.UNDETERMINED
    assert result.verdicts["nine"] is Verdict.UNDETERMINED
    assert not result.passed


def test_the_command_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--scenario", "api-raise"]) == 0
    assert "36 of 36 PASS" in capsys.readouterr().out
    assert main(["check", "--scenario", "api-raise", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["api-raise"]
    assert found["states"] == PINNED["api-raise"][0]
    assert found["edges_per_second"] > 0
    assert found["bytes_per_state"] > 0
    assert main(["check", "--scenario", "api-raise", "--most-states", "10"]) == 3
    assert "UNDETERMINED" in capsys.readouterr().out
    assert main(["check", "--scenario", "api-raise", "--most-memory", "1"]) == 3
    assert "UNDETERMINED" in capsys.readouterr().out
    assert main(["check", "--scenario", "large-slot-raise-2"]) == 0


def test_several_scenarios_at_a_time_are_reported_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Each in a process of its own; a counterexample is brought home."""
    chosen = [
        "check",
        "--scenario",
        "api-raise",
        "--scenario",
        "history-drain",
        "--json",
        "--coordinator",
        "tests.proof.mutants.stopping:StoppedTwice",
    ]
    assert main(chosen) == 1
    alone = _without_times(capsys.readouterr().out)
    assert main([*chosen, "--jobs", "2"]) == 1
    assert _without_times(capsys.readouterr().out) == alone
    assert list(alone) == ["api-raise", "history-drain"]
    assert alone["api-raise"]["counterexamples"]["stopped_once"]["events"]


def _without_times(printed: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(printed)
    for one in found.values():
        del one["seconds"], one["edges_per_second"]
    return found


def test_the_command_prints_how_to_reproduce_a_lasso(capsys: pytest.CaptureFixture[str]) -> None:
    starves = "tests.proof.mutants.policies:Starves"
    assert main(["check", "--scenario", "live-fifo", "--coordinator", starves, "--reproduce"]) == 1
    out = capsys.readouterr().out
    assert "and from here without end" in out
    with pytest.raises(AssertionError, match="the same again"):
        _run(out[out.index("from statemachine.") :])


def test_a_replay_refuses_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="none of api-wait"):
        Reproduction("api")
    replay = Reproduction("api-raise")
    replay.ask(0)
    replay.ask(0)
    with pytest.raises(ValueError, match="wish 0"):
        replay.ask(0)


def test_memory_grows_with_what_is_kept() -> None:
    small, large = check(_Counter()), check(CoordinatorSystem(SCENARIOS["api-raise"]))
    assert 0 < small.bytes_per_state < large.bytes_per_state


class _Surprised(Experienced):
    """Promises what it keeps only for as long as nothing takes any time."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["bound"] = Bound(passes=None, late=0)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        CostAware.served(self, waiter, 1 if milliseconds else 16)


def test_what_a_policy_learns_is_explored() -> None:
    honest = SCENARIOS["slot-cost-aware"]
    lying = replace(honest, config=replace(honest.config, policy=_Surprised))
    assert OVERTAKING_WITHIN_BOUND in check(CoordinatorSystem(lying)).counterexamples
    assert OVERTAKING_WITHIN_BOUND not in check(CoordinatorSystem(replace(lying, durations=(0.0,)))).counterexamples


def test_what_something_took_is_reproduced() -> None:
    quick, slow = Reproduction("slot-cost-aware"), Reproduction("slot-cost-aware")
    for replay, seconds in (quick, 0.0), (slow, 0.001):
        replay.ask(0)
        replay.tell(StartSucceeded(1), seconds=seconds)
        replay.tell(Released(1), seconds=seconds)
    assert quick.state.coordinator.pools[0].policy != slow.state.coordinator.pools[0].policy
    moves = Move(StartSucceeded(1), None, 0.001), Move(Released(1))
    source = as_pytest("slot-cost-aware", "anything", Counterexample(moves, ()))
    assert "replay.tell(StartSucceeded(instance=1), seconds=0.001)\n" in source
    assert "replay.tell(Released(ticket=1, broken=False))\n" in source
    assert str(moves[0]) == "StartSucceeded(instance=1), after 0.001 s"


@pytest.mark.parametrize(
    ("policy", "parallel"),
    [
        (partial(Gated, 1), 1),
        (partial(Gated, 1), 2),
        (partial(Affinity, 1), 1),
        (partial(Affinity, 1), 2),
        (Experienced, 1),
        (Experienced, 2),
        (partial(Fair, 1, 1), 1),
        (partial(Affinity, 1, 1), 1),
        (partial(Experienced, 1), 1),
    ],
    ids=[
        "gated",
        "gated-2",
        "affinity",
        "affinity-2",
        "cost_aware",
        "cost_aware-2",
        "fair",
        "affinity fair",
        "cost_aware fair",
    ],
)
def test_bounds_hold_whatever_fails_and_with_several_at_once(policy: PolicyFactory, parallel: int) -> None:
    config = SCENARIOS["slot-gated-faults"].config
    provider = replace(config.available_providers[0], parallel=parallel)
    scenario = replace(
        SCENARIOS["slot-gated-faults"],
        config=replace(config, available_providers=[provider], policy=policy),
        wishes=(Wish("local", "a", 1, agent="x"), Wish("local", "a", 1, agent="y"), Wish("local", "b", 2, agent="x")),
        shows=("failure_with_waiters", *(["pause"] if not policy().work_conserving else [])),
        durations=NONE_OR_SOME,
    )
    result = check(CoordinatorSystem(scenario))
    assert result.complete
    assert {name: v for name, v in result.verdicts.items() if v is not Verdict.PASS} == {}
