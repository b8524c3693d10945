"""The three machines: instance, request, pool. Every state change of the running program is one of theirs.

**Instance**: one adapter, from before its construction to after its shutdown. Creation and shutdown take time, so
``starting`` and ``stopping`` are states of their own: whoever leaves them implicit grants a lease on what is going away, or
starts a second model before the first is down. ``draining`` is an instance that was reported broken while others still
lease it.

**Request**: one call of ``acquire``, from the call to the end of its lease. ``waiting`` is queueing; ``assigned`` means
that a start (or the shutdown that makes room for it) is under way on its behalf, which is loading.

**Pool**: the places of one API provider, or the one place of a local slot. ``saturated`` means that no place
could be given to a new signature now.

Each kind has one shared ``transitions.Machine``. Subjects are plain objects with a ``state``, never registered with it, because a
registered model costs 4 kB and a linear search. A trigger of ``transitions`` costs 5-20 us; :meth:`FastMachine.fire` looks the same
transition up in a table that is compiled from the machine's own events, and a test proves the two equal over every state
and trigger. An illegal trigger raises ``transitions.MachineError`` and changes nothing.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol, TypeAlias

from transitions import Machine, MachineError

__all__ = ["INSTANCE", "MACHINES", "POOL", "REQUEST", "FastMachine", "MachineError", "Subject", "mermaid"]

InstanceState: TypeAlias = Literal["absent", "starting", "active", "idle", "draining", "stopping", "evicted"]
RequestState: TypeAlias = Literal[
    "new", "waiting", "assigned", "granted", "rejected", "cancelled", "timed_out", "failed", "released", "revoked"
]
PoolState: TypeAlias = Literal["open", "saturated", "closing", "closed"]


class Subject(Protocol):
    """Whatever a machine moves: it has a ``state``, and nothing else is asked of it."""

    state: Any


class FastMachine(Machine):
    """A ``transitions.Machine`` that can also fire from a compiled table: same transitions, tens of times faster.

    Only machines without conditions and callbacks can be compiled; anything else is refused, so that the table can never
    mean less than the machine.
    """

    def __init__(
        self, kind: Literal["instance", "request", "pool"], states: list[str], transitions: list[dict[str, Any]]
    ) -> None:
        super().__init__(
            model=None, states=states, initial=states[0], transitions=transitions, auto_transitions=False, name=kind
        )
        self.kind: Final = kind
        self.table: Final = self._compile()

    def _compile(self) -> dict[str, dict[str, str]]:
        table: dict[str, dict[str, str]] = {}
        for trigger, event in self.events.items():
            row = table.setdefault(trigger, {})
            for source, candidates in event.transitions.items():
                (transition,) = candidates
                if transition.conditions or transition.prepare or transition.before or transition.after:
                    raise ValueError(
                        f"{self.kind}.{trigger}: a transition with conditions or callbacks cannot be compiled"
                    )
                row[source] = transition.dest or source
        return table

    def fire(self, subject: Subject, trigger: str) -> None:
        """Move ``subject`` by ``trigger``. Raises MachineError, and changes nothing, where that is illegal."""
        try:
            subject.state = self.table[trigger][subject.state]
        except KeyError:
            raise MachineError(f"{self.kind}: can't trigger {trigger!r} from state {subject.state!r}") from None


def _machine(kind: Literal["instance", "request", "pool"], states: type, *rows: tuple[str, str, str]) -> FastMachine:
    names: list[str] = list(states.__args__)  # type: ignore[attr-defined]  # a Literal keeps its words there
    transitions = [
        {"trigger": trigger, "source": source, "dest": dest}
        for trigger, sources, dest in rows
        for source in sources.split()
    ]
    return FastMachine(kind, names, transitions)


INSTANCE: Final = _machine(
    "instance",
    InstanceState,  # type: ignore[arg-type]
    ("start", "absent", "starting"),
    ("abort", "starting", "absent"),  # construction itself failed: there is nothing to shut down
    ("fail", "starting", "stopping"),  # it may have half happened: shut it down
    ("activate", "starting", "active"),
    ("settle", "starting", "idle"),  # whoever asked for it has gone
    ("acquire", "idle", "active"),
    ("release", "active", "idle"),
    ("drain", "active", "draining"),
    ("stop", "starting active draining idle", "stopping"),
    ("evict", "stopping", "evicted"),
)

REQUEST: Final = _machine(
    "request",
    RequestState,  # type: ignore[arg-type]
    ("wait", "new", "waiting"),
    ("assign", "new waiting", "assigned"),
    ("requeue", "assigned", "waiting"),  # the start it had joined failed for somebody else
    ("grant", "new waiting assigned", "granted"),
    ("reject", "new waiting assigned", "rejected"),
    ("cancel", "waiting assigned", "cancelled"),
    ("time_out", "waiting assigned", "timed_out"),
    ("fail", "assigned", "failed"),
    ("release", "granted", "released"),
    ("revoke", "granted", "revoked"),
)

POOL: Final = _machine(
    "pool",
    PoolState,  # type: ignore[arg-type]
    ("saturate", "open", "saturated"),
    ("relax", "saturated", "open"),
    ("close", "open saturated", "closing"),
    ("finish", "closing", "closed"),
)

MACHINES: Final = (INSTANCE, REQUEST, POOL)


def mermaid(machine: FastMachine) -> str:
    """The machine as a Mermaid state diagram, drawn from its own events; triggers between two states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for trigger, row in machine.table.items():
        for source, dest in row.items():
            arrows.setdefault((source, dest), []).append(trigger)
    lines = ["stateDiagram-v2", f"    [*] --> {machine.initial}"]
    lines += [f"    {source} --> {dest}: {', '.join(triggers)}" for (source, dest), triggers in arrows.items()]
    sources = {source for source, _ in arrows}
    lines += [f"    {state} --> [*]" for state in machine.states if state not in sources]
    return "\n".join(lines)
