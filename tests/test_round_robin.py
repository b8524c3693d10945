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
    nobody, somebody = W(1, "x"), W(2, "x", agent="new")
    for waiter in (nobody, somebody):
        agents.add(waiter)
    agents.begin("x")
    agents.charge(nobody, 1)
    assert agents.snapshot() == (("", 1, True),)
    assert agents.first(None) == 2


def test_nobody_gets_further_ahead_than_four_rounds() -> None:
    agents = RoundRobin(10)
    agents.add(slow := W(1, "x", agent="slow"))
    for _ in range(3):
        agents.charge(slow, 39)
    assert agents.snapshot() == (("slow", 40, True),)


def test_an_agent_has_had_a_round_when_it_has_been_served_for_a_quantum() -> None:
    agents = RoundRobin(10)
    somebody, nobody = W(1, "x", agent="a"), W(2, "x")
    for waiter in (somebody, nobody):
        assert not agents.has_had_a_round(waiter)
        agents.charge(waiter, 9)
        assert not agents.has_had_a_round(waiter)
        agents.charge(waiter, 1)
        assert agents.has_had_a_round(waiter)


def test_a_model_for_which_nobody_waits_any_more_keeps_no_memory() -> None:
    agents = RoundRobin(10)
    for ticket in range(1000):
        agents.add(waiter := W(ticket, f"model {ticket}"))
        agents.remove(waiter)
    assert len(pickle.dumps(agents)) < 1000  # bytes; an entry for each would take 10,000


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
