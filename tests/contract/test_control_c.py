"""Ctrl-C at any line of the manager, or of trio below it: the run ends, and every adapter that was made is shut down once."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from types import FrameType

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    AdapterConfig,
    CallOptions,
    Lease,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
)
from tests.proof.interruptions import Interruption, at_every_moment
from tests.proof.recorder import Recorder

X = RuntimeProviderConfig("local", "x", {"load_seconds": 1, "unload_seconds": 1, "token_seconds": 1})
Y = RuntimeProviderConfig("local", "y", {"unload_seconds": 1})


def press() -> None:
    """Press Ctrl-C where the manager's code runs, or trio's below it.

    In the test's own code, its adapters too, it is the test that would be broken. In trio's below an adapter it is trio: at the end of a
    block a scope is left open, as in any program.
    """
    frame: FrameType | None = sys._getframe(2)
    if frame is not None and _module(frame) == "_weakrefset":
        return  # Python itself drops what the callback of a weak reference raises
    while frame is not None and not _module(frame).startswith(("statemachine.", "tests.")):
        frame = frame.f_back
    if frame is not None and _module(frame).startswith("statemachine."):
        signal.raise_signal(signal.SIGINT)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def program(recorder: Recorder, at: int) -> int:
    """One task reads an answer, another one waits for its turn with another model."""

    async def wait(manager: ProviderManager) -> None:
        async with manager.acquire(Y):
            await trio.sleep(1)

    async def main() -> None:
        config = ProviderManagerConfig([ProviderConfig("local", recorder.adapter, is_local=True)], on_conflict="wait")
        async with ProviderManager(config) as manager, trio.open_nursery() as nursery:
            async with ReasoningEngine(manager).call([{"role": "user", "content": "a b"}], CallOptions(X)) as stream:
                nursery.start_soon(wait, manager)
                async for _ in stream:
                    pass

    with Interruption(at, press) as interruption:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    return interruption.moments


@pytest.fixture(autouse=True)
def control_c_is_heard() -> Iterator[None]:
    """A process in the background may have been told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore:coroutine 'Recorded.start' was never awaited:RuntimeWarning")  # pressed in between
@pytest.mark.filterwarnings("ignore:a lease of .* was dropped unreleased:ResourceWarning")
def test_every_adapter_is_shut_down_once_whenever_it_is_pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio._core._run._r", random.Random(0))  # trio's order of tasks
    at, ended, pressed = 1, 0, 0
    while not ended or at <= ended:
        recorder = Recorder()
        try:
            ended = program(recorder, at)
        except (KeyboardInterrupt, BaseExceptionGroup) as error:
            left = error.split(KeyboardInterrupt)[1] if isinstance(error, BaseExceptionGroup) else None
            assert left is None, at
            pressed += 1
        assert recorder.not_shut_down_once() == [], at
        assert not any(adapter.open_calls for adapter in recorder.adapters), at
        at += 53
    assert pressed > 20


@pytest.mark.parametrize("times", [(1, 5), (1, 5, 6), (101, 105), (101, 105, 106)])
def test_pressed_again_while_it_closes_a_shutdown_that_hangs_is_still_given_up(times: tuple[int, ...]) -> None:
    recorder = Recorder()
    slow = RuntimeProviderConfig("local", "slow", {"unload_seconds": 1000})

    async def press_at_the_times() -> None:
        for time in times:
            await trio.sleep_until(time)
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        config = ProviderManagerConfig([ProviderConfig("local", recorder.adapter, is_local=True)], shutdown_timeout=30)
        trio.lowlevel.spawn_system_task(press_at_the_times)
        async with ProviderManager(config) as manager:
            (await manager.get_adapter(slow)).release()
            await trio.sleep(100)

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    [adapter] = recorder.adapters
    assert adapter.given_up
    assert adapter.down is not None
    assert adapter.down.time == min(times[0], 100) + 30


class Busy:
    """Ctrl-C is pressed while it computes the token of this number, counted from 1, in a loop that gives trio no chance."""

    def __init__(self, config: AdapterConfig) -> None:
        self.at = int(config.model_id)

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        for number in range(1, 4):
            if number == self.at:
                signal.raise_signal(signal.SIGINT)
                raise AssertionError("the loop was not interrupted")
            yield StreamEvent("token", "a") if number < 3 else StreamEvent("end")
        if self.at > 3:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the loop was not interrupted")

    async def shutdown(self) -> None:
        pass


@pytest.mark.parametrize("at", [1, 2, 4])
def test_it_interrupts_a_stream_that_computes(at: int) -> None:
    async def main() -> None:
        async with ProviderManager(ProviderManagerConfig([ProviderConfig("busy", Busy)])) as manager:
            options = CallOptions(RuntimeProviderConfig("busy", str(at)))
            async with ReasoningEngine(manager).call([{"role": "user", "content": "a"}], options) as stream:
                with pytest.raises(KeyboardInterrupt):
                    async for _ in stream:
                        pass
            assert stream.lease.released

    trio.run(main)


async def test_a_generator_that_leaves_a_scope_open_ends_the_run_and_hangs_nothing() -> None:
    """As Ctrl-C in trio's own code below an adapter may do."""

    class Careless(Busy):
        async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
            trio.CancelScope().__enter__()
            yield StreamEvent("end")

    with trio.fail_after(5), pytest.raises(BaseExceptionGroup, match="nursery"):
        async with ProviderManager(ProviderManagerConfig([ProviderConfig("careless", Careless)])) as manager:
            options = CallOptions(RuntimeProviderConfig("careless", "1"))
            async with ReasoningEngine(manager).call([{"role": "user", "content": "a"}], options) as stream:
                async for _ in stream:
                    pass
            await trio.sleep_forever()


async def _leave(lease: Lease) -> None:
    await lease.__aexit__(None, None, None)  # the end of its block


async def _release(lease: Lease) -> None:
    lease.release()


async def _release_broken(lease: Lease) -> None:
    lease.drain()
    lease.release(broken=True)


@pytest.mark.parametrize("give_back", [_leave, _release, _release_broken])
def test_a_lease_that_is_given_back_is_given_back(give_back: Callable[[Lease], Awaitable[None]]) -> None:
    pressed = 0

    def program(at: int) -> int:
        interruption = Interruption(at, press)

        async def main() -> None:
            config = ProviderManagerConfig([ProviderConfig("p", Recorder().adapter)])
            async with ProviderManager(config) as manager:
                lease = await manager.get_adapter(RuntimeProviderConfig("p", "m"))
                try:
                    with interruption:
                        await give_back(lease)
                finally:
                    assert lease.released, at
                await trio.sleep(1)  # where it is raised

        try:
            trio.run(main, clock=MockClock(autojump_threshold=0))
        except KeyboardInterrupt:
            nonlocal pressed
            pressed += 1
        return interruption.moments

    assert at_every_moment(program) > pressed > 10
