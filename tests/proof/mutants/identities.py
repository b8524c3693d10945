"""Wrong identities and configurations: what is put in the place of functions of :mod:`statemachine.identity` and its users."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from statemachine.config.identity import canonical
from statemachine.config.providers import Demand, PoolKey, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig

_TOP = "adapter_options"  # the path of a configuration's own options

_resolve = ProviderManagerConfig.resolve


def without_key(value: object, path: str, above: tuple[int, ...] = ()) -> Any:
    """Credentials are left out."""
    if path == _TOP and isinstance(value, Mapping):
        value = {name: item for name, item in value.items() if name != "api_key"}
    return canonical(value, path, above)


def key_like_masked(value: object, path: str, above: tuple[int, ...] = ()) -> Any:
    """What looks like a key by its name is masked."""
    if path == _TOP and isinstance(value, Mapping):
        value = {name: "***" if "key" in name and name != "api_key" else item for name, item in value.items()}
    return canonical(value, path, above)


def nested_as_written(value: object, path: str, above: tuple[int, ...] = ()) -> Any:
    """Only the keys at the top are sorted."""
    if path == _TOP and isinstance(value, Mapping):
        value = {name: str(item) if isinstance(item, Mapping) else item for name, item in value.items()}
    return canonical(value, path, above)


def nan_is_null(value: object, path: str, above: tuple[int, ...] = ()) -> Any:
    """What is no number is nothing."""
    if path == _TOP and isinstance(value, Mapping):
        value = {name: None if _is_not_finite(item) else item for name, item in value.items()}
    return canonical(value, path, above)


def falsy_is_missing(value: object, path: str, above: tuple[int, ...] = ()) -> Any:
    """An option that is zero, false or empty is taken for one that was not given."""
    if path == _TOP and isinstance(value, Mapping):
        value = {name: item for name, item in value.items() if item}
    return canonical(value, path, above)


def name_parsed(config: ProviderManagerConfig, runtime: RuntimeProviderConfig) -> Demand:
    """The provider is looked up by what a pattern finds in the text of the identity."""
    demand = _resolve(config, runtime)
    found = re.search(r'"provider": "([^"]*)"', json.dumps({"provider": demand.provider}))
    return replace(demand, pool=PoolKey("provider", found[1] if found else ""))


def unchecked(name: str, value: object, least: int = 1) -> None:
    """Anything will do."""


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
