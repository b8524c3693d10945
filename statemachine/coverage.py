"""Coverage of the machines: which of their states were reached, and which of their transitions fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from .events import Effect, Transition
from .lifecycle import MACHINES

__all__ = ["Fired", "every_transition", "reached", "split", "table"]


class Fired(NamedTuple):
    """One transition of one machine."""

    machine: str
    trigger: str
    source: str
    dest: str

    def __str__(self) -> str:
        return f"{self.machine}: {self.source} --{self.trigger}--> {self.dest}"


def every_transition() -> list[Fired]:
    """What the machines declare."""
    return [
        Fired(machine.kind, trigger, source, dest)
        for machine in MACHINES
        for trigger, row in machine.table.items()
        for source, dest in row.items()
    ]


def split(effects: Iterable[Effect]) -> tuple[list[Effect], list[Fired]]:
    """A recording model's effects: those that the driver carries out, and what fired."""
    work: list[Effect] = []
    fired: list[Fired] = []
    for effect in effects:
        if isinstance(effect, Transition):
            fired.append(Fired(effect.machine, effect.trigger, effect.source, effect.dest))
        else:
            work.append(effect)
    return work, fired


def reached(fired: Iterable[Hashable], machine: str) -> set[str]:
    """The states of ``machine`` that the transitions ``fired`` begin or end in."""
    mine = (one for one in fired if isinstance(one, Fired) and one.machine == machine)
    return {state for one in mine for state in (one.source, one.dest)}


def table(fired: Counter[Hashable]) -> str:
    """States and transitions of each machine, how often the rarest transition fired, and those that never did."""
    lines = [f"{'machine':<16}{'states reached':>16}{'transitions fired':>20}  rarest"]
    for machine in MACHINES:
        declared = [one for one in every_transition() if one.machine == machine.kind]
        states = f"{len(reached(fired, machine.kind))} of {len(machine.states)}"
        done = f"{sum(one in fired for one in declared)} of {len(declared)}"
        rarest = min(declared, key=lambda one: fired[one])
        lines.append(f"{machine.kind:<16}{states:>16}{done:>20}  {rarest} ({fired[rarest]} times)")
    return "\n".join(lines + [f"    never fired: {one}" for one in every_transition() if one not in fired])
