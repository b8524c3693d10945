"""Ctrl-C at any line of the manager, or of trio below it: the run ends, and every adapter that was made is shut down once."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
)
from tests.proof.interruptions import Interruption
from tests.proof.recorder import Recorder

X = RuntimeProviderConfig("local", "x", {"load_seconds": 1, "unload_seconds": 1, "token_seconds": 1})
Y = RuntimeProviderConfig("local", "y", {"unload_seconds": 1})


def press() -> None:
    """Press Ctrl-C where the manager's code runs; in the test's own code, and in trio's below that, it is the test that would be broken."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith("statemachine."):
        frame = frame.f_back
    if frame is not None:
        signal.raise_signal(signal.SIGINT)


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
