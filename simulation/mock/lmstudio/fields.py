"""The members of a request's body, checked as they are read. What is null counts as not given. Every method raises Refusal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from . import errors

__all__ = ["HUGE", "Fields"]

HUGE: Final = 2**31 - 1  # the engine counts tokens in 32 bits


class Fields:
    """``within`` is prefixed to names in messages, for objects inside of the body. ``strict``: whether :meth:`only` refuses anything."""

    def __init__(self, body: object, within: str = "", *, strict: bool = True) -> None:
        self._within = within
        self._strict = strict
        if not isinstance(body, Mapping):
            raise errors.invalid_type(within.rstrip("."), "an object")
        self.body: Mapping[str, Any] = body

    def only(self, known: Iterable[str]) -> None:
        """Refuse members that are not ``known``."""
        allowed = set(known)
        unknown = [key for key in self.body if key not in allowed]
        if unknown and self._strict:
            raise errors.unrecognized_keys(unknown)

    def required(self, name: str) -> None:
        """Check that ``name`` is given."""
        if self.body.get(name) is None:
            raise errors.missing(self._within + name)

    def string(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self.body.get(name)
        return default if value is None else str(self._check(name, isinstance(value, str), "a string"))

    def required_string(self, name: str) -> str:
        """Return a text that must be given."""
        self.required(name)
        return self.string(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self.body.get(name)
        return default if value is None else bool(self._check(name, isinstance(value, bool), "a boolean"))

    def integer(self, name: str, least: int, most: int = HUGE) -> int | None:
        """Return a whole number from ``least`` to ``most``."""
        value = self.body.get(name)
        if value is None:
            return None
        whole = isinstance(value, int) and not isinstance(value, bool)
        self._check(name, whole and least <= value <= most, f"an integer from {least} to {most}")
        return int(value)

    def tokens(self, *names: str) -> int | None:
        """Return a bound on tokens, by the first of ``names`` that is given; -1 is the server's word for no bound."""
        for name in names:
            value = self.integer(name, -1)
            if value is not None:
                return None if value == -1 else value
        return None

    def seconds(self, name: str) -> float | None:
        """Return a time above 0."""
        value = self.body.get(name)
        if value is None:
            return None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        self._check(name, number and 0 < value <= HUGE and math.isfinite(value), f"a number above 0, at most {HUGE}")
        return float(value)

    def array(self, name: str) -> list[Any]:
        """Return a list of anything."""
        value = self.body.get(name)
        return [] if value is None else list(self._check(name, isinstance(value, list), "an array"))

    def objects(self, name: str, most: int = HUGE) -> list[Fields]:
        """Return a list of at most ``most`` objects."""
        items = self.array(name)
        self._check(name, len(items) <= most, f"an array of at most {most} objects")
        self._check(name, all(isinstance(item, Mapping) for item in items), "an array of objects")
        return [Fields(item, f"{self._within}{name}[{index}].") for index, item in enumerate(items)]

    def object(self, name: str) -> Fields:
        """Return an object; empty if not given."""
        value = self.body.get(name)
        return Fields({} if value is None else value, f"{self._within}{name}.")

    def strings(self, name: str, most: int = 64) -> tuple[str, ...]:
        """Return a text, or several."""
        value = self.body.get(name)
        items = [] if value is None else value if isinstance(value, list) else [value]
        good = len(items) <= most and all(isinstance(item, str) for item in items)
        self._check(name, good, f"a string or an array of at most {most} strings")
        return tuple(items)

    def _check(self, name: str, good: bool, expected: str) -> Any:
        if not good:
            raise errors.invalid_type(self._within + name, expected)
        return self.body.get(name)
