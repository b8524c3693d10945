"""How one value of a thread is kept: a *record*, one JSON text, and what was left out of it.

Memory and file keep the same records, so they agree, values are copied both ways, and a tuple comes back as a list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ..config.identity import copy_options
from ..config.runtime import RuntimeProviderConfig
from ..errors import ThreadStoreError
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
    """A record, read: JSON data, with None in the places of what was left out."""

    key: str
    value: Any
    runtime: bool
    left_out: list[SecretRef]

    def completed(self, parts: Sequence[Any]) -> Any:
        """The value, with ``parts`` in the places of ``left_out``. Raises ConfigurationError if one is not JSON-like."""
        supplied = zip((ref.path for ref in self.left_out), parts, strict=True)
        value = put_back(self.value, supplied)
        return RuntimeProviderConfig(**value) if self.runtime else copy_options({self.key: value}, "config")[self.key]


def encode(key: str, value: Any, *, keep_all: bool) -> str:
    """The record of ``value``, without its secrets unless ``keep_all``. Raises ConfigurationError for what is not JSON-like."""
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
    """The record that ``text`` is. Raises ThreadStoreError if it is none."""
    try:
        record = json.loads(text)
        runtime, value = record["runtime"], record["value"]
        provider = value["provider_name"] if runtime else None
        left_out = [SecretRef(thread_id, key, tuple(path), provider) for path in record["left_out"]]
    except (ValueError, LookupError, TypeError) as error:
        raise ThreadStoreError(f"thread {thread_id!r}: the record of {key!r} is damaged") from error
    return Record(key, value, runtime, left_out)
