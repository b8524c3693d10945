"""N1, N4, N7, N9, R21: what a new user meets first says what to write."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters import AnthropicAdapter, FakeAdapter, LlamaCppAdapter, LMStudioAdapter, OllamaAdapter, OpenAIAdapter
from statemachine import (
    AdapterConfig,
    AsyncioProviderManager,
    AsyncioReasoningEngine,
    CallOptions,
    ConfigurationError,
    InstanceConfig,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
    ReasoningEngine,
    RuntimeProviderConfig,
    StateManager,
    SyncProviderManager,
    SyncReasoningEngine,
    Transition,
    TransitionLog,
    WrongEventLoopError,
    create_instance,
)
from tests.contract.recording import Recorder, RecordingAdapter, Script, local_manager, spawn, want

ROOT = Path(__file__).parents[2]
X, Y = want("local", "x"), want("local", "y")
CONFIG = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)])
HI = [{"role": "user", "content": "hi"}]


# ---- N1: on asyncio ----


async def _enter() -> None:
    async with ProviderManager(CONFIG):
        raise AssertionError("entered")


async def _call() -> None:
    async with ReasoningEngine(ProviderManager(CONFIG)).call(HI, CallOptions(X)):
        raise AssertionError("entered")


async def _instance() -> None:
    async with create_instance(InstanceConfig(CONFIG)):
        raise AssertionError("entered")


async def _state() -> None:
    await StateManager().load_thread_context("t")


async def _state_in_a_file(path: Path) -> None:
    await StateManager(path / "threads").set_thread_config_value("t", "k", 1)


@pytest.mark.parametrize("program", [_enter, _call, _instance, _state, _state_in_a_file])
def test_n01_asyncio_is_told_of_trio_and_the_bridge(program: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(WrongEventLoopError) as caught:
        asyncio.run(program(tmp_path) if program is _state_in_a_file else program())
    assert isinstance(caught.value, ProviderManagerError)
    for word in ("trio.run", "Asyncio"):
        assert word in str(caught.value)


# ---- N4, and what an import costs ----


def test_n04_every_package_is_typed() -> None:
    for package in ("statemachine", "adapters", "simulation"):
        assert (ROOT / package / "py.typed").exists()


def test_an_import_loads_no_database() -> None:
    """Nor the properties, nor the checker."""
    code = "import statemachine, sys; print([m for m in sys.modules if m in ('sqlite3', 'statemachine.checking')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


# ---- N7: observers ----


async def test_n07_an_instance_takes_observers_and_transitions_name_the_agent() -> None:
    seen: list[Transition] = []
    config = InstanceConfig(CONFIG, observers=[seen.append])
    async with create_instance(config, observers=[seen.append]) as instance:
        async with instance.manager.acquire(X, agent="ann"):
            pass
    assert len(seen) > 4
    assert seen[::2] == seen[1::2], "both were told"
    assert {change.agent for change in seen if change.machine == "request"} == {"ann"}


async def test_n07_a_refusal_names_the_agents_in_the_way(autojump_clock: MockClock) -> None:
    async with local_manager(Recorder(y=Script(load=5)), parallel=2) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 5, agent="ann")
        await spawn(nursery, manager, X, 5, agent="bob")
        with pytest.raises(LocalProviderConflictError) as conflict:
            await manager.get_adapter(Y)
        with pytest.raises(LocalInstanceBusyError) as busy:
            await manager.get_adapter(X)
        assert conflict.value.agents == busy.value.agents == ("ann", "bob")


async def test_n07_transitions_can_be_logged(caplog: pytest.LogCaptureFixture, autojump_clock: MockClock) -> None:
    caplog.set_level(logging.INFO, "statemachine.transitions")
    async with ProviderManager(CONFIG, observers=[TransitionLog()]) as manager:
        label = manager.config.resolve(X)
        async with manager.acquire(X, agent="ann\n2026 forged"):
            await trio.sleep(2)
    lines = [record.message for record in caplog.records if record.name == "statemachine.transitions"]
    assert f"0.000 request 1: assigned -> granted (grant), {label} for ann 2026 forged" in lines
    assert f"2.000 instance 1: active -> idle (release), {label}" in lines
    assert "0.000 pool slot local: open -> saturated (saturate)" in lines
    caplog.clear()
    caplog.set_level(logging.WARNING, "statemachine.transitions")
    async with ProviderManager(CONFIG, observers=[TransitionLog()]) as manager:
        (await manager.get_adapter(X)).release()
    assert caplog.records == []


async def _async_observer(change: Transition) -> None:
    pass


class _AsyncObserver:
    async def __call__(self, change: Transition) -> None:
        pass


@pytest.mark.parametrize(
    ("observers", "said"),
    [
        (print, r"write observers=\[observer\]"),
        ("print", r"write observers=\[observer\]"),
        (None, r"write observers=\[observer\]"),
        ({print}, r"write observers=\[observer\]"),
        ([3], r"observers\[0\]: must be callable"),
        ([print, _async_observer], r"observers\[1\]: must be a plain function"),
        ([_AsyncObserver()], "must be a plain function"),
    ],
)
def test_n09_observers_are_a_sequence_of_plain_functions(observers: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ProviderManager(CONFIG, observers=observers)


@pytest.mark.parametrize("observers", [print, [_async_observer]])
async def test_n09_so_are_those_of_an_instance(observers: Any) -> None:
    with pytest.raises(ConfigurationError, match="observers"):
        async with create_instance(InstanceConfig(CONFIG), observers=observers):
            pass


# ---- N9: calls ----


async def test_n09_a_call_is_a_block() -> None:
    async with ProviderManager(CONFIG) as manager:
        call = ReasoningEngine(manager).call(HI, CallOptions(X))
        with pytest.raises(TypeError, match=r"async with engine\.call"):
            async for _ in call:
                pass
        with pytest.raises(TypeError, match=r"async with engine\.call"):
            await call
        with pytest.raises(TypeError, match=r"async with manager\.acquire"):
            await manager.acquire(X)


A_LIST = "must be a list of messages: write [{'role': 'user', 'content': 'text'}]"


@pytest.mark.parametrize("prompt", ["hi", b"hi", {"role": "user"}, None, 3, ["hi"], [HI]])
async def test_n09_a_prompt_is_a_list_of_messages(prompt: Any) -> None:
    async with ProviderManager(CONFIG) as manager:
        with pytest.raises(ConfigurationError, match="'role': 'user'"):
            ReasoningEngine(manager).call(prompt, CallOptions(X))


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("hi", CallOptions(X), f"prompt: {A_LIST}; got a str"),
        (3, CallOptions(X), f"prompt: {A_LIST}; got a int"),
        ([HI[0], b"hi"], CallOptions(X), f"prompt[1]: {A_LIST}; got a bytes"),
        (HI, X, "options: must be CallOptions(runtime_config, ...); got a RuntimeProviderConfig"),
    ],
)
async def test_n09_what_is_no_call_is_named_with_its_rule_and_type(prompt: Any, options: Any, said: str) -> None:
    async with ProviderManager(CONFIG) as manager:
        with pytest.raises(ConfigurationError) as caught:
            ReasoningEngine(manager).call(prompt, options)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("manager", "state", "said"),
    [
        (
            3,
            None,
            "manager: must be a ProviderManager (its sides for asyncio and for plain code have engines of their own); got 3",
        ),
        (ProviderManager(CONFIG), 3, "state: must be a StateManager or None; got 3"),
    ],
)
def test_n09_what_is_no_part_of_an_engine_is_shown(manager: Any, state: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ReasoningEngine(manager, state)
    assert str(caught.value) == said


async def test_n09_options_are_call_options() -> None:
    async with ProviderManager(CONFIG) as manager:
        with pytest.raises(ConfigurationError, match=r"CallOptions\(runtime_config"):
            ReasoningEngine(manager).call(HI, X)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize(
    "manager", [CONFIG, None, "manager", AsyncioProviderManager(CONFIG), SyncProviderManager(CONFIG)]
)
def test_n09_an_engine_has_a_manager(manager: Any) -> None:
    with pytest.raises(ConfigurationError, match="manager: must be a ProviderManager"):
        ReasoningEngine(manager)


@pytest.mark.parametrize(
    ("engine", "manager", "right"),
    [
        (AsyncioReasoningEngine, SyncProviderManager, "AsyncioProviderManager"),
        (AsyncioReasoningEngine, ProviderManager, "AsyncioProviderManager"),
        (SyncReasoningEngine, AsyncioProviderManager, "SyncProviderManager"),
        (SyncReasoningEngine, ProviderManager, "SyncProviderManager"),
    ],
)
def test_n09_so_has_one_of_another_side(engine: Any, manager: Any, right: str) -> None:
    with pytest.raises(ConfigurationError, match=f"manager: must be a {right}"):
        engine(manager(CONFIG))


@pytest.mark.parametrize("state", ["threads", {}, 5, object()])
def test_n09_the_state_of_an_engine_is_a_state_manager(state: Any) -> None:
    with pytest.raises(ConfigurationError, match="state: must be a StateManager"):
        ReasoningEngine(ProviderManager(CONFIG), state)


@pytest.mark.parametrize(
    "key",
    [
        "runtime_provider_confg",
        "runtimeProviderConfig",
        "runtime-provider-config",
        "Runtime_Provider_Config",
        "runtime_provider_configs",
    ],
)
async def test_n09_a_mistyped_key_of_the_provider_is_noticed(key: str) -> None:
    with pytest.raises(ConfigurationError, match="'runtime_provider_config'"):
        await StateManager().set_thread_config_value("t", key, X)


@pytest.mark.parametrize("key", ["runtime", "provider_config", "config", "provider", "runtime_provider"])
async def test_n09_other_keys_are_the_applications(key: str) -> None:
    await StateManager().set_thread_config_value("t", key, "value")


# ---- N5: a mistyped option is found when it is given ----


@pytest.mark.parametrize("adapter", [AnthropicAdapter, LlamaCppAdapter, LMStudioAdapter, OllamaAdapter, OpenAIAdapter])
def test_n05_a_mistyped_base_option_is_found_when_it_is_given(adapter: Any) -> None:
    local = getattr(adapter, "is_local", False)
    with pytest.raises(
        ConfigurationError, match=rf"base_options.base_ulr: must be an option of {adapter.__name__}: .*base_url"
    ):
        ProviderConfig("p", adapter, local, base_options={"base_ulr": "http://localhost:1"})
    ProviderConfig("p", adapter, local, base_options=dict.fromkeys(adapter.option_names))


# ---- R21: a constructor that blocks ----


async def test_r21_a_constructor_that_blocks_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    def factory(config: AdapterConfig) -> RecordingAdapter:
        if config.model_id == "x":
            time.sleep(0.55)  # the mistake that is to be noticed
        return Recorder()(config)

    async with ProviderManager(ProviderManagerConfig([ProviderConfig("local", factory, is_local=True)])) as manager:
        for config in (Y, X):
            (await manager.get_adapter(config)).release()
        label = manager.config.resolve(X)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("statemachine.manager.worker", logging.WARNING)
    text = rf"constructing {label} blocked every task for \d+\.\d s: do what is slow in the adapter's async start\(\)"
    assert re.fullmatch(text, record.message)


async def test_n09_what_lacks_async_says_what_to_write() -> None:
    config = RuntimeProviderConfig("f", "m")
    async with ProviderManager(ProviderManagerConfig([ProviderConfig("f", FakeAdapter)])) as manager:
        engine = ReasoningEngine(manager)
        lease = await manager.get_adapter(config)
        call = engine.call([{"role": "user", "content": "x"}], CallOptions(config))
        for thing in (manager, manager.acquire(config), call, lease):
            with pytest.raises(TypeError, match="write: async with"), thing:
                pass
        with pytest.raises(TypeError, match=r"^write: async with ProviderManager\(config\) as manager$"), manager:
            pass
        async with call as stream:
            with pytest.raises(TypeError, match="write: async for event in stream"):
                list(stream)
        with pytest.raises(TypeError, match="write: async with"):
            list(call)
        lease.release()


async def test_public_values_can_be_keys() -> None:
    config = ProviderManagerConfig([ProviderConfig("f", FakeAdapter, base_options={"a": [1, {"b": 2}]})])
    async with ProviderManager(config) as manager:
        statistics = manager.statistics()
    values = [config, statistics, config.available_providers[0], CallOptions(RuntimeProviderConfig("f", "m"))]
    assert len({*values, *values}) == len(values)
