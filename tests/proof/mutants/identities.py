"""Wrong identities and configurations: each replaces one class of a configuration and gets one thing wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from statemachine.config.identity import signature
from statemachine.config.providers import UNSET, Demand, PoolKey, ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig


class _OtherIdentity(ProviderManagerConfig):
    """Computes the signature of other options than those that the adapter gets."""

    def altered(self, options: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def resolve(self, runtime: RuntimeProviderConfig) -> Demand:
        demand = super().resolve(runtime)
        options = self.altered(demand.adapter.options)
        return replace(demand, signature=signature(demand.provider, demand.model, options))


class WithoutKey(_OtherIdentity):
    """Credentials are left out."""

    def altered(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: item for name, item in options.items() if name != "api_key"}


class KeyLikeMasked(_OtherIdentity):
    """What looks like a key by its name is masked."""

    def altered(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: "***" if "key" in name and name != "api_key" else item for name, item in options.items()}


class NestedAsWritten(_OtherIdentity):
    """Only the keys at the top are sorted."""

    def altered(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: str(item) if isinstance(item, Mapping) else item for name, item in options.items()}


class FalsyIsMissing(_OtherIdentity):
    """An option that is zero, false or empty is taken for one that was not given."""

    def altered(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: item for name, item in options.items() if item}


class AddressAsWritten(_OtherIdentity):
    """A server's address is compared as it was written."""

    def altered(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"address" if name == "base_url" else name: item for name, item in options.items()}


class NameParsed(ProviderManagerConfig):
    """The provider is looked up by what a pattern finds in the text of the identity."""

    def resolve(self, runtime: RuntimeProviderConfig) -> Demand:
        demand = super().resolve(runtime)
        found = re.search(r'"provider": "([^"]*)"', json.dumps({"provider": demand.provider}))
        return replace(demand, pool=PoolKey("provider", found[1] if found else ""))


class NanIsNull(RuntimeProviderConfig):
    """What is no number is nothing."""

    def __post_init__(self) -> None:
        options = {name: None if _is_not_finite(item) else item for name, item in self.adapter_options.items()}
        object.__setattr__(self, "adapter_options", options)
        super().__post_init__()


class ValuesShown(RuntimeProviderConfig):
    """The repr shows the options with their values."""

    def __repr__(self) -> str:
        return f"RuntimeProviderConfig({self.provider_name!r}, {self.model_id!r}, {self.adapter_options!r})"


class AnyLimit(ProviderConfig):
    """The limit is not checked."""

    def __post_init__(self) -> None:
        limit = self.limit
        object.__setattr__(self, "limit", None)
        super().__post_init__()
        object.__setattr__(self, "limit", limit)


class AnyTime(ProviderConfig):
    """The idle time-out is not checked."""

    def __post_init__(self) -> None:
        idle_timeout = self.idle_timeout
        object.__setattr__(self, "idle_timeout", UNSET)
        super().__post_init__()
        object.__setattr__(self, "idle_timeout", idle_timeout)


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
