"""Thread configuration: the same behaviour in memory and in a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from statemachine import RuntimeProviderConfig
from statemachine.errors import ConfigurationError
from statemachine.threads.record import SecretRef
from statemachine.threads.state import StateManager, ThreadContext

SECRET = "sk-4f1c-do-not-write"
KEY = "runtime_provider_config"


@pytest.fixture(params=["memory", "file"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> StateManager:
    return StateManager() if request.param == "memory" else StateManager(tmp_path / "threads.db")


def config_with(**options: Any) -> RuntimeProviderConfig:
    return RuntimeProviderConfig("openai", "gpt-4o", options)


async def test_values_come_back(state: StateManager) -> None:
    config = config_with(base_url="http://localhost:1234", temperature=0.7, nested={"depth": [1, 2.5, None, True]})
    await state.set_thread_config_value("t", KEY, config)
    await state.set_thread_config_value("t", "system_prompt", "Be brief.")
    context = await state.load_thread_context("t")
    assert context.thread_id == "t"
    assert context.config == {KEY: config, "system_prompt": "Be brief."}
    assert context.runtime_provider_config == config
    assert context.missing == ()
    assert context.runtime_provider_config.adapter_options == config.adapter_options


async def test_a_value_is_replaced_and_threads_are_apart(state: StateManager) -> None:
    for thread, value in [("a", 1), ("b", 2), ("a", 3)]:
        await state.set_thread_config_value(thread, "n", value)
    assert (await state.load_thread_context("a")).config == {"n": 3}
    assert (await state.load_thread_context("b")).config == {"n": 2}


async def test_an_unknown_thread_is_empty(state: StateManager) -> None:
    context = await state.load_thread_context("unknown")
    assert context == ThreadContext("unknown", {})
    assert context.runtime_provider_config is None


async def test_a_deleted_thread_is_unknown(state: StateManager) -> None:
    await state.set_thread_config_value("a", "n", 1)
    await state.set_thread_config_value("b", "n", 2)
    await state.delete_thread("a")
    await state.delete_thread("unknown")
    assert (await state.load_thread_context("a")).config == {}
    assert (await state.load_thread_context("b")).config == {"n": 2}


async def test_values_are_copied_both_ways(state: StateManager) -> None:
    value = {"list": [1]}
    await state.set_thread_config_value("t", "v", value)
    value["list"].append(2)
    loaded = (await state.load_thread_context("t")).config["v"]
    assert loaded == {"list": [1]}
    loaded["list"].append(3)
    assert (await state.load_thread_context("t")).config["v"] == {"list": [1]}


async def test_a_context_cannot_be_changed(state: StateManager) -> None:
    context = await state.load_thread_context("t")
    with pytest.raises(TypeError):
        context.config["n"] = 1  # type: ignore[index]  # this is the point
    with pytest.raises(AttributeError):
        context.thread_id = "other"  # type: ignore[misc]  # this is the point


async def test_concurrent_settings_of_one_thread_are_all_kept(state: StateManager) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(state.set_thread_config_value, "t", f"k{number}", number)
    assert (await state.load_thread_context("t")).config == {f"k{number}": number for number in range(20)}


@pytest.mark.parametrize(
    ("thread", "key", "value", "field"),
    [
        ("", "k", 1, "thread_id"),
        (7, "k", 1, "thread_id"),
        ("\ud800", "k", 1, "thread_id"),
        ("t", "", 1, "key"),
        ("t", None, 1, "key"),
        ("t", "k", {"a": [1, {2}]}, "config.k.a[1]"),
        ("t", "k", float("nan"), "config.k"),
        ("t", "k", {1: 2}, "config.k"),
        ("t", KEY, {"provider_name": "openai", "api_key": SECRET}, KEY),
        ("t", KEY, None, KEY),
    ],
)
async def test_bad_settings_are_refused(state: StateManager, thread: Any, key: Any, value: Any, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await state.set_thread_config_value(thread, key, value)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)
    assert (await state.load_thread_context("t")).config == {}


async def test_bad_thread_ids_are_refused_everywhere(state: StateManager) -> None:
    for method in (state.load_thread_context, state.delete_thread, state.runtime_provider_config):
        with pytest.raises(ConfigurationError, match="thread_id: must not be empty"):
            await method("")


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("path", {"path": 7}),
        ("path", {"path": ""}),
        ("store_secrets", {"store_secrets": 1}),
        ("secrets", {"secrets": {}}),
    ],
)
def test_bad_construction_is_refused(field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StateManager(**arguments)
    assert caught.value.field == field


async def test_memory_loses_nothing() -> None:
    state = StateManager()
    await state.set_thread_config_value("t", KEY, config_with(api_key=SECRET))
    await state.set_thread_config_value("t", "password", SECRET)
    context = await state.load_thread_context("t")
    assert context.runtime_provider_config == config_with(api_key=SECRET)
    assert context.config["password"] == SECRET
    assert SECRET not in repr(context)


NAMES = st.sampled_from(["a", "api_key", "base_url", "tokens", "headers", "x y", "é", ""]) | st.text(max_size=3)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
CONFIGS = st.builds(RuntimeProviderConfig, st.just("p"), st.just("m"), st.dictionaries(NAMES, VALUES, max_size=4))


def part_of(value: Any, ref: SecretRef) -> Any:
    """What ``ref`` refers to, in the whole ``value``."""
    if isinstance(value, RuntimeProviderConfig):
        value = {"adapter_options": value.adapter_options}
    for step in ref.path:
        value = value[step]
    return value


class StoresAgree(RuleBasedStateMachine):
    """Memory, a file with secrets, and a file whose left-out parts are supplied: one behaviour."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        place = Path(self.directory.name)
        self.written: dict[tuple[str, str], Any] = {}
        self.stores = [
            StateManager(),
            StateManager(place / "with", store_secrets=True),
            StateManager(place / "without", secrets=lambda ref: part_of(self.written[ref.thread_id, ref.key], ref)),
        ]

    def teardown(self) -> None:
        self.directory.cleanup()

    @rule(thread=st.sampled_from("xy"), key=st.sampled_from(["a", "api_key", "c"]), value=VALUES | CONFIGS)
    def set_value(self, thread: str, key: str, value: Any) -> None:
        self.written[thread, key] = value
        for store in self.stores:
            trio.run(store.set_thread_config_value, thread, key, value)

    @rule(thread=st.sampled_from("xy"))
    def delete(self, thread: str) -> None:
        self.written = {place: value for place, value in self.written.items() if place[0] != thread}
        for store in self.stores:
            trio.run(store.delete_thread, thread)

    @invariant()
    def agree(self) -> None:
        for thread in "xy":
            expected = {key: value for (owner, key), value in self.written.items() if owner == thread}
            for store in self.stores:
                context = trio.run(store.load_thread_context, thread)
                assert context.config == expected
                assert context.missing == ()


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(max_examples=15, stateful_step_count=6, deadline=None)
