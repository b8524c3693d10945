"""What users import: names, signatures, defaults and the tree of errors, as the contract lists them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import MISSING, fields
from typing import Any

import pytest

import statemachine
import statemachine.config
import statemachine.core
import statemachine.manager
import statemachine.policies
import statemachine.threads
from statemachine import (
    UNSET,
    CallOptions,
    Gated,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StreamEvent,
)
from tests.contract.recording import Recorder, local_manager, want

NAMES = [
    "ProviderManager",
    "ProviderManagerConfig",
    "ProviderConfig",
    "RuntimeProviderConfig",
    "AdapterConfig",
    "Lease",
    "ReasoningEngine",
    "CallOptions",
    "StateManager",
    "StreamEvent",
    "ProviderManagerError",
    "ConfigurationError",
    "UnknownProviderError",
    "ProviderLimitError",
    "QueueFullError",
    "AcquireTimeoutError",
    "LocalProviderConflictError",
    "LocalInstanceBusyError",
    "AdapterInstantiationError",
    "ManagerClosedError",
    "LeaseReleasedError",
    "AdapterError",
]
ERRORS = [name for name in statemachine.__all__ if name.endswith("Error")]
FOLDERS = (
    statemachine,
    statemachine.policies,
    statemachine.config,
    statemachine.core,
    statemachine.manager,
    statemachine.threads,
)
MODULES = [
    f"{folder.__name__}.{m.name}"
    for folder in FOLDERS
    for m in pkgutil.iter_modules(folder.__path__)
    if not m.name.startswith("__") and m.name != "table"
]
"""A table of policies or properties is made of imports alone."""


@pytest.mark.parametrize("name", NAMES)
def test_the_contracts_names_are_exported(name: str) -> None:
    assert hasattr(statemachine, name)
    assert name in statemachine.__all__


@pytest.mark.parametrize("module", ["statemachine", *MODULES])
def test_all_is_sorted_and_exists(module: str) -> None:
    names: list[str] = importlib.import_module(module).__all__
    by_kind = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))  # the linter's order
    assert names == by_kind
    assert all(hasattr(importlib.import_module(module), name) for name in names)


def test_a_star_import_works() -> None:
    namespace: dict[str, Any] = {}
    exec("from statemachine import *", namespace)
    assert set(statemachine.__all__) <= namespace.keys()


@pytest.mark.parametrize("name", ERRORS)
def test_errors_form_one_tree(name: str) -> None:
    assert issubclass(getattr(statemachine, name), statemachine.ProviderManagerError)


def test_errors_are_also_what_the_standard_library_calls_them() -> None:
    assert issubclass(statemachine.AcquireTimeoutError, TimeoutError)
    assert issubclass(statemachine.ConfigurationError, ValueError)
    assert not issubclass(statemachine.LocalInstanceBusyError, statemachine.LocalProviderConflictError)


def test_an_adapter_error_tells_whether_to_retry_and_whether_the_instance_is_broken() -> None:
    error = statemachine.AdapterError("x")
    assert (error.retryable, error.broken) == (False, False)
    error = statemachine.AdapterError("x", retryable=True, broken=True)
    assert (error.retryable, error.broken) == (True, True)
    assert statemachine.ModelEvictedError("x").broken
    assert not statemachine.ModelEvictedError("x", broken=False).broken


def defaults(kind: type) -> dict[str, Any]:
    """The fields that may be given, with their defaults (MISSING: none)."""
    found: dict[str, Any] = {}
    for field in fields(kind):
        if field.init:
            found[field.name] = field.default if field.default_factory is MISSING else field.default_factory()
    return found


def test_provider_config() -> None:
    assert defaults(ProviderConfig) == {
        "name": MISSING,
        "adapter": MISSING,
        "is_local": False,
        "limit": None,
        "idle_timeout": UNSET,
        "parallel": 1,
        "base_options": {},
    }
    assert list(defaults(ProviderConfig)) == [
        "name",
        "adapter",
        "is_local",
        "limit",
        "idle_timeout",
        "parallel",
        "base_options",
    ]


def test_provider_manager_config() -> None:
    expected = {
        "available_providers": MISSING,
        "max_parallel_api_instances_per_provider": 5,
        "api_instance_idle_timeout_seconds": 300,
        "on_limit": "wait",
        "on_conflict": "raise",
        "local_scope": "all",
        "policy": Gated,
        "max_waiting": None,
        "acquire_timeout": None,
        "start_timeout": 600,
        "shutdown_timeout": 30,
        "close_grace": 30,
        "check_invariants": False,
    }
    assert list(defaults(ProviderManagerConfig).items()) == list(expected.items())


def test_runtime_provider_config() -> None:
    assert defaults(RuntimeProviderConfig) == {
        "provider_name": MISSING,
        "model_id": MISSING,
        "adapter_options": {},
    }
    config: Any = RuntimeProviderConfig("p", "m")
    assert isinstance(config.config_signature, str)
    with pytest.raises(AttributeError):
        config.model_id = "other"
    assert {config: 1}[RuntimeProviderConfig("p", "m", {})] == 1


def test_call_options() -> None:
    expected = {
        "provider_config",
        "thread_id",
        "stream",
        "parameters",
        "tools",
        "agent",
        "priority",
        "timeout",
    }
    assert set(defaults(CallOptions)) == expected
    options = CallOptions(provider_config=want("p", "m"))
    assert (options.thread_id, options.stream, options.parameters, options.tools) == (None, True, {}, ())
    assert (options.agent, options.priority, options.timeout) == (None, 0, None)


def test_stream_event() -> None:
    assert StreamEvent("end") == StreamEvent("end", None)
    assert StreamEvent("token", "x").data == "x"


@pytest.mark.parametrize("method", ["get_adapter", "acquire"])
def test_acquiring(method: str) -> None:
    parameters = inspect.signature(getattr(ProviderManager, method)).parameters.values()
    assert [(p.name, p.default) for p in parameters][1:] == [
        ("runtime_config", inspect.Parameter.empty),
        ("timeout", None),
        ("agent", None),
        ("priority", 0),
    ]


def test_acquiring_without_waiting() -> None:
    parameters = inspect.signature(ProviderManager.acquire_nowait).parameters.values()
    assert [(p.name, p.default) for p in parameters][1:] == [
        ("runtime_config", inspect.Parameter.empty),
        ("agent", None),
        ("priority", 0),
    ]


async def test_statistics_have_the_contracts_fields_and_are_frozen() -> None:
    async with local_manager(Recorder()) as manager:
        async with manager.acquire(want("local", "m")):
            pass
        s: Any = manager.statistics()
        provider, slot, usage = s.providers["local"], s.slots["local"], s.models["m"]
        numbers = [
            provider.active,
            provider.idle,
            provider.starting,
            provider.stopping,
            provider.waiting,
            provider.limit,
        ]
        assert numbers == [0, 1, 0, 0, 0, 1]
        assert (slot.state, slot.model, slot.waiting) == ("resident", "m", 0)
        assert (s.counters.grants, s.counters.switches, s.counters.shutdown_failures) == (1, 0, 0)
        assert (usage.calls, usage.busy_seconds) == (1, pytest.approx(0, abs=1))
        for part in (s, provider, slot, s.counters, usage):
            with pytest.raises(AttributeError):
                setattr(part, next(iter(type(part).__dataclass_fields__)), 1)
        for mapping in (s.providers, s.slots, s.models):
            with pytest.raises(TypeError):
                mapping["new"] = 1


def test_available_providers_are_names_in_order() -> None:
    providers = [ProviderConfig(name, Recorder()) for name in ("z", "a", "m")]
    assert list(ProviderManager(ProviderManagerConfig(providers)).available_providers) == ["z", "a", "m"]
