"""The deadlines, against a plain table: any order of arming, disarming and expiring."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.core.events import ACQUIRE, GRACE, IDLE, Timer, TimerKind
from statemachine.core.timers import Timers

KINDS = st.sampled_from(list(TimerKind))
SUBJECTS = st.integers(0, 3)
TIMES = st.integers(0, 6).map(float)  # few, so that they tie
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), KINDS, SUBJECTS, TIMES),
        st.tuples(st.just("disarm"), KINDS, SUBJECTS),
        st.tuples(st.just("due"), TIMES),
    ),
    max_size=40,
)


@settings(max_examples=4 * settings().max_examples)
@given(steps=STEPS)
def test_any_history_agrees_with_a_table(steps: list[tuple[object, ...]]) -> None:
    timers = Timers()
    table: dict[Timer, float] = {}
    for step in steps:
        match step:
            case "arm", TimerKind() as kind, int(subject), float(deadline):
                timers.arm(kind, subject, deadline)
                table[Timer(kind, subject)] = deadline
            case "disarm", TimerKind() as kind, int(subject):
                timers.disarm(kind, subject)
                table.pop(Timer(kind, subject), None)
            case "due", float(now):
                _expire(timers, table, now)
        assert timers.armed == table
        assert timers.next_deadline <= min(table.values(), default=float("inf")), "it may be early, never late"
    _expire(timers, table, 10.0)
    assert not table


def _expire(timers: Timers, table: dict[Timer, float], now: float) -> None:
    """All that is due, in the order of deadline, kind and subject."""
    while (timer := timers.due(now)) is not None:
        deadline, first = min((deadline, timer) for timer, deadline in table.items())
        assert (timer, True) == (first, deadline <= now)
        del table[timer]
        assert timers.next_deadline <= min(table.values(), default=float("inf"))
    assert not any(deadline <= now for deadline in table.values())
    assert timers.next_deadline > now, "or its driver would wake up in a loop"


def test_forgotten_deadlines_keep_no_memory() -> None:
    timers = Timers()
    timers.arm(GRACE, 0, 1e6)
    before = _size(timers)
    for now in range(20_000):
        timers.arm(ACQUIRE, now, float(now + 500))
        timers.disarm(ACQUIRE, now)
    assert _size(timers) < before + 10_000  # bytes; one entry for each would take millions


def test_the_others_stay_in_order_when_many_are_forgotten() -> None:
    timers = Timers()
    kept = {Timer(IDLE, subject): float(37 * subject % 101) for subject in range(100)}
    for timer, deadline in kept.items():
        timers.arm(*timer, deadline)
    for ticket in range(500):
        timers.arm(ACQUIRE, ticket, 50.0)
    for ticket in range(500):
        timers.disarm(ACQUIRE, ticket)
    _expire(timers, kept, 200.0)
    assert not kept


def test_a_deadline_that_was_put_off_comes_in_its_new_place() -> None:
    timers = Timers()
    timers.arm(IDLE, 1, 1.0)
    timers.arm(IDLE, 1, 3.0)
    timers.arm(IDLE, 2, 2.0)
    assert [timers.due(5.0) for _ in range(3)] == [(IDLE, 2), (IDLE, 1), None]


def test_a_deadline_that_was_brought_forward_comes_once() -> None:
    timers = Timers()
    timers.arm(IDLE, 1, 5.0)
    timers.arm(IDLE, 1, 3.0)
    timers.arm(IDLE, 2, 6.0)
    assert [timers.due(10.0) for _ in range(3)] == [(IDLE, 1), (IDLE, 2), None]


def test_where_the_first_deadline_is_forgotten_the_next_is_the_first() -> None:
    timers = Timers()
    timers.arm(GRACE, 1, 10.0)
    timers.arm(GRACE, 1, 5.0)  # brought forward
    timers.arm(ACQUIRE, 2, 20.0)
    timers.disarm(GRACE, 1)
    assert timers.next_deadline == 20.0
    assert timers.due(20.0) == Timer(ACQUIRE, 2)


def test_all_deadlines_may_be_forgotten() -> None:
    timers = Timers()
    for ticket in range(200):
        timers.arm(ACQUIRE, ticket, 1.0)
    for ticket in range(200):
        timers.disarm(ACQUIRE, ticket)
    assert (timers.armed, timers.due(2.0), timers.next_deadline) == ({}, None, float("inf"))


def test_deadlines_that_were_saved_are_kept() -> None:
    table: dict[Timer, float] = {Timer(IDLE, subject): float(37 * subject % 11) for subject in range(5)}
    timers = Timers()
    timers.arm(GRACE, 0, 1.0)
    timers.replace(table.items())
    assert (timers.armed, timers.next_deadline) == (table, min(table.values()))
    _expire(timers, table, 200.0)
    assert not table
    assert Timers().next_deadline == float("inf")


@pytest.mark.parametrize("step", [0.0, 1.0])
def test_moving_a_deadline_keeps_no_memory(step: float) -> None:
    timers = Timers()
    timers.arm(IDLE, 1, 0.0)
    before = _size(timers)
    for lease in range(20_000):  # the idle time begins anew with every lease
        timers.arm(IDLE, 1, lease * step)
    assert _size(timers) < before + 10_000


def _size(timers: Timers) -> int:
    """What would be freed with ``timers``, in bytes."""
    tracemalloc.start()
    copy = Timers()
    before = tracemalloc.get_traced_memory()[0]
    copy.__dict__.update(
        {name: value.copy() if hasattr(value, "copy") else value for name, value in vars(timers).items()}
    )
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return size
