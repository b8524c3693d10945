"""The layers that run the real manager under controlled schedules, each as a function from a subject to a finding or None."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from statemachine.schedules import PCT, Exhaustive, Program, RandomWalk, ScheduleError, Strategy, Walk, explore

from .cancellation import ACQUIRES, CLOSES, FAILING_STREAMS, STREAMS, Case, sweep_case
from .drawn import SMALL, drawn, small
from .expect import DoesNotHoldError
from .faults import FAULTS, fault
from .interruptions import INTERRUPTED, interrupted
from .subject import PRODUCTION, Subject, as_argument

__all__ = ["LAYERS", "Finding", "Layer", "cancellation", "every_schedule", "faults", "interruptions", "some_schedules"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a layer has found. ``what``: in a line; ``counterexample``: in full, with what reproduces it; ``runs``: that were needed."""

    layer: str
    what: str
    counterexample: str
    runs: int
    seconds: float


Layer: TypeAlias = Callable[[Subject], Finding | None]


def some_schedules(subject: Subject = PRODUCTION, programs: int = 100, schedules: int = 4) -> Finding | None:
    """Drawn programs of agents, each under the natural order and some other schedules: random ones and PCT in turn."""

    def strategy(seed: int) -> Strategy:
        return PCT(schedules, seed) if seed % 2 else RandomWalk(schedules, seed)

    lives: list[tuple[Program, Strategy]] = [
        (partial(drawn, seed, *as_argument(subject)), strategy(seed)) for seed in range(programs)
    ]
    return _explored("some schedules", lives)


def every_schedule(
    subject: Subject = PRODUCTION, most_runs: int = 10_000, *, must_be_complete: bool = True
) -> Finding | None:
    """Small programs, each under every schedule, or ``most_runs`` of them. An incomplete search is a finding, unless it need not be
    complete."""
    lives: list[tuple[Program, Strategy]] = [
        (partial(small, name, *as_argument(subject)), Exhaustive(most_runs)) for name in SMALL
    ]
    return _explored("every schedule", lives, must_be_complete)


def cancellation(
    subject: Subject = PRODUCTION, cases: Sequence[Case] = (*ACQUIRES, *STREAMS, *FAILING_STREAMS, *CLOSES)
) -> Finding | None:
    """Cancellation at every step, once and twice, in the natural order and in another one."""
    began = time.perf_counter()
    for number, case in enumerate(cases, 1):
        try:
            sweep_case(case, subject)
            sweep_case(case, subject, lambda: Walk("0"), twice=False)
        except ScheduleError as error:
            what = f"{case.name}: {str(error).splitlines()[0]}"
            return Finding("cancellation", what, f"{case.name}\n{error}", number, time.perf_counter() - began)
    return None


def faults(subject: Subject = PRODUCTION, most_runs: int = 300) -> Finding | None:
    """The faults that attacks have found, under every schedule, or ``most_runs`` of them each."""
    programs: list[tuple[Program, Strategy]] = [
        (partial(fault, name, *as_argument(subject)), Exhaustive(most_runs)) for name in FAULTS
    ]
    return _explored("faults", programs)


def interruptions(subject: Subject = PRODUCTION, stride: int = 3) -> Finding | None:
    """A release as of a signal handler, before every ``stride``-th line of a hand-over and of the setting of a deadline."""
    began = time.perf_counter()
    for number, name in enumerate(INTERRUPTED, 1):
        try:
            interrupted(name, subject, stride)
        except DoesNotHoldError as error:
            return Finding("interruptions", str(error), str(error), number, time.perf_counter() - began)
    return None


LAYERS: Final[dict[str, Layer]] = {
    "faults": faults,
    "interruptions": interruptions,
    "some schedules": some_schedules,
    "cancellation": cancellation,
    "every schedule": every_schedule,
}
"""By name, the quickest first."""


def _explored(layer: str, lives: Sequence[tuple[Program, Strategy]], must_be_complete: bool = False) -> Finding | None:
    began = time.perf_counter()
    runs = 0
    for program, strategy in lives:
        report = explore(program, strategy)
        runs += report.runs
        if report.failure is not None or (must_be_complete and not report.complete):
            what = "incomplete" if report.failure is None else str(report.failure.run).splitlines()[0]
            return Finding(layer, what, str(report), runs, time.perf_counter() - began)
    return None
