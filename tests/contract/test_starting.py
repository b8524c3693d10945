"""The contract's section on starting."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AcquireTimeoutError,
    AdapterConfig,
    AdapterInstantiationError,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    StreamEvent,
)
from tests.contract.recording import Recorder, Script, api_manager, local_manager, spawn, want

A, B = want("api", "a"), want("api", "b")
X, Y = want("local", "x"), want("local", "y")


@pytest.mark.parametrize("timeout", [3.0, None], ids=["timed out", "cancelled"])
async def test_a_start_outlives_its_requester(autojump_clock: MockClock, timeout: float | None) -> None:
    recorder = Recorder(x=Script(load=10))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        gone = await spawn(nursery, manager, X, timeout=timeout)
        await trio.sleep(3 if timeout is None else 4)
        gone.scope.cancel()
        await wait_all_tasks_blocked()
        assert gone.ended == 3
        assert isinstance(gone.error, AcquireTimeoutError) == (timeout is not None)
        assert manager.statistics().slots["local"].state == "loading"
        await trio.sleep_until(11)
        assert manager.statistics().slots["local"].state == "resident"
        async with manager.acquire(X):
            assert trio.current_time() == 11
    assert len(recorder.made) == 1


async def test_an_orphaned_start_is_awaited_by_others(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=10))
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        gone = await spawn(nursery, manager, A)
        other = await spawn(nursery, manager, B)
        gone.scope.cancel()
        await wait_all_tasks_blocked()
    assert other.granted == 10


async def test_an_orphaned_start_is_joined_by_its_signature(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=10))
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        gone = await spawn(nursery, manager, A)
        gone.scope.cancel()
        await trio.sleep(5)
        joiner = await spawn(nursery, manager, A)
    assert joiner.granted == 10
    assert len(recorder.made) == 1


async def test_an_orphaned_api_instance_gets_its_idle_timeout(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(load=10))
    async with api_manager(recorder, api_instance_idle_timeout_seconds=7) as manager, trio.open_nursery() as nursery:
        (await spawn(nursery, manager, A)).scope.cancel()
        await trio.sleep(20)
        assert recorder.times("shutdown") == [17]


async def test_a_start_is_interrupted_when_it_is_overdue(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=math.inf, unload=3))
    async with local_manager(recorder, start_timeout=8) as manager, trio.open_nursery() as nursery:
        overdue = await spawn(nursery, manager, X)
        await trio.sleep(9)
        assert isinstance(overdue.error, AdapterInstantiationError)
        assert isinstance(overdue.error.__cause__, TimeoutError)
        assert overdue.ended == 8
        following = await spawn(nursery, manager, Y)
    assert recorder.times("shutdown", "x") == [8]
    assert following.granted == 11
    assert recorder.each_shut_down_once()
    assert manager.statistics().counters.start_failures == 1


@pytest.mark.parametrize("interrupted_after", [599, 601])
async def test_the_default_start_timeout(autojump_clock: MockClock, interrupted_after: float) -> None:
    recorder = Recorder(x=Script(load=math.inf))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        await trio.sleep(interrupted_after)
        assert manager.statistics().counters.start_failures == (interrupted_after > 600)


async def test_a_failed_construction_has_nothing_to_shut_down(autojump_clock: MockClock) -> None:
    cause = OSError("no")
    recorder = Recorder(x=Script(construct_error=cause))
    async with local_manager(recorder) as manager:
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(X)
        assert caught.value.__cause__ is cause
        assert caught.value.requested.startswith("local/x#")
        assert manager.statistics().slots["local"].state == "vacant"
        assert manager.statistics().counters.stops == 0
    assert recorder.records == []


async def test_a_factory_that_returns_no_adapter_is_a_failed_construction(autojump_clock: MockClock) -> None:
    providers = [ProviderConfig("local", lambda config: None, is_local=True)]  # type: ignore[arg-type, return-value]  # the point
    async with ProviderManager(ProviderManagerConfig(providers)) as manager:
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(X)
        assert isinstance(caught.value.__cause__, TypeError)
        assert str(caught.value.__cause__).endswith("<lambda> returned None instead of an adapter")
        assert manager.statistics().slots["local"].state == "vacant"


async def test_a_failed_start_is_shut_down(autojump_clock: MockClock) -> None:
    cause = OSError("no")
    recorder = Recorder(x=Script(load=2, start_error=cause, unload=3))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        failed = await spawn(nursery, manager, X)
        await trio.sleep(2.5)
        assert isinstance(failed.error, AdapterInstantiationError)
        assert failed.error.__cause__ is cause
        assert failed.ended == 2  # it need not wait for the shutdown
        following = await spawn(nursery, manager, Y)
    assert recorder.times("shutdown", "x") == [2]
    assert following.granted == 5
    assert recorder.each_shut_down_once()


async def test_joiners_of_a_failing_start_go_back_and_the_oldest_causes_the_next(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=2, start_error=OSError("no"), unload=1))
    async with local_manager(recorder, parallel=3, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        attempts = [await spawn(nursery, manager, X, 1) for _ in range(3)]
        behind = await spawn(nursery, manager, Y)
    assert all(isinstance(attempt.error, AdapterInstantiationError) for attempt in attempts)
    assert [attempt.ended for attempt in attempts] == [2, 5, 8]
    assert behind.granted == 9  # their places are before the one who came later
    assert recorder.each_shut_down_once()


async def test_joiners_succeed_when_the_next_start_does_also_in_raise_mode(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=2, start_error=OSError("no"), unload=1))
    async with local_manager(recorder, parallel=3) as manager, trio.open_nursery() as nursery:
        cause, *joiners = [await spawn(nursery, manager, X, 1) for _ in range(3)]
        await trio.sleep(2.5)
        recorder.scripts["x"] = Script(load=2)
        refused = await spawn(nursery, manager, Y)
    assert isinstance(cause.error, AdapterInstantiationError)
    assert [joiner.granted for joiner in joiners] == [5, 5]
    assert type(refused.error).__name__ == "LocalProviderConflictError"
    assert joiners[0].lease is not None
    assert (joiners[0].lease.queued_seconds, joiners[0].lease.loading_seconds) == (0, 5)


async def test_a_failure_whose_cause_has_gone_is_told_to_nobody(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=2, start_error=OSError("no")))
    async with local_manager(recorder, parallel=2) as manager, trio.open_nursery() as nursery:
        gone = await spawn(nursery, manager, X)
        joiner = await spawn(nursery, manager, X)
        gone.scope.cancel()
        await trio.sleep(2.5)
        assert joiner.ended is None
    assert isinstance(joiner.error, AdapterInstantiationError)
    assert joiner.ended == 4  # by a start of its own
    assert gone.error is None


async def test_a_start_whose_cause_has_gone_fails_for_whoever_has_joined_it_since(autojump_clock: MockClock) -> None:
    """Else a request could join one abandoned start after the other and never be told."""
    recorder = Recorder(x=Script(load=3, start_error=OSError("no"), unload=1))
    async with local_manager(recorder, parallel=2) as manager, trio.open_nursery() as nursery:
        gone = await spawn(nursery, manager, X)
        gone.scope.cancel()
        await trio.sleep(1)
        told = await spawn(nursery, manager, X)
        await trio.sleep(2.5)
        assert isinstance(told.error, AdapterInstantiationError)
        assert told.ended == 3


async def test_a_planned_start_fails_for_the_oldest_who_is_still_there(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10), y=Script(load=2, start_error=OSError("no")))
    async with local_manager(recorder, parallel=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        gone, told = [await spawn(nursery, manager, Y) for _ in range(2)]
        gone.scope.cancel()
    assert isinstance(told.error, AdapterInstantiationError)
    assert told.ended == 12


async def test_the_slot_stays_usable_after_many_failures(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(start_error=OSError("no")))
    async with local_manager(recorder) as manager:
        for _ in range(5):
            with pytest.raises(AdapterInstantiationError):
                await manager.get_adapter(X)
        async with manager.acquire(Y):
            pass
    assert recorder.each_shut_down_once()


async def test_the_task_of_an_adapter_says_whose_it_is(autojump_clock: MockClock) -> None:
    """Such as a debugger, or trio's instruments, would show it."""
    names: list[str] = []

    class Named:
        async def start(self) -> None:
            names.append(trio.lowlevel.current_task().name)

        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            yield StreamEvent("end")

    providers = [ProviderConfig("local", lambda config: Named(), is_local=True)]
    async with ProviderManager(ProviderManagerConfig(providers)) as manager:
        (await manager.get_adapter(X)).release()
        assert names == [f"adapter of {manager.config.resolve(X)}"]


