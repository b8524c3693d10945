"""A worker by itself: what it reports when it is given up on at moments that the manager's tasks hardly ever meet."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    AdapterConfig,
    AdapterInstantiationError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
)
from statemachine.core.events import Stopped
from statemachine.manager.worker import Worker
from tests.contract.recording import Recorder, Script, local_manager, want

X = want("local", "x")


async def test_whoever_is_given_up_on_before_the_beginning_constructs_nothing() -> None:
    recorder, reports = Recorder(), list[object]()
    config = ProviderManagerConfig([ProviderConfig("local", recorder, is_local=True)])
    worker = Worker(7, config.resolve(X), recorder, reports.append)
    worker.interrupt_start()
    worker.stop()
    await worker.run()
    assert reports == [Stopped(7)]
    assert recorder.records == []


async def test_a_construction_that_fails_when_it_was_overdue_already_leaves_nothing_to_shut_down(
    autojump_clock: MockClock,
) -> None:
    """A factory may block; the model finds its deadline past when the failure is reported."""

    def factory(config: AdapterConfig) -> Recorder:
        autojump_clock.jump(6)
        raise OSError("no")

    provider = ProviderConfig("local", factory, is_local=True)  # type: ignore[arg-type]  # it never returns
    async with ProviderManager(ProviderManagerConfig([provider], start_timeout=5)) as manager:
        with pytest.raises(AdapterInstantiationError, match="its start was overdue"):
            await manager.get_adapter(X)
        counters = manager.statistics().counters
        assert manager.statistics().slots["local"].state == "vacant"
        assert (counters.start_failures, counters.stops, counters.shutdown_failures) == (1, 1, 0)


class Rude(BaseException):
    """Such as a KeyboardInterrupt."""


async def test_whatever_a_start_raises_leaves_the_manager_when_all_has_been_shut_down(
    autojump_clock: MockClock,
) -> None:
    recorder = Recorder(x=Script(load=1, start_error=Rude(), unload=2))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with local_manager(recorder) as manager:
            with pytest.raises(AdapterInstantiationError, match="failed with Rude"):
                await manager.get_adapter(X)
            await trio.sleep(9)
    assert caught.value.split(Rude)[1] is None, "nothing else"
    assert recorder.times("shutdown") == [1]
    assert recorder.each_shut_down_once()
