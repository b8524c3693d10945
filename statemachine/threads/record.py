"""Encode one value of a thread as a *record*, a JSON text without the secrets, and decode it.

The store in memory keeps the same records as the file. So both behave the same: a value is copied on its way in and out, and a tuple
comes back as a list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ..config.options import copy_options
from ..config.runtime import RuntimeProviderConfig
from ..errors import ConfigurationError, ThreadStoreError
from ..foreign import read_json
from ..text import fit_to_show
from .secrecy import Path, put_back, withhold

__all__ = ["Record", "SecretRef", "SecretSource", "decode", "encode"]


@dataclass(frozen=True, slots=True)
class SecretRef:
    """The place of a part that was not written to the file: its thread, its key, and the path from the value to it.

    In a RuntimeProviderConfig, ``provider_name`` is that configuration's and the path begins with
    ``"adapter_options"``; elsewhere ``provider_name`` is None.
    """

    thread_id: str
    key: str
    path: Path
    provider_name: str | None = None

    @property
    def name(self) -> str:
        """The innermost name, such as ``"api_key"``."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), self.key)

    def __str__(self) -> str:
        return self.key + "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in self.path)


SecretSource: TypeAlias = Callable[[SecretRef], Any]
"""Called for every left-out part when a thread is loaded. Returns the part, or None where it has none. It must not block."""


class Record(NamedTuple):
    """A decoded record: JSON data, with None in the places of the parts that were left out."""

    key: str
    value: Any
    runtime: bool
    left_out: list[SecretRef]

    def completed(self, parts: Sequence[Any]) -> Any:
        """Return the value with ``parts`` in the places of ``left_out``. Raises ConfigurationError for a part that is not JSON-like."""
        supplied = zip((ref.path for ref in self.left_out), parts, strict=True)
        value = put_back(self.value, supplied)
        return RuntimeProviderConfig(**value) if self.runtime else copy_options({self.key: value}, "config")[self.key]


def encode(key: str, value: Any, *, keep_all: bool) -> str:
    """Return the record of ``value``, without its secrets unless ``keep_all``. Raises ConfigurationError if it is not JSON-like."""
    runtime = isinstance(value, RuntimeProviderConfig)
    left_out: list[Path] = []
    if runtime:
        options = copy_options(value.adapter_options, f"{key}.adapter_options")
        if not keep_all:
            options, inner = withhold(options, "adapter_options", options=True)
            left_out = [("adapter_options", *path) for path in inner]
        value = {"provider_name": value.provider_name, "model_id": value.model_id, "adapter_options": options}
    else:
        value = copy_options({key: value}, "config")[key]
        if not keep_all:
            value, left_out = withhold(value, key, options=False)
    return json.dumps({"runtime": runtime, "value": value, "left_out": left_out})


def decode(thread_id: str, key: str, text: str) -> Record:
    """Read the record ``text``. Raises ThreadStoreError if it is damaged."""
    try:
        return _decoded(thread_id, key, text)
    except (ValueError, LookupError, TypeError, ConfigurationError) as error:
        shown = f"thread {fit_to_show(thread_id)!r}: the record of {fit_to_show(key)!r}"
        raise ThreadStoreError(f"{shown} is damaged; set the value again, or delete the thread") from error


def _decoded(thread_id: str, key: str, text: str) -> Record:
    """Read the record. Raises various errors. Everything is checked here, so that later only supplied parts can be wrong."""
    record = read_json(text)
    runtime, value = record["runtime"], record["value"]
    if not isinstance(runtime, bool):
        raise TypeError("runtime is no bool")
    paths = [_path(path, value) for path in record["left_out"]]
    if runtime:
        RuntimeProviderConfig(**value)
        if any(path[:1] != ("adapter_options",) for path in paths):
            raise ValueError("something else than an option was left out")
    else:
        copy_options({key: value}, "config")
    provider = value["provider_name"] if runtime else None
    return Record(key, value, runtime, [SecretRef(thread_id, key, path, provider) for path in paths])


def _path(path: object, value: Any) -> Path:
    """Check that ``path`` leads to a None in ``value``, and return it as a tuple. Raises TypeError, ValueError, LookupError."""
    if not isinstance(path, list):
        raise TypeError("a path is no list")
    for step in path:
        if isinstance(step, bool) or not isinstance(step, str if isinstance(value, dict) else int):
            raise TypeError("a step of a path is of the wrong type")
        value = value[step]
    if value is not None:
        raise ValueError("what was left out is there")
    return tuple(path)
