"""Calls that are repeated, and providers that stand in for others: only where nothing of an answer was seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from adapters import FakeAdapter, Fallback, Retrying
from statemachine import (
    AdapterBusyError,
    AdapterConfig,
    AdapterConnectError,
    AdapterError,
    AdapterRequestError,
    AuthenticationError,
    CallOptions,
    ConfigurationError,
    ModelEvictedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
)

PROMPT = [{"role": "user", "content": "hi"}]
X, END = StreamEvent("token", "x"), StreamEvent("end", "stop")


class Scripted:
    """Answers each call by the next script: events, or an error as the only event."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.calls: list[float] = []
        self.closed = 0

    def __call__(self, config: AdapterConfig) -> Scripted:
        return self

    async def call(self, prompt: object, options: CallOptions) -> AsyncIterator[StreamEvent]:
        self.calls.append(trio.current_time())
        step = self.script.pop(0)
        try:
            for event in [StreamEvent("error", step)] if isinstance(step, AdapterError) else step:
                yield event
        finally:
            self.closed += 1


async def answer(scripted: Scripted, **options: Any) -> list[StreamEvent]:
    adapter = Retrying(scripted, **options)(AdapterConfig("p", "m", {}))
    events = [event async for event in adapter.call(PROMPT, CallOptions())]
    assert scripted.closed == len(scripted.calls)
    return events


async def test_what_may_pass_is_repeated(autojump_clock: trio.testing.MockClock) -> None:
    scripted = Scripted(AdapterConnectError("a"), AdapterBusyError("b", retry_after=7), [X, END])
    assert await answer(scripted) == [X, END]
    first, second, third = scripted.calls
    assert second - first <= 30
    assert third - second >= 7


@pytest.mark.parametrize(
    "error",
    [
        AdapterRequestError("no"),
        AdapterError("no"),
        ModelEvictedError("gone"),
        AdapterConnectError("x", broken=True),
        AdapterBusyError("b", retry_after=31),
    ],
)
async def test_what_cannot_pass_is_not(error: AdapterError, autojump_clock: trio.testing.MockClock) -> None:
    scripted = Scripted(error)
    assert await answer(scripted) == [StreamEvent("error", error)]


async def test_only_so_often(autojump_clock: trio.testing.MockClock) -> None:
    errors = [AdapterConnectError(str(number)) for number in range(4)]
    assert await answer(Scripted(*errors), attempts=4) == [StreamEvent("error", errors[-1])]


async def test_never_after_a_piece_was_handed_on(autojump_clock: trio.testing.MockClock) -> None:
    lost = StreamEvent("error", AdapterConnectError("lost"))
    assert await answer(Scripted([X, lost])) == [X, lost]


async def test_cancelled_in_a_pause(autojump_clock: trio.testing.MockClock) -> None:
    scripted = Scripted(AdapterBusyError("b", retry_after=20), [X, END])
    with trio.move_on_after(5) as scope:
        await answer(scripted)
    assert scope.cancelled_caught
    assert len(scripted.calls) == 1


def test_what_the_inner_adapter_declares_is_declared() -> None:
    class Local(FakeAdapter):
        is_local = True
        default_base_url = "http://localhost:1"

    factory: Any = Retrying(Local)
    assert (factory.is_local, factory.default_base_url) == (True, "http://localhost:1")
    assert not hasattr(Retrying(Scripted()), "is_local")
    for bad in ({"attempts": 0}, {"longest_pause": -1}):
        with pytest.raises(ConfigurationError):
            Retrying(FakeAdapter, **bad)


A, B = RuntimeProviderConfig("a", "m"), RuntimeProviderConfig("b", "m")


class Engines:
    """A manager with two providers, each scripted."""

    def __init__(self, a: Scripted, b: Scripted) -> None:
        self.config = ProviderManagerConfig([ProviderConfig("a", a), ProviderConfig("b", b)])

    async def say(self, calls: int = 1, **options: Any) -> list[Any]:
        said: list[Any] = []
        async with ProviderManager(self.config) as manager:
            fallback = Fallback(ReasoningEngine(manager), [A, B], **options)
            for _ in range(calls):
                try:
                    async with fallback.call(PROMPT, CallOptions()) as stream:
                        said.append([event.data async for event in stream])
                except AdapterError as error:
                    said.append(error)
                await trio.sleep(1)
        return said


async def test_the_next_one_answers(autojump_clock: trio.testing.MockClock) -> None:
    for error in (AdapterConnectError("x"), AuthenticationError("x"), AdapterBusyError("x")):
        assert await Engines(Scripted(error), Scripted([X, END])).say() == [["x", "stop"]]


async def test_the_last_error_is_told_and_a_bad_request_at_once(autojump_clock: trio.testing.MockClock) -> None:
    last = AdapterConnectError("b")
    assert await Engines(Scripted(AdapterConnectError("a")), Scripted(last)).say() == [last]
    bad = AdapterRequestError("bad")
    assert await Engines(Scripted(bad), Scripted()).say() == [bad]


async def test_no_other_after_a_piece_was_handed_on(autojump_clock: trio.testing.MockClock) -> None:
    lost = AdapterConnectError("lost")
    assert await Engines(Scripted([X, StreamEvent("error", lost)]), Scripted()).say() == [lost]


async def test_who_fails_again_and_again_cools_down(autojump_clock: trio.testing.MockClock) -> None:
    a = Scripted(AdapterConnectError("1"), AdapterConnectError("2"), [X, END], [X, END])
    b = Scripted(*[[X, END]] * 9)
    assert await Engines(a, b).say(8, failures=2, cooldown=4.5) == [["x", "stop"]] * 8
    assert len(a.calls) == 4
    assert a.calls[2] - a.calls[1] == pytest.approx(5, abs=0.1)


async def test_if_all_cool_down_the_first_to_be_cool_is_tried(autojump_clock: trio.testing.MockClock) -> None:
    a = Scripted(AdapterBusyError("a", retry_after=50), [X, END])
    b = Scripted(AdapterBusyError("b", retry_after=90))
    said = await Engines(a, b).say(2)
    assert isinstance(said[0], AdapterBusyError)
    assert said[1] == ["x", "stop"]
