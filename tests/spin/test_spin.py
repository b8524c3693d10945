"""A second opinion: Promela specifications, written from the contract, take exactly the steps that the production model takes.

Longer: ``SECOND_OPINION=large python -m pytest --timeout=0 -s tests/test_spin.py``, which prints the table of docs/second-opinion.md.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from statemachine.checking.checker import Verdict, check
from statemachine.checking.scenario import Wish
from statemachine.checking.system import CoordinatorSystem
from statemachine.core.coordinator import Coordinator
from tests.proof.mutants import COORDINATORS, CoordinatorMutant
from tests.proof.mutants.starting import NotAdopted

from .projection import explore
from .second_opinion import LARGE, MISSING, SIZES, Answer, Edge, Size, Verifier, row, states

if MISSING:
    pytest.skip(f"not installed here: {', '.join(MISSING)}", allow_module_level=True)

TABLE = (Path(__file__).parents[2] / "docs" / "second-opinion.md").read_text(encoding="utf-8")
LONG = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("SECOND_OPINION") != "large", reason="minutes: SECOND_OPINION=large"),
]
SLOT, RAISING_SLOT = Size("slot", (2, 1), 2), Size("slot", (2, 1), 1, raises=True)
POOL, SINGLE, PAIR = Size("pool", (1, 1, 1), 1), Size("pool", (2, 1), 1), Size("pool", (2, 1), 2)
# what is wrong in deadlines, owners, counts, repeated effects, about what is over, or between two pools: none of it is projected
INVISIBLE = {
    "timer kept",
    "keeps idle timer",
    "waits for itself",  # the specifications know no owners
    "waits for its parent",
    "undelivered grant kept",  # nor a cancellation of what was granted
    "undelivered grant breaks",
    "last deadline stands",  # nor a clock
    "miscounts",
    "starts twice",
    "grants twice",
    "stopped twice",
    "releases another lease",
    "missing guard",
    "waits for every shutdown",
    "serves another pool",
    "head of line",
    "pauses without end",
    "pauses again",
    "refuses for a pause",
    "one too many waits",  # the specifications bound no queue
    "one too few waits",
}


@cache
def _specified(size: Size) -> set[Edge]:
    with TemporaryDirectory() as directory:
        return Verifier.build(Path(directory), size).edges()


@pytest.mark.parametrize("size", [*SIZES, *(pytest.param(size, marks=LONG) for size in LARGE)], ids=str)
def test_the_specification_and_the_model_take_the_same_steps(size: Size) -> None:
    specified, modelled = _specified(size), explore(size.scenario())
    assert len(states(specified)) == len(states(modelled))
    assert sorted(specified - modelled)[:5] == [], "only the specification does this"
    assert sorted(modelled - specified)[:5] == [], "only the coordinator does this"
    print(row(size, specified))
    assert row(size, specified) in TABLE


@pytest.mark.parametrize("mutant", COORDINATORS, ids=lambda m: m.name)
def test_a_model_that_is_changed_takes_steps_that_are_not_specified(mutant: CoordinatorMutant) -> None:
    sizes = [POOL] if "api" in mutant.scenario else [SLOT, RAISING_SLOT]
    strange = [edge for size in sizes for edge in explore(size.scenario(), mutant.make) - _specified(size)]
    assert bool(strange) == (mutant.name not in INVISIBLE)


OVERTAKING, GRANTED_WHILE_STOPPING, TOO_MANY, STOPPED_WHILE_LEASED, FORGOTTEN, LATEST_FIRST, NOT_ADOPTED = range(1, 8)
PLANTED = [
    *((SLOT, bug) for bug in (OVERTAKING, GRANTED_WHILE_STOPPING, TOO_MANY, STOPPED_WHILE_LEASED, FORGOTTEN)),
    *((POOL, bug) for bug in (TOO_MANY, STOPPED_WHILE_LEASED)),
]


@pytest.mark.parametrize(("size", "bug"), PLANTED, ids=str)
def test_a_mistake_in_the_specification_is_found_by_its_assertions(tmp_path: Path, size: Size, bug: int) -> None:
    assert Verifier.build(tmp_path, size, BUG=bug).safety() is Answer.ASSERTION


def test_a_mistake_that_no_assertion_forbids_is_found_by_the_comparison(tmp_path: Path) -> None:
    size = Size("pool", (1, 1, 1), 2)  # it takes two that are idle, and a request for neither
    assert Verifier.build(tmp_path, size, BUG=LATEST_FIRST).edges() != _specified(size)


@pytest.mark.parametrize(("size", "watched"), [(SLOT, 0), (SLOT, 2), (SINGLE, 0)], ids=str)
def test_whoever_waits_is_served_in_the_end_if_everybody_does_their_duty(
    tmp_path: Path, size: Size, watched: int
) -> None:
    verifier = Verifier.build(tmp_path, size, watched=watched)
    assert verifier.liveness() is Answer.NOTHING
    assert verifier.liveness(fair=False) is Answer.CYCLE, "without fairness no task ever has to release"


def test_newcomers_that_overtake_starve_a_waiter_fair_or_not(tmp_path: Path) -> None:
    assert Verifier.build(tmp_path, SLOT, watched=2, BUG=OVERTAKING).liveness() is Answer.CYCLE


def test_joining_one_abandoned_start_after_another_cannot_last_for_ever(tmp_path: Path) -> None:
    """A finding of SPIN's (docs/second-opinion.md): if no request counted as the requester of a start whose requester has gone, then with
    two places the failures of such starts could keep a waiter from ever being served or told."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    assert Verifier.build(right, PAIR, watched=0).liveness() is Answer.NOTHING
    assert Verifier.build(wrong, PAIR, watched=0, BUG=NOT_ADOPTED).liveness() is Answer.CYCLE
    wishes = (Wish("api", "0", 1, renew=True), Wish("api", "0", 1, watched=True))
    scenario = replace(PAIR.scenario(), wishes=wishes, closing=False)
    for make, verdict in ((Coordinator, Verdict.PASS), (NotAdopted, Verdict.FAIL)):
        result = check(CoordinatorSystem(scenario, make), liveness=True)
        assert result.verdicts["every_waiter_is_served[0]"] is verdict
