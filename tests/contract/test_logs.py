"""What the core writes to its logs, and under which names: enough to find what went wrong, and no value of an option."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Sequence

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    AdapterInstantiationError,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StreamEvent,
    Transition,
)
from tests.contract.recording import Recorder, Script, local_manager, want

X = want("local", "x")


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "statemachine")


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """As it was when it was logged: a lease shows its state."""
    return [(r.name, r.levelno, r.message) for r in caplog.records if r.name.startswith("statemachine")]


async def test_a_start_that_fails_is_a_remark(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The requester gets the error; the log is for operators."""
    async with local_manager(Recorder(x=Script(start_error=OSError("hunter2")))) as manager:
        with pytest.raises(AdapterInstantiationError):
            await manager.get_adapter(X)
        label = manager.config.resolve(X)
    assert logged(caplog) == [
        ("statemachine.manager.worker", logging.INFO, f"the start of {label} failed with OSError")
    ]


async def test_a_start_that_is_overdue_is_a_remark_and_no_fault_of_the_adapters(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with local_manager(Recorder(x=Script(load=math.inf)), start_timeout=5) as manager:
        with pytest.raises(AdapterInstantiationError):
            await manager.get_adapter(X)
        label = manager.config.resolve(X)
    assert logged(caplog) == [
        ("statemachine.manager.worker", logging.INFO, f"the start of {label} failed with Cancelled")
    ]


@pytest.mark.parametrize(
    ("script", "what"),
    [(Script(shutdown_error=OSError("hunter2")), "failed with OSError"), (Script(unload=math.inf), "is overdue")],
)
async def test_a_shutdown_that_fails_or_hangs_is_a_warning(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, script: Script, what: str
) -> None:
    async with local_manager(Recorder(x=script)) as manager:
        (await manager.get_adapter(X)).release()
        label = manager.config.resolve(X)
    assert logged(caplog) == [("statemachine.manager.worker", logging.WARNING, f"the shutdown of {label} {what}")]


async def test_an_observer_that_raises_costs_one_line_and_its_traceback_is_a_detail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def bad(change: Transition) -> None:
        if (change.machine, change.dest) == ("instance", "starting"):
            raise KeyError("mine")

    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)])
    async with ProviderManager(config, observers=[bad]) as manager:
        (await manager.get_adapter(X)).release()
    (line, details) = logged(caplog)
    assert line[:2] == ("statemachine.manager.observing", logging.ERROR)
    assert line[2].endswith("<locals>.bad raised KeyError; the manager goes on")
    assert caplog.records[0].exc_info is None
    assert details[1] == logging.DEBUG
    assert caplog.records[1].exc_info is not None
    assert caplog.records[1].exc_info[0] is KeyError


async def test_a_stream_that_cannot_be_closed_is_a_warning(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Adapter:
        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
            try:
                yield StreamEvent("end", "stop")
                await trio.sleep_forever()
            finally:
                raise OSError("hunter2")

    config = ProviderManagerConfig([ProviderConfig("local", lambda config: Adapter(), is_local=True)])
    async with ProviderManager(config) as manager:
        async with ReasoningEngine(manager).call([], CallOptions(X)) as stream:
            lease = repr(stream.lease)
            await anext(stream)
    text = f"closing a stream of {lease} failed with OSError"
    assert logged(caplog) == [("statemachine.manager.reading", logging.WARNING, text)]
