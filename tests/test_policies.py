"""Every policy against a slot that is simulated here, and against its definition, written down once more without any cleverness."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine import policies
from statemachine.policies import Affinity, CostAware, Fair, Fifo, Gated, Policy, PolicyFactory, Prioritised


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
    """One model at a time, one request at a time; the bound of the policy is looked at whenever somebody is placed."""

    def __init__(self, make: PolicyFactory, make_oracle: Callable[[], Any] | None = None) -> None:
        self.make = make
        self.policy: Policy = make()
        self.oracle = make_oracle() if make_oracle else None
        self.waiting: dict[int, Asked] = {}
        self.tickets = 0
        self.resident = ""
        self.loading: Asked | None = None
        self.busy: Asked | None = None
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
        self.place()

    def fail(self) -> None:
        """A load fails, and whoever was placed there comes back, as if somebody else had caused it."""
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

    def place(self) -> None:
        choice = self.policy.choose()
        assert choice == self.policy.choose(), "choosing changes nothing"
        assert (choice is None) == (not self.waiting), "work conservation"
        if self.oracle is not None:
            assert (choice.ticket if choice else None) == self.oracle.choose()
        if choice is None or self.loading is not None or self.busy is not None:
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


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from("aaabbc"), st.sampled_from(["x", "y", None])),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["go_on", "go_on", "go_on", "fail", "restart"])),
    ),
    max_size=80,
)
POLICIES: dict[str, PolicyFactory] = {
    "fifo": Fifo,
    "gated": Gated,
    "gated:2": partial(Gated, 2),
    "affinity:0": partial(Affinity, 0),
    "affinity:3": partial(Affinity, 3),
    "cost_aware": CostAware,
    "fair": partial(Fair, 0, 2000),
    "fair:1": partial(Fair, 1, 1000),
}


# ---- the definitions ----


class Naive:
    """Its waiters by ticket, and what is admitted, as sets."""

    def __init__(self) -> None:
        self.waiters: dict[int, Asked] = {}
        self.model = ""

    def arrived(self, waiter: Asked) -> None:
        self.waiters[waiter.ticket] = waiter

    def left(self, waiter: Asked) -> None:
        del self.waiters[waiter.ticket]

    def placed(self, waiter: Asked) -> None:
        self.model = waiter.signature
        self.left(waiter)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        pass

    def served(self, waiter: Asked, milliseconds: int) -> None:
        pass

    def of(self, *, model: bool) -> list[int]:
        """The tickets for the model that was served last, or for all others."""
        return sorted(t for t, w in self.waiters.items() if (w.signature == self.model) is model)

    def choose(self) -> int | None:
        return min(self.waiters, default=None)


class NaiveGated(Naive):
    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = self.left_over = extra
        self.admitted: set[int] = set()
        self.gate_is_open = False

    def arrived(self, waiter: Asked) -> None:
        super().arrived(waiter)
        if self.gate_is_open and waiter.signature == self.model:
            self.admitted.add(waiter.ticket)

    def placed(self, waiter: Asked) -> None:
        follows = waiter.signature == self.model and (waiter.ticket in self.admitted or self.left_over > 0)
        if not follows:
            self.model, self.gate_is_open, self.left_over = waiter.signature, True, self.extra
            self.admitted = {t for t, w in self.waiters.items() if w.signature == self.model}
        elif waiter.ticket not in self.admitted:
            self.left_over -= 1
        if not waiter.is_assigned:
            self.gate_is_open = False
        self.left(waiter)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        if signature == self.model:
            self.gate_is_open = False

    def choose(self) -> int | None:
        mine, others = self.of(model=True), self.of(model=False)
        admitted = [t for t in mine if t in self.admitted]
        if admitted or (mine and self.left_over):
            return min(admitted or mine)
        return min(others or mine, default=None)


class NaiveFair(NaiveGated):
    """Every agent's time, in full, less what whoever waits has had at least."""

    def __init__(self, extra: int, quantum: int) -> None:
        super().__init__(extra)
        self.quantum = quantum
        self.times: dict[str, int] = {}

    def served(self, waiter: Asked, milliseconds: int) -> None:
        self.times[waiter.agent or ""] = self.times.get(waiter.agent or "", 0) + milliseconds

    def round_of(self, ticket: int) -> int:
        return self.times.get(self.waiters[ticket].agent or "", 0) // self.quantum

    def placed(self, waiter: Asked) -> None:
        if not (waiter.signature == self.model and (waiter.ticket in self.admitted or self.left_over > 0)):
            least = min(self.round_of(ticket) for ticket in self.waiters) * self.quantum
            self.times = {agent: max(0, time - least) for agent, time in self.times.items()}
        super().placed(waiter)

    def choose(self) -> int | None:
        admitted = [t for t in self.of(model=True) if t in self.admitted]
        return min(admitted, key=lambda t: (self.round_of(t), t)) if admitted else super().choose()


