"""The command ``diagram``: draw the machines of :mod:`.lifecycle` as Mermaid state diagrams, from their own tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .lifecycle import MACHINES, MANAGER, FastMachine

__all__ = ["Options", "mermaid", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """There are none."""


def run(options: Options) -> int:
    """Print a diagram of each machine. Returns the exit status."""
    print("\n\n".join(f"%% {machine.kind}\n{mermaid(machine)}" for machine in (*MACHINES, MANAGER)))
    return 0


def mermaid(machine: FastMachine[Any, Any]) -> str:
    """Draw ``machine`` as a Mermaid state diagram, from its own events. Triggers between the same two states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for trigger, row in machine.table.items():
        for source, dest in row.items():
            arrows.setdefault((source, dest), []).append(trigger)
    lines = ["stateDiagram-v2", f"    [*] --> {machine.initial}"]
    lines += [f"    {source} --> {dest}: {', '.join(triggers)}" for (source, dest), triggers in arrows.items()]
    sources = {source for source, _ in arrows}
    lines += [f"    {state} --> [*]" for state in machine.states if state not in sources]
    return "\n".join(lines)
