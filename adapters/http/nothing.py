"""The many forms in which servers write "nothing": null, an empty text, the word null, an empty object.

Two questions, not to be taken for one another: a blank, a line end and the word "null" are nothing as a label, such as a finish
reason or an error's code, but they are text where a model has written them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["has_text", "is_empty", "is_nothing"]

_WORDS: Final = frozenset({"", "null", "none", "nil", "undefined"})


def is_nothing(value: object) -> bool:
    """Return whether a label says nothing: None, False, zero, blank text and words for null, empty lists, objects of nothing but that."""
    if isinstance(value, str):
        return len(value) <= 64 and value.strip().lower() in _WORDS
    if isinstance(value, Mapping):
        return all(is_nothing(item) for item in value.values())
    return not value


def is_empty(value: object) -> bool:
    """Return whether there is no content in ``value``: None, False, the empty text, list or object. Blanks are content."""
    return value is None or value is False or (isinstance(value, (str, list, Mapping)) and not value)


def has_text(value: object) -> bool:
    """Return whether there is text in ``value``, at any depth, that says something."""
    if isinstance(value, Mapping):
        return any(map(has_text, value.values()))
    if isinstance(value, list):
        return any(map(has_text, value))
    return isinstance(value, str) and not is_nothing(value)
