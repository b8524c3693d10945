"""Write a counterexample as lines to read, and as a pytest function that fails as long as the fault is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Final

from ..core.coordinator import Coordinator
from ..core.events import Event, Expired
from .checker import Counterexample
from .scenario import Move, State
from .scenarios import LARGE, STANDARD
from .system import CoordinatorSystem

__all__ = ["Reproduction", "as_lines", "as_pytest"]


class Reproduction:
    """Repeats given events in a named scenario. Its attributes describe the last step. Raises ValueError for an unknown name."""

    def __init__(self, scenario: str, make: Callable[..., Coordinator] = Coordinator) -> None:
        known = {one.name: one for one in (*STANDARD, *LARGE)}
        if scenario not in known:
            raise ValueError(f"scenario {scenario!r} is none of {', '.join(known)}")
        self._system: Final = CoordinatorSystem(known[scenario], make)
        self.state, self.key = self._system.initial()
        self.violations: Sequence[str] = ()
        self.pending: frozenset[str] = frozenset()
        self.kept: tuple[int, ...] = ()

    def ask(self, wish: int) -> None:
        """Make the next request of the scenario's wish with this number. Raises ValueError where none is left."""
        for move in self._system.events(self.state):
            if move.wish == wish:
                self._take(move)
                return
        raise ValueError(f"wish {wish} cannot be asked for here")

    def tell(self, event: Event, *, seconds: float = 0.0) -> None:
        """Send ``event``, even one that the search would not. ``seconds``: how long the lease, load or pause that it ends has taken."""
        self._take(Move(event, None, seconds))

    def _take(self, move: Move) -> None:
        outcome = self._system.step(self.state, move)
        arrival = outcome.arrive()
        self.state, self.key, self.kept, self.pending = arrival.state, outcome.key, outcome.kept, arrival.pending
        self.violations = [*outcome.violations, *arrival.violations]


def as_lines(counterexample: Counterexample[State, Move]) -> list[str]:
    """Return a line for each event, and under it the state that it led to."""
    lines: list[str] = []
    once = len(counterexample.prefix)
    for number, event in enumerate(counterexample.events):
        if number == once:
            lines.append("and from here without end, each time with new tickets and ids:")
        lines.append(f"{number + 1}. {event}")
        if number + 1 < len(counterexample.states):
            lines.append(f"     {_picture(counterexample.states[number + 1])}")
    if counterexample.cycle == 0:
        lines.append("and then nothing more has to happen")
    elif counterexample.cycle:
        lines.append(f"which leads to the state before {once + 1} again")
    return lines


def _picture(state: State) -> str:
    instances = [f"instance {i.id} ({i.demand.model}) {i.state}" for i in state.coordinator.instances]
    requests = [f"request {r.ticket} ({r.demand.model}) {r.state}" for r in state.coordinator.requests]
    return ", ".join(instances + requests) or "nothing is there"


def as_pytest(
    scenario: str,
    broken: str,
    counterexample: Counterexample[State, Move],
    make: Callable[..., Coordinator] = Coordinator,
) -> str:
    """Return a test module that reproduces the violation of the property ``broken``. ``make``: a class that can be imported."""
    once = len(counterexample.prefix)
    body = [_statement(move) for move in counterexample.events]
    if counterexample.cycle:
        body.insert(once, "before = replay.key")
    words = "".join(c if c.isalnum() else "_" for c in f"{broken}_in_{scenario}").replace("__", "_")
    lines = [
        *_imports(counterexample, make),
        "",
        "",
        f"def test_{words}() -> None:",
        f"    replay = Reproduction({scenario!r}{'' if make is Coordinator else f', {_name(make)}'})",
        *(f"    {line}" for line in body),
        f"    assert {_expectation(broken, counterexample.cycle)}",
    ]
    return "\n".join(lines) + "\n"


def _expectation(broken: str, cycle: int | None) -> str:
    if cycle is None:
        return f"{broken!r} not in replay.violations"
    if cycle == 0:
        return f"{broken!r} not in replay.pending or replay.kept, 'it waits, and nothing is due'"
    return f"{broken!r} not in replay.pending or replay.key != before, 'the same again'"


def _statement(move: Move) -> str:
    if move.wish is not None:
        return f"replay.ask({move.wish})  # {move}"
    seconds = f", seconds={move.seconds}" if move.seconds else ""
    return f"replay.tell({_code(move.event)}{seconds})"


def _code(event: Event) -> str:
    if isinstance(event, Expired):
        kind, subject = event.timer
        return f"Expired(Timer(TimerKind.{kind.name}, {subject}))"
    values = (f"{field.name}={getattr(event, field.name)!r}" for field in fields(event))
    return f"{type(event).__name__}({', '.join(values)})"


def _imports(counterexample: Counterexample[State, Move], make: Callable[..., Coordinator]) -> list[str]:
    told = {type(move.event).__name__ for move in counterexample.events if move.wish is None}
    if "Expired" in told:
        told |= {"Timer", "TimerKind"}
    lines = [f"from statemachine.core.events import {', '.join(sorted(told))}"] if told else []
    lines.append("from statemachine.checking.reproduction import Reproduction")
    return lines if make is Coordinator else [*lines, f"from {make.__module__} import {_name(make)}"]


def _name(make: Callable[..., Coordinator]) -> str:
    return make.__qualname__
