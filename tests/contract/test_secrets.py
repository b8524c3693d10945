"""A marker for a secret goes in wherever one can; it must come out nowhere but in the adapter."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    AdapterConfig,
    CallOptions,
    ConfigurationError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StateManager,
    Transition,
)
from tests.contract.recording import Attempt, Recorder, Script, spawn, want

SECRET = "sk-M4RK3R"
OPTIONS: dict[str, Any] = {
    "api_key": SECRET,
    "monkey": SECRET,
    "nested": {"headers": [{"Authorization": f"Bearer {SECRET}"}], "x": (SECRET,)},
    "base_url": f"http://user:{SECRET}@localhost:1234/v1?token={SECRET}#{SECRET}",
}
SLOT = "http://localhost:1234"


def config_of(model: str, **more: Any) -> RuntimeProviderConfig:
    return RuntimeProviderConfig("local", model, OPTIONS | more)


def shown(subject: object) -> str:
    """Everything that printing or formatting ``subject`` shows."""
    return f"{subject!r} {subject} {[subject]} {subject!a}"


def told(error: BaseException) -> str:
    """An error with all it carries, and as a traceback shows it."""
    return f"{shown(error)} {vars(error)} {''.join(traceback.format_exception(error))}"


def test_configurations_do_not_show_it() -> None:
    recorder = Recorder()
    provider = ProviderConfig("local", recorder, is_local=True, base_options=OPTIONS)
    config = ProviderManagerConfig([provider], local_scope="endpoint")
    calling = CallOptions(config_of("m"), parameters={"user": SECRET}, tools=[{"name": SECRET}])
    adapter = AdapterConfig("local", "m", OPTIONS)
    assert SECRET not in shown(calling) + shown(config.resolve(config_of("m")))
    for subject in (provider, config, config_of("m"), adapter):
        assert SECRET not in shown(subject)
        assert "api_key" in shown(subject), "names are shown"


@pytest.mark.parametrize("value", [math.nan, {SECRET}, {SECRET: {1}}, SECRET.encode(), [SECRET, object()], {1: SECRET}])
def test_a_refused_option_does_not_show_it(value: Any) -> None:
    makers: list[Callable[[], object]] = [
        lambda: RuntimeProviderConfig("p", "m", {"api_key": SECRET, "o": value}),
        lambda: ProviderConfig("p", Recorder(), base_options={"api_key": SECRET, "o": value}),
        lambda: CallOptions(want("p", "m"), parameters={"api_key": SECRET, "o": value}),
        lambda: CallOptions(want("p", "m"), tools=[{"api_key": SECRET, "o": value}]),
    ]
    for make in makers:
        with pytest.raises(ConfigurationError) as caught:
            make()
        if value != {SECRET: {1}}:  # the name of an option is no secret
            assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("options", [SECRET, [SECRET], (SECRET,), {SECRET}, SECRET.encode()])
def test_options_that_are_no_mapping_do_not_show_it(options: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RuntimeProviderConfig("p", "m", options)
    assert SECRET not in f"{caught.value} {vars(caught.value)}"


def manager_of(recorder: Recorder, seen: list[Transition], **more: Any) -> ProviderManager:
    provider = ProviderConfig("local", recorder, is_local=True, base_options=OPTIONS)
    config = ProviderManagerConfig([provider], local_scope="endpoint", start_timeout=9, shutdown_timeout=9, **more)
    return ProviderManager(config, observers=[seen.append])


async def test_a_manager_at_work_does_not_show_it(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder(
        slow=Script(load=math.inf),
        hung=Script(unload=math.inf),
        unclean=Script(shutdown_error=OSError("no")),
        bad=Script(start_error=OSError("no")),
    )
    seen: list[Transition] = []
    pictures: list[str] = []
    attempts: list[Attempt] = []
    async with trio.open_nursery() as nursery:
        async with manager_of(recorder, seen, on_conflict="wait", max_waiting=1) as manager:
            for model in ("good", "bad", "slow", "hung", "unclean", "good"):
                attempts.append(await spawn(nursery, manager, config_of(model), 1))
                attempts.append(await spawn(nursery, manager, config_of("good", other=SECRET), timeout=0.5))
                attempts.append(await spawn(nursery, manager, config_of("good", third=SECRET), timeout=0.5))
                pictures += [shown(manager.statistics()), shown(manager), shown(attempts[0].lease)]
                await trio.sleep(30)
            attempts.append(await spawn(nursery, manager, config_of("good"), 500))
            attempts.append(await spawn(nursery, manager, config_of("bad"), 500))
            assert set(manager.statistics().slots) == {SLOT}
    errors = [told(attempt.error) for attempt in attempts if attempt.error is not None]
    kinds = {type(attempt.error).__name__ for attempt in attempts if attempt.error is not None}
    assert kinds == {"AcquireTimeoutError", "QueueFullError", "AdapterInstantiationError", "ManagerClosedError"}
    logs = [record.getMessage() for record in caplog.records] + [str(vars(record)) for record in caplog.records]
    assert logs
    everything = "\n".join(pictures + errors + logs + [shown(transition) for transition in seen])
    assert SECRET not in everything
    assert any(adapter.config.options["api_key"] == SECRET for adapter in recorder.made)


async def test_refusals_in_raise_mode_do_not_show_it() -> None:
    seen: list[Transition] = []
    async with manager_of(Recorder(), seen) as manager:
        async with manager.acquire(config_of("m")) as lease:
            for config in (config_of("m"), config_of("n")):
                with pytest.raises(Exception, match="local/") as caught:
                    await manager.get_adapter(config)
                assert SECRET not in told(caught.value)
            assert SECRET not in shown(lease)
        with pytest.raises(Exception, match="over") as caught:
            _ = lease.adapter
        assert SECRET not in told(caught.value)


async def test_only_a_short_digest_is_shown(autojump_clock: MockClock) -> None:
    """A whole signature of a weak secret could be searched for."""
    seen: list[Transition] = []
    config = config_of("m")
    async with manager_of(Recorder(), seen) as manager:
        async with manager.acquire(config) as lease:
            signature = seen[0].demand.signature if seen[0].demand else ""
            assert signature[:8] in shown(lease)
            for subject in (lease, config, manager.statistics(), *seen):
                assert signature not in shown(subject)
                assert config.config_signature not in shown(subject)


async def test_a_thread_does_not_show_it() -> None:
    state = StateManager()
    await state.set_thread_config_value("t", "runtime_provider_config", config_of("m"))
    assert SECRET not in shown(await state.load_thread_context("t")) + shown(state)
