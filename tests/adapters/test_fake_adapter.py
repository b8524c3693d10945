"""FakeAdapter: it takes the time and has the failures that its options say."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
import trio
import trio.testing

from adapters import FakeAdapter
from statemachine import (
    AdapterConfig,
    AdapterConnectError,
    AdapterInstantiationError,
    CallOptions,
    ConfigurationError,
    ModelEvictedError,
    ModelLoadError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
)

PROMPT = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say three words"}]


def fake(**options: Any) -> FakeAdapter:
    return FakeAdapter(AdapterConfig("fake", "model", options))


async def answer(adapter: FakeAdapter) -> list[StreamEvent]:
    return [event async for event in adapter.call(PROMPT, CallOptions())]


async def test_by_default_it_echoes_the_last_message_at_once(autojump_clock: trio.testing.MockClock) -> None:
    adapter = fake()
    began = trio.current_time()
    await adapter.start()
    events = await answer(adapter)
    await adapter.shutdown()
    assert [(event.type, event.data) for event in events] == [
        ("token", "say "),
        ("token", "three "),
        ("token", "words"),
        ("metadata", {"usage": {"completion_tokens": 3}}),
        ("end", "stop"),
    ]
    assert trio.current_time() == began


async def test_it_takes_the_time_that_it_is_told_to_take(autojump_clock: trio.testing.MockClock) -> None:
    adapter = fake(load_seconds=5, first_token_seconds=2, token_seconds=0.5, tokens=4, unload_seconds=3)
    began = trio.current_time()
    await adapter.start()
    assert trio.current_time() - began == pytest.approx(5)
    times = [
        trio.current_time() - began async for event in adapter.call(PROMPT, CallOptions()) if event.type == "token"
    ]
    assert times == pytest.approx([7.5, 8, 8.5, 9])
    await adapter.shutdown()
    assert trio.current_time() - began == pytest.approx(12)


async def test_a_scripted_answer() -> None:
    adapter = fake(tokens=["one", "two"])
    await adapter.start()
    assert [event.data for event in await answer(adapter) if event.type == "token"] == ["one", "two"]


async def test_an_empty_prompt_has_an_empty_answer() -> None:
    adapter = fake()
    await adapter.start()
    assert [event.type async for event in adapter.call([], CallOptions())] == ["metadata", "end"]


@pytest.mark.parametrize("fail_after", [0, 2, 3])
async def test_a_stream_that_fails_after_some_tokens(fail_after: int) -> None:
    adapter = fake(tokens=3, fail_after=fail_after)
    await adapter.start()
    *tokens, last = await answer(adapter)
    assert [event.type for event in tokens] == ["token"] * fail_after
    assert last.type == "error"
    assert isinstance(last.data, AdapterConnectError)


async def test_failing_starts_and_shutdowns_fail_at_their_ends(autojump_clock: trio.testing.MockClock) -> None:
    adapter = fake(load_seconds=5, unload_seconds=1, fail_start=True, fail_shutdown=True)
    began = trio.current_time()
    with pytest.raises(ModelLoadError):
        await adapter.start()
    assert trio.current_time() - began == pytest.approx(5)
    with pytest.raises(AdapterConnectError):
        await adapter.shutdown()
    assert trio.current_time() - began == pytest.approx(6)


async def test_a_call_outside_of_its_life_is_an_eviction() -> None:
    adapter = fake()
    (before,) = await answer(adapter)
    await adapter.start()
    async with aclosing(adapter.call(PROMPT, CallOptions())) as events:
        assert (await anext(events)).type == "token"
        await adapter.shutdown()
        overtaken = await anext(events)
    for event in (before, overtaken):
        assert event.type == "error"
        assert isinstance(event.data, ModelEvictedError)
        assert event.data.broken


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tokens", "text"),
        ("tokens", -1),
        ("tokens", True),
        ("tokens", [1]),
        ("load_seconds", -1),
        ("load_seconds", float("inf")),
        ("token_seconds", "1"),
        ("fail_start", 1),
        ("fail_after", -1),
        ("fail_after", 1.5),
        ("base_url", ""),
        ("no_such_option", 1),
    ],
)
def test_bad_options_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"adapter_options.{option}: must ") as caught:
        fake(**{option: value})
    assert caught.value.field == f"adapter_options.{option}"


def test_a_refused_string_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        fake(load_seconds="sk-secret")
    assert "sk-secret" not in str(caught.value)


async def test_under_the_manager(autojump_clock: trio.testing.MockClock) -> None:
    config = ProviderManagerConfig(
        [ProviderConfig("fake", FakeAdapter, is_local=True, base_options={"load_seconds": 2})]
    )
    async with ProviderManager(config) as manager:
        engine = ReasoningEngine(manager)
        good = CallOptions(RuntimeProviderConfig("fake", "model"))
        async with engine.call(PROMPT, good) as stream:
            text = "".join([str(event.data) async for event in stream if event.type == "token"])
        assert text == "say three words"
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(RuntimeProviderConfig("fake", "model", {"fail_start": True}))
        assert isinstance(caught.value.__cause__, ModelLoadError)
