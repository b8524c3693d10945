"""The contract's section on leases."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from statemachine import (
    CallOptions,
    LeaseReleasedError,
    ModelEvictedError,
    ProviderManager,
    ReasoningEngine,
)
from statemachine.errors import AdapterConnectError
from statemachine.manager.broken import lease_number, says_broken, settle
from tests.contract.recording import Recorder, Script, api_manager, local_manager, spawn, want

X, Y = want("local", "x"), want("local", "y")


def leased(manager: ProviderManager) -> int:
    return sum(slot.leases for slot in manager.statistics().slots.values())


async def test_release_ends_a_lease_once() -> None:
    async with local_manager(Recorder()) as manager:
        lease = await manager.get_adapter(X)
        assert lease.adapter is not None
        lease.release()
        lease.release()
        lease.release(broken=True)  # too late to break anything
        assert manager.statistics().slots["local"].state == "resident"
        with pytest.raises(LeaseReleasedError):
            _ = lease.adapter


@pytest.mark.parametrize("use", ["acquire", "lease as context", "both"])
async def test_leaving_the_block_ends_a_lease(use: str) -> None:
    async with local_manager(Recorder()) as manager:
        if use == "acquire":
            async with manager.acquire(X) as lease:
                assert leased(manager) == 1
        elif use == "lease as context":
            async with await manager.get_adapter(X) as lease:
                assert leased(manager) == 1
        else:
            async with manager.acquire(X) as lease:
                lease.release()
                assert leased(manager) == 0
        assert leased(manager) == 0
        with pytest.raises(LeaseReleasedError):
            _ = lease.adapter


async def test_an_error_in_the_block_ends_the_lease_and_leaves_bare() -> None:
    async with local_manager(Recorder()) as manager:
        with pytest.raises(KeyError, match="mine"):
            async with manager.acquire(X):
                raise KeyError("mine")
        assert manager.statistics().slots["local"].state == "resident"


async def test_a_lease_says_what_it_is_of(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(x=Script(load=2)), on_conflict="wait") as manager, trio.open_nursery() as nursery:
        first = await spawn(nursery, manager, X, 5)
        lease = await manager.get_adapter(X)
        assert first.lease is not None
        assert (lease.provider_name, lease.model_id) == ("local", "x")
        assert (first.lease.ticket, lease.ticket) == (1, 2)
        assert (first.lease.queued_seconds, first.lease.loading_seconds) == (0, 2)
        assert (lease.queued_seconds, lease.loading_seconds) == (7, 0)
        label = manager.config.resolve(X)
        assert repr(lease) == f"<Lease of {label}, held>"
        lease.release()
        assert repr(lease) == f"<Lease of {label}, released>"
        with pytest.raises(LeaseReleasedError) as caught:
            _ = lease.adapter
        assert str(caught.value) == f"the lease of {label} is over"


async def test_a_block_is_entered_once() -> None:
    async with local_manager(Recorder()) as manager:
        acquiring = manager.acquire(X)
        async with acquiring:
            pass
        with pytest.raises(RuntimeError) as caught:
            async with acquiring:
                raise AssertionError("entered")
        assert str(caught.value) == "enter what acquire() returns once; call acquire() again for another lease"
        assert (leased(manager), manager.statistics().counters.grants) == (0, 1)


async def test_cancellation_in_the_block_ends_the_lease(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder()) as manager:
        with trio.move_on_after(3):
            async with manager.acquire(X):
                await trio.sleep_forever()
        assert manager.statistics().slots["local"].state == "resident"


@pytest.mark.parametrize("phase", ["queue", "shutdown for me", "load for me"])
async def test_cancellation_inside_the_acquire_leaves_no_lease(autojump_clock: MockClock, phase: str) -> None:
    recorder = Recorder(x=Script(unload=10), y=Script(load=10))
    async with local_manager(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 10)  # queue until 10, shutdown until 20, load until 30
        with trio.move_on_after({"queue": 5, "shutdown for me": 15, "load for me": 25}[phase]) as scope:
            await manager.get_adapter(Y)
        assert scope.cancelled_caught
        counters = manager.statistics().counters
        assert (counters.cancellations, counters.grants, leased(manager)) == (1, 1, int(phase == "queue"))
        async with manager.acquire(Y, timeout=60):
            pass


async def test_a_cancel_in_the_very_step_of_the_grant_leaks_nothing(autojump_clock: MockClock) -> None:
    """Whichever of the two wins: either the lease arrives, or it is back."""
    async with local_manager(Recorder(x=Script(load=5))) as manager:
        for _ in range(20):
            with trio.move_on_after(5) as scope:
                async with manager.acquire(X):
                    scope.cancel()
            assert leased(manager) == 0
            (await manager.get_adapter(X)).release(broken=True)


async def test_a_cancelled_task_acquires_nothing() -> None:
    async with local_manager(Recorder()) as manager:
        with trio.CancelScope() as scope:
            scope.cancel()
            await manager.get_adapter(X)
        assert scope.cancelled_caught
        assert manager.statistics().counters.starts == 0


async def test_acquiring_is_a_checkpoint_even_if_it_need_not_wait() -> None:
    async with local_manager(Recorder()) as manager:
        async with manager.acquire(X):
            pass
        with assert_checkpoints():
            lease = await manager.get_adapter(X)
        lease.release()


async def test_any_task_may_release(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder()) as manager:
        lease = await manager.get_adapter(X)
        async with trio.open_nursery() as nursery:

            async def release() -> None:
                lease.release()

            nursery.start_soon(release)
        assert leased(manager) == 0


# ---- broken ----


async def test_a_broken_instance_drains(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=2))
    async with local_manager(recorder, parallel=3, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        first = await manager.get_adapter(X)
        await spawn(nursery, manager, X, 5)
        third = await spawn(nursery, manager, X, 10)
        first.release(broken=True)
        newcomer = await spawn(nursery, manager, X, 1)
        slot, provider = manager.statistics().slots["local"], manager.statistics().providers["local"]
        assert (slot.state, slot.leases, provider.live, provider.draining) == ("busy", 2, 1, 1)
        assert third.lease is not None
        assert third.lease.adapter is recorder.made[0]  # those who have it keep it
        await trio.sleep(6)
        assert recorder.times("shutdown") == []
    assert recorder.times("shutdown")[0] == 10
    assert newcomer.granted == 12
    assert len(recorder.made) == 2


async def test_a_draining_instance_still_holds_its_slot(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(), parallel=2) as manager, trio.open_nursery() as nursery:
        first = await manager.get_adapter(X)
        await spawn(nursery, manager, X, 5)
        first.release(broken=True)
        for config, error in ((X, "LocalInstanceBusyError"), (Y, "LocalProviderConflictError")):
            refused = await spawn(nursery, manager, config)
            assert type(refused.error).__name__ == error


async def test_a_second_broken_release_changes_nothing(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with local_manager(recorder, parallel=2) as manager:
        leases = [await manager.get_adapter(X) for _ in range(2)]
        for lease in leases:
            lease.release(broken=True)
        await wait_all_tasks_blocked()
        assert recorder.story("shutdown") == [("shutdown", "x")]
        assert manager.statistics().slots["local"].state == "vacant"


async def test_a_holder_that_finds_its_instance_broken_may_say_so_before_it_leaves(autojump_clock: MockClock) -> None:
    recorder = Recorder()
    async with local_manager(recorder, parallel=2, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        lease = await manager.get_adapter(X)
        lease.drain()
        lease.drain()
        newcomer = await spawn(nursery, manager, X, 1)
        assert newcomer.lease is None
        assert lease.adapter is recorder.made[0]
        lease.release()
        lease.drain()  # too late to mean anything
        await wait_all_tasks_blocked()
        assert newcomer.lease is not None
        assert newcomer.lease.adapter is recorder.made[1]
        assert recorder.story("shutdown", "construct") == [("construct", "x"), ("shutdown", "x"), ("construct", "x")]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ModelEvictedError("gone"), "vacant"),
        (AdapterConnectError("lost", broken=True), "vacant"),
        (AdapterConnectError("lost"), "resident"),
        (OSError("mine"), "resident"),
    ],
)
async def test_only_an_adapter_error_can_say_that_the_instance_is_broken(error: Exception, state: str) -> None:
    async with local_manager(Recorder()) as manager:
        with pytest.raises(type(error)):
            async with manager.acquire(X):
                raise error
        await wait_all_tasks_blocked()
        assert manager.statistics().slots["local"].state == state


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        ([OSError("mine"), ModelEvictedError("gone")], "vacant"),
        ([ExceptionGroup("inner", [ModelEvictedError("gone")]), OSError("mine")], "vacant"),
        ([OSError("mine"), AdapterConnectError("lost")], "resident"),
    ],
)
async def test_so_can_one_in_a_group(errors: list[Exception], state: str) -> None:
    """Nurseries raise groups."""
    async with local_manager(Recorder()) as manager:
        with pytest.raises(ExceptionGroup):
            async with manager.acquire(X):
                raise ExceptionGroup("several", errors)
        await wait_all_tasks_blocked()
        assert manager.statistics().slots["local"].state == state


async def test_what_a_stream_has_settled_breaks_nobody_else_in_a_group_either() -> None:
    """The block holds a lease of its own, and in it a stream of another instance fails."""
    recorder = Recorder(b=Script(answer=[ModelEvictedError("gone")]))
    async with api_manager(recorder, limit=2) as manager:
        engine = ReasoningEngine(manager)
        with pytest.raises(ExceptionGroup):
            async with manager.acquire(want("api", "a")), trio.open_nursery():
                async with engine.call([], CallOptions(want("api", "b"))) as stream:
                    await anext(stream)
        await wait_all_tasks_blocked()
        assert manager.statistics().providers["api"].idle == 1  # that of a; that of b is gone
        assert recorder.story("shutdown") == [("shutdown", "b")]


def test_whether_settled_errors_count_is_asked_of_those_in_groups_too() -> None:
    outer, inner, later = lease_number(), lease_number(), lease_number()
    settled = ModelEvictedError("gone")
    settle(settled, inner)
    for error in (settled, ExceptionGroup("several", [OSError("mine"), settled])):
        assert says_broken(error)
        assert not says_broken(error, outer)
        assert says_broken(error, later), "raised once more"
