"""Every policy against a slot that is simulated here, and against its definition, written down once more without any cleverness."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine.policies import (
    Affinity,
    Choice,
    CostAware,
    Fair,
    Fifo,
    Gated,
    Pause,
    PolicyFactory,
    Prioritised,
)

from .naive_policies import Naive, NaiveAffinity, NaiveCostAware, NaiveGated
from .one_slot import Asked, Slot
from .steps import steps_in_policies

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
    assert slot.pause is not None, "another arrival does not end it"
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


@pytest.mark.parametrize("name", POLICIES)
def test_a_decision_takes_no_more_steps_with_ten_thousand_waiters_than_with_ten(name: str) -> None:
    few, many = (_steps_of_hand_offs(POLICIES[name], waiters) for waiters in (10, 10_000))
    assert many <= 1.25 * few


def _steps_of_hand_offs(make: PolicyFactory, waiters: int, hand_offs: int = 200) -> int:
    """That the policy takes while a request is served and another one comes, ``times`` times."""
    slot = Slot(make)
    for number in range(waiters):
        slot.arrive("abcdefg"[number % 7])

    def work() -> None:
        for number in range(hand_offs):
            policy, choice = slot.policy, slot.policy.choose()
            assert isinstance(choice, Choice)
            policy.placed(slot.waiting.pop(choice.ticket))
            slot.tickets += 1
            slot.waiting[slot.tickets] = Asked(slot.tickets, "abcdefg"[number % 7])
            policy.arrived(slot.waiting[slot.tickets])

    return steps_in_policies(work)
