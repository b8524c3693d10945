"""What the trace readers share: the error that names the place, opening a file, and checked access to the fields of JSON objects."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from statemachine.checks import is_number
from statemachine.errors import ConfigurationError
from statemachine.text import fit_to_show

__all__ = [
    "NAME_LIMIT",
    "TOKENS_LIMIT",
    "TraceError",
    "count_at",
    "list_at",
    "name_in",
    "number_at",
    "object_in",
    "opened",
    "parsed_json",
    "path_to",
    "text_at",
]

TOKENS_LIMIT: Final = 10_000_000
NAME_LIMIT: Final = 200
"""Longest name of an agent, a model or a session, in characters."""


class TraceError(ConfigurationError):
    """A trace cannot be used. ``field`` is the place: the file, and the line or the path to the value in it."""


def opened(file: Path) -> IO[bytes]:
    """Open ``file``. Raises TraceError."""
    try:
        return file.open("rb")
    except OSError as error:
        raise TraceError(str(file), "must be a file that can be read", error.strerror or "an error") from None


def parsed_json(text: str | bytes, place: str) -> Any:
    """Parse a JSON document. Raises TraceError, also for a document that is nested too deeply."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceError(place, "must be a JSON document", str(error)) from None


def name_in(value: object, place: str) -> str:
    """Return a non-empty name, made fit to show. Raises TraceError."""
    if not isinstance(value, str) or not value.strip():
        raise TraceError(place, "must be a non-empty string", _shown(value))
    if len(value) > NAME_LIMIT:
        raise TraceError(place, f"must not be longer than {NAME_LIMIT} characters", _shown(value))
    return fit_to_show(value)


# ---- fields; ``place`` is the path to their owner, which need not be an object ----


def path_to(place: str, key: str) -> str:
    """Return the path to ``key``: below a file (``name.json:``) or below a value in it."""
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def text_at(owner: Any, key: str, place: str) -> str:
    """Return a non-empty name, made fit to show. Raises TraceError, as all of these."""
    return name_in(_member(owner, key, place), path_to(place, key))


def number_at(owner: Any, key: str, place: str, default: float | None = None) -> float:
    """Return a finite number of at least 0; ``default`` where it is missing or null."""
    value = _member(owner, key, place) if default is None or owner.get(key) is not None else default
    if not is_number(value) or not 0 <= value < math.inf:
        raise TraceError(path_to(place, key), "must be a finite number of at least 0", _shown(value))
    return float(value)


def count_at(owner: Any, key: str, place: str) -> int:
    """Return an integer from 0 to ``TOKENS_LIMIT``."""
    value = _member(owner, key, place)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_LIMIT:
        raise TraceError(path_to(place, key), f"must be an integer from 0 to {TOKENS_LIMIT}", _shown(value))
    return value


def list_at(owner: Any, key: str, place: str) -> list[Any]:
    """Return a list, whatever it holds."""
    value = _member(owner, key, place)
    if not isinstance(value, list):
        raise TraceError(path_to(place, key), "must be a list", _shown(value))
    return value


def object_in(value: Any, place: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise TraceError(place.removesuffix(":"), "must be a JSON object", f"a {type(value).__name__}")
    return value


def _member(owner: Any, key: str, place: str) -> Any:
    if key not in object_in(owner, place):
        raise TraceError(path_to(place, key), "must be there", "nothing")
    return owner[key]


def _shown(value: object) -> str:
    return repr(value)[:80] if isinstance(value, (bool, int, float, str, type(None))) else f"a {type(value).__name__}"
