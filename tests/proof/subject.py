"""What is put under test: the production classes, or one of them replaced by a mutant; and the name it is known by."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from statemachine.core.coordinator import Coordinator
from statemachine.manager.engine import ReasoningEngine
from statemachine.manager.manager import ProviderManager

__all__ = ["PRODUCTION", "Part", "Subject", "as_argument", "subject_of"]

Part: TypeAlias = type[ProviderManager] | type[Coordinator] | type[ReasoningEngine]


@dataclass(frozen=True)
class Subject:
    """A manager with the coordinator inside it and the engine in front of it."""

    manager: type[ProviderManager] = ProviderManager
    core: type[Coordinator] = Coordinator
    engine: type[ReasoningEngine] = ReasoningEngine

    @classmethod
    def with_part(cls, part: Part) -> Subject:
        """The production classes, with ``part`` in the place of its base."""
        if issubclass(part, Coordinator):
            return cls(core=part)
        return cls(engine=part) if issubclass(part, ReasoningEngine) else cls(manager=part)


PRODUCTION: Final = Subject()


def as_argument(subject: Subject) -> tuple[Subject | str, ...]:
    """``subject`` as an argument of a program: none for production, a name that can be printed where there is one."""
    parts = (subject.manager, subject.core, subject.engine)
    other = [
        part
        for part, own in zip(parts, (ProviderManager, Coordinator, ReasoningEngine), strict=True)
        if part is not own
    ]
    if not other:
        return ()
    if len(other) > 1 or "<" in other[0].__qualname__:
        return (subject,)
    return (f"{other[0].__module__}:{other[0].__qualname__}",)


def subject_of(argument: Subject | str) -> Subject:
    """The subject that :func:`as_argument` named."""
    if isinstance(argument, Subject):
        return argument
    part: Any = pkgutil.resolve_name(argument)
    return Subject.with_part(part)
