"""R5, R9, R13 at every schedule: an observer that raises at a grant, a cancellation that an adapter has stored, a child of a holder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from adapters import FakeAdapter
from statemachine import (
    AdapterInstantiationError,
    ContentionError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    Transition,
)
from statemachine.core.coordinator import Coordinator
from statemachine.manager import worker
from statemachine.schedules import Exhaustive, explore
from tests.proof.expect import expect
from tests.proof.mutants.waiting import WaitsForItself

RUNS = 500
M = RuntimeProviderConfig("p", "m")
N = RuntimeProviderConfig("p", "n")


class Rude(BaseException):
    """Such as a KeyboardInterrupt."""


class StoredCancellation(FakeAdapter):
    """Raises in its first start the cancellation that an earlier load met."""

    stored: BaseException | None = None

    async def start(self) -> None:
        if (stored := type(self).stored) is not None:
            type(self).stored = None
            await trio.lowlevel.checkpoint()
            raise stored
        await super().start()


async def use(manager: ProviderManager, ends: Counter[str], config: RuntimeProviderConfig = M) -> None:
    """Acquire and release, and say how it ended."""
    try:
        async with manager.acquire(config):
            await trio.lowlevel.checkpoint()
    except (Rude, AdapterInstantiationError, ContentionError) as error:
        ends[type(error).__name__] += 1
    else:
        ends["served"] += 1


async def at_rest(manager: ProviderManager) -> None:
    """Nothing is held or waited for, and the next request is served."""
    provider = manager.statistics().providers["p"]
    expect(not (provider.active or provider.draining or provider.waiting or provider.assigned), "left", provider)
    (await manager.get_adapter(M)).release()


async def an_observer_raises() -> None:
    """R5: one task gets the error, its lease is given back, and the others are served."""
    left: list[Rude] = []

    def observer(change: Transition) -> None:
        if change.machine == "request" and change.trigger == "grant" and left:
            raise left.pop()

    ends: Counter[str] = Counter()
    config = ProviderManagerConfig([ProviderConfig("p", FakeAdapter, limit=1)])
    async with ProviderManager(config, observers=[observer]) as manager:
        (await manager.get_adapter(M)).release()  # the instance is there: a grant is caused by the task that asks
        left.append(Rude())
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(use, manager, ends)
        expect(ends == {"Rude": 1, "served": 1}, "an error at one grant cost another task its own", ends)
        await at_rest(manager)


async def a_stored_cancellation() -> None:
    """R9: it is a failed start, told to the task that caused it; the others cause the next one."""

    class Adapter(StoredCancellation):
        pass

    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            Adapter.stored = cancelled
    ends: Counter[str] = Counter()
    provider = ProviderConfig("p", Adapter, is_local=True, parallel=2)
    async with ProviderManager(ProviderManagerConfig([provider], on_conflict="wait")) as manager:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(use, manager, ends)
        expect(ends == {"AdapterInstantiationError": 1, "served": 1}, "a stored cancellation did harm", ends)
        await at_rest(manager)


async def a_child_of_the_holder(core: Callable[..., Coordinator] = Coordinator) -> None:
    """R13: a child that would wait for its parent's lease is refused; a stranger gets the slot when the parent has left."""
    ends: Counter[str] = Counter()
    strangers: Counter[str] = Counter()

    async def parent(manager: ProviderManager) -> None:
        async with manager.acquire(M), trio.open_nursery() as inner:
            inner.start_soon(use, manager, ends, N)
            inner.start_soon(use, manager, ends, M)

    provider = ProviderConfig("p", FakeAdapter, is_local=True)
    config = ProviderManagerConfig([provider], on_conflict="wait")
    async with ProviderManager(config, core=core) as manager:
        with trio.move_on_after(1000) as patience:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(parent, manager)
                nursery.start_soon(use, manager, strangers, N)
        expect(not patience.cancelled_caught, "a child waits for its parent, which waits for the child")
        expect((ends.total(), ends["served"], strangers["served"]) == (2, 0, 1), "a wrong task was served", ends)
        await at_rest(manager)


@pytest.mark.parametrize(
    "program", [an_observer_raises, a_stored_cancellation, a_child_of_the_holder], ids=["R5", "R9", "R13"]
)
def test_r05_r09_r13_at_every_schedule(program: Callable[[], Awaitable[None]]) -> None:
    report = explore(program, Exhaustive(most_runs=RUNS))
    report.raise_if_failed()
    assert report.complete or report.runs == RUNS


def test_r09_a_worker_that_takes_it_for_its_own_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it once was: the cancellation leaves as it came."""
    monkeypatch.setattr(worker, "own_fault", lambda error, what: error)
    assert explore(a_stored_cancellation, Exhaustive(most_runs=20)).failure is not None


def test_r13_a_coordinator_that_lets_it_wait_is_caught() -> None:
    assert explore(partial(a_child_of_the_holder, WaitsForItself), Exhaustive(most_runs=20)).failure is not None
