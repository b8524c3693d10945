"""Which broken adapters there are, and the one rule that each of them breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from .good import GoodAdapter, ZooSubject

Kind = TypeVar("Kind", bound=type[GoodAdapter])


class Animal(NamedTuple):
    """``rule`` is what it breaks, and nothing else; ``mistake`` says how."""

    kind: type[GoodAdapter]
    rule: str
    mistake: str

    @property
    def subject(self) -> type[ZooSubject]:
        """Its subject."""
        return type(f"{self.kind.__name__}Subject", (ZooSubject,), {"kind": self.kind})


ZOO: Final[dict[str, Animal]] = {}


def breaks(rule: str, mistake: str) -> Callable[[Kind], Kind]:
    """Puts an adapter into the zoo."""

    def register(kind: Kind) -> Kind:
        animal: Any = Animal(kind, rule, mistake)
        ZOO[kind.__name__] = animal
        return kind

    return register
