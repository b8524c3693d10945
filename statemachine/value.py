"""Values that are made at every step: frozen for the type checker, and cheap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

__all__ = ["value"]

ClassT = TypeVar("ClassT")


@dataclass_transform(frozen_default=True)
def value(cls: type[ClassT]) -> type[ClassT]:
    """Make a frozen dataclass for the type checker.

    At run time freezing would quadruple the price of making one, which every step pays. What is the same for every value is not
    compiled for each: that is most of what it costs to define a dataclass, which every import of the library pays.
    """
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    names = tuple(made.__match_args__)  # type: ignore[attr-defined]
    parts = _parts(names)

    def is_equal(self: object, other: object) -> bool:
        return parts(self) == parts(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_of(self: object) -> int:
        return hash(parts(self))

    def text_of(self: object) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    for name, method in (("__eq__", is_equal), ("__hash__", hash_of), ("__repr__", text_of)):
        setattr(made, name, method)
    return made


def _parts(names: tuple[str, ...]) -> Callable[[object], Any]:
    """Return a function that returns the fields of a value, in one piece that can be compared and hashed."""
    return attrgetter(*names) if names else lambda _: ()
