"""Coverage: which states of the machines were reached, which transitions fired, which pairs of them, and which decisions were taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from ..core.events import Effect, Transition
from ..core.lifecycle import MACHINES
from ..properties.property import Step
from .decisions import Branch, branches, every_branch

__all__ = [
    "IMPOSSIBLE",
    "Fired",
    "Last",
    "Pair",
    "covered_by",
    "every_pair",
    "every_transition",
    "reached",
    "split",
    "table",
]


class Fired(NamedTuple):
    """One transition of one machine."""

    machine: str
    trigger: str
    source: str
    dest: str

    def __str__(self) -> str:
        return f"{self.machine}: {self.source} --{self.trigger}--> {self.dest}"


class Pair(NamedTuple):
    """Two transitions of one subject, one after the other."""

    machine: str
    first: str
    between: str  # the state that the first leads to
    second: str

    def __str__(self) -> str:
        return f"{self.machine}: --{self.first}--> {self.between} --{self.second}-->"


Last: TypeAlias = Mapping[tuple[str, Hashable], str]
"""The trigger of the last transition of each subject, by machine and subject."""


IMPOSSIBLE: Final[Mapping[Hashable, str]] = {
    Pair(
        "instance", "abort", "absent", "start"
    ): "what could not be constructed is forgotten; the next start is of another instance",
    Branch("refuse", "waiter, conflict"): "a waiting request's owner holds leases of that same model only",
}
"""What the machines and decisions allow by themselves and the coordinator never does, with the reason."""

_ENDS: Final = {dest for m in MACHINES for row in m.table.values() for dest in row.values()} - {
    source for m in MACHINES for row in m.table.values() for source in row
}


def every_transition() -> list[Fired]:
    """Return every transition that the machines declare."""
    return [
        Fired(machine.kind, trigger, source, dest)
        for machine in MACHINES
        for trigger, row in machine.table.items()
        for source, dest in row.items()
    ]


_FIRED: Final = {(one.machine, one.trigger, one.source): one for one in every_transition()}


def every_pair() -> list[Pair]:
    """Return every pair of transitions that the machines allow, one after the other."""
    declared = every_transition()
    found = [
        Pair(one.machine, one.trigger, one.dest, other.trigger)
        for one in declared
        for other in declared
        if other.machine == one.machine and other.source == one.dest
    ]
    return list(dict.fromkeys(found))


_PAIRS: Final[dict[tuple[str, ...], Pair]] = {pair: pair for pair in every_pair()}


def split(effects: Iterable[Effect]) -> tuple[list[Effect], list[Transition]]:
    """Split the effects of a coordinator that records: those that the driver carries out, and the transitions."""
    work: list[Effect] = []
    fired: list[Transition] = []
    for effect in effects:
        if isinstance(effect, Transition):
            fired.append(effect)
        else:
            work.append(effect)
    return work, fired


def covered_by(step: Step, fired: Sequence[Transition], last: Last) -> tuple[Last, list[Hashable]]:
    """Return the last transitions after ``step``, in which these ``fired``, and everything that the step covers."""
    covered: list[Hashable] = [*branches(step, fired)]
    if not fired:
        return last, covered
    latest = dict(last)
    for one in fired:
        covered.append(_FIRED[one.machine, one.trigger, one.source])
        subject = one.machine, one.subject
        before = latest.pop(subject, None)
        if before is not None:
            covered.append(_PAIRS[one.machine, before, one.source, one.trigger])
        if one.dest not in _ENDS:
            latest[subject] = one.trigger
    return latest, covered


def reached(fired: Iterable[Hashable], machine: str) -> set[str]:
    """Return the states of ``machine`` that the transitions ``fired`` begin or end in."""
    mine = (one for one in fired if isinstance(one, Fired) and one.machine == machine)
    return {state for one in mine for state in (one.source, one.dest)}


def table(fired: Counter[Hashable], *, verbose: bool = True) -> str:
    """Return a table: for each machine the states, transitions and pairs that were seen, for each decision the outcomes.

    ``verbose``: with everything that was never seen, and the reason where it is impossible.
    """
    lines = [f"{'machine':<10}{'states':>10}{'transitions':>13}{'pairs':>10}  rarest transition"]
    for machine in MACHINES:
        declared = [one for one in every_transition() if one.machine == machine.kind]
        rarest = min(declared, key=lambda one: fired[one])
        states = f"{len(reached(fired, machine.kind))} of {len(machine.states)}"
        together = _share([one for one in every_pair() if one.machine == machine.kind], fired)
        lines.append(
            f"{machine.kind:<10}{states:>10}{_share(declared, fired):>13}{together:>10}  {rarest} ({fired[rarest]} times)"
        )
    lines += ["", f"{'decision':<10}{'outcomes':>10}  rarest outcome"]
    for decision in dict.fromkeys(branch.decision for branch in every_branch()):
        branches = [branch for branch in every_branch() if branch.decision == decision]
        least = min(branches, key=lambda one: fired[one])
        lines.append(f"{decision:<10}{_share(branches, fired):>10}  {least.outcome} ({fired[least]} times)")
    return "\n".join([*lines, "", *_unseen(fired)] if verbose else lines)


def _share(declared: Sequence[Hashable], fired: Counter[Hashable]) -> str:
    return f"{sum(one in fired for one in declared)} of {len(declared)}"


def _unseen(fired: Counter[Hashable]) -> Iterator[str]:
    everything: list[Hashable] = [*every_transition(), *every_pair(), *every_branch()]
    for one in everything:
        if one not in fired:
            yield f"never: {one}" + (f" (impossible: {IMPOSSIBLE[one]})" if one in IMPOSSIBLE else "")
