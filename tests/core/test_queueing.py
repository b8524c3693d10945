"""The policies by themselves: what each chooses, why, and what it remembers."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine import Affinity, Choice, ConfigurationError, CostAware, Fair, Fifo, Gated, Pause
from statemachine.policies import Bound, Line, Policy, Prioritised, Waiter, table


class W(NamedTuple):
    """A waiter."""

    ticket: int
    signature: str = "x"
    priority: int = 0
    agent: str | None = None
    is_assigned: bool = False


def choices(
    policy: Policy, waiters: list[W], *, then: dict[int, W] | None = None, known: Sequence[W] = ()
) -> list[tuple[int, str]]:
    """Everybody arrives but who is ``known``; then they are placed one by one. ``then`` arrive after that many placements."""
    waiting = {waiter.ticket: waiter for waiter in known}
    chosen: list[tuple[int, str]] = []
    for waiter in waiters:
        policy.arrived(waiter)
        waiting[waiter.ticket] = waiter
    while isinstance(choice := policy.choose(), Choice):
        chosen.append((choice.ticket, choice.reason))
        assert policy.choose() == choice, "to ask changes nothing"
        policy.placed(waiting.pop(choice.ticket))
        if then and (newcomer := then.get(len(chosen))) is not None:
            policy.arrived(newcomer)
            waiting[newcomer.ticket] = newcomer
    assert not waiting
    return chosen


@given(st.lists(st.tuples(st.sampled_from(["add", "add", "remove"]), st.integers(1, 12)), max_size=40))
def test_a_line_is_in_the_order_of_tickets_whoever_comes_back(steps: list[tuple[str, int]]) -> None:
    line, tickets = Line(), set[int]()
    for what, ticket in steps:
        if what == "add" and ticket not in tickets:
            line.add(W(ticket))
            tickets.add(ticket)
        elif what == "remove" and ticket in tickets:
            line.remove(W(ticket))
            tickets.remove(ticket)
        assert (len(line), bool(line)) == (len(tickets), bool(tickets))
        if tickets:
            assert (line.first, line.last) == (min(tickets), max(tickets))
    in_order = []
    while line:
        in_order.append(line.first)
        line.remove(W(line.first))
    assert in_order == sorted(tickets)


def test_whoever_comes_back_into_the_middle_of_a_line_is_himself() -> None:
    line = Line()
    for ticket in (1, 3, 5, 4, 2):
        line.add(W(ticket))
    for ticket in range(1, 6):
        assert line.first == ticket
        line.remove(W(ticket))


XYXY = [W(1, "x"), W(2, "y"), W(3, "x"), W(4, "y")]


def test_fifo() -> None:
    assert choices(Fifo(), XYXY) == [(ticket, "oldest") for ticket in (1, 2, 3, 4)]
    assert Fifo().bound == Bound(passes=0, late=0)


def test_gated_admits_those_who_wait_when_the_turn_begins() -> None:
    late = {1: W(5, "x"), 3: W(6, "y")}
    assert choices(Gated(), XYXY, then=late) == [
        (1, "next turn"),
        (3, "admitted"),
        (2, "next turn"),
        (4, "admitted"),
        (5, "next turn"),
        (6, "next turn"),
    ]
    assert Gated().bound == Bound(passes=None, late=0)


def test_gated_begins_a_turn_for_the_same_model_where_nobody_waits_for_another() -> None:
    assert choices(Gated(), XYXY[::2], then={1: W(5, "x"), 2: W(6, "x")}) == [
        (1, "next turn"),
        (3, "admitted"),
        (5, "next turn"),
        (6, "admitted"),
    ]


def test_gated_lets_in_as_many_newcomers_as_it_says_each_turn() -> None:
    late = {2: W(5, "x"), 3: W(6, "x"), 4: W(7, "x"), 6: W(8, "y"), 7: W(9, "y"), 8: W(10, "y")}
    assert choices(Gated(2), XYXY, then=late) == [
        (1, "next turn"),
        (3, "admitted"),
        (5, "let in"),
        (6, "let in"),
        (2, "next turn"),
        (4, "admitted"),
        (8, "let in"),
        (9, "let in"),
        (7, "next turn"),
        (10, "next turn"),
    ]
    assert Gated(2).bound == Bound(passes=None, late=2)


def test_gated_forgets_who_has_left_behind_somebody_who_waits_for_long() -> None:
    policy = Gated()
    policy.arrived(W(1, "y"))
    policy.arrived(W(2, "z"))
    for ticket in range(3, 1000):
        policy.arrived(W(ticket, "z"))
        policy.left(W(ticket - 1, "z"))
    assert len(pickle.dumps(policy)) < 3000  # bytes; an entry for each would take 10,000
    assert choices(policy, [W(1000, "y")], known=[W(1, "y"), W(999, "z")]) == [
        (1, "next turn"),
        (1000, "admitted"),
        (999, "next turn"),
    ]


def test_affinity_stays_with_a_model_until_the_oldest_has_been_passed_over_often_enough() -> None:
    late = {1: W(5, "x"), 2: W(6, "x"), 3: W(7, "x")}
    assert choices(Affinity(2), XYXY, then=late) == [
        (1, "oldest"),
        (3, "same model"),
        (5, "same model"),
        (2, "oldest"),
        (4, "same model"),
        (6, "oldest"),
        (7, "same model"),
    ]
    assert Affinity(2).bound == Bound(passes=2, late=None)
    assert Affinity().bound == Bound(passes=16, late=None)


def test_whoever_leaves_is_forgotten_and_the_oldest_after_him_has_been_passed_over_less() -> None:
    policy = Affinity(2)
    for waiter in (W(1, "y"), W(3, "y"), W(2, "x"), W(4, "x"), W(5, "x")):
        policy.arrived(waiter)
    policy.placed(W(2, "x"))
    policy.placed(W(4, "x"))
    assert policy.choose() == Choice(1, "oldest")
    policy.left(W(1, "y"))
    assert policy.choose() == Choice(5, "same model")  # 3 was passed over once
    policy.left(W(3, "y"))
    policy.left(W(5, "x"))
    assert policy.choose() is None


def test_whoever_comes_back_has_not_passed_himself_over() -> None:
    policy = Affinity(1)
    for waiter in (W(1, "y"), W(2, "x")):
        policy.arrived(waiter)
    policy.placed(W(2, "x"))
    policy.arrived(W(2, "x"))  # the start that it had joined failed
    policy.left(W(1, "y"))
    assert policy.choose() == Choice(2, "same model")


def test_no_newcomer_and_nobody_passed_over_are_bounds_too() -> None:
    late = {1: W(5, "x")}
    assert [ticket for ticket, _ in choices(Gated(0), XYXY, then=late)] == [1, 3, 2, 4, 5]
    assert [ticket for ticket, _ in choices(Affinity(0), XYXY, then=late)] == [1, 2, 3, 4, 5]


def test_fair_serves_agents_in_rounds_of_ten_seconds() -> None:
    policy = Fair()
    for waiter in (first := W(1, agent="a"), W(2, agent="a"), W(3, agent="b")):
        policy.arrived(waiter)
    assert policy.choose() == Choice(1, "next turn")
    policy.placed(first)
    policy.served(first, 9_999)
    assert policy.choose() == Choice(2, "its agent's turn")
    policy.served(first, 1)
    assert policy.choose() == Choice(3, "its agent's turn")
    assert policy.snapshot(lambda ticket: ticket) == ("x", False, 3, 0, (("a", 10_000, True),))
    assert (Fair().bound, Fair(2).bound) == (Bound(passes=None, late=0), Bound(passes=None, late=2))


def test_fair_forgets_agents_that_come_only_once() -> None:
    policy = Fair()
    for ticket in range(1, 101):  # there is always an agent that has had nothing yet
        policy.arrived(waiter := W(ticket, signature="xy"[ticket % 2], agent=f"agent {ticket}"))
        policy.placed(waiter)
        policy.loaded(waiter.signature, 6000)
        policy.served(waiter, 5000)
    memory = policy.snapshot(lambda ticket: ticket)
    assert isinstance(memory, tuple)
    assert memory[-1] == (("agent 100", 5000, True), ("agent 99", 5000, False))


def test_affinity_may_be_fair_to_agents() -> None:
    policy = Affinity(9, 10)
    for waiter in (first := W(1, agent="a"), W(2, agent="a"), W(3, agent="b"), W(4, "y", agent="b")):
        policy.arrived(waiter)
    policy.placed(first)
    policy.served(first, 9)
    assert policy.choose() == Choice(2, "same model, its agent's turn")
    policy.served(first, 1)
    assert policy.choose() == Choice(3, "same model, its agent's turn")


def test_cost_aware_learns_one_level_at_a_time_and_forgets_the_longest_wait_slowly() -> None:
    policy = CostAware()
    policy.arrived(W(1))
    for milliseconds in (1024, 8192, 8192):  # levels 41, 53
        policy.loaded("z", milliseconds)
    for _ in range(1000):
        policy.served(W(0), 8174)  # level 52
    policy.placed(W(1))

    def learnt() -> tuple[int, int, int]:
        memory: Any = policy.snapshot(lambda ticket: ticket)
        return memory[1], memory[2], memory[4]  # a switch, an answer, the longest wait

    most = 1024 + 2 * 8192 + 1000 * 8174
    assert learnt() == (43, 52, most)
    policy.arrived(W(2))
    policy.served(W(0), 819_200)
    policy.placed(W(2))
    assert learnt() == (43, 53, most - (most - 819_200) // 8192)


def test_cost_aware_pauses_for_as_long_as_a_switch_takes_or_half_of_that() -> None:
    policy = CostAware()
    policy.served(W(0), 1)
    policy.arrived(W(1, "old"))
    for _ in range(100):
        policy.loaded("z", 1024)
    for waiter in (W(1, "old"), W(2)):
        if waiter.ticket > 1:
            policy.arrived(waiter)
        policy.placed(waiter)
    policy.arrived(W(3, "y"))
    assert policy.choose() == Choice(3, "next turn"), "the answer goes on"
    policy.served(W(2), 1)
    assert policy.choose() == Pause("x", 1024, "its agents may come back")
    policy.paused(7)
    assert policy.choose() == Choice(3, "next turn")


@pytest.mark.parametrize(("longest", "wait", "next"), [(3000, 999, 3), (3000, 1000, 2), (0, 0, 2)])
def test_cost_aware_lets_in_while_the_others_have_waited_for_less_than_a_third_of_the_longest_wait(
    longest: int, wait: int, next: int
) -> None:
    policy = CostAware()
    policy.served(W(0), 1)
    policy.loaded("z", 5000)  # switches are expensive
    policy.arrived(W(1))
    policy.served(W(0), longest)
    policy.placed(W(1))
    policy.arrived(W(2, "y"))
    policy.served(W(1), wait)
    policy.arrived(W(3))
    assert policy.choose() == Choice(next, {2: "next turn", 3: "let in"}[next])


def test_priorities_promise_what_their_policy_promises() -> None:
    for make in (Fifo, Gated, CostAware):
        policy = Prioritised(make)
        assert policy.bound == make().bound
        assert policy.work_conserving is make().work_conserving
    assert (Fifo().work_conserving, CostAware().work_conserving) == (True, False)


def test_priorities_remember_nothing_of_a_policy_that_remembers_nothing() -> None:
    policy = Prioritised(Fifo)
    policy.arrived(W(1, priority=3))
    policy.arrived(W(2, priority=5))
    assert policy.snapshot(lambda ticket: ticket) == (None, ())
    policy.placed(W(2, priority=5))
    assert policy.snapshot(lambda ticket: ticket) == (5, ())


def test_cost_aware_promises_no_more_than_gated_with_all_that_it_may_let_in() -> None:
    assert (CostAware().bound, CostAware(2).bound) == (Bound(passes=None, late=8), Bound(passes=None, late=2))


@pytest.mark.parametrize(
    ("make", "field", "least"),
    [
        (lambda n: Gated(n), "extra", 0),
        (lambda n: CostAware(n), "most", 0),
        (lambda n: Fair(n), "extra", 0),
        (lambda n: Fair(0, n), "quantum", 1),
        (lambda n: Affinity(n), "passes", 0),
    ],
)
def test_counts_are_checked(make: Callable[[Any], Policy], field: str, least: int) -> None:
    make(least)
    for value in (least - 1, True, 2.0):
        with pytest.raises(ConfigurationError) as caught:
            make(value)
        assert caught.value.field == field


@pytest.mark.parametrize("make", [Fifo, Gated, partial(Gated, 1), partial(Affinity, 1)])
@settings(max_examples=2 * settings().max_examples)
@given(
    history=st.lists(st.tuples(st.sampled_from("aaplx"), st.integers(0, 30), st.sampled_from("xyz"), st.integers(0, 2)))
)
def test_what_is_remembered_is_enough_to_go_on(
    make: Callable[[], Policy], history: list[tuple[str, int, str, int]]
) -> None:
    """Also among priorities: a policy that was told of the waiters and of the memory goes on to choose the same."""
    policy, twin = Prioritised(make), Prioritised(make)
    waiting: dict[int, W] = {}
    for ticket, (what, pick, signature, priority) in enumerate([*history, *[("p", 0, "", 0)] * len(history)], start=1):
        choice = policy.choose()
        assert twin.choose() == choice
        assert not isinstance(choice, Pause)
        assert (choice is None) == (not waiting)
        if what == "a":
            waiting[ticket] = W(ticket, signature, priority)
            policy.arrived(waiting[ticket])
            twin.arrived(waiting[ticket])
        elif choice is None or what == "x":
            twin = Prioritised(make)
            for waiter in waiting.values():
                twin.arrived(waiter)
            twin.restore(policy.snapshot(lambda t: t))
            assert twin.snapshot(lambda t: 2 * t) == policy.snapshot(lambda t: 2 * t)
        elif what == "p":
            assert waiting[choice.ticket].priority == max(w.priority for w in waiting.values())
            policy.placed(waiting[choice.ticket])
            twin.placed(waiting.pop(choice.ticket))
        else:
            gone = waiting.pop(sorted(waiting)[pick % len(waiting)])
            policy.left(gone)
            twin.left(gone)
    assert not waiting


def test_a_renamed_memory_is_in_order() -> None:
    policy = Affinity()
    for waiter in (W(1, "y"), W(2, "x"), W(3, "x")):
        policy.arrived(waiter)
    policy.placed(W(3, "x"))
    policy.placed(W(2, "x"))
    assert policy.snapshot(lambda ticket: ticket + 10) == ("x", (12, 13))
    twin = Affinity()
    twin.restore(policy.snapshot(lambda ticket: ticket))
    assert twin.snapshot(lambda ticket: ticket) == ("x", (2, 3))


def test_a_policy_is_told_of_service_only_where_it_makes_anything_of_it() -> None:
    class Counts(Fifo):
        def __init__(self) -> None:
            super().__init__()
            self.served = print  # type: ignore[method-assign,assignment]

    class GatedCounts(Gated):
        def served(self, waiter: Waiter, milliseconds: int) -> None:
            print(waiter, milliseconds)

    without, using = (Fifo, Gated, Affinity), (Fair, CostAware, Counts, GatedCounts, lambda: Affinity(quantum=1))
    assert [make().charges for make in without] == [Prioritised(make).charges for make in without] == [False] * 3
    assert [make().charges for make in using] == [Prioritised(make).charges for make in using] == [True] * 5


@pytest.mark.parametrize("base", [Fifo, Gated, Affinity])
def test_what_a_policy_calls_served_may_be_any_function(base: type[Fifo | Gated | Affinity]) -> None:
    policy = base()
    policy.served = print  # type: ignore[method-assign,assignment]
    assert policy.charges


def test_a_policy_that_does_not_say_whether_it_uses_service_is_told_of_it() -> None:
    members = {name: getattr(Fifo, name) for name in vars(Policy) if not name.startswith("_")}
    own: Any = type("Own", (Line,), members)
    assert not hasattr(own, "charges")
    assert Prioritised(own).charges is True


def test_of_a_closed_gate_a_newcomer_is_not_served_first_whatever_its_agent_has_had() -> None:
    policy = Fair()
    for waiter in (first := W(1, agent="a", is_assigned=True), second := W(2, agent="a")):
        policy.arrived(waiter)
    policy.placed(first)
    policy.loaded("x", 1000)
    policy.served(first, 10_000)
    policy.arrived(W(3, agent="b"))
    assert policy.choose() == Choice(2, "its agent's turn")
    policy.placed(second)
    assert policy.choose() == Choice(3, "next turn")


def test_cost_aware_learns_shorter_loads_too() -> None:
    policy = CostAware()
    levels: list[int] = []
    for milliseconds in (1024, 512, 512, 512, 512, 512):  # levels 41 and 37
        policy.loaded("x", milliseconds)
        memory: Any = policy.snapshot(lambda ticket: ticket)
        levels.append(memory[1])
    assert levels == [41, 40, 39, 38, 37, 37]


@pytest.mark.parametrize(
    ("name", "kind", "parameter", "bounds"),
    [
        ("fifo", Fifo, None, (Bound(0, 0),)),
        ("gated", Gated, "EXTRA", (Bound(None, 0), Bound(None, 3))),
        ("affinity", Affinity, "PASSES", (Bound(16, None), Bound(3, None))),
        ("cost_aware", CostAware, "MOST", (Bound(None, 8), Bound(None, 3))),
        ("fair", Fair, "EXTRA", (Bound(None, 0), Bound(None, 3))),
    ],
)
def test_policies_that_have_a_name(
    name: str, kind: type[Policy], parameter: str | None, bounds: tuple[Bound, ...]
) -> None:
    """What a command line shows, and what it makes of a name alone and of a name with a number."""
    named = getattr(table, name).POLICY
    assert named.parameter == parameter
    for numbers, bound in zip(((), (3,)), bounds, strict=False):
        policy = named.make(*numbers)
        assert (type(policy), policy.bound) == (kind, bound)
        assert (policy.choose(), policy.work_conserving) == (None, name != "cost_aware")
