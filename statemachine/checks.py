"""Checks of configuration values: each raises ConfigurationError with the field, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from .errors import ConfigurationError
from .text import fit_to_show

__all__ = [
    "check_bool",
    "check_callable",
    "check_count",
    "check_name",
    "check_request",
    "check_timeout",
    "check_word",
    "is_number",
    "option_names",
    "plain_name",
    "shown",
]


def check_name(name: str, value: object) -> None:
    """Check that it is a non-empty string."""
    if not isinstance(value, str):
        raise ConfigurationError(name, "must be a string", f"a {type(value).__name__}")
    if not value:
        raise ConfigurationError(name, "must not be empty", repr(value))


def plain_name(name: str, value: object) -> str:
    """Check as :func:`check_name`, and return the text: a member of an enumeration would be shown as its own name."""
    check_name(name, value)
    return str.__str__(value)


def check_bool(name: str, value: object) -> None:
    """True or False, nothing else."""
    if not isinstance(value, bool):
        raise ConfigurationError(name, "must be True or False", f"a {type(value).__name__}")


def check_count(name: str, value: object, least: int = 1) -> None:
    """Check that it is an integer (not a bool) of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(name, f"must be an integer of at least {least}", shown(value))


def check_timeout(name: str, value: object) -> None:
    """Check that it is a finite number of seconds above 0, or None."""
    if value is None:
        return
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(name, "must be a finite number of seconds above 0, or None", shown(value))


def check_word(name: str, value: object, words: tuple[str, ...]) -> None:
    """Check that it is one of ``words``."""
    if isinstance(value, str) and value in words:
        return
    from difflib import get_close_matches  # loaded only where a word is wrong

    near = get_close_matches(value, words, 1) if isinstance(value, str) else []
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigurationError(name, f"must be one of {', '.join(map(repr, words))}{meant}", shown(value))


def shown(value: object) -> str:
    """Describe a refused value: a number by itself, a string by its length (it may be a credential in the wrong place), all else
    by its type."""
    if is_number(value) or isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    return f"a {type(value).__name__}"


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether ``value`` is a number that a clock can be given: no bool, and no integer beyond the floats."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or value.bit_length() <= 1023


def option_names(options: Mapping[str, Any]) -> str:
    """Return what is shown of options."""
    return ", ".join(map(fit_to_show, sorted(options))) or "none"


def check_callable(name: str, value: object, rule: str) -> None:
    """Check that ``value`` is callable."""
    if not callable(value):
        raise ConfigurationError(name, f"must be callable {rule}", shown(value))


def check_request(timeout: object, agent: object, priority: object) -> None:
    """Check what is said about a request. Every acquire is checked, so the usual values pass at once.

    ``timeout`` is how long it may wait, in seconds: None is the configured time, infinity is no bound, 0 is not at all. ``agent`` is
    a name, or None. ``priority`` is any integer; higher goes first.
    """
    if timeout is not None and not (is_number(timeout) and timeout >= 0):
        rule = "must be a number of seconds of at least 0, infinity, or None"
        raise ConfigurationError("timeout", rule, shown(timeout))
    if agent is not None:
        check_name("agent", agent)
    if type(priority) is not int and (isinstance(priority, bool) or not isinstance(priority, int)):
        raise ConfigurationError("priority", "must be an integer", shown(priority))
