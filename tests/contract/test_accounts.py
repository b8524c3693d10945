"""What is timed and counted: the phases of a request, refusals, use per model."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from statemachine import LocalInstanceBusyError, RuntimeProviderConfig
from statemachine.core.counters import Counters, ModelUsage
from tests.contract.recording import Recorder, Script, api_manager, local_manager, spawn, want

A, B = want("api", "a"), want("api", "b")
X, Y = want("local", "x"), want("local", "y")


@pytest.mark.parametrize(
    ("urgent", "phases"),
    [
        ([Y], (1 + 6, 2 + 2)),  # then y is loaded and used; its own load is the second one that it waits for
        ([X, X], (1 + 8, 2)),  # then both take the next load; it gets the first lease that is over
    ],
)
async def test_queueing_and_loading_add_up_over_a_start_that_failed(
    autojump_clock: MockClock, urgent: list[RuntimeProviderConfig], phases: tuple[float, float]
) -> None:
    """Until 1 the slot is in use; from 1 to 3 a load is joined that fails; from then on more urgent requests go first."""
    recorder = Recorder(x=Script(load=2, start_error=OSError("no"), unload=1))
    async with local_manager(recorder, parallel=2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, Y, 1)
        await spawn(nursery, manager, X)
        joiner = await spawn(nursery, manager, X)
        await trio.sleep(2)
        for config in urgent:
            await spawn(nursery, manager, config, 5, priority=1)
        await trio.sleep(1.5)
        recorder.scripts["x"] = Script(load=2)
    assert joiner.lease is not None
    assert (joiner.lease.queued_seconds, joiner.lease.loading_seconds) == phases
    assert joiner.granted == sum(phases)


async def test_loading_adds_up_over_every_start_that_failed(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=2, start_error=OSError("no"), unload=1))
    async with local_manager(recorder, parallel=3, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        joiner = [await spawn(nursery, manager, X) for _ in range(3)][-1]
        await trio.sleep(5.5)  # two have failed
        recorder.scripts["x"] = Script(load=2, unload=1)
    assert joiner.lease is not None
    assert (joiner.lease.queued_seconds, joiner.lease.loading_seconds) == (0, 8)


async def test_refusals_are_counted_and_say_how_long_one_waited(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(x=Script(load=2))) as manager, trio.open_nursery() as nursery:
        await trio.sleep(7)
        await spawn(nursery, manager, X, 30)
        for _ in range(3):
            refused = await spawn(nursery, manager, X)
            assert isinstance(refused.error, LocalInstanceBusyError)
            assert refused.error.waited == 0
        assert manager.statistics().counters.rejections == 3
        nursery.cancel_scope.cancel()


async def test_use_is_counted_from_the_grant(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=2), b=Script(load=1))
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        await trio.sleep(3)
        for config, seconds in ((A, 5), (A, 3), (B, 4), (A, 1)):
            await spawn(nursery, manager, config, seconds)
        await trio.sleep(3)
        assert manager.statistics().models == {"a": ModelUsage(1, 0.0)}  # what goes on is not counted yet
    assert manager.statistics().models == {"a": ModelUsage(3, 9.0), "b": ModelUsage(1, 4.0)}
    # an API provider has no slot, and so no switches
    assert manager.statistics().counters == Counters(grants=4, starts=3, evictions=2, stops=3)


async def test_every_instance_that_idles_too_long_counts_as_an_eviction(autojump_clock: MockClock) -> None:
    async with api_manager(Recorder(), api_instance_idle_timeout_seconds=5) as manager:
        for evictions in (1, 2):
            (await manager.get_adapter(A)).release()
            await trio.sleep(6)
            assert manager.statistics().counters.evictions == evictions


async def test_everything_is_counted_as_often_as_it_happens(autojump_clock: MockClock) -> None:
    bad = Script(start_error=OSError("no"), unload=3)
    recorder = Recorder(
        x=Script(shutdown_error=OSError("no")), y=Script(load=1), bad=bad, never=Script(unload=math.inf)
    )
    config = {"on_conflict": "wait", "max_waiting": 1, "shutdown_timeout": 5, "close_grace": 5}
    async with trio.open_nursery() as nursery:
        async with local_manager(recorder, parallel=2, **config) as manager:
            for _ in range(2):
                (await manager.get_adapter(X)).release()  # fails to stop
                (await manager.get_adapter(Y)).release()
            for _ in range(2):
                await spawn(nursery, manager, want("local", "bad"))
                await trio.sleep(4)
            for _ in range(2):
                (await manager.get_adapter(want("local", "never"))).release()  # hangs when it is stopped
                (await manager.get_adapter(Y)).release()
            for _ in range(2):
                await spawn(nursery, manager, Y, 100)
            for _ in range(2):
                await spawn(nursery, manager, X, timeout=1)
                await trio.sleep(1.5)
            for _ in range(2):
                gone = await spawn(nursery, manager, X)
                gone.scope.cancel()
                await trio.testing.wait_all_tasks_blocked()
            await spawn(nursery, manager, X, timeout=50)
            for _ in range(2):
                await spawn(nursery, manager, X)  # the queue is full
    assert manager.statistics().counters == Counters(
        grants=10,
        rejections=5,  # two failed starts, two for which the queue was full, one when it closed
        cancellations=2,
        timeouts=2,
        revocations=2,
        starts=10,
        start_failures=2,
        switches=8,  # the second bad one is the same
        evictions=7,
        stops=10,
        shutdown_failures=4,
    )
