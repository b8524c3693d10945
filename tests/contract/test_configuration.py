"""The contract's section on configuration: checked when it is given, with the field, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

import pytest

from adapters import LMStudioAdapter
from statemachine import (
    AdapterConfig,
    CallOptions,
    ConfigurationError,
    Gated,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StreamEvent,
)
from tests.contract.recording import Recorder, api_manager, want

BAD_COUNTS = [0, -1, True, False, 1.0, 2.5, math.nan, math.inf, "1", [], Decimal(1)]
BAD_TIMES = [0, -1, -0.0, True, False, math.nan, math.inf, -math.inf, "1", [], pytest.param(10**400, id="no float")]
TIMES = [
    "api_instance_idle_timeout_seconds",
    "acquire_timeout",
    "start_timeout",
    "shutdown_timeout",
    "close_grace",
]


def provider(name: Any = "p", adapter: Any = None, **given: Any) -> ProviderConfig:
    return ProviderConfig(name, adapter or Recorder(), **given)


def manager_config(**given: Any) -> ProviderManagerConfig:
    return ProviderManagerConfig([provider()], **given)


def refused(caught: pytest.ExceptionInfo[ConfigurationError], field: str) -> None:
    """The error names the field and the rule, as data and in its text."""
    assert caught.value.field == field
    assert caught.value.rule
    assert field in str(caught.value)
    assert caught.value.rule in str(caught.value)


@pytest.mark.parametrize("value", [value for value in BAD_COUNTS if value is not None])
def test_a_limit_is_an_int_of_at_least_one(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(limit=value)
    refused(caught, "limit")
    with pytest.raises(ConfigurationError) as caught:
        manager_config(max_parallel_api_instances_per_provider=value)
    refused(caught, "max_parallel_api_instances_per_provider")
    with pytest.raises(ConfigurationError) as caught:
        provider(parallel=value, is_local=True)
    refused(caught, "parallel")


@pytest.mark.parametrize("value", [-1, True, 1.5, math.nan, "1"])
def test_max_waiting_is_a_count_or_none(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manager_config(max_waiting=value)
    refused(caught, "max_waiting")


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize("value", BAD_TIMES)
def test_a_timeout_is_positive_and_finite_or_none(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manager_config(**{field: value})
    refused(caught, field)
    assert getattr(manager_config(**{field: None}), field) is None
    assert getattr(manager_config(**{field: 0.5}), field) == 0.5


@pytest.mark.parametrize("value", BAD_TIMES)
def test_an_idle_timeout_is_positive_and_finite_or_none(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(idle_timeout=value)
    refused(caught, "idle_timeout")
    assert provider(idle_timeout=None).idle_timeout is None


@pytest.mark.parametrize("value", ["", None, 1, b"p"])
def test_a_name_is_a_string_with_something_in_it(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(name=value)
    refused(caught, "name")
    for field in ("provider_name", "model_id"):
        with pytest.raises(ConfigurationError) as caught:
            RuntimeProviderConfig(**({"provider_name": "p", "model_id": "m"} | {field: value}))
        refused(caught, field)


def test_names_are_unique() -> None:
    with pytest.raises(ConfigurationError, match=r"available_providers\[2\].*'a'"):
        ProviderManagerConfig([provider("a"), provider("b"), provider("a", is_local=True)])


@pytest.mark.parametrize("value", [None, 1, "p", provider(), [1], [provider(), None], {"p": provider()}])
def test_providers_are_a_sequence_of_provider_configs(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="available_providers"):
        ProviderManagerConfig(value)


@pytest.mark.parametrize("value", [None, 1, "adapter", [Recorder()]])
def test_an_adapter_is_callable_and_a_policy_can_be_made(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProviderConfig("p", value)
    refused(caught, "adapter")
    with pytest.raises(ConfigurationError) as caught:
        manager_config(policy=value)
    refused(caught, "policy")


@pytest.mark.parametrize(
    ("field", "words"),
    [("on_limit", ["wait", "raise"]), ("on_conflict", ["wait", "raise"]), ("local_scope", ["all", "endpoint"])],
)
def test_words_are_known(field: str, words: list[str]) -> None:
    for word in words:
        assert getattr(manager_config(**{field: word}), field) == word
    for value in ("", "WAIT", "queue", None, True, 1, ["wait"]):
        with pytest.raises(ConfigurationError) as caught:
            manager_config(**{field: value})
        refused(caught, field)
        assert all(word in caught.value.rule for word in words)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"is_local": True, "limit": 1}, "limit"),
        ({"is_local": True, "idle_timeout": 300}, "idle_timeout"),
        ({"is_local": True, "idle_timeout": None}, "idle_timeout"),
        ({"parallel": 2}, "parallel"),
        ({"is_local": 1}, "is_local"),
        ({"is_local": None}, "is_local"),
    ],
)
def test_what_the_kind_of_provider_does_not_have_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(**given)
    refused(caught, field)
    assert provider(is_local=True, parallel=7).parallel == 7
    assert provider(parallel=1).parallel == 1


def test_the_refused_value_is_shown_where_that_is_safe() -> None:
    for given, shown in (({"limit": 0}, "0"), ({"idle_timeout": -3.5}, "-3.5"), ({"limit": math.nan}, "nan")):
        with pytest.raises(ConfigurationError, match=rf"got.*{shown}"):
            provider(**given)
    with pytest.raises(ConfigurationError, match="got a string of 9 characters"):
        manager_config(on_limit="sometimes")


def test_configurations_are_frozen() -> None:
    for config in (provider(), manager_config(), want("p", "m"), CallOptions(want("p", "m"))):
        with pytest.raises(AttributeError):
            config.name = "other"  # type: ignore[misc, union-attr]  # this is the point


def test_the_list_of_providers_is_copied() -> None:
    providers = [provider("a")]
    config = ProviderManagerConfig(providers)
    providers.append(provider("b"))
    assert ProviderManager(config).available_providers == ("a",)


@pytest.mark.parametrize("value", [None, {}, [provider()], "config"])
def test_a_manager_wants_its_config(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProviderManager(value)
    refused(caught, "config")
    assert caught.value.rule == "must be a ProviderManagerConfig"
    assert caught.value.shown == ("a string of 6 characters" if value == "config" else f"a {type(value).__name__}")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        pytest.param({"timeout": 10**400}, "timeout", id="no float"),
        ({"priority": 1.5}, "priority"),
        ({"priority": None}, "priority"),
        ({"priority": True}, "priority"),
        ({"agent": 5}, "agent"),
        ({"agent": ""}, "agent"),
    ],
)
async def test_a_calls_arguments_are_checked(given: dict[str, Any], field: str) -> None:
    async with api_manager(Recorder()) as manager:
        with pytest.raises(ConfigurationError) as caught:
            await manager.get_adapter(want("api", "m"), **given)
        refused(caught, field)
        assert manager.statistics().counters.starts == 0
    with pytest.raises(ConfigurationError) as caught:
        CallOptions(want("api", "m"), **given)
    refused(caught, field)


@pytest.mark.parametrize("value", [None, "api", {"provider_name": "api", "model_id": "m"}, provider()])
async def test_a_runtime_configuration_is_one(value: Any) -> None:
    async with api_manager(Recorder()) as manager:
        with pytest.raises(ConfigurationError, match="runtime_config"):
            await manager.get_adapter(value)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"stream": 1}, "stream"),
        ({"provider_config": "p"}, "provider_config"),
        ({"thread_id": 1}, "thread_id"),
        ({"tools": "tool"}, "tools"),
        ({"tools": [1]}, r"tools[0]"),
        ({"parameters": [("temperature", 1)]}, "parameters"),
    ],
)
def test_call_options_are_checked(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CallOptions(**given)
    refused(caught, field)


@pytest.mark.parametrize(
    ("policy", "extra"),
    [(Gated, 0), (Gated(extra=2), 2), (partial(Gated, 3), 3), (lambda: Gated(4), 4), ("gated:5", 5)],
)
def test_n06_a_policy_is_an_instance_a_class_a_factory_or_a_name(policy: Any, extra: int) -> None:
    config = manager_config(policy=policy)
    one, other = config.policy_factory(), config.policy_factory()
    assert one is not other
    assert isinstance(one, Gated)
    assert one.bound.late == extra


@pytest.mark.parametrize("name", ["gate", "gated:", "gated:x", "fifo:1", ""])
def test_an_unknown_name_of_a_policy_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="must be one of affinity") as caught:
        manager_config(policy=name)
    refused(caught, "policy")


class Local:
    """Declares where it runs and what it takes."""

    def __init__(self, config: AdapterConfig) -> None:
        raise AssertionError("never made")

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        yield StreamEvent("end")

    is_local: ClassVar[bool] = True
    option_names: ClassVar[frozenset[str]] = frozenset({"base_url", "ttl"})


class Remote(Local):
    is_local = False
    option_names = frozenset()


def test_n02_what_an_adapter_class_declares_of_its_place_is_not_contradicted() -> None:
    assert ProviderConfig("p", Local, is_local=True).is_local
    assert not ProviderConfig("p", Remote).is_local
    for adapter, is_local in ((Local, False), (partial(Local), False), (Remote, True)):
        with pytest.raises(ConfigurationError, match=f"write is_local={not is_local}") as caught:
            ProviderConfig("p", adapter, is_local=is_local)
        refused(caught, "is_local")


def test_an_option_that_the_adapter_class_does_not_declare_is_refused_when_it_is_given() -> None:
    assert ProviderConfig("p", Local, is_local=True, base_options={"ttl": 1}).base_options == {"ttl": 1}
    with pytest.raises(ConfigurationError, match="must be an option of Local: base_url, ttl") as caught:
        ProviderConfig("p", Local, is_local=True, base_options={"tll": 1})
    refused(caught, "base_options.tll")
    with pytest.raises(ConfigurationError, match=r"base_options\.context_size"):
        ProviderConfig("lm", LMStudioAdapter, is_local=True, base_options={"context_size": 4096})


@pytest.mark.parametrize("name", [None, 5, "", b"p", True])
@pytest.mark.parametrize("field", ["provider_name", "model_id"])
def test_an_adapters_configuration_names_its_provider_and_model(field: str, name: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AdapterConfig(**{"provider_name": "p", "model_id": "m", "options": {}, field: name})
    refused(caught, field)


@pytest.mark.parametrize("options", [None, 5, "base_url", [("a", 1)], {"a"}])
def test_an_adapters_options_are_a_mapping(options: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AdapterConfig("p", "m", options)
    refused(caught, "options")


def test_adapters_configurations_are_equal_by_their_signatures() -> None:
    one, same, other = (AdapterConfig("p", "m", {"a": value}) for value in (1, 1.0, True))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "p"
    assert len({one, same, other}) == 2
