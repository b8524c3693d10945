"""``check_invariants``: the running manager, and the heap driver, say which property a fault of the model breaks, and at which step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from simulation.drivers.heap import HeapDriver, one_slot
from simulation.timing.durations import FixedTiming
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import InvariantError, ProviderConfig, ProviderManager, ProviderManagerConfig
from statemachine.core.coordinator import Coordinator, Watch
from statemachine.policies import Fifo
from tests.contract.recording import Recorder, Script, want
from tests.proof.mutants.leases import DoubleGrant
from tests.proof.mutants.pools import NewBeforeOld, SaturationForgotten
from tests.proof.mutants.waiting import NewcomerFirst

from ..simulation.two_drivers import SMALL

X, Y, Z = (want("local", model) for model in "xyz")


def manager_of(core: type[Coordinator] = Coordinator, **options: object) -> ProviderManager:
    recorder = Recorder(x=Script(load=1, unload=1), y=Script(load=1, unload=1), z=Script(load=1, unload=1))
    local = ProviderConfig("local", recorder, is_local=True)
    config = ProviderManagerConfig([local], on_conflict="wait", policy=Fifo, check_invariants=True, **options)  # type: ignore[arg-type]
    return ProviderManager(config, core=core)


async def use_three_models(manager: ProviderManager) -> None:
    async def use(seconds: float, model: str) -> None:
        await trio.sleep(seconds)
        async with manager.acquire(want("local", model)):
            await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        for number, model in enumerate("xyz"):
            nursery.start_soon(use, number, model)


def found(raised: pytest.ExceptionInfo[BaseException]) -> InvariantError:
    """The only InvariantError in what was raised."""
    todo: list[BaseException] = [raised.value]
    errors: list[InvariantError] = []
    while todo:
        one = todo.pop()
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions
        elif isinstance(one, InvariantError):
            errors.append(one)
    (error,) = errors
    return error


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [
        (NewBeforeOld, "one_live_instance_per_slot"),
        (NewcomerFirst, "no_overtaking"),
        (SaturationForgotten, "saturated_iff_full"),
    ],
)
async def test_the_manager_names_the_property_and_the_step(
    autojump_clock: MockClock, mutant: type[Coordinator], broken: str
) -> None:
    with pytest.raises((InvariantError, BaseExceptionGroup)) as raised:
        async with manager_of(mutant) as manager:
            await use_three_models(manager)
    error = found(raised)
    assert error.property == broken
    assert error.change >= 1
    assert error.event in str(error)
    assert error.sentence in str(error)


async def test_what_a_cancellation_breaks_is_raised_by_the_next_step(autojump_clock: MockClock) -> None:
    """Nothing may be raised while trio delivers a cancellation."""

    class Remembers(Coordinator):
        def _cancelled(self, event):  # type: ignore[no-untyped-def]  # that of the base
            request = self.requests[event.ticket]
            super()._cancelled(event)
            self.requests[event.ticket] = request

    with pytest.raises((InvariantError, BaseExceptionGroup)) as raised:
        async with manager_of(Remembers) as manager:
            with trio.move_on_after(0.5) as scope:
                await manager.get_adapter(X)
            assert scope.cancelled_caught
            manager._coordinator.requests.clear()  # or it could not close
            await trio.sleep(0.6)
            pytest.fail("the end of the start should have raised it")
    assert found(raised).property == "ended_requests_leave_no_state"


async def test_a_sound_manager_never_complains(autojump_clock: MockClock) -> None:
    async with manager_of(start_timeout=3, shutdown_timeout=3) as manager:
        await use_three_models(manager)
        with trio.move_on_after(0.5):
            await manager.get_adapter(X)
        (await manager.get_adapter(Z, timeout=20)).release(broken=True)
    counters = manager.statistics().counters
    assert (counters.grants, counters.cancellations, counters.stops) == (4, 1, 4)


def test_switched_off_nothing_is_watched() -> None:
    watches: list[object] = []

    def core(config: ProviderManagerConfig, *, record: bool, watch: Watch | None) -> Coordinator:
        watches.append(watch)
        return Coordinator(config, record=record, watch=watch)

    ProviderManager(one_slot(), core=core)
    assert watches == [None]
    ProviderManager(replace(one_slot(), check_invariants=True), core=core)
    assert watches[1] is not None


@pytest.mark.parametrize("mutant", [DoubleGrant, SaturationForgotten])
def test_the_heap_driver_honours_the_switch(mutant: type[Coordinator]) -> None:
    calls = tuple(PlannedCall(number, "a", SMALL, 64, 16) for number in range(3))
    driver = HeapDriver(Workload("w", calls), FixedTiming([1.0, 2.0, 3.0]))
    config = replace(one_slot(), check_invariants=True)
    assert driver.replay(config).records == driver.replay(one_slot()).records
    with pytest.raises(InvariantError, match="does not hold after change"):
        driver.replay(config, core=mutant)
