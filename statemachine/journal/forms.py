"""Convert configuration, events and effects to the JSON values of a journal, and back.

The first line is the *header*: the configuration as far as decisions depend on it. Each further line is one change::

    {"n": 3, "t": 12.5, "event": {"is": "Released", "ticket": 1, "broken": false}, "effects": [{"is": "Grant", ...}]}

``n`` counts the changes, ``t`` is the driver's clock in seconds. A *demand* (what one request needs) is written out where it appears
first, and is a number afterwards. An owner is a number that stands for a task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Final

from ..config.adapter import Adapter, AdapterConfig
from ..config.providers import Demand, PoolKey, ProviderConfig, ProviderManagerConfig
from ..core.events import (
    AcquireRequested,
    Cancelled,
    CloseRequested,
    Event,
    FoundBroken,
    Opened,
    Released,
    StartFailed,
    StartSucceeded,
    Stopped,
    Wake,
)
from ..errors import ConfigurationError, JournalError
from ..policies import PolicyFactory
from ..policies.names import name_of
from ..text import fit_to_show

__all__ = ["FORMAT", "Demands", "configuration", "event_of", "form", "header"]

FORMAT: Final = 1
DIGEST_LENGTH: Final = 16
_SETTINGS: Final = (
    "max_parallel_api_instances_per_provider",
    "api_instance_idle_timeout_seconds",
    "on_limit",
    "on_conflict",
    "local_scope",
    "max_waiting",
    "acquire_timeout",
    "start_timeout",
    "shutdown_timeout",
    "close_grace",
)
_EVENTS: Final[Mapping[str, Callable[..., Event]]] = {
    kind.__name__: kind
    for kind in (
        Opened,
        Cancelled,
        Released,
        FoundBroken,
        StartSucceeded,
        StartFailed,
        Stopped,
        CloseRequested,
        Wake,
    )
}


def header(config: ProviderManagerConfig) -> dict[str, Any]:
    """Return the first line. ``policy`` is None for a policy without a name, which must then be named for the verification."""
    providers = [
        {
            "name": provider.name,
            "is_local": provider.is_local,
            "parallel": provider.parallel,
            "limit": None if provider.is_local else config.limit_of(provider),
            "idle_timeout": None if provider.is_local else config.idle_timeout_of(provider),
        }
        for provider in config.available_providers
    ]
    settings = {name: getattr(config, name) for name in _SETTINGS}
    return {"journal": FORMAT, "providers": providers, "policy": name_of(config.policy_factory), **settings}


def configuration(first: Mapping[str, Any], policy: PolicyFactory | str | None = None) -> ProviderManagerConfig:
    """Return the configuration of a header; ``policy`` replaces its policy. Raises JournalError, ConfigurationError."""
    if first.get("journal") != FORMAT:
        raise JournalError(f"the first line must be the header of a journal of format {FORMAT}")
    named = policy or first.get("policy")
    if named is None:
        raise JournalError("the policy of this journal has no name: say which one it was")
    try:
        providers = [_provider(row) for row in first["providers"]]
        return ProviderManagerConfig(providers, policy=named, **{name: first[name] for name in _SETTINGS})
    except (KeyError, TypeError) as error:
        raise JournalError(f"the header is not whole: {error}") from error


def _provider(row: Mapping[str, Any]) -> ProviderConfig:
    if row["is_local"]:
        return ProviderConfig(row["name"], _no_adapter, True, parallel=row["parallel"])
    return ProviderConfig(row["name"], _no_adapter, limit=row["limit"], idle_timeout=row["idle_timeout"])


def _no_adapter(config: AdapterConfig) -> Adapter:
    raise AssertionError("a replay starts nothing")


class Demands:
    """The demands of one journal, by number. No number is used for two."""

    def __init__(self) -> None:
        self._numbers: dict[Demand, int] = {}
        self._demands: dict[int, Demand] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def form(self, demand: Demand) -> int | dict[str, Any]:
        """Return the number of ``demand``; the first time, all of it."""
        if (number := self._numbers.get(demand)) is not None:
            return number
        self._last += 1
        self._numbers[demand] = number = self._last
        return {
            "number": number,
            "pool": list(demand.pool),
            "provider": demand.provider,
            "model": demand.model,
            "signature": demand.signature[:DIGEST_LENGTH],
            "parallel": demand.parallel,
        }

    def forget(self) -> None:
        """Forget the numbers, so that the memory stays bounded. Each demand is written out again where it appears next."""
        self._numbers.clear()

    def demand_of(self, value: object) -> Demand:
        """Return the demand that a number or a whole form stands for. Raises JournalError."""
        if isinstance(value, Mapping):
            try:
                demand = _demand(value)
                self._demands[value["number"]] = demand
                self._numbers[demand] = value["number"]
            except (KeyError, TypeError, ConfigurationError) as error:
                raise JournalError(f"a demand is not whole: {fit_to_show(str(error))}") from error
            return demand
        if not isinstance(value, int) or value not in self._demands:
            raise JournalError("a request names a demand that was not told before")
        return self._demands[value]


def _demand(value: Mapping[str, Any]) -> Demand:
    adapter = AdapterConfig(value["provider"], value["model"], {})
    pool = PoolKey(*value["pool"])
    return Demand(pool, adapter.provider_name, adapter.model_id, value["signature"], value["parallel"], adapter)


def form(value: object, demands: Demands) -> Any:
    """Return an event or effect as JSON data. Owners must be numbers already."""
    if isinstance(value, Demand):
        return demands.form(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [form(item, demands) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    parts = {field.name: form(getattr(value, field.name), demands) for field in fields(value)}  # type: ignore[arg-type]  # all are dataclasses
    return {"is": type(value).__name__, **parts}


def event_of(value: Mapping[str, Any], demands: Demands) -> Event:
    """Return the event of a line. Raises JournalError."""
    parts = dict(value)
    name = parts.pop("is", None)
    try:
        if name == AcquireRequested.__name__:
            owner = parts.pop("owner")
            demand = demands.demand_of(parts.pop("demand"))
            parts["held_above"] = tuple(parts.get("held_above", ()))
            return AcquireRequested(demand=demand, owner=tuple(owner) if isinstance(owner, list) else owner, **parts)
        return _EVENTS[name](**parts)
    except (KeyError, TypeError) as error:
        raise JournalError(f"an event cannot be read: {name!r} ({error})") from error