async def test_start_and_shutdown_are_optional(autojump_clock: MockClock) -> None:
    class Bare:
        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            yield StreamEvent("end")

    def factory(config: AdapterConfig) -> Bare:
        return Bare()

    providers = [ProviderConfig("local", factory, is_local=True)]
    async with ProviderManager(ProviderManagerConfig(providers)) as manager:
        for config in (X, Y, X):
            async with manager.acquire(config) as lease:
                assert isinstance(lease.adapter, Bare)
        assert manager.statistics().counters.switches == 2
    assert manager.statistics().counters.stops == 3


async def test_a_start_that_resists_its_interruption_is_shut_down_when_it_ends(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    class Stubborn:
        async def start(self) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)
            recorder.records.clear()

        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            yield StreamEvent("end")

        async def shutdown(self) -> None:
            stopped.append(trio.current_time())

    stopped: list[float] = []
    providers = [
        ProviderConfig("stubborn", lambda config: Stubborn(), is_local=True),
        ProviderConfig("local", recorder, is_local=True),
    ]
    config = ProviderManagerConfig(providers, start_timeout=5, shutdown_timeout=5)
    async with ProviderManager(config) as manager, trio.open_nursery() as nursery:
        overdue = await spawn(nursery, manager, want("stubborn", "m"))
        await trio.sleep(6)
        following = await spawn(nursery, manager, Y)
    assert (overdue.ended, following.granted) == (5, 10)  # it has been given up on, and reported
    assert stopped == [20]
    assert manager.statistics().counters.shutdown_failures == 1
