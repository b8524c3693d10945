"""The manager under test: the class itself, a mutant of it, or one with a mutant of the model inside; and by which name it is known."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from statemachine.config.providers import ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
from statemachine.manager.engine import ReasoningEngine
from statemachine.manager.manager import ProviderManager

__all__ = ["MakeManager", "Modelled", "engine_of", "made_by", "named"]

MakeManager: TypeAlias = Callable[[ProviderManagerConfig], ProviderManager]


@dataclass(frozen=True, slots=True)
class Modelled:
    """Makes the production manager with another model."""

    model: type[Coordinator]

    def __call__(self, config: ProviderManagerConfig) -> ProviderManager:
        manager = ProviderManager(config)
        manager._coordinator = self.model(config)
        return manager


def engine_of(manager: ProviderManager) -> ReasoningEngine:
    """The engine that its calls go through: a mutant may bring its own."""
    engine: type[ReasoningEngine] = getattr(manager, "engine", ReasoningEngine)
    return engine(manager)


def named(make: MakeManager) -> tuple[MakeManager | str, ...]:
    """As an argument of a program: by a name that can be printed, where there is one; none for the production manager."""
    if make is ProviderManager:
        return ()
    subject: Any = make.model if isinstance(make, Modelled) else make
    module, name = getattr(subject, "__module__", ""), getattr(subject, "__qualname__", "<")
    return (make,) if "<" in name else (f"{module}:{name}",)


def made_by(make: MakeManager | str) -> MakeManager:
    """What is called ``make``: the name of a manager, or of a model for one."""
    found: Any = pkgutil.resolve_name(make) if isinstance(make, str) else make
    return Modelled(found) if isinstance(found, type) and issubclass(found, Coordinator) else found
