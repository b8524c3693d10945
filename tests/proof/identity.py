"""What has to hold of identity and configuration: a handful of statements about how a request is resolved, each with examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.config.providers import Demand, ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import ConfigurationError

from .expect import expect, expect_error

__all__ = ["CHECKS", "ConfigPart", "Configs"]

ConfigPart: TypeAlias = type[RuntimeProviderConfig] | type[ProviderConfig] | type[ProviderManagerConfig]


class Configs(NamedTuple):
    """The classes of a configuration that the statements are about."""

    runtime: type[RuntimeProviderConfig] = RuntimeProviderConfig
    provider: type[ProviderConfig] = ProviderConfig
    manager: type[ProviderManagerConfig] = ProviderManagerConfig

    @classmethod
    def with_part(cls, part: ConfigPart) -> Configs:
        """The production classes, with ``part`` in the place of its base."""
        if issubclass(part, RuntimeProviderConfig):
            return cls(runtime=part)
        return cls(provider=part) if issubclass(part, ProviderConfig) else cls(manager=part)

    def config(self, name: str = "p", **options: Any) -> ProviderManagerConfig:
        """A manager's configuration with one API provider."""
        return self.manager([self.provider(name, _never_called, limit=1)], **options)

    def demand(self, name: str, **options: Any) -> Demand:
        """What a request with these adapter options resolves to."""
        return self.config(name).resolve(self.runtime(name, "m", options))

    def signature(self, **options: Any) -> str:
        """The identity of a request with these adapter options."""
        return self.demand("p", **options).signature


_SECRET: Final = "s3cret"
_BAD_COUNTS: Final[tuple[Any, ...]] = (0, -1, True, 1.5, math.nan)
_BAD_TIMES: Final[tuple[Any, ...]] = (0, -1, math.inf, math.nan)


def credentials_are_identity(configs: Configs) -> None:
    """Another key is another instance."""
    expect(configs.signature(api_key="a") != configs.signature(api_key="b"), "two keys have one signature")


def credentials_are_never_shown(configs: Configs) -> None:
    """No value of an option is shown."""
    runtime = configs.runtime("p", "m", {"api_key": _SECRET})
    demand = configs.config().resolve(runtime)
    provider = configs.provider("p", _never_called, base_options={"api_key": _SECRET})
    for one in (runtime, demand, demand.adapter, provider):
        expect(_SECRET not in f"{one!r} {one}", "a value is shown", type(one).__name__)


def names_are_data(configs: Configs) -> None:
    """A provider's pool and limit are found by its name, whatever is in it."""
    for name in ("p", 'a"b', "a,b", "a\\b", '"}', "ä", " "):
        pool = configs.demand(name).pool
        expect(pool == ("provider", name), "a name leads to another pool", name, pool)


def keys_are_sorted_at_every_depth(configs: Configs) -> None:
    """The order of keys is not identity."""
    one, other = {"a": 1, "b": {"x": 1, "y": 2}}, {"b": {"y": 2, "x": 1}, "a": 1}
    expect(configs.signature(o=one, p=2) == configs.signature(p=2, o=other), "the order of keys is identity")


def values_are_told_apart(configs: Configs) -> None:
    """Values that are not equal are not one identity, and a falsy one is a value."""
    values: tuple[Any, ...] = (None, False, 0, "0", "", [], 1, 0.7)
    options: list[dict[str, Any]] = [{}, *({"o": value} for value in values)]
    expect(len({configs.signature(**one) for one in options}) == len(options), "different values have one signature")
    expect(configs.signature(monkey=1) != configs.signature(monkey=2), "a value is masked because of its option's name")


def servers_are_told_by_their_address(configs: Configs) -> None:
    """The spellings of one server's address are one identity."""
    urls = ("http://localhost:1234", "http://localhost:1234/v1/", "http://127.0.0.1:1234/v1")
    expect(len({configs.signature(base_url=url) for url in urls}) == 1, "one server has several signatures")


def values_without_a_form_are_refused(configs: Configs) -> None:
    """What has no canonical form is no option."""
    values: tuple[object, ...] = (math.nan, math.inf, {1}, b"x", object())
    for value in values:
        with expect_error(ConfigurationError):
            configs.signature(o=value)


def bad_limits_are_refused(configs: Configs) -> None:
    """A limit is a whole number above 0."""
    for value in _BAD_COUNTS:
        with expect_error(ConfigurationError):
            configs.provider("p", _never_called, limit=value)
        with expect_error(ConfigurationError):
            configs.config(max_parallel_api_instances_per_provider=value)


def bad_times_are_refused(configs: Configs) -> None:
    """A time-out is finite and above 0."""
    for value in _BAD_TIMES:
        with expect_error(ConfigurationError):
            configs.provider("p", _never_called, idle_timeout=value)
        with expect_error(ConfigurationError):
            configs.config(shutdown_timeout=value)


CHECKS: Final[tuple[Callable[[Configs], None], ...]] = (
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
