"""Every policy against a slot that is simulated here, and against its definition, written down once more without any cleverness."""

from __future__ import annotations

import math
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
from statemachine.policies import (
    Affinity,
    Choice,
    CostAware,
    Fair,
    Fifo,
    Gated,
    Pause,
    Policy,
    PolicyFactory,
    Prioritised,
)


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

    def choose(self) -> Choice | Pause | None:
        choice = self.policy.choose()
        assert choice == self.policy.choose(), "choosing changes nothing"
        assert (choice is None) == (not self.waiting)
        if self.oracle is not None:
            assert (choice.ticket if isinstance(choice, Choice) else choice and choice[:2]) == self.oracle.choose()
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
    "affinity:3, fair": partial(Affinity, 3, 2000),
    "cost_aware, fair": partial(CostAware, 2, 1000),
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

    def paused(self, milliseconds: int) -> None:
        pass

    def of(self, *, model: bool) -> list[int]:
        """The tickets for the model that was served last, or for all others."""
        return sorted(t for t, w in self.waiters.items() if (w.signature == self.model) is model)

    def choose(self) -> int | tuple[str, int] | None:
        return min(self.waiters, default=None)


class Rounds:
    """Every agent's time, in full, less what whoever waits has had at least; of those who wait or were served in the last turn.

    Without a quantum the oldest goes first.
    """

    def __init__(self, waiters: dict[int, Asked], quantum: int | None) -> None:
        self.waiters = waiters
        self.quantum = quantum
        self.times: dict[str, int] = {}
        self.last_turn: list[str] = []

    def charge(self, waiter: Asked, milliseconds: int) -> None:
        self.last_turn.append(waiter.agent or "")
        time = self.times.get(waiter.agent or "", 0) + milliseconds
        self.times[waiter.agent or ""] = min(time, 4 * (self.quantum or 0))

    def round_of(self, ticket: int) -> int:
        return self.times.get(self.waiters[ticket].agent or "", 0) // (self.quantum or 10**9)

    def begin(self) -> None:
        least = min(self.round_of(ticket) for ticket in self.waiters) * (self.quantum or 0)
        about = [waiter.agent or "" for waiter in self.waiters.values()] + self.last_turn
        self.times = {agent: max(0, time - least) for agent, time in self.times.items() if agent in about}
        self.last_turn = []

    def first(self, tickets: list[int]) -> int:
        return min(tickets, key=lambda t: (self.round_of(t), t)) if self.quantum else min(tickets)


class NaiveGated(Naive):
    def __init__(self, extra: int, quantum: int | None = None) -> None:
        super().__init__()
        self.extra = self.left_over = extra
        self.admitted: set[int] = set()
        self.gate_is_open = False
        self.rounds = Rounds(self.waiters, quantum)

    def arrived(self, waiter: Asked) -> None:
        super().arrived(waiter)
        if self.gate_is_open and waiter.signature == self.model:
            self.admitted.add(waiter.ticket)

    def placed(self, waiter: Asked) -> None:
        follows = waiter.signature == self.model and (waiter.ticket in self.admitted or self.left_over > 0)
        if not follows:
            self.rounds.begin()
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

    def served(self, waiter: Asked, milliseconds: int) -> None:
        self.rounds.charge(waiter, milliseconds)

    def choose(self) -> int | tuple[str, int] | None:
        mine, others = self.of(model=True), self.of(model=False)
        admitted = [t for t in mine if t in self.admitted]
        if admitted:
            return self.rounds.first(admitted)
        if mine and self.left_over and (not others or self.bears(0)):
            return min(mine)
        if others and not mine and self.left_over and (pause := self.pause()) and self.bears(pause):
            return self.model, pause
        return min(others or mine, default=None)

    def bears(self, milliseconds: int) -> bool:
        return True

    def pause(self) -> int:
        return 0


