"""The many forms in which servers write "nothing": null, an empty text, the word null, an empty object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["is_nothing"]

_WORDS: Final = frozenset({"", "null", "none", "nil", "undefined"})


def is_nothing(value: object) -> bool:
    """Whether ``value`` says nothing: None, False, zero, blank text and words for null, empty lists, objects of nothing but that."""
    if isinstance(value, str):
        return len(value) <= 64 and value.strip().lower() in _WORDS
    if isinstance(value, Mapping):
        return all(item is None or (isinstance(item, str) and is_nothing(item)) for item in value.values())
    return not value
