"""Deficit round robin by itself: whose time counts, and from where."""

from __future__ import annotations

import pickle

from statemachine.policies.round_robin import RoundRobin

from .steps import steps_in_policies
from .test_queueing import W


def test_time_counts_from_the_round_of_who_waits_and_was_served_least() -> None:
    """For whichever model. Rounds of 10 ms."""
    agents = RoundRobin(10)
    gone, again = W(1, "x", agent="new"), W(2, "y", agent="b")
    b, c = W(3, "y", agent="b"), W(4, "x", agent="c")
    for waiter in (gone, again, b, c):
        agents.add(waiter)
    agents.charge(b, 25)
    agents.charge(c, 38)
    for waiter in (gone, again):  # the first of them was its agent's only one
        agents.remove(waiter)
    agents.begin("x")
    assert agents.snapshot() == (("b", 5, False), ("c", 18, False))
    assert agents.first(None) == 4
    agents.remove(b)
    agents.begin("x")
    assert agents.snapshot() == (("c", 8, False),)


def test_a_request_that_comes_back_after_its_agent_was_forgotten_has_its_position() -> None:
    agents = RoundRobin(10)
    back, other = W(1, "x", agent="back"), W(2, "x", agent="other")
    agents.add(back)
    agents.add(other)
    agents.remove(back)
    agents.begin("x")
    assert agents.first(None) == 2
    agents.add(back)
    assert agents.first(None) == 1


def test_who_has_never_been_served_holds_the_round_for_all() -> None:
    agents = RoundRobin(10)
    for waiter in (W(1, "x", agent="new"), W(2, "x", agent="old")):
        agents.add(waiter)
    agents.charge(W(2, "x", agent="old"), 30)
    agents.begin("x")
    assert agents.first(None) == 1
    assert agents.snapshot() == (("old", 30, False),)


def test_requests_without_an_agent_are_one_agents() -> None:
    agents = RoundRobin(1)
    nameless, named = W(1, "x"), W(2, "x", agent="new")
    for waiter in (nameless, named):
        agents.add(waiter)
    agents.begin("x")
    agents.charge(nameless, 1)
    assert agents.snapshot() == (("", 1, True),)
    assert agents.first(None) == 2


def test_nameless_gets_further_ahead_than_four_rounds() -> None:
    agents = RoundRobin(10)
    agents.add(slow := W(1, "x", agent="slow"))
    for _ in range(3):
        agents.charge(slow, 39)
    assert agents.snapshot() == (("slow", 40, True),)


def test_an_agent_has_had_a_round_when_it_has_been_served_for_a_quantum() -> None:
    agents = RoundRobin(10)
    named, nameless = W(1, "x", agent="a"), W(2, "x")
    for waiter in (named, nameless):
        assert not agents.has_had_a_round(waiter)
        agents.charge(waiter, 9)
        assert not agents.has_had_a_round(waiter)
        agents.charge(waiter, 1)
        assert agents.has_had_a_round(waiter)


def test_a_model_for_which_nameless_waits_any_more_keeps_no_memory() -> None:
    agents = RoundRobin(10)
    for ticket in range(1000):
        agents.add(waiter := W(ticket, f"model {ticket}"))
        agents.remove(waiter)
    assert len(pickle.dumps(agents)) < 1000  # bytes; an entry for each would take 10,000


def test_nameless_has_had_a_round_who_was_not_served() -> None:
    assert not RoundRobin(1).has_had_a_round(W(1, "x", agent="new"))


def test_no_time_is_nothing_to_remember() -> None:
    agents = RoundRobin(10)
    agents.charge(W(1, "x", agent="a"), 0)
    assert agents.snapshot() == ()


def test_who_comes_too_late_for_a_turn_is_in_the_next_one() -> None:
    agents = RoundRobin(10)
    early, late = W(1, "x", agent="served"), W(2, "x", agent="new")
    for waiter in (early, late):
        agents.add(waiter)
    agents.charge(early, 10)
    agents.begin("x")
    assert agents.first(1) == 1, "who would be first was not admitted"
    agents.begin("x")
    assert agents.first(None) == 2


def test_who_came_too_late_for_a_turn_may_have_gone_before_the_next_one() -> None:
    agents = RoundRobin(10)
    early, late, other = W(1, "x", agent="served"), W(2, "x", agent="new"), W(3, "y")
    for waiter in (early, late, other):
        agents.add(waiter)
    agents.charge(early, 10)
    agents.begin("x")
    assert agents.first(1) == 1
    agents.remove(early)
    agents.remove(late)
    agents.begin("y")
    assert agents.first(None) == 3


def test_who_has_waited_for_turns_is_forgotten_a_turn_after_leaving() -> None:
    agents = RoundRobin(10)
    other, patient = W(1, "x"), W(2, "x", agent="patient")
    for waiter in (other, patient):
        agents.add(waiter)
    agents.charge(patient, 25)
    for _ in range(3):
        agents.begin("x")
        assert agents.snapshot() == (("patient", 25, False),)
    agents.remove(patient)
    agents.begin("x")
    assert agents.snapshot() == ()


def test_what_is_restored_goes_on() -> None:
    agents = RoundRobin(10)
    one, two = W(1, "x", agent="one"), W(2, "x", agent="two")
    for waiter in (one, two):
        agents.add(waiter)
    agents.restore((("gone", 39, False), ("one", 25, False), ("two", 38, True)), "x")
    assert agents.first(None) == 1
    agents.begin("x")
    assert agents.snapshot() == (("one", 5, False), ("two", 18, False))
    agents.remove(one)
    agents.begin("x")
    assert agents.snapshot() == (("two", 8, False),)


def test_who_waits_for_a_model_without_a_turn_takes_no_more_memory_with_time() -> None:
    agents = RoundRobin(10)
    agents.add(W(1, "y", agent="a"))
    for ticket in range(2, 2000):
        agents.add(waiter := W(ticket, "x", agent="a"))
        agents.begin("x")
        agents.remove(waiter)
        agents.charge(waiter, 10)
    assert len(pickle.dumps(agents)) < 3000  # bytes; an entry for each would take 30,000


def test_a_turn_takes_no_more_steps_with_ten_thousand_agents_than_with_ten() -> None:
    assert _steps_of_turns(10_000) <= 1.25 * _steps_of_turns(10)


def _steps_of_turns(agents: int) -> int:
    """That twenty turns take, in each of which one request is served and another one comes, of an agent not seen before."""
    robin = RoundRobin(10)
    waiting = {ticket: W(ticket, "xy"[ticket % 2], agent=f"agent {ticket}") for ticket in range(agents)}
    for waiter in waiting.values():
        robin.add(waiter)

    def work() -> None:
        for turn in range(20):
            robin.begin("xy"[turn % 2])
            served = waiting[robin.first(None)]
            robin.remove(served)
            robin.charge(served, 25)
            newcomer = waiting[agents + turn] = W(agents + turn, served.signature, agent=f"agent {agents + turn}")
            robin.add(newcomer)

    return steps_in_policies(work)
