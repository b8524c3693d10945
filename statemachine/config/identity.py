"""Identity: decide whether two configurations are the same, by canonical options, signatures and normalised base URLs.

Two mappings of options are the same if they are equal as JSON values. The order of keys does not matter at any depth, a tuple equals a
list, and ``0`` equals ``0.0`` (one JSON number), while ``False``, ``0``, ``"0"``, ``None`` and a missing key all differ. A value that JSON
does not have (NaN, a set, bytes, a function, a cycle, ...) is refused, with the path to it. The *signature* is the hash of these values.
It is never parsed back.

A signature covers credentials as well, so that two tenants never share an instance. Only a short digest of it is ever shown, and no
value of an option is.

Example: ``{"a": 1, "b": [2]}`` and ``{"b": (2.0,), "a": 1.0}`` have one signature; ``{"a": "1", "b": [2]}`` has another.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError

__all__ = ["canonical", "copy_options", "normalise_base_url", "public_url", "short", "signature"]

DEPTH_LIMIT = 64
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def signature(provider: str, model: str, options: Mapping[str, Any]) -> str:
    """Return the identity of (provider, model, options), as 64 hex digits (SHA-256 of the canonical JSON)."""
    identity = dict(options)
    base_url = identity.get("base_url")
    if isinstance(base_url, str):
        identity["base_url"] = normalise_base_url(base_url)
    text = json.dumps([provider, model, canonical(identity, "adapter_options")], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def short(digest: str) -> str:
    """Return the part of a signature that is shown."""
    return digest[:8]


def copy_options(options: object, field: str) -> dict[str, Any]:
    """Return a deep copy of ``options``, checked; values keep their types. Raises ConfigurationError with the path to what is refused."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(field, "must be a mapping of option names to values", _shown(options))
    canonical(options, field)
    return {key: _copied(value) for key, value in options.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_copied(item) for item in value)
    return value


def canonical(value: object, path: str, _above: tuple[int, ...] = ()) -> Any:
    """Return ``value`` as plain JSON data in canonical form. Raises ConfigurationError, with the path to a value that has none."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _canonical_int(int(value), path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(path, "a number must be finite", repr(float(value)))
        return int(value) if value == int(value) else float(value)
    if id(value) in _above:
        raise ConfigurationError(path, "must not contain itself", "a cycle")
    if len(_above) >= DEPTH_LIMIT:
        raise ConfigurationError(path, f"must not be nested deeper than {DEPTH_LIMIT} levels", "more")
    above = (*_above, id(value))
    if isinstance(value, Mapping):
        return _canonical_mapping(value, path, above)
    if isinstance(value, (list, tuple)):
        return [canonical(item, f"{path}[{index}]", above) for index, item in enumerate(value)]
    rule = "must be a string, a finite number, a bool, None, or lists and string-keyed mappings of these"
    raise ConfigurationError(path, rule, _shown(value))


def _canonical_int(value: int, path: str) -> int:
    if value.bit_length() > 4096:
        raise ConfigurationError(path, "an integer must have at most 4096 bits", f"{value.bit_length()} bits")
    return value


def _canonical_mapping(value: Mapping[Any, Any], path: str, above: tuple[int, ...]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise ConfigurationError(path, "keys must be strings", f"a key that is {_shown(key)}")
        result[str.__str__(key)] = canonical(item, f"{path}.{key}", above)
    return result


def normalise_base_url(url: str) -> str:
    """Return one spelling for each server: scheme and host in lower case, no default port, one name for this host, no ``/v1``.

    A URL that cannot be parsed stays as it is. User info and query stay, because they may be credentials, which are part of the identity.
    """
    parts = _split(url)
    if parts is None:
        return url
    user, at, _ = parts.netloc.rpartition("@")
    netloc = user + at + _authority(parts.scheme, str(parts.hostname), parts.port)
    return parts._replace(netloc=netloc, path=_root(parts.path)).geturl()


def public_url(url: str) -> str:
    """Return the normalised ``url`` as it may be shown: without user info, query and fragment. What cannot be parsed becomes a digest."""
    parts = _split(url)
    if parts is None or "@" in parts.path:
        return f"url#{short(hashlib.sha256(url.encode('utf-8', 'surrogatepass')).hexdigest())}"
    netloc = _authority(parts.scheme, str(parts.hostname), parts.port)
    return parts._replace(netloc=netloc, path=_root(parts.path), query="", fragment="").geturl()


def _split(url: str) -> SplitResult | None:
    """Return the parts of ``url``; None without a scheme, a host or a valid port, or with an ``@`` in the fragment.

    There the ``@`` means that a password with a ``#`` was cut in two.
    """
    try:
        parts = urlsplit(url.strip())
        complete = parts.scheme and parts.hostname and (parts.port is None or parts.port >= 0)
    except ValueError:
        return None
    return parts if complete and "@" not in parts.fragment else None


def _authority(scheme: str, host: str, port: int | None) -> str:
    name = "localhost" if host in _LOOPBACK else f"[{host}]" if ":" in host else host
    return name if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{name}:{port}"


def _root(path: str) -> str:
    return path.rstrip("/").removesuffix("/v1").rstrip("/")


def _shown(value: object) -> str:
    """Describe a refused value by its type only, because any value may be a secret."""
    kind = type(value).__name__
    return f"an object of type {kind}"
