"""R20: public errors and values survive pickle, copy and deepcopy, and show no secret on their way into a log."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
import trio

import statemachine
from adapters import FakeAdapter
from statemachine import (
    UNSET,
    AdapterConfig,
    AdapterError,
    CallOptions,
    ConfigurationError,
    ContentionError,
    ForwardRequest,
    ForwardResponse,
    InstanceConfig,
    ModelEvictedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
    RuntimeProviderConfig,
    SecretRef,
    StreamEvent,
    ThreadContext,
    ToolCall,
    Transition,
)

SECRET = "hunter2-in-every-option"
OPTIONS = {"api_key": SECRET, "deep": {"list": [SECRET, (1, 2.5, None)]}}
RUNTIME = RuntimeProviderConfig("local", "m", OPTIONS)
CALL = CallOptions(
    RUNTIME, parameters={"temperature": 0, "stop": ["x"]}, tools=[{"type": "function"}], timeout=math.inf
)
PROVIDER = ProviderConfig("local", FakeAdapter, is_local=True, base_options={"api_token": SECRET})
CONFIG = ProviderManagerConfig([PROVIDER], on_conflict="wait", policy=statemachine.Fifo)


def by_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


TRAVELS: list[Callable[[Any], Any]] = [by_pickle, copy.copy, copy.deepcopy]

ARGUMENTS: dict[str, Any] = {
    "field": "limit", "rule": "must be more", "shown": "3", "provider": "p", "available": ("a", "b"), "requested": "a/b#1",
    "property": "p", "sentence": "s", "change": 1, "event": "e", "message": "it went wrong",
}  # fmt: skip


def made(kind: type[ProviderManagerError]) -> ProviderManagerError:
    """An error of ``kind``, with everything that it can carry."""
    wanted = inspect.signature(kind.__init__).parameters
    if issubclass(kind, AdapterError):
        return kind(
            "it went wrong", retryable=True, broken=True, status=503, type="t", code="c", param="p", retry_after=2.5
        )
    if issubclass(kind, ContentionError):
        return kind("it went wrong", requested="a/b#1", holder="c/d#2", limit=3, waited=1.5)
    named = {name: ARGUMENTS[name] for name in wanted if name in ARGUMENTS}
    return kind(**named) if named else kind("it went wrong")


ERRORS = [
    made(kind)
    for kind in (getattr(statemachine, name) for name in statemachine.__all__)
    if isinstance(kind, type) and issubclass(kind, ProviderManagerError)
]


def values() -> list[Any]:
    """One of every public value."""

    async def main() -> list[Any]:
        seen: list[Transition] = []
        async with ProviderManager(CONFIG, observers=[seen.append]) as manager:
            lease = await manager.get_adapter(RuntimeProviderConfig("local", "m", {"token_seconds": 0}))
            picture = manager.statistics()
            lease.release()
        return [
            picture,
            *picture.providers.values(),
            *picture.slots.values(),
            picture.counters,
            picture.models["m"],
            seen[0],
            seen[3],
        ]

    return [
        *trio.run(main), RUNTIME, CALL, PROVIDER, CONFIG, InstanceConfig(CONFIG), AdapterConfig("p", "m", OPTIONS),
        CONFIG.resolve(RUNTIME), StreamEvent("token", "hi"), StreamEvent("tool_call", ToolCall(1, "id", "f", "{}")),
        StreamEvent("metadata", {"usage": {"tokens": 1}}), ToolCall(0), ForwardRequest("POST", "/v1?x=1", (("a", "b"),), b"{}"),
        SecretRef("t", "k", ("a", 0)), ThreadContext("t", {"k": [1], "runtime_provider_config": RUNTIME}, ()),
    ]  # fmt: skip


@pytest.mark.parametrize("travel", TRAVELS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_f23_r20_errors_travel_with_their_data(error: ProviderManagerError, travel: Callable[[Any], Any]) -> None:
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("travel", TRAVELS, ids=lambda f: f.__name__)
def test_r20_values_travel(travel: Callable[[Any], Any]) -> None:
    for value in values():
        arrived = travel(value)
        assert type(arrived) is type(value)
        assert arrived == value, value
        assert repr(arrived) == repr(value)
        assert SECRET not in repr(arrived)


@pytest.mark.parametrize("travel", TRAVELS, ids=lambda f: f.__name__)
def test_r20_a_configuration_that_has_travelled_is_the_same_for_the_manager(travel: Callable[[Any], Any]) -> None:
    arrived = travel(RUNTIME)
    assert arrived.config_signature == RUNTIME.config_signature
    assert hash(arrived) == hash(RUNTIME)
    assert arrived.adapter_options["deep"]["list"][1] == (1, 2.5, None)
    config = travel(CONFIG)
    assert config.resolve(arrived) == CONFIG.resolve(RUNTIME)
    assert config.provider("local").idle_timeout is UNSET
    call = travel(CALL)
    assert (call.timeout, call.tools[0]["type"]) == (math.inf, "function")
    event = travel(StreamEvent("error", ModelEvictedError("gone", status=404)))
    assert (type(event.data), event.data.status, event.data.broken) == (ModelEvictedError, 404, True)


@pytest.mark.parametrize("travel", TRAVELS, ids=lambda f: f.__name__)
def test_r20_groups_of_errors_travel(travel: Callable[[Any], Any]) -> None:
    arrived = travel(ExceptionGroup("several", ERRORS))
    assert [str(error) for error in arrived.exceptions] == [str(error) for error in ERRORS]


def _fail() -> None:
    raise ConfigurationError("limit", "must be an integer of at least 1", "0")


def test_f23_r20_an_error_of_a_worker_process_arrives() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(ConfigurationError) as caught:
            pool.submit(_fail).result()
    assert (caught.value.field, caught.value.shown) == ("limit", "0")


async def test_r20_what_is_bound_to_its_run_says_so() -> None:
    """A manager, a lease and a stream cannot be taken elsewhere."""
    async with ProviderManager(CONFIG) as manager, manager.acquire(RuntimeProviderConfig("local", "m")) as lease:
        for bound in (manager, lease, ForwardResponse(200, (), _no_bytes())):
            with pytest.raises(TypeError):
                pickle.dumps(bound)


async def _no_bytes() -> Any:
    if False:
        yield b""


# ---- R10: what is frozen cannot be changed ----


@pytest.mark.parametrize("value", [RUNTIME.adapter_options, PROVIDER.base_options, CALL.parameters, CALL.tools[0]])
@pytest.mark.parametrize("travel", [*TRAVELS, lambda value: value])
def test_r10_options_are_read_only_at_every_depth(value: Any, travel: Callable[[Any], Any]) -> None:
    mapping = travel(value)
    changes: list[Callable[[], object]] = [
        lambda: mapping.update(api_key="b"),
        lambda: mapping.__setitem__("api_key", "b"),
        lambda: mapping.setdefault("new", 1),
        lambda: mapping.pop(next(iter(mapping))),
        lambda: mapping.clear(),
        lambda: mapping.__ior__({"a": 1}),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="read-only"):
            change()
    assert travel(value) == value


def test_r10_so_are_lists_and_mappings_in_them() -> None:
    inner = RUNTIME.adapter_options["deep"]
    changes: list[Callable[[], object]] = [
        lambda: inner.update(a=1),
        lambda: inner["list"].append(1),
        lambda: inner["list"].__setitem__(0, 1),
        lambda: inner["list"].sort(),
        lambda: inner["list"].__iadd__([1]),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="read-only"):
            change()
