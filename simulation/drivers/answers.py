"""Answers that take longer than they would alone and warm: others share the instance or the machine, faults strike, a prompt cache is lost.

Where calls share an instance, answers go on piece by piece, because others come and go.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Set
from typing import NamedTuple

from statemachine.core.coordinator import Coordinator
from statemachine.core.index import Instance

from ..timing.durations import AnswerTimes, alone
from .agenda import BEGIN, END, Agenda
from .plan import ReplayPlan

__all__ = ["Answers", "Ends"]


class Ends(NamedTuple):
    """What a run does at the end of an answer, given the ticket: when it is whole, and when its instance crashed."""

    whole: Callable[[int], None]
    crashed: Callable[[int], None]


class Answers:
    """The answers of one run, on its ``agenda``. ``busy`` are the instances at work.

    ``machines``: of each provider that shares its machine with another. ``calls`` has the call of each ticket; ``first_token`` takes the
    moment of each call's first token.
    """

    def __init__(
        self,
        plan: ReplayPlan,
        agenda: Agenda,
        model: Coordinator,
        ends: Ends,
        *,
        shared: bool,
        machines: Mapping[str, int],
        busy: Set[int],
        calls: array[int],
        first_token: array[float],
    ) -> None:
        self.plan, self.agenda, self.model, self.ends = plan, agenda, model, ends
        self.shared, self.machines, self.busy = shared, machines, busy
        self.calls, self.first_token = calls, first_token
        self.homes: dict[str, int] = {}  # of each agent: the instance whose prompt cache has its last prompt
        self.at_work: dict[int, AnswerTimes] = {}  # of each call that is at work in a shared instance and has not begun
        self.pieces: dict[int, Iterator[float]] = {}

    def begin(self, ticket: int, call: int, instance: int) -> None:
        """Begin the answer to ``call``, which has its lease of ``instance``."""
        answer, agenda = self._answer(call, instance), self.agenda
        faults = self.plan.faults
        crash = None if faults is None else faults.crash_at(call)
        if faults is not None and (stall := faults.stall_of(call)):
            answer = AnswerTimes(answer.prefill + stall, answer.pieces)
        if crash is not None:
            agenda.push(crash * alone(answer)[1], END, self.ends.crashed, ticket)
        elif self.shared:
            self.at_work[call], self.pieces[call] = answer, iter(answer.pieces)
            agenda.push(0.0, BEGIN, self._read_prompt, ticket)
        else:
            first, whole = alone(answer)
            lasting = first if faults is None else faults.lasting(agenda.now, first)
            self.first_token[call] = agenda.now + lasting
            agenda.push(whole, END, self.ends.whole, ticket)

    def _answer(self, call: int, instance: int) -> AnswerTimes:
        """Return how long ``call`` takes here: its cached tokens are found in the instance that its agent's last prompt went to."""
        planned, forgetful = self.plan.calls[call], self.plan.forgetful
        if forgetful is None:
            return self.plan.timing.answer(planned)
        warm = self.homes.get(planned.agent) == instance
        self.homes[planned.agent] = instance
        return forgetful.answer(planned) if warm else forgetful.cold_answer(planned)

    # ---- piece by piece ----

    def _read_prompt(self, ticket: int) -> None:
        prefill = self.at_work.pop(self.calls[ticket]).prefill
        self.agenda.push(prefill * self._slowdown(ticket, reading=True), END, self._first_piece, ticket)

    def _first_piece(self, ticket: int) -> None:
        piece = next(self.pieces[self.calls[ticket]])
        self.agenda.push(piece * self._slowdown(ticket), END, self._first_token_is_there, ticket)

    def _first_token_is_there(self, ticket: int) -> None:
        self.first_token[self.calls[ticket]] = self.agenda.now
        self._next_piece(ticket)

    def _next_piece(self, ticket: int) -> None:
        piece = next(self.pieces[self.calls[ticket]], None)
        if piece is None:
            del self.pieces[self.calls[ticket]]
            self.ends.whole(ticket)
        else:
            self.agenda.push(piece * self._slowdown(ticket), END, self._next_piece, ticket)

    def _slowdown(self, ticket: int, *, reading: bool = False) -> float:
        instance = self.model.requests[ticket].instance
        assert instance is not None, "a granted request has an instance"
        return self.plan.timing.slowdown(len(instance.leases), self._at_work_beside(instance), reading=reading)

    def _at_work_beside(self, instance: Instance) -> int:
        """Count the instances that answer on the machine of ``instance``, itself included."""
        if not self.machines:
            return 1
        machine, instances = self.machines.get(instance.demand.provider), self.model.instances
        return sum(self.machines.get(instances[number].demand.provider) == machine for number in self.busy)
