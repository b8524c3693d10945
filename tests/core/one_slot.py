"""A slot that is simulated without the coordinator, to hold policies to their bounds: one model at a time, one request at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from statemachine.policies import Choice, Pause, Policy, PolicyFactory


@dataclass(eq=False)
class Asked:
    """A request. ``known``: the youngest ticket when the first younger one of each model that passed it over began to be served."""

    ticket: int
    signature: str
    agent: str | None = None
    priority: int = 0
    is_assigned: bool = False
    passes: int = 0
    known: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)


class Slot:
    """One model at a time, one request at a time; the bound of the policy is checked at each placement."""

    def __init__(self, make: PolicyFactory, make_oracle: Callable[[], Any] | None = None) -> None:
        self.make = make
        self.policy: Policy = make()
        self.oracle = make_oracle() if make_oracle else None
        self.waiting: dict[int, Asked] = {}
        self.tickets = 0
        self.resident = ""
        self.loading: Asked | None = None
        self.busy: Asked | None = None
        self.pause: Pause | None = None
        self.loads_take = 0  # milliseconds; an answer takes a second

    def tell(self, event: str, *what: object) -> None:
        getattr(self.policy, event)(*what)
        if self.oracle is not None:
            getattr(self.oracle, event)(*what)

    def arrive(self, signature: str, agent: str | None = None, priority: int = 0) -> None:
        self.tickets += 1
        asked = Asked(self.tickets, signature, agent, priority)
        self.waiting[asked.ticket] = asked
        self.tell("arrived", asked)
        self.place()

    def leave(self, pick: int) -> None:
        if self.waiting:
            asked = self.waiting.pop(sorted(self.waiting)[pick % len(self.waiting)])
            self.tell("left", asked)
            self.place()

    def go_on(self) -> None:
        """A load or an answer ends."""
        if self.loading is not None:
            served, self.loading = self.loading, None
            self.tell("loaded", served.signature, self.loads_take)
            self.resident = served.signature
            self.serve(served)
        elif self.busy is not None:
            self.tell("served", self.busy, 1000 * (1 + self.busy.ticket % 3 if self.busy.agent else 1))
            self.busy = None
        elif self.pause is not None:
            self.end_pause(self.pause.milliseconds)
        self.place()

    def fail(self) -> None:
        """A load fails, and the requests that were placed there come back, as if another had caused it."""
        if self.loading is not None:
            back, self.loading = self.loading, None
            self.tell("loaded", back.signature, None)
            back.is_assigned = False
            self.waiting[back.ticket] = back
            self.tell("arrived", back)
            self.resident = ""
            self.place()

    def serve(self, asked: Asked) -> None:
        self.busy, asked.is_assigned = asked, False
        for waiter in self.waiting.values():
            if waiter.ticket < asked.ticket and waiter.priority == asked.priority:
                waiter.known.setdefault(asked.signature, self.tickets)

    def choose(self) -> Choice | Pause | None:
        choice = self.policy.choose()
        assert choice == self.policy.choose(), "choosing changes nothing"
        assert (choice is None) == (not self.waiting)
        if self.oracle is not None:
            told = (choice.signature, choice.milliseconds) if isinstance(choice, Pause) else choice and choice.ticket
            assert told == self.oracle.choose()
        return choice

    def place(self) -> None:
        choice = self.choose()
        if self.loading is not None or self.busy is not None:
            return
        if isinstance(choice, Pause):
            assert not self.policy.work_conserving
            if choice.signature == self.resident:
                self.pause = choice
                return
            self.end_pause(0)
            choice = self.choose()
        if self.pause is not None:
            self.end_pause(self.pause.milliseconds // 2)
        assert not isinstance(choice, Pause), "one pause at a time"
        if choice is None:
            return
        asked = self.waiting.pop(choice.ticket)
        assert asked.priority == max([asked.priority, *(w.priority for w in self.waiting.values())])
        self.count_passes(asked)
        asked.is_assigned = asked.signature != self.resident
        self.tell("placed", asked)
        if asked.is_assigned:
            self.loading = asked
        else:
            self.serve(asked)

    def end_pause(self, milliseconds: int) -> None:
        self.pause = None
        self.tell("paused", milliseconds)

    def count_passes(self, asked: Asked) -> None:
        bound = self.policy.bound
        for waiter in self.waiting.values():
            if waiter.ticket < asked.ticket and waiter.priority == asked.priority:
                waiter.passes += 1
                late = asked.ticket > waiter.known.get(asked.signature, self.tickets)
                waiter.late[asked.signature] = waiter.late.get(asked.signature, 0) + late
                assert bound.passes is None or waiter.passes <= bound.passes
                assert bound.late is None or waiter.late[asked.signature] <= bound.late

    def restart(self) -> None:
        """From a snapshot."""
        memory = self.policy.snapshot(lambda ticket: ticket)
        self.policy = self.make()
        for ticket in sorted(self.waiting):
            self.policy.arrived(self.waiting[ticket])
        self.policy.restore(memory)
        assert self.policy.snapshot(lambda ticket: ticket) == memory