class NaiveAffinity(Naive):
    def __init__(self, passes: int) -> None:
        super().__init__()
        self.most = passes
        self.gone: list[int] = []

    def placed(self, waiter: Asked) -> None:
        super().placed(waiter)
        self.gone.append(waiter.ticket)

    def choose(self) -> int | None:
        oldest, mine = min(self.waiters, default=None), self.of(model=True)
        if oldest is None or not mine:
            return oldest
        return oldest if sum(t > oldest for t in self.gone) >= self.most else mine[0]


ORACLES: dict[str, Callable[[], Naive]] = {
    "fifo": Naive,
    "gated": partial(NaiveGated, 0),
    "gated:2": partial(NaiveGated, 2),
    "affinity:0": partial(NaiveAffinity, 0),
    "affinity:3": partial(NaiveAffinity, 3),
    "cost_aware": partial(NaiveGated, 0),
    "fair": partial(NaiveFair, 0, 2000),
    "fair:1": partial(NaiveFair, 1, 1000),
}


@pytest.mark.parametrize("name", POLICIES)
@given(events=EVENTS)
def test_a_policy_is_what_it_says(name: str, events: list[tuple[Any, ...]]) -> None:
    slot = Slot(POLICIES[name], ORACLES[name])
    for event, *arguments in events:
        getattr(slot, event)(*arguments)
    while slot.waiting:
        slot.go_on()


@pytest.mark.parametrize("name", POLICIES)
@given(events=EVENTS, priorities=st.lists(st.integers(-1, 1), min_size=80, max_size=80))
def test_a_policy_with_priorities(name: str, events: list[tuple[Any, ...]], priorities: list[int]) -> None:
    slot = Slot(partial(Prioritised, POLICIES[name]))
    for (event, *arguments), priority in zip(events, priorities, strict=False):
        more = {"priority": priority} if event == "arrive" else {}
        getattr(slot, event)(*arguments, **more)
    while slot.waiting:
        slot.go_on()


@pytest.mark.parametrize(("loads_take", "extra"), [(0, 0), (1000, 0), (2000, 1), (4000, 2), (8000, 4), (60_000, 4)])
@given(events=EVENTS)
def test_what_a_switch_costs_decides_how_many_are_let_in(
    loads_take: int, extra: int, events: list[tuple[Any, ...]]
) -> None:
    slot = Slot(partial(CostAware, 4))
    slot.loads_take = loads_take  # an answer without an agent takes a second
    for _ in range(20):  # it learns, one level at a time
        for model in "ab":
            slot.arrive(model)
        while slot.busy or slot.loading:
            slot.go_on()
    assert isinstance(slot.policy, CostAware)
    assert slot.policy.extra == extra
    for event, *arguments in events:
        getattr(slot, event)(*arguments)
    while slot.waiting:
        slot.go_on()


def test_what_is_admitted() -> None:
    """Two come while a is loaded, and are admitted; one comes later, and waits until b, which is younger, has had its turn."""
    slot, order = Slot(Gated), []
    for event in ("a", "b", "a", "a", "go on", "a", "b", *["go on"] * 8):
        before = slot.busy
        slot.go_on() if event == "go on" else slot.arrive(event)
        if slot.busy is not None and slot.busy is not before:
            order.append(slot.busy.ticket)
    assert order == [1, 3, 4, 2, 6, 5]


def test_the_agent_that_was_served_least_goes_first() -> None:
    """All of x are older than all of y. Answers take 3 s (x), 2 and 3 (y), 1 and 2 (x), 1 (y)."""
    slot, order = Slot(partial(Fair, 0, 1000)), ""
    slot.arrive("b")
    for agent in "xxxxxyyy":
        slot.arrive("a", agent)
    while slot.waiting or slot.loading:
        slot.go_on()
        order += (slot.busy and slot.busy.agent) or ""
    assert order == "xyyxxyxx"


# ---- cost ----

FOLDER = str(Path(policies.__file__).parent)


@pytest.mark.parametrize("name", POLICIES)
def test_a_decision_takes_no_more_steps_with_ten_thousand_waiters_than_with_ten(name: str) -> None:
    few, many = (_steps_of_hand_offs(POLICIES[name], waiters) for waiters in (10, 10_000))
    assert many <= 1.25 * few


def _steps_of_hand_offs(make: PolicyFactory, waiters: int, hand_offs: int = 200) -> int:
    """Lines of Python that the policy runs while a request is served and another one comes, so many times."""
    slot = Slot(make)
    for number in range(waiters):
        slot.arrive("abcdefg"[number % 7])
    steps = 0

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for number in range(hand_offs):
            policy, choice = slot.policy, slot.policy.choose()
            assert choice is not None
            policy.placed(slot.waiting.pop(choice.ticket))
            slot.tickets += 1
            slot.waiting[slot.tickets] = Asked(slot.tickets, "abcdefg"[number % 7])
            policy.arrived(slot.waiting[slot.tickets])
    finally:
        sys.settrace(before)
    return steps
