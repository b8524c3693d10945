"""Options as they are given: checked, and copied so deeply that no later change of what was given can reach them.

An option is a JSON value: a string, a finite number, a bool, None, or lists and string-keyed mappings of these. A tuple is taken for
a list, a member of an enumeration for the string or number that it is. What has no such value (NaN, sets, bytes, functions, cycles,
...) is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ..errors import ConfigurationError
from ..frozen import FrozenDict, FrozenList

__all__ = ["copy_options", "freeze_options"]

DEPTH_LIMIT: Final = 64
_INTEGER_BITS: Final = 4096
_PLAIN: Final = frozenset({str, bool, type(None)})  # nearly all options are of these types: nothing is to be checked


def copy_options(options: object, field: str) -> dict[str, Any]:
    """Return a deep copy of ``options``, checked; a tuple stays one. Raises ConfigurationError with the path to what is refused."""
    return _mapping(_checked(options, field), field, (), _CHANGEABLE)


def freeze_options(options: object, field: str) -> FrozenDict:
    """Copy as :func:`copy_options` does, but read-only at every depth."""
    return FrozenDict(_mapping(_checked(options, field), field, (), _FROZEN))


class _Kinds(NamedTuple):
    """What a copy is made of."""

    mapping: Callable[[dict[str, Any]], dict[str, Any]]
    sequence: Callable[[list[Any]], list[Any]]


_CHANGEABLE: Final = _Kinds(lambda mapping: mapping, lambda sequence: sequence)
_FROZEN: Final = _Kinds(FrozenDict, FrozenList)


def _checked(options: object, field: str) -> Mapping[Any, Any]:
    if not isinstance(options, Mapping):
        raise ConfigurationError(field, "must be a mapping of option names to values", _shown(options))
    return options


def _copy(value: Any, path: str, above: tuple[int, ...], kinds: _Kinds) -> Any:
    """Copy ``value``, which stands at ``path`` inside of the values with the ids ``above``."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        if int(value).bit_length() > _INTEGER_BITS:
            rule = f"an integer must have at most {_INTEGER_BITS} bits"
            raise ConfigurationError(path, rule, f"{int(value).bit_length()} bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(path, "a number must be finite", repr(float(value)))
        return float(value)
    if isinstance(value, Mapping):
        return kinds.mapping(_mapping(value, path, above, kinds))
    if isinstance(value, (list, tuple)):
        above = _deeper(value, path, above)
        items = [_copy(item, f"{path}[{index}]", above, kinds) for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else kinds.sequence(items)
    rule = "must be a string, a finite number, a bool, None, or lists and string-keyed mappings of these"
    raise ConfigurationError(path, rule, _shown(value))


def _mapping(value: Mapping[Any, Any], path: str, above: tuple[int, ...], kinds: _Kinds) -> dict[str, Any]:
    above = _deeper(value, path, above)
    result: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise ConfigurationError(path, "keys must be strings", f"a key that is {_shown(key)}")
        result[str.__str__(key)] = item if type(item) in _PLAIN else _copy(item, f"{path}.{key}", above, kinds)
    return result


def _deeper(value: object, path: str, above: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``above`` for what is inside of ``value``."""
    if id(value) in above:
        raise ConfigurationError(path, "must not contain itself", "a cycle")
    if len(above) >= DEPTH_LIMIT:
        raise ConfigurationError(path, f"must not be nested deeper than {DEPTH_LIMIT} levels", "more")
    return (*above, id(value))


def _shown(value: object) -> str:
    """Return how a refused value is described: by its type, because any value may be a secret."""
    return f"an object of type {type(value).__name__}"
