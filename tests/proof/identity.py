"""What has to hold of identity and configuration: a handful of statements about how a request is resolved, each with examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.config.providers import Demand, ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import ConfigurationError

from .expect import expect, expect_error

__all__ = ["CHECKS"]

_SECRET: Final = "s3cret"
_BAD_COUNTS: Final[tuple[Any, ...]] = (0, -1, True, 1.5, math.nan)
_BAD_TIMES: Final[tuple[Any, ...]] = (0, -1, math.inf, math.nan)


def credentials_are_identity() -> None:
    """Another key is another instance."""
    expect(_signature(api_key="a") != _signature(api_key="b"), "two keys have one signature")


def credentials_are_never_shown() -> None:
    """No value of an option is shown."""
    runtime = RuntimeProviderConfig("p", "m", {"api_key": _SECRET})
    demand = _config().resolve(runtime)
    provider = ProviderConfig("p", _never_called, base_options={"api_key": _SECRET})
    for one in (runtime, demand, demand.adapter, provider):
        expect(_SECRET not in f"{one!r} {one}", "a value is shown", type(one).__name__)


def names_are_data() -> None:
    """A provider's pool and limit are found by its name, whatever is in it."""
    for name in ("p", 'a"b', "a,b", "a\\b", '"}', "ä", " "):
        pool = _demand(name).pool
        expect(pool == ("provider", name), "a name leads to another pool", name, pool)


def keys_are_sorted_at_every_depth() -> None:
    """The order of keys is not identity."""
    one, other = {"a": 1, "b": {"x": 1, "y": 2}}, {"b": {"y": 2, "x": 1}, "a": 1}
    expect(_signature(o=one, p=2) == _signature(p=2, o=other), "the order of keys is identity")


def values_are_told_apart() -> None:
    """Values that are not equal are not one identity, and a falsy one is a value."""
    values: tuple[Any, ...] = (None, False, 0, "0", "", [], 1, 0.7)
    options: list[dict[str, Any]] = [{}, *({"o": value} for value in values)]
    expect(len({_signature(**one) for one in options}) == len(options), "different values have one signature")
    expect(_signature(monkey=1) != _signature(monkey=2), "a value is masked because of its option's name")


def servers_are_told_by_their_address() -> None:
    """The spellings of one server's address are one identity."""
    urls = ("http://localhost:1234", "http://localhost:1234/v1/", "http://127.0.0.1:1234/v1")
    expect(len({_signature(base_url=url) for url in urls}) == 1, "one server has several signatures")


def values_without_a_form_are_refused() -> None:
    """What has no canonical form is no option."""
    values: tuple[object, ...] = (math.nan, math.inf, {1}, b"x", object())
    for value in values:
        with expect_error(ConfigurationError):
            _signature(o=value)


def bad_limits_are_refused() -> None:
    """A limit is a whole number above 0."""
    for value in _BAD_COUNTS:
        with expect_error(ConfigurationError):
            ProviderConfig("p", _never_called, limit=value)
        with expect_error(ConfigurationError):
            _config(max_parallel_api_instances_per_provider=value)


def bad_times_are_refused() -> None:
    """A time-out is finite and above 0."""
    for value in _BAD_TIMES:
        with expect_error(ConfigurationError):
            ProviderConfig("p", _never_called, idle_timeout=value)
        with expect_error(ConfigurationError):
            _config(shutdown_timeout=value)


CHECKS: Final[tuple[Callable[[], None], ...]] = (
    credentials_are_identity,
    credentials_are_never_shown,
    names_are_data,
    keys_are_sorted_at_every_depth,
    values_are_told_apart,
    servers_are_told_by_their_address,
    values_without_a_form_are_refused,
    bad_limits_are_refused,
    bad_times_are_refused,
)
"""Each raises DoesNotHoldError where it does not hold."""


def _never_called(config: AdapterConfig) -> Adapter:
    raise AssertionError("identity needs no adapter")


def _config(name: str = "p", **options: Any) -> ProviderManagerConfig:
    return ProviderManagerConfig([ProviderConfig(name, _never_called, limit=1)], **options)


def _demand(name: str, **options: Any) -> Demand:
    return _config(name).resolve(RuntimeProviderConfig(name, "m", options))


def _signature(**options: Any) -> str:
    return _demand("p", **options).signature