class NaiveCostAware(NaiveGated):
    """All loads, answers and pauses, one after the other, and how many of them there had been when each waiter came."""

    def __init__(self, most: int = 8, quantum: int | None = None) -> None:
        super().__init__(most, quantum)
        self.usual: dict[str, int] = {}
        self.times: list[int] = []
        self.came: dict[int, int] = {}
        self.waits: list[int] = []
        self.may_pause = False

    def see(self, what: str, milliseconds: int) -> None:
        level = 0 if milliseconds == 0 else 1 + math.floor(4 * math.log2(milliseconds))
        now = self.usual.get(what, 0)
        self.usual[what] = level if now == 0 else now + (level > now) - (level < now)
        self.times.append(milliseconds)

    def arrived(self, waiter: Asked) -> None:
        super().arrived(waiter)
        self.came[waiter.ticket] = len(self.times)

    def wait(self, ticket: int) -> int:
        return sum(self.times[self.came[ticket] :])

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, milliseconds)
        if milliseconds is not None:
            self.see("load", milliseconds)

    def served(self, waiter: Asked, milliseconds: int) -> None:
        super().served(waiter, milliseconds)
        self.see("answer", milliseconds)
        self.may_pause = True

    def paused(self, milliseconds: int) -> None:
        self.times.append(milliseconds)
        self.may_pause = False

    def placed(self, waiter: Asked) -> None:
        if waiter.signature != self.model or not (waiter.ticket in self.admitted or self.left_over > 0):
            self.may_pause = False
        self.waits.append(self.wait(waiter.ticket))
        super().placed(waiter)

    def bears(self, milliseconds: int) -> bool:
        longest = 0
        for wait in self.waits:
            longest = wait if wait > longest else longest - (longest - wait) // 8192
        dear = self.usual.get("load", 0) - self.usual.get("answer", 0) >= 8
        return dear and self.wait(min(self.of(model=False))) + milliseconds < longest / 3

    def pause(self) -> int:
        return 2 ** max(0, (self.usual.get("load", 0) - 1) // 4) if self.may_pause else 0


class NaiveAffinity(Naive):
    def __init__(self, passes: int, quantum: int | None = None) -> None:
        super().__init__()
        self.most = passes
        self.gone: list[int] = []
        self.rounds = Rounds(self.waiters, quantum)

    def placed(self, waiter: Asked) -> None:
        if waiter.signature != self.model or (self.rounds.quantum and self.rounds.round_of(waiter.ticket) > 0):
            self.rounds.begin()
        super().placed(waiter)
        self.gone.append(waiter.ticket)

    def served(self, waiter: Asked, milliseconds: int) -> None:
        self.rounds.charge(waiter, milliseconds)

    def choose(self) -> int | tuple[str, int] | None:
        oldest, mine = min(self.waiters, default=None), self.of(model=True)
        if oldest is None or not mine:
            return oldest
        return oldest if sum(t > oldest for t in self.gone) >= self.most else self.rounds.first(mine)


ORACLES: dict[str, Callable[[], Naive]] = {
    "fifo": Naive,
    "gated": partial(NaiveGated, 0),
    "gated:2": partial(NaiveGated, 2),
    "affinity:0": partial(NaiveAffinity, 0),
    "affinity:3": partial(NaiveAffinity, 3),
    "cost_aware": NaiveCostAware,
    "fair": partial(NaiveGated, 0, 2000),
    "fair:1": partial(NaiveGated, 1, 1000),
    "affinity:3, fair": partial(NaiveAffinity, 3, 2000),
    "cost_aware, fair": partial(NaiveCostAware, 2, 1000),
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


def learned(loads_take: int, policy: PolicyFactory, oracle: Callable[[], Naive] | None = None) -> Slot:
    """One that has seen so long loads, and a turn of forty answers of a second each. Now it loads b."""
    slot = Slot(policy, oracle)
    slot.loads_take = loads_take
    for model in "b" + "a" * 40 + "b":
        slot.arrive(model)
    finish(slot)
    slot.arrive("b")
    if slot.pause:  # a is kept
        slot.go_on()
    return slot


def finish(slot: Slot) -> None:
    while slot.waiting or slot.busy or slot.loading:
        slot.go_on()


@pytest.mark.parametrize(("loads_take", "stretches"), [(0, 0), (1000, 0), (3000, 0), (4000, 1), (8000, 1), (12_000, 1)])
@pytest.mark.parametrize("quantum", [None, 2000])
@given(events=EVENTS)
def test_a_turn_is_stretched_where_switches_are_dear(
    loads_take: int, stretches: int, quantum: int | None, events: list[tuple[Any, ...]]
) -> None:
    slot = learned(loads_take, partial(CostAware, 3, quantum), partial(NaiveCostAware, 3, quantum))
    first = slot.tickets
    slot.arrive("a")
    slot.go_on()  # b is loaded
    slot.arrive("b")
    slot.go_on()  # which of the two is next?
    assert sorted(slot.waiting) == [first + 1 if stretches else first + 2]
    for event, *arguments in events:
        getattr(slot, event)(*arguments)
    finish(slot)


def test_the_model_is_kept_for_those_who_may_come_back_but_once_after_each_answer() -> None:
    slot = learned(6000, CostAware)
    slot.arrive("a")
    slot.go_on()
    slot.go_on()
    assert slot.pause == Pause("b", 4096, "its agents may come back")
    slot.arrive("c")
    assert slot.pause is not None, "somebody else who comes does not end it"
    slot.arrive("b")
    assert slot.pause is None
    assert slot.busy is not None
    slot.go_on()
    assert slot.pause is not None, "after each answer"
    slot.go_on()  # in vain
    assert slot.loading is not None
    assert slot.loading.signature == "a"


def test_nothing_is_kept_where_the_instance_is_gone() -> None:
    slot = learned(6000, CostAware)
    slot.go_on()
    slot.arrive("a")
    slot.resident = ""  # it was found broken
    slot.go_on()
    assert slot.loading is not None
    assert slot.loading.signature == "a"


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
    """All of x are older than all of y. Answers take 3 s (x), 2 (y), 1 (x), 3 (y), 2 (x), 1 (y); rounds two."""
    slot, order = Slot(partial(Fair, 0, 2000)), ""
    slot.arrive("b")
    for agent in "xxxxxyyy":
        slot.arrive("a", agent)
    while slot.waiting or slot.loading:
        slot.go_on()
        order += (slot.busy and slot.busy.agent) or ""
    assert order == "xyxyxyxx"


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
            assert isinstance(choice, Choice)
            policy.placed(slot.waiting.pop(choice.ticket))
            slot.tickets += 1
            slot.waiting[slot.tickets] = Asked(slot.tickets, "abcdefg"[number % 7])
            policy.arrived(slot.waiting[slot.tickets])
    finally:
        sys.settrace(before)
    return steps
