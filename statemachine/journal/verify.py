"""Verify a journal: replay it through a new coordinator, and evaluate every ``always`` property on every change.

A journal *conforms* if a coordinator that gets the same events at the same times makes the same changes with the same effects, and every
property holds. The last line of a process that was killed may be cut off. Such a journal can conform, and the verdict mentions it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..checking.passing import Account, after, within_bounds
from ..checks import is_number
from ..core.coordinator import Coordinator
from ..core.events import Expired, Transition
from ..errors import InvariantError, JournalError
from ..foreign import ForeignJSONError, read_json
from ..policies import PolicyFactory
from ..properties.invariants import checking, looking
from ..properties.property import Step
from ..text import fit_to_show
from .forms import Demands, configuration, event_of, form

__all__ = ["Verification", "verify", "verify_lines"]

LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024
BOUND: Final = "No waiting request is passed over more often than the bound of its policy allows."


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification. ``changes``: how many conform. ``problem``: what does not (None: all do).

    ``before``: the instances and requests before the change that does not conform. ``truncated``: the last line was cut off and ignored.
    """

    changes: int
    problem: str | None = None
    before: tuple[str, ...] = ()
    truncated: bool = False

    @property
    def conforms(self) -> bool:
        """Whether every whole line conforms."""
        return self.problem is None


def verify(paths: Iterable[Path], *, policy: PolicyFactory | str | None = None) -> Verification:
    """Verify the files of one journal, oldest first. ``policy`` is its policy where the header names none.

    Raises JournalError where a file cannot be read or is no journal, and ConfigurationError as :func:`verify_lines`.
    """
    return verify_lines(_lines(paths), policy=policy)


def verify_lines(lines: Iterable[bytes], *, policy: PolicyFactory | str | None = None) -> Verification:
    """Verify the lines of one journal, each with its line end.

    Raises JournalError, and ConfigurationError where the header holds what is no configuration.
    """
    rows = iter(lines)
    first = _row(next(rows, b""), 1)
    replay = _Replay(Coordinator, configuration(first, policy))
    for number, line in enumerate(rows, 2):
        if not line.endswith(b"\n"):
            return Verification(replay.changes, truncated=True)
        before = replay.states()
        if (problem := replay.take(_row(line, number))) is not None:
            return Verification(replay.changes, problem, before)
    problem = replay.unfinished()
    return Verification(replay.changes, problem)


class _Replay:
    """A coordinator that gets the events of the journal, and the comparison of what it does with what was written."""

    def __init__(self, make: type[Coordinator], config: Any) -> None:
        self.changes = 0
        self._number = 0  # of the last line
        self._time = -math.inf
        self._broken: InvariantError | None = None
        self._account: Account = ()
        self._coordinator = make(config, watch=looking(checking(self._report), self._look))
        self._demands = Demands()
        self._made: list[tuple[Any, Any]] = []
        self._due: list[dict[str, Any]] = []  # lines of expired deadlines: the step of the next event makes them itself

    def take(self, row: Mapping[str, Any]) -> str | None:
        """Replay one line. Return what does not conform, or None."""
        said = row.get("event")
        if not isinstance(said, Mapping):
            raise JournalError(f"the line of change {_short(row.get('n'))} has no event")
        if (problem := self._misplaced(row.get("n"), row.get("t"))) is not None:
            return problem
        try:
            self._due.append({"n": row.get("n"), "told": (self._resolved(said), self._resolved(row.get("effects")))})
            if said.get("is") == Expired.__name__:
                return None
            rows, self._due, self._made = self._due, [], []
            self._coordinator.step(event_of(rows[-1]["told"][0], self._demands), row["t"])
        except Exception as error:  # whatever an event that never was makes the coordinator raise
            return f"change {row.get('n')} cannot happen: {fit_to_show(str(error))}"
        return self._compared(rows)

    def _misplaced(self, number: object, time: object) -> str | None:
        """Return what is wrong with a line's number and time, or None: lines may have been taken out, exchanged or doubled."""
        if number != self._number + 1:
            return f"change {self._number + 1} is missing: the next line is that of change {_short(number)}"
        if not (is_number(time) and self._time <= time < math.inf):
            return f"change {number}: its time, {_short(time)}, is not after that of the change before it"
        self._number, self._time = self._number + 1, time
        return None

    def unfinished(self) -> str | None:
        """Return what is wrong with the end of the journal, or None."""
        return "the journal ends with expired deadlines and without the event that showed them" if self._due else None

    def states(self) -> tuple[str, ...]:
        """Describe the instances and requests of now."""
        instances = [f"instance {i.id} ({i.demand.model}) {i.state}" for i in self._coordinator.instances.values()]
        requests = [f"request {r.ticket} ({r.demand.model}) {r.state}" for r in self._coordinator.requests.values()]
        return (*instances, *requests)

    def _compared(self, rows: list[dict[str, Any]]) -> str | None:
        for row, made in zip(rows, self._made, strict=False):
            if row["told"] != made:
                said = f"the journal says {_short(row['told'])}, the coordinator does {_short(made)}"
                return f"change {row['n']}: {said}"
            self.changes += 1
        if len(rows) != len(self._made):
            return (
                f"change {rows[-1]['n']}: the journal has {len(rows)} changes, the coordinator makes {len(self._made)}"
            )
        return None if self._broken is None else str(self._broken)

    def _report(self, error: InvariantError) -> None:
        self._broken = self._broken or error

    def _look(self, step: Step) -> bool:
        effects = [form(effect, self._demands) for effect in step.effects if not isinstance(effect, Transition)]
        event = form(step.event, self._demands)
        self._made.append((event, effects))
        self._account = after(self._account, step)
        if not within_bounds(step.after, self._account):
            self._report(InvariantError("policy_bound", BOUND, self.changes + len(self._made), event["is"]))
        return True

    def _resolved(self, value: object) -> Any:
        """Return ``value`` with a number in place of each demand that is written out."""
        if isinstance(value, Mapping):
            if "signature" in value:
                self._demands.demand_of(value)
                return value["number"]
            return {name: self._resolved(part) for name, part in value.items()}
        return [self._resolved(part) for part in value] if isinstance(value, list) else value


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _row(line: bytes, number: int) -> Mapping[str, Any]:
    try:
        row = read_json(line)
    except ForeignJSONError as error:
        raise JournalError(f"line {number} is not JSON: {error}") from error
    if not isinstance(row, Mapping):
        raise JournalError(f"line {number} is not a JSON object")
    return row


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            with path.open("rb") as file:
                while line := file.readline(LINE_LIMIT_BYTES):
                    yield line
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error
