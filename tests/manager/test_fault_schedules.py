"""R1, R5, R9, R13 at every schedule and every checkpoint: streams that others end, rude observers, stored cancellations, children."""

from __future__ import annotations

from functools import partial

import pytest

from statemachine.schedules import NATURAL, Cancelling, Exhaustive, RandomWalk, explore, run, sweep
from tests.proof.faults import FAULTS, Ending, a_stream_is_ended, close, fault, read, release
from tests.proof.mutants.attacked import (
    FreedBeforeItsEnd,
    KeepsTheLeaseOfAnError,
    KnowsNoParents,
    TakesACancellationForItsOwn,
)
from tests.proof.mutants.waiting import WaitsForItself, WaitsForItsParent
from tests.proof.subject import PRODUCTION, Part, Subject

MOST_RUNS = 1500


@pytest.mark.parametrize("name", FAULTS)
def test_r01_r05_r09_r13_at_every_schedule(name: str) -> None:
    report = explore(partial(fault, name), Exhaustive(MOST_RUNS))
    report.raise_if_failed()
    assert report.complete
    assert report.runs > 20


@pytest.mark.parametrize("name", FAULTS)
def test_r01_r05_r09_r13_cancelled_at_every_checkpoint(name: str) -> None:
    def attempt(cancelling: Cancelling) -> None:
        program = partial(FAULTS[name], PRODUCTION, cancelling)
        run(program, NATURAL, instruments=[cancelling]).raise_if_failed()

    assert sweep(attempt) > 1


@pytest.mark.parametrize(
    "endings",
    [(close, close), (read, close), (close, release, close), (read, read, release)],
    ids=lambda endings: ", ".join(ending.__name__ for ending in endings),
)
def test_r01_larger_mixtures_survive_many_schedules(endings: tuple[Ending, ...]) -> None:
    explore(partial(a_stream_is_ended, PRODUCTION, None, *endings), RandomWalk(60)).raise_if_failed()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("R1, closed", FreedBeforeItsEnd),
        ("R5", KeepsTheLeaseOfAnError),
        ("R9", TakesACancellationForItsOwn),
        ("R13", KnowsNoParents),
        ("R13", WaitsForItsParent),
        ("R13", WaitsForItself),
    ],
)
@pytest.mark.filterwarnings("ignore:a lease of .* was dropped unreleased:ResourceWarning")
def test_what_does_it_wrong_is_caught(name: str, part: Part) -> None:
    assert explore(partial(fault, name, Subject.with_part(part)), Exhaustive(20)).failure is not None
