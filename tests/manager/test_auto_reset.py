"""The event by which a stream's reader and its task take turns."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from statemachine.manager.auto_reset import AutoResetEvent


async def is_waiting(event: AutoResetEvent) -> bool:
    """Whether a wait for ``event`` does not end by itself. It is cancelled then."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(event.wait)
            await wait_all_tasks_blocked()
            scope.cancel()
    return scope.cancelled_caught


async def test_each_setting_ends_one_wait() -> None:
    event = AutoResetEvent()
    assert await is_waiting(event)
    event.set()
    assert not await is_waiting(event)
    assert await is_waiting(event)


async def test_the_task_that_waits_is_woken() -> None:
    event, turns = AutoResetEvent(), list[int]()

    async def wait_twice() -> None:
        for turn in range(2):
            await event.wait()
            turns.append(turn)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_twice)
        for turn in range(2):
            await wait_all_tasks_blocked()
            assert turns == list(range(turn))
            event.set()
    assert turns == [0, 1]


async def test_set_twice_before_a_wait_it_ends_one() -> None:
    event = AutoResetEvent()
    event.set()
    event.set()
    assert not await is_waiting(event)
    assert await is_waiting(event)


async def test_a_wait_that_is_cancelled_at_once_takes_nothing() -> None:
    event = AutoResetEvent()
    event.set()
    with trio.CancelScope() as scope:
        scope.cancel()
        await event.wait()
    assert scope.cancelled_caught
    assert not await is_waiting(event)
