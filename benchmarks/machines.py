"""Machines: one trigger of an instance that goes from idle to active and back, against other libraries and a bare dict.

Each side is as its library has it in its first example; there are no callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from statemachine.core.lifecycle import INSTANCE

from .measuring.compare import clock
from .measuring.results import load, write
from .measuring.rounds import Side, against, alternate, packages_of

__all__ = ["measure"]

OPERATIONS: Final = 5000


def measure(folder: Path, rounds: int) -> Path:
    """Measure and write ``machines.json``."""
    before = load()
    timings, skipped = alternate(SIDES, rounds)
    figures = {"trigger": against(timings, "transitions"), "skipped": skipped}
    return write(folder, "machines", figures, load_before=before, packages=packages_of(SIDES))


def ours() -> Callable[[], float]:
    """The compiled table of our instance machine."""
    subject = SimpleNamespace(state="idle")

    def work() -> None:
        INSTANCE.fire(subject, "acquire")
        INSTANCE.fire(subject, "release")

    return _round(work)


def transitions() -> Callable[[], float]:
    """The same machine through plain ``transitions``, which declares it."""
    subject = SimpleNamespace(state="idle")
    acquire, release = INSTANCE.events["acquire"], INSTANCE.events["release"]

    def work() -> None:
        acquire.trigger(subject)
        release.trigger(subject)

    return _round(work)


def bare_dict() -> Callable[[], float]:
    """A dictionary from (state, trigger) to the state after it."""
    subject = SimpleNamespace(state="idle")
    table = {("idle", "acquire"): "active", ("active", "release"): "idle"}

    def fire(trigger: str) -> None:
        subject.state = table[subject.state, trigger]

    def work() -> None:
        fire("acquire")
        fire("release")

    return _round(work)


def _round(work: Callable[[], None]) -> Callable[[], float]:
    """Seconds per trigger; ``work`` makes two."""

    def make_round() -> float:
        began = clock()
        for _ in range(OPERATIONS):
            work()
        return (clock() - began) / (2 * OPERATIONS)

    return make_round


SIDES: Final = {
    "ours": Side("benchmarks.machines:ours"),
    "transitions": Side("benchmarks.machines:transitions"),
    "a bare dict": Side("benchmarks.machines:bare_dict"),
    "automat": Side("benchmarks.peers.automat_machine:trigger", (OPERATIONS,), "libraries"),
    "python-statemachine": Side("benchmarks.peers.python_statemachine:trigger", (OPERATIONS,), "python-statemachine"),
}
