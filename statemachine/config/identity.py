"""Identity: decide whether two configurations are the same, by canonical options, signatures and normalised base URLs.

Two mappings of options are the same if they are equal as JSON values. The order of keys does not matter at any depth, a tuple equals a
list, and ``0`` equals ``0.0`` (one JSON number), while ``False``, ``0``, ``"0"``, ``None`` and a missing key all differ. The
*signature* is the hash of these values. It is never parsed back.

A signature covers credentials as well, so that two tenants never share an instance. Only a short digest of it is ever shown, and no
value of an option is.

Example: ``{"a": 1, "b": [2]}`` and ``{"b": (2.0,), "a": 1.0}`` have one signature; ``{"a": "1", "b": [2]}`` has another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from .hosts import host_name
from .options import copy_options

__all__ = ["normalise_base_url", "public_url", "short", "signature", "spelling"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def signature(provider: str, model: str, options: Mapping[str, Any]) -> str:
    """Return the identity of (provider, model, options), as 64 hex digits (SHA-256 of the canonical JSON)."""
    identity = dict(options)
    base_url = identity.get("base_url")
    if isinstance(base_url, str):
        identity["base_url"] = normalise_base_url(base_url)
    value = _canonical(copy_options(identity, "adapter_options"))
    text = json.dumps([provider, model, value], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def short(digest: str) -> str:
    """Return the part of a signature that is shown."""
    return digest[:8]


def _canonical(value: Any) -> Any:
    """Return ``value``, which was checked, as plain JSON data in canonical form."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Mapping):
        return {str.__str__(key): _canonical(item) for key, item in value.items()}
    return [_canonical(item) for item in value]


def spelling(value: Any) -> Hashable:
    """Return a key of ``value``, which was checked: equal only for what was written alike, down to the type of each value.

    Two spellings may be one identity. What is known of a configuration is kept by its spelling, because an adapter gets its options
    as they were written.
    """
    kind = type(value)
    if kind is str or value is None:
        return cast(Hashable, value)
    if isinstance(value, Mapping):
        return kind, tuple([(spelling(key), spelling(item)) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return kind, tuple([spelling(item) for item in value])
    if isinstance(value, str):
        return kind, str.__str__(value)
    return kind, repr(float(value)) if isinstance(value, float) else int(value)


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
    host = host_name(host)
    name = f"[{host}]" if ":" in host else host
    return name if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{name}:{port}"


def _root(path: str) -> str:
    return path.rstrip("/").removesuffix("/v1").rstrip("/")
